//! The proof that nothing is left out: every user object in the catalogs is in the plan.
//!
//! It asks the server which catalogs there are rather than keeping a list, so that a class of
//! objects that no reader knows stops the export by name.

use std::collections::{HashMap, HashSet};

use pgarchive::CatalogId;

use super::annotations::Annotations;
use super::graph::{Graph, RawEdges};
use crate::Error;
use crate::catalog::{Catalog, Emit, FIRST_USER_OID, class};
use crate::quote;

/// How many uncovered objects an error names.
const NAMED: usize = 20;

/// Rows that are parts of another row although `pg_depend` does not say so by an internal edge:
/// the catalog, and a query for (`oid`, `classid`, `objid`) of the part and its whole.
const PARTS: &[(u32, &str)] = &[
    (3501, "SELECT oid, 'pg_type'::regclass::oid AS classid, enumtypid AS objid FROM pg_enum"),
    (
        class::PG_ATTRDEF,
        "SELECT oid, 'pg_class'::regclass::oid AS classid, adrelid AS objid FROM pg_attrdef",
    ),
    // Constraints that a table has because its parent has them; NOT NULL constraints, which
    // are attributes of columns; the constraint behind a constraint trigger.
    (
        class::PG_CONSTRAINT,
        "SELECT oid, CASE WHEN conrelid <> 0 THEN 'pg_class'::regclass::oid \
                     ELSE 'pg_type'::regclass::oid END AS classid, \
                CASE WHEN conrelid <> 0 THEN conrelid ELSE contypid END AS objid \
         FROM pg_constraint \
         WHERE contype IN ('n', 't') OR conparentid <> 0 OR NOT conislocal",
    ),
    // Triggers that enforce constraints, and those that a partition has from its parent.
    (
        class::PG_TRIGGER,
        "SELECT oid, 'pg_class'::regclass::oid AS classid, tgrelid AS objid \
         FROM pg_trigger WHERE tgisinternal OR tgparentid <> 0",
    ),
    // Members of an operator family, whose own reader takes them all.
    (
        class::PG_AMOP,
        "SELECT oid, 'pg_opfamily'::regclass::oid AS classid, amopfamily AS objid FROM pg_amop",
    ),
    (
        class::PG_AMPROC,
        "SELECT oid, 'pg_opfamily'::regclass::oid AS classid, amprocfamily AS objid \
         FROM pg_amproc",
    ),
    // Array types, and the row types of tables.
    (
        class::PG_TYPE,
        "SELECT a.oid, 'pg_type'::regclass::oid AS classid, e.oid AS objid \
         FROM pg_type e JOIN pg_type a ON a.oid = e.typarray \
         UNION ALL \
         SELECT t.oid, 'pg_class'::regclass::oid, t.typrelid FROM pg_type t \
         WHERE t.typrelid <> 0",
    ),
];

/// Refuses a database that holds user objects which the plan does not stand for.
///
/// # Errors
/// [`Error::Uncovered`] with class and name of the first ones.
pub(super) async fn check(
    catalog: &mut Catalog<'_>,
    graph: &Graph,
    raw: &RawEdges,
) -> Result<(), Error> {
    let rows = user_rows(catalog).await?;
    let wholes = wholes(catalog, raw).await?;
    let excused = excused(catalog, raw, &rows).await?;
    let mut uncovered = Vec::new();
    for row in &rows {
        if !is_covered(*row, graph, catalog, &wholes, &excused) {
            uncovered.push(*row);
        }
    }
    if uncovered.is_empty() { Ok(()) } else { Err(refusal(catalog, &uncovered).await?) }
}

/// Refuses comments and security labels on user objects that no entry took.
///
/// # Errors
/// [`Error::Uncovered`], as [`check`].
pub(super) async fn check_annotations(
    catalog: &mut Catalog<'_>,
    graph: &Graph,
    left: &Annotations,
) -> Result<(), Error> {
    let places: Vec<_> = left
        .comments
        .keys()
        .chain(left.labels.keys())
        .filter(|(row, _)| {
            row.oid >= FIRST_USER_OID
                && !catalog.is_member(*row)
                && graph
                    .node_of_row(*row)
                    .and_then(|node| graph.object(node))
                    .is_some_and(|object| object.emit == Emit::Everything)
        })
        .copied()
        .collect();
    let mut objects = Vec::new();
    for (row, subid) in places.iter().take(NAMED) {
        objects.push(format!("comment or label on {}", describe(catalog, *row, *subid).await?));
    }
    if objects.is_empty() {
        return Ok(());
    }
    Err(Error::Uncovered { database: catalog.database.clone(), objects })
}

