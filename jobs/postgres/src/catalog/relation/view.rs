//! Views, materialized views and rules.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use pgarchive::{CatalogId, Section};

use super::class::{Attached, Kind, Relation};
use super::inventory::Relations;
use super::{create, oid_array, options, rows_and_no_locks};
use crate::Error;
use crate::catalog::{Catalog, Definition, Object, ObjectId, Part, Piece, Rank, class};
use crate::quote;

/// A row of `pg_rewrite`.
#[derive(Debug)]
struct Rule {
    oid: u32,
    relation: u32,
    name: String,
    /// The query of a view or materialized view, rather than a rule that a user wrote.
    is_query: bool,
    /// What follows `ALTER TABLE ...`, where the rule does not fire as usual.
    firing: Option<&'static str>,
    /// `pg_get_viewdef` without its semicolon, or `pg_get_ruledef`.
    sql: String,
}

impl Rule {
    fn row(&self) -> CatalogId {
        CatalogId { catalog: class::PG_REWRITE, oid: self.oid }
    }
}

async fn read_rules(cx: &mut Catalog<'_>, relations: &Relations) -> Result<Vec<Rule>, Error> {
    let owners: Vec<u32> = relations.whole().map(|relation| relation.oid).collect();
    let rows = rows_and_no_locks(
        cx,
        "reading views and rules",
        &format!(
            "SELECT r.oid, r.ev_class, r.rulename, r.ev_enabled, q.is_query, \
                   CASE WHEN q.is_query THEN pg_get_viewdef(r.ev_class) \
                        ELSE pg_get_ruledef(r.oid) END AS sql \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_rewrite r ON r.ev_class = wanted.oid \
                 JOIN pg_class c ON c.oid = r.ev_class \
                 CROSS JOIN LATERAL (SELECT c.relkind IN ('v', 'm') AND r.ev_type = '1' \
                                       AND r.is_instead AS is_query) q \
                 ORDER BY r.oid",
            oid_array(&owners)
        ),
    )
    .await?;
    rows.iter()
        .map(|row| {
            let is_query = row.bool("is_query")?;
            let sql = row.text("sql")?;
            Ok(Rule {
                oid: row.oid("oid")?,
                relation: row.oid("ev_class")?,
                name: row.text("rulename")?,
                is_query,
                firing: match row.char("ev_enabled")? {
                    'A' => Some("ENABLE ALWAYS RULE"),
                    'R' => Some("ENABLE REPLICA RULE"),
                    'D' => Some("DISABLE RULE"),
                    _ => None,
                },
                sql: if is_query { sql.trim_end_matches(';').to_owned() } else { sql },
            })
        })
        .collect()
}

/// Views with their queries, materialized views with their refreshes, and rules.
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let mut with_query = HashSet::new();
    for rule in read_rules(cx, relations).await? {
        let Some(relation) = relations.get(rule.relation) else { continue };
        match relation.kind {
            Kind::View if rule.is_query => {
                objects.push(view(relation, &rule));
                objects.extend(create::defaults(relation));
            }
            Kind::Matview if rule.is_query => objects.push(matview(relation, &rule)),
            _ => {}
        }
        if relation.kind != Kind::Matview || !rule.is_query {
            objects.push(rule_object(relation, &rule));
        }
        if rule.is_query {
            with_query.insert(relation.oid);
        }
    }
    let without: Vec<String> = relations
        .whole()
        .filter(|view| matches!(view.kind, Kind::View | Kind::Matview))
        .filter(|view| !with_query.contains(&view.oid))
        .map(|view| view.address().sql())
        .collect();
    if !without.is_empty() {
        return Err(Error::Uncovered { database: cx.database.clone(), objects: without });
    }
    refreshes(cx, relations, objects).await
}

/// What follows a view's name.
fn query(view: &Relation, rule: &Rule) -> String {
    let mut sql = String::new();
    options::push_with(&mut sql, " ", &view.options, &[]);
    let _ = write!(sql, " AS\n{}", rule.sql);
    if let Some(check) = &view.check_option {
        let _ = write!(sql, "\n  WITH {check} CHECK OPTION");
    }
    sql
}

/// A query of the same columns that needs nothing: it stands in while the real one has to wait
/// for what depends on the view.
fn placeholder(view: &Relation) -> String {
    let column = |column: &super::column::Column| {
        let collation =
            column.collation.as_ref().map(|name| format!(" COLLATE {name}")).unwrap_or_default();
        let name = quote::quote_ident(&column.name);
        format!("\n    NULL::{}{collation} AS {name}", column.type_sql)
    };
    let columns: Vec<String> = view.columns.iter().map(column).collect();
    format!(" AS\nSELECT{}", columns.join(","))
}

