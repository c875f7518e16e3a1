//! Whether the role sees everything that the export has to read.

use std::collections::HashSet;

use super::class::{Kind, Relation};
use super::inventory::Relations;
use super::oid_array;
use crate::Error;
use crate::catalog::Catalog;

/// Names that one message lists.
const NAMED: usize = 5;

/// Makes sure of it before anything is copied.
///
/// # Errors
/// [`Error::Denied`], [`Error::Changed`] for a table that was dropped since the snapshot, and
/// [`Error::Refused`] for one whose rows row security would hide.
pub(super) async fn check(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    copied: &HashSet<u32>,
) -> Result<(), Error> {
    let tables: Vec<&Relation> = relations
        .iter()
        .filter(|table| matches!(table.kind, Kind::Table | Kind::Partitioned))
        .filter(|table| table.is_whole() || copied.contains(&table.oid))
        .collect();
    let sequences = relations.whole().filter(|relation| relation.kind == Kind::Sequence);
    let wanted: Vec<u32> = if cx.chosen.schema_only {
        tables.iter().map(|table| table.oid).collect()
    } else {
        tables.iter().copied().chain(sequences).map(|relation| relation.oid).collect()
    };
    let rows = cx
        .rows(
            "checking privileges",
            &format!(
                "SELECT wanted.oid, current_user AS role, \
                   has_table_privilege(wanted.oid, 'SELECT') IS NULL AS is_gone, \
                   has_table_privilege(wanted.oid, 'SELECT') \
                     AND has_schema_privilege(c.relnamespace, 'USAGE') AS is_readable, \
                   row_security_active(wanted.oid) AS is_filtered \
                 FROM unnest({}) AS wanted (oid) JOIN pg_class c ON c.oid = wanted.oid \
                 WHERE (has_table_privilege(wanted.oid, 'SELECT') \
                        AND has_schema_privilege(c.relnamespace, 'USAGE')) IS NOT TRUE \
                    OR row_security_active(wanted.oid)",
                oid_array(&wanted)
            ),
        )
        .await?;
    let mut denied = Vec::new();
    let mut filtered = Vec::new();
    let mut role = String::new();
    for row in &rows {
        let Some(relation) = relations.get(row.oid("oid")?) else { continue };
        if row.bool("is_gone")? {
            return Err(dropped(cx, &relation.sql));
        }
        role = row.text("role")?;
        if !row.bool("is_readable")? {
            denied.push(relation.address().sql());
        } else if copied.contains(&relation.oid) {
            filtered.push(relation.address().sql());
        }
    }
    if !denied.is_empty() {
        let database = cx.database.clone();
        return Err(Error::Denied { database, role, object: named(&denied) });
    }
    if !filtered.is_empty() {
        return Err(Error::Refused {
            what: format!(
                "row security would hide rows of {} from role {role:?} in database {:?}",
                named(&filtered),
                cx.database
            ),
            hint: "export as the tables' owner, a superuser or a role with BYPASSRLS".into(),
        });
    }
    Ok(())
}

fn named(objects: &[String]) -> String {
    let shown = objects.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match objects.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A table that was there when the snapshot was taken, and is not any more.
pub(super) fn dropped(cx: &Catalog<'_>, table: &str) -> Error {
    Error::Changed {
        database: cx.database.clone(),
        object: format!("table {table}"),
        what: "dropped or renamed",
    }
}
