//! Rows of tables: what is copied, and by which statement it comes back.

use std::collections::{HashMap, HashSet};

use pgarchive::Section;

use super::class::{Kind, Persistence, Relation};
use super::column::Generated;
use super::inventory::Relations;
use super::oid_array;
use crate::Error;
use crate::catalog::{Catalog, Emit, Object, ObjectId, Part, Rank};
use crate::plan::{Column, TableData};
use crate::quote;

/// What the server says of a table's storage.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    bytes: u64,
    pages: u64,
}

/// The tables whose rows are taken: partitions rather than partitioned tables, never views or
/// foreign tables.
pub(super) fn sources<'r>(cx: &Catalog<'_>, relations: &'r Relations) -> Vec<&'r Relation> {
    chosen(cx, relations).filter(|table| !is_absent(cx, table)).collect()
}

/// Writes down the tables whose rows cannot be had, and warns of them.
pub(super) fn leave_out(cx: &mut Catalog<'_>, relations: &Relations) {
    let absent = chosen(cx, relations).filter(|table| is_absent(cx, table));
    let absent: Vec<&str> = absent.map(|table| table.sql.as_str()).collect();
    if absent.is_empty() {
        return;
    }
    tracing::warn!(
        database = %cx.database,
        "rows of unlogged tables are not on a standby and are left out: {}",
        absent.join(", ")
    );
    let left_out = absent.iter().map(|table| format!("rows of {table} (unlogged, on a standby)"));
    cx.left_out = left_out.collect();
}

/// The tables whose rows are wanted.
fn chosen<'r>(cx: &Catalog<'_>, relations: &'r Relations) -> impl Iterator<Item = &'r Relation> {
    relations
        .iter()
        .filter(move |table| table.kind == Kind::Table && !cx.chosen.schema_only)
        .filter(move |table| !cx.chosen.without_data.contains(&table.oid))
        .filter(move |table| table.is_whole() || cx.emit_config_data(table.oid).is_some())
}

/// A standby has no rows of unlogged tables.
fn is_absent(cx: &Catalog<'_>, table: &Relation) -> bool {
    cx.is_standby && table.persistence != Persistence::Permanent
}

/// `TABLE DATA` of the tables of [`sources`].
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let sources = sources(cx, relations);
    if sources.is_empty() {
        return Ok(());
    }
    let sizes = read_sizes(cx, &sources).await?;
    let unsafe_roots = read_unsafe_roots(cx).await?;
    let mut before = read_references(cx, &sources).await?;
    for table in sources {
        let Some(&size) = sizes.get(&table.oid) else {
            return Err(super::privilege::dropped(cx, &table.sql));
        };
        let condition = cx.emit_config_data(table.oid).and_then(|config| config.condition.clone());
        let root = root(relations, table, &unsafe_roots);
        let names: Vec<String> = copied(table).map(|c| quote::quote_ident(&c.name)).collect();
        let list = if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) };
        let mut object = table.data_part(Part::Data, "TABLE DATA", Section::Data, Rank::TableData);
        object.needs.extend(before.remove(&table.oid).into_iter().flatten());
        objects.push(Object {
            emit: Emit::Everything,
            defn: root
                .map(|root| {
                    let line = root.sql.replace(['\n', '\r'], " ");
                    format!("-- load via partition root {line}")
                })
                .unwrap_or_default()
                .into(),
            copy_stmt: format!("COPY {} {list} FROM stdin;\n", root.unwrap_or(table).sql),
            copy: Some(Box::new(table_data(table, condition, size))),
            ..object
        });
    }
    Ok(())
}

/// The columns whose values are copied: the server computes generated ones again.
fn copied(table: &Relation) -> impl Iterator<Item = &super::column::Column> {
    table.columns.iter().filter(|column| column.generated == Generated::Never)
}

fn table_data(table: &Relation, condition: Option<String>, size: Size) -> TableData {
    TableData {
        data_id: 0,
        table_id: None,
        oid: table.oid,
        schema: table.schema.clone(),
        name: table.name.clone(),
        relkind: table.relkind,
        columns: copied(table)
            .map(|column| Column {
                name: column.name.clone(),
                type_oid: column.type_oid,
                base_type_oid: column.base_type_oid,
            })
            .collect(),
        condition,
        bytes: size.bytes,
        pages: size.pages,
        estimated_rows: f64::from(table.estimated_rows),
        is_heap: table.is_heap,
    }
}