/// Every row with an OID that `initdb` did not make, of every catalog of this database.
async fn user_rows(catalog: &mut Catalog<'_>) -> Result<Vec<CatalogId>, Error> {
    let catalogs = catalog
        .rows(
            "listing system catalogs",
            "SELECT c.oid, c.relname FROM pg_class c \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid' AND a.attnum > 0 \
             WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' \
               AND NOT c.relisshared ORDER BY c.oid",
        )
        .await?;
    let mut sql = format!(
        "SELECT {}::oid AS catalog, oid FROM pg_subscription \
         WHERE subdbid = {}",
        class::PG_SUBSCRIPTION,
        catalog.database_oid
    );
    for row in catalogs {
        // Large objects are known by the OID of pg_largeobject, whose rows are their pages.
        let oid = match row.oid("oid")? {
            // `--schema-only` leaves them out, as it leaves out rows.
            class::PG_LARGEOBJECT_METADATA if catalog.chosen.schema_only => continue,
            class::PG_LARGEOBJECT_METADATA => class::PG_LARGEOBJECT,
            oid => oid,
        };
        sql.push_str(&format!(
            " UNION ALL SELECT {oid}::oid, oid FROM pg_catalog.{} WHERE oid >= {}",
            quote::quote_ident(&row.text("relname")?),
            if oid == class::PG_LARGEOBJECT { 0 } else { FIRST_USER_OID }
        ));
    }
    let mut rows = Vec::new();
    catalog
        .each("listing user objects", &sql, |row| {
            rows.push(CatalogId { catalog: row.oid("catalog")?, oid: row.oid("oid")? });
            Ok(())
        })
        .await?;
    Ok(rows)
}

/// What each part is a part of: internal edges of `pg_depend`, and [`PARTS`]. The sequence of an
/// identity column is internal to its table, but has a definition and a value of its own.
async fn wholes(
    catalog: &mut Catalog<'_>,
    raw: &RawEdges,
) -> Result<HashMap<CatalogId, Vec<CatalogId>>, Error> {
    let mut sequences = HashSet::new();
    let sql = "SELECT oid FROM pg_class WHERE relkind = 'S'";
    catalog
        .each("listing sequences", sql, |row| {
            sequences.insert(CatalogId { catalog: class::PG_CLASS, oid: row.oid("oid")? });
            Ok(())
        })
        .await?;
    let mut wholes: HashMap<CatalogId, Vec<CatalogId>> = HashMap::new();
    for (part, whole, kind) in raw.iter() {
        if kind == 'i' && part.oid >= FIRST_USER_OID && !sequences.contains(&part) {
            wholes.entry(part).or_default().push(whole);
        }
    }
    let queries: Vec<String> = PARTS
        .iter()
        .map(|(part_class, query)| {
            format!(
                "SELECT {part_class}::oid AS part_class, p.oid AS part, p.classid, p.objid \
                 FROM ({query}) p WHERE p.oid >= {FIRST_USER_OID}"
            )
        })
        .collect();
    catalog
        .each("listing parts of objects", &queries.join(" UNION ALL "), |row| {
            let part = CatalogId { catalog: row.oid("part_class")?, oid: row.oid("part")? };
            let whole = CatalogId { catalog: row.oid("classid")?, oid: row.oid("objid")? };
            wholes.entry(part).or_default().push(whole);
            Ok(())
        })
        .await?;
    Ok(wholes)
}

