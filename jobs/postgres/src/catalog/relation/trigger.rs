//! Triggers.

use std::fmt::Write as _;

use pgarchive::{CatalogId, Section};

use super::class::{Attached, Kind};
use super::index::Indexes;
use super::inventory::Relations;
use super::oid_array;
use crate::Error;
use crate::catalog::{Catalog, Object, Rank, class};
use crate::quote;

/// Triggers of the tables and views whose definition is taken. A partition's copy of its
/// parent's trigger counts only if it fires at other times than the parent's.
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    indexes: &Indexes,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let owners: Vec<u32> = relations.whole().map(|relation| relation.oid).collect();
    // Copies were marked internal before version 15. Since then the internal ones that have a
    // parent belong to foreign keys, and their names differ from database to database.
    let condition = if cx.at_least(15) {
        "NOT t.tgisinternal AND (t.tgparentid = 0 OR t.tgenabled <> parent.tgenabled)"
    } else {
        "NOT t.tgisinternal OR t.tgenabled <> parent.tgenabled"
    };
    let rows = cx
        .rows(
            "reading triggers",
            &format!(
                "SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled, t.tgparentid <> 0 AS is_copy, \
                   pg_get_triggerdef(t.oid, false) AS sql \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_trigger t ON t.tgrelid = wanted.oid \
                 LEFT JOIN pg_trigger parent ON parent.oid = t.tgparentid \
                 WHERE {condition}",
                oid_array(&owners)
            ),
        )
        .await?;
    for row in &rows {
        let Some(table) = relations.get(row.oid("tgrelid")?) else { continue };
        let row_id = CatalogId { catalog: class::PG_TRIGGER, oid: row.oid("oid")? };
        let name = row.text("tgname")?;
        let quoted = quote::quote_ident(&name);
        let enabled = row.char("tgenabled")?;
        let firing = match enabled {
            'D' => "DISABLE",
            'R' => "ENABLE REPLICA",
            'A' => "ENABLE ALWAYS",
            _ => "ENABLE",
        };
        let is_copy = row.bool("is_copy")?;
        let mut defn = String::new();
        let mut drop_stmt = String::new();
        if !is_copy {
            let _ = writeln!(defn, "{};", row.text("sql")?);
            let _ = writeln!(drop_stmt, "DROP TRIGGER {quoted} ON {};", table.sql);
        }
        if is_copy || enabled != 'O' {
            let _ =
                writeln!(defn, "{} {} {firing} TRIGGER {quoted};", table.kind.alter(), table.sql);
        }
        objects.push(Object {
            defn: defn.into(),
            drop_stmt,
            needs: if table.kind == Kind::Partitioned {
                indexes.before_recursion(relations, table.oid)
            } else {
                Vec::new()
            },
            ..table.attached(
                row_id,
                Attached { desc: "TRIGGER", keyword: "TRIGGER", rank: Rank::Trigger },
                &name,
                Section::PostData,
            )
        });
    }
    Ok(())
}