async fn read_sizes(
    cx: &mut Catalog<'_>,
    sources: &[&Relation],
) -> Result<HashMap<u32, Size>, Error> {
    let wanted: Vec<u32> = sources.iter().map(|table| table.oid).collect();
    let rows = cx
        .rows(
            "reading sizes of tables",
            &format!(
                "SELECT c.oid, coalesce(main.bytes, 0) \
                     + CASE WHEN c.reltoastrelid = 0 THEN 0 \
                            ELSE coalesce(pg_relation_size(c.reltoastrelid), 0) END AS bytes, \
                   coalesce(main.bytes, 0) / current_setting('block_size')::int8 AS pages \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_class c ON c.oid = wanted.oid \
                 CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) AS bytes) main",
                oid_array(&wanted)
            ),
        )
        .await?;
    rows.iter()
        .map(|row| {
            let size = Size {
                bytes: u64::try_from(row.int8("bytes")?).unwrap_or_default(),
                pages: u64::try_from(row.int8("pages")?).unwrap_or_default(),
            };
            Ok((row.oid("oid")?, size))
        })
        .collect()
}

/// Partitioned tables whose rows may belong to other partitions after a restore: the hash of
/// an enum value is that of its OID, which a restore does not keep.
async fn read_unsafe_roots(cx: &mut Catalog<'_>) -> Result<HashSet<u32>, Error> {
    cx.rows(
        "reading partition keys",
        "SELECT p.partrelid FROM pg_partitioned_table p WHERE EXISTS (\
           SELECT FROM pg_opclass o JOIN pg_am am ON am.oid = o.opcmethod \
           WHERE o.oid = ANY (p.partclass) AND am.amname = 'hash' AND o.opcname = 'enum_ops' \
             AND o.opcnamespace = 'pg_catalog'::regnamespace)",
    )
    .await?
    .iter()
    .map(|row| row.oid("partrelid"))
    .collect()
}

/// The topmost partitioned table, if rows have to find their partition anew.
fn root<'r>(
    relations: &'r Relations,
    table: &'r Relation,
    unsafe_roots: &HashSet<u32>,
) -> Option<&'r Relation> {
    let mut is_unsafe = false;
    let mut top = table;
    while top.is_partition {
        top = top.parents.first().and_then(|&parent| relations.get(parent))?;
        is_unsafe |= unsafe_roots.contains(&top.oid);
    }
    is_unsafe.then_some(top)
}

/// The rows that must be there before a table's: configuration tables have their foreign keys
/// from the start.
async fn read_references(
    cx: &mut Catalog<'_>,
    sources: &[&Relation],
) -> Result<HashMap<u32, Vec<ObjectId>>, Error> {
    let configured: HashMap<u32, &Relation> =
        sources.iter().filter(|table| !table.is_whole()).map(|table| (table.oid, *table)).collect();
    let mut references: HashMap<u32, Vec<ObjectId>> = HashMap::new();
    if configured.is_empty() {
        return Ok(references);
    }
    let wanted: Vec<u32> = configured.keys().copied().collect();
    let rows = cx
        .rows(
            "reading foreign keys of configuration tables",
            &format!(
                "SELECT DISTINCT c.conrelid, c.confrelid FROM unnest({}) AS wanted (oid) \
                 JOIN pg_constraint c ON c.conrelid = wanted.oid \
                 WHERE c.contype = 'f' AND c.confrelid <> c.conrelid \
                 ORDER BY c.conrelid, c.confrelid",
                oid_array(&wanted)
            ),
        )
        .await?;
    for row in &rows {
        if let Some(referenced) = configured.get(&row.oid("confrelid")?) {
            let data = ObjectId::part(referenced.row(), Part::Data);
            references.entry(row.oid("conrelid")?).or_default().push(data);
        }
    }
    Ok(references)
}