fn view(view: &Relation, rule: &Rule) -> Object {
    Object {
        defn: Definition(vec![
            Piece::Text(format!("CREATE VIEW {}", view.sql)),
            Piece::Inline {
                object: ObjectId::whole(rule.row()),
                attached: query(view, rule),
                detached: placeholder(view),
            },
            Piece::Text(";\n".into()),
        ]),
        ..view.object()
    }
}

fn matview(view: &Relation, rule: &Rule) -> Object {
    let mut sql = format!("CREATE {} {}", view.kind.keyword(), view.sql);
    options::push_with(&mut sql, "\n", &view.options, &view.toast_options);
    let _ = writeln!(sql, " AS\n{}\n  WITH NO DATA;", rule.sql);
    create::push_column_properties(&mut sql, view);
    create::push_table_properties(&mut sql, view);
    Object {
        defn: sql.into(),
        tablespace: Some(view.tablespace.clone()),
        table_am: view.access_method.clone(),
        absorbs: vec![rule.row()],
        postponable: true,
        ..view.object()
    }
}

fn rule_object(relation: &Relation, rule: &Rule) -> Object {
    let name = quote::quote_ident(&rule.name);
    let (mut defn, drop_stmt) = if rule.is_query {
        let replace = format!("CREATE OR REPLACE VIEW {}", relation.sql);
        (
            format!("{replace}{};\n", query(relation, rule)),
            format!("{replace}{};\n", placeholder(relation)),
        )
    } else {
        (format!("{}\n", rule.sql), format!("DROP RULE {name} ON {};\n", relation.sql))
    };
    if let Some(firing) = rule.firing {
        let _ = writeln!(defn, "ALTER TABLE {} {firing} {name};", relation.sql);
    }
    Object {
        defn: defn.into(),
        drop_stmt,
        inline_in: rule.is_query.then(|| relation.id()),
        ..relation.attached(
            rule.row(),
            Attached { desc: "RULE", keyword: "RULE", rank: Rank::Rule },
            &rule.name,
            Section::PostData,
        )
    }
}

/// Refreshes of materialized views, each after those of the ones it reads, through views too.
async fn refreshes(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let is_matview = |oid: u32| relations.get(oid).is_some_and(|r| r.kind == Kind::Matview);
    let matviews: Vec<&Relation> = relations
        .whole()
        .filter(|view| view.kind == Kind::Matview)
        .filter(|view| !cx.chosen.without_data.contains(&view.oid))
        .collect();
    if matviews.is_empty() || cx.chosen.schema_only {
        return Ok(());
    }
    let rows = cx
        .rows(
            "reading what materialized views read",
            "SELECT DISTINCT r.ev_class AS reader, d.refobjid AS source FROM pg_rewrite r \
             JOIN pg_class o ON o.oid = r.ev_class AND o.relkind IN ('v', 'm') \
             JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid \
               AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class \
             JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')",
        )
        .await?;
    let mut sources: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in &rows {
        sources.entry(row.oid("reader")?).or_default().push(row.oid("source")?);
    }
    for view in matviews {
        let mut seen = HashSet::new();
        let mut pending = vec![view.oid];
        while let Some(reader) = pending.pop() {
            for &source in sources.get(&reader).into_iter().flatten() {
                if source != view.oid && seen.insert(source) {
                    pending.push(source);
                }
            }
        }
        let mut read: Vec<&Relation> = seen
            .into_iter()
            .filter(|&oid| is_matview(oid))
            .filter_map(|oid| relations.get(oid))
            .collect();
        read.sort_by_key(|source| source.oid);
        if !view.is_populated {
            continue;
        }
        // One that reads an empty one cannot be refreshed: it was filled before the other was
        // emptied, or the other is to come without its rows.
        let is_empty = |source: &&&Relation| {
            !source.is_populated || cx.chosen.without_data.contains(&source.oid)
        };
        if let Some(empty) = read.iter().find(is_empty) {
            tracing::warn!(
                database = %cx.database,
                "{} is left unpopulated, because it reads {}, which is",
                view.address().sql(),
                empty.address().sql()
            );
            continue;
        }
        let mut needs = vec![view.id()];
        needs.extend(read.iter().map(|source| ObjectId::part(source.row(), Part::Refresh)));
        objects.push(Object {
            defn: format!("REFRESH MATERIALIZED VIEW {};\n", view.sql).into(),
            needs,
            ..view.part(
                ObjectId::part(view.row(), Part::Refresh),
                "MATERIALIZED VIEW DATA",
                Section::PostData,
                Rank::MatviewRefresh,
            )
        });
    }
    Ok(())
}
