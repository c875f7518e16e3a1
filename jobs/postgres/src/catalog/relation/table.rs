//! Tables and foreign tables, their places as partitions, row security.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::class::{Kind, Relation};
use super::constraint::Check;
use super::inventory::Relations;
use super::{create, oid_array};
use crate::Error;
use crate::catalog::{Catalog, Described, Object, ObjectId, Part, Rank, class};

/// What only the server's own deparsers can say of a table.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// `PARTITION BY` of a partitioned table.
    pub(super) partition_key: Option<String>,
    /// `FOR VALUES ...` or `DEFAULT` of a partition.
    pub(super) bound: Option<String>,
    /// Type of a typed table.
    pub(super) of_type: Option<String>,
    /// Foreign server, unquoted, and what stands inside of `OPTIONS (...)`.
    pub(super) server: Option<(String, String)>,
}

/// Reads the details of tables.
pub(super) async fn read_details(
    cx: &mut Catalog<'_>,
    relations: &Relations,
) -> Result<HashMap<u32, Details>, Error> {
    let tables: Vec<u32> = relations
        .whole()
        .filter(|relation| is_table(relation.kind))
        .map(|relation| relation.oid)
        .collect();
    let rows = cx
        .rows(
            "reading tables",
            &format!(
                "SELECT c.oid, pg_get_partkeydef(c.oid) AS partition_key, \
                   CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END \
                     AS bound, \
                   CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS of_type, \
                   s.srvname, coalesce(array_to_string(ARRAY(\
                     SELECT quote_ident(option_name) || ' ' || quote_literal(option_value) \
                     FROM pg_options_to_table(f.ftoptions) ORDER BY option_name), \
                     E',\\n    '), '') AS options \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_class c ON c.oid = wanted.oid \
                 LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid \
                 LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver",
                oid_array(&tables)
            ),
        )
        .await?;
    rows.iter()
        .map(|row| {
            let options = row.text("options")?;
            let details = Details {
                partition_key: row.opt_text("partition_key")?,
                bound: row.opt_text("bound")?,
                of_type: row.opt_text("of_type")?,
                server: row.opt_text("srvname")?.map(|server| (server, options)),
            };
            Ok((row.oid("oid")?, details))
        })
        .collect()
}

pub(super) fn is_table(kind: Kind) -> bool {
    matches!(kind, Kind::Table | Kind::Partitioned | Kind::Foreign)
}

/// A table, its defaults, its place as a partition and its row security.
pub(super) fn objects(
    relations: &Relations,
    details: &HashMap<u32, Details>,
    checks: &HashMap<u32, Vec<Check>>,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let none = Details::default();
    for table in relations.whole().filter(|relation| is_table(relation.kind)) {
        let details = details.get(&table.oid).unwrap_or(&none);
        let checks = checks.get(&table.oid).map(Vec::as_slice).unwrap_or_default();
        objects.push(object(relations, table, details, checks));
        objects.extend(create::defaults(table));
        if table.is_partition {
            objects.push(attach(relations, table, details)?);
        }
        if table.row_security {
            let defn = format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY;\n", table.sql);
            objects.push(Object {
                defn: defn.into(),
                ..table.data_part(
                    Part::RowSecurity,
                    "ROW SECURITY",
                    Section::PostData,
                    Rank::Policy,
                )
            });
        }
    }
    Ok(())
}

fn object(relations: &Relations, table: &Relation, details: &Details, checks: &[Check]) -> Object {
    let mut object = Object {
        defn: create::definition(relations, table, details, checks),
        tablespace: (table.kind != Kind::Foreign).then(|| table.tablespace.clone()),
        table_am: table.access_method.clone(),
        ..table.object()
    };
    object.described.extend(not_nulls(table));
    for column in &table.columns {
        object.absorbs.extend(column.not_null_constraint.map(constraint));
    }
    for check in checks.iter().filter(|check| check.is_absorbed(table)) {
        object.absorbs.push(check.row());
        object.described.push(check.described(table));
    }
    object
}

fn constraint(oid: u32) -> CatalogId {
    CatalogId { catalog: class::PG_CONSTRAINT, oid }
}

/// Comments on `NOT NULL` constraints, which have names of their own in PostgreSQL 18.
fn not_nulls(table: &Relation) -> impl Iterator<Item = Described> {
    table.columns.iter().filter_map(|column| {
        let oid = column.not_null_constraint?;
        let name = column.not_null.as_ref()?.name.as_ref()?;
        Some(Described {
            row: constraint(oid),
            subid: 0,
            address: table.attached_address("CONSTRAINT", name),
        })
    })
}

/// A partition is created alone and attached later, which keeps the order of its columns and
/// lets it be restored without its parent.
fn attach(relations: &Relations, table: &Relation, details: &Details) -> Result<Object, Error> {
    let parent = table.parents.first().and_then(|&parent| relations.get(parent));
    let (Some(parent), Some(bound)) = (parent, &details.bound) else {
        return Err(Error::Refused {
            what: format!("partition {} has no parent or no bound in the catalogs", table.sql),
            hint: "the catalogs changed while they were read, or are damaged: run again".into(),
        });
    };
    let defn = format!("ALTER TABLE ONLY {} ATTACH PARTITION {} {bound};\n", parent.sql, table.sql);
    Ok(Object {
        defn: defn.into(),
        needs: vec![table.id(), parent.id()],
        ..table.part(
            ObjectId::part(table.row(), Part::Attach),
            "TABLE ATTACH",
            Section::PreData,
            Rank::TableAttach,
        )
    })
}