/// Rows that are none of the export's business: temporary and TOAST tables, what lives in
/// system schemas, excluded tables, with `--schema-only` large objects, and whatever would be
/// dropped along with those.
async fn excused(
    catalog: &mut Catalog<'_>,
    raw: &RawEdges,
    rows: &[CatalogId],
) -> Result<HashSet<CatalogId>, Error> {
    let columns = catalog
        .rows(
            "listing catalogs with schemas",
            "SELECT c.oid, c.relname, a.attname FROM pg_class c \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname LIKE '%namespace' \
                                AND a.atttypid = 'oid'::regtype AND a.attnum > 0 \
             WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' \
               AND NOT c.relisshared \
               AND EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid \
                             AND o.attname = 'oid' AND o.attnum > 0)",
        )
        .await?;
    let mut queries = vec![format!(
        "SELECT {}::oid AS catalog, oid FROM pg_namespace n \
         WHERE n.nspname LIKE 'pg\\_%' OR n.nspname = 'information_schema'",
        class::PG_NAMESPACE
    )];
    for column in columns {
        queries.push(format!(
            "SELECT {}::oid, c.oid FROM pg_catalog.{} c \
             JOIN pg_namespace n ON n.oid = c.{} \
             WHERE c.oid >= {FIRST_USER_OID} \
               AND (n.nspname LIKE 'pg\\_%' OR n.nspname = 'information_schema')",
            column.oid("oid")?,
            quote::quote_ident(&column.text("relname")?),
            quote::quote_ident(&column.text("attname")?),
        ));
    }
    let without_large_objects = catalog.chosen.schema_only;
    let mut excused: HashSet<CatalogId> = catalog
        .chosen
        .excluded
        .iter()
        .map(|&oid| CatalogId { catalog: class::PG_CLASS, oid })
        .collect();
    // An extension's script does not make the indexes and constraints of its tables members.
    excused.extend(catalog.members.keys());
    for row in catalog.rows("listing system objects", &queries.join(" UNION ALL ")).await? {
        excused.insert(CatalogId { catalog: row.oid("catalog")?, oid: row.oid("oid")? });
    }
    if without_large_objects {
        excused.extend(rows.iter().filter(|row| row.catalog == class::PG_LARGEOBJECT));
    }
    spread(raw, rows, &mut excused);
    Ok(excused)
}

/// Adds whatever `DROP` of an excused row takes along without `CASCADE`.
fn spread(raw: &RawEdges, rows: &[CatalogId], excused: &mut HashSet<CatalogId>) {
    let mut parts: HashMap<CatalogId, Vec<CatalogId>> = HashMap::new();
    for (part, whole, kind) in raw.iter() {
        if matches!(kind, 'a' | 'i' | 'P' | 'S') && part.oid >= FIRST_USER_OID {
            parts.entry(whole).or_default().push(part);
        }
    }
    let user: HashSet<CatalogId> = rows.iter().copied().collect();
    let mut pending: Vec<CatalogId> =
        excused.iter().filter(|row| row.catalog != class::PG_NAMESPACE).copied().collect();
    while let Some(whole) = pending.pop() {
        for part in parts.get(&whole).into_iter().flatten() {
            if user.contains(part) && excused.insert(*part) {
                pending.push(*part);
            }
        }
    }
}

fn is_covered(
    row: CatalogId,
    graph: &Graph,
    catalog: &Catalog<'_>,
    wholes: &HashMap<CatalogId, Vec<CatalogId>>,
    excused: &HashSet<CatalogId>,
) -> bool {
    let mut visited = HashSet::from([row]);
    let mut pending = vec![row];
    while let Some(row) = pending.pop() {
        if graph.covers(row) || catalog.is_member(row) || excused.contains(&row) {
            return true;
        }
        for whole in wholes.get(&row).into_iter().flatten() {
            if visited.insert(*whole) {
                pending.push(*whole);
            }
        }
    }
    false
}

async fn refusal(catalog: &mut Catalog<'_>, uncovered: &[CatalogId]) -> Result<Error, Error> {
    let mut objects = Vec::new();
    for row in uncovered.iter().take(NAMED) {
        objects.push(describe(catalog, *row, 0).await?);
    }
    if uncovered.len() > NAMED {
        objects.push(format!("and {} more", uncovered.len() - NAMED));
    }
    Ok(Error::Uncovered { database: catalog.database.clone(), objects })
}

/// Class and name as the server calls it; by number where it knows no name. The server fails
/// on a row of a class that it has no word for, which must not cost the transaction.
async fn describe(catalog: &mut Catalog<'_>, row: CatalogId, subid: i32) -> Result<String, Error> {
    let doing = "describing an object";
    let by_name =
        format!("SELECT pg_describe_object({}, {}, {subid}) AS description", row.catalog, row.oid);
    let by_number =
        format!("SELECT 'row {} of ' || {}::regclass AS description", row.oid, row.catalog);
    catalog.execute(doing, "SAVEPOINT before_description").await?;
    let named = match catalog.row(doing, &by_name).await {
        Ok(answer) => answer.opt_text("description")?,
        Err(_) => None,
    };
    catalog.execute(doing, "ROLLBACK TO SAVEPOINT before_description").await?;
    match named {
        Some(name) => Ok(name),
        None => catalog.row(doing, &by_number).await?.text("description"),
    }
}
