//! Extended statistics.

use std::fmt::Write as _;

use pgarchive::{CatalogId, Section};

use super::inventory::Relations;
use super::oid_array;
use crate::Error;
use crate::catalog::{Address, Catalog, Object, ObjectId, Rank, class};
use crate::quote;

/// Statistics objects of the tables whose definition is taken. They have schemas and owners of
/// their own: like `pg_dump`, a choice of tables takes none.
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let tables: Vec<u32> = relations.whole().map(|relation| relation.oid).collect();
    let rows = cx
        .rows(
            "reading extended statistics",
            &format!(
                "SELECT s.oid, s.stxname, s.stxnamespace, s.stxowner, \
                   coalesce(s.stxstattarget, -1)::int4 AS target, \
                   pg_get_statisticsobjdef(s.oid) AS sql \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_statistic_ext s ON s.stxrelid = wanted.oid",
                oid_array(&tables)
            ),
        )
        .await?;
    for row in &rows {
        let row_id = CatalogId { catalog: class::PG_STATISTIC_EXT, oid: row.oid("oid")? };
        let namespace = row.oid("stxnamespace")?;
        let emit = cx.emit_in(row_id, namespace)?;
        let name = row.text("stxname")?;
        let schema = cx.namespace(namespace)?.name.clone();
        let qualified = quote::quote_qualified(&schema, &name);
        let mut sql = format!("{};\n", row.text("sql")?);
        let target = row.int4("target")?;
        if target >= 0 {
            let _ = writeln!(sql, "ALTER STATISTICS {qualified} SET STATISTICS {target};");
        }
        objects.push(Object {
            namespace: Some(schema),
            owner: Some(cx.role(row.oid("stxowner")?)),
            emit,
            defn: sql.into(),
            drop_stmt: format!("DROP STATISTICS {qualified};\n"),
            address: Address::new("STATISTICS", qualified, quote::quote_ident(&name)),
            ..Object::new(
                ObjectId::whole(row_id),
                "STATISTICS",
                &name,
                Section::PostData,
                Rank::Statistics,
            )
        });
    }
    Ok(())
}
