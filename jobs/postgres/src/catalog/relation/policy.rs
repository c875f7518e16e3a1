//! Row security policies.

use std::fmt::Write as _;

use pgarchive::{CatalogId, Section};

use super::class::Attached;
use super::inventory::Relations;
use super::oid_array;
use crate::Error;
use crate::catalog::{Catalog, Object, Rank, class};
use crate::quote;

/// Policies of the tables whose definition is taken, whether or not row security is on.
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let tables: Vec<u32> = relations.whole().map(|relation| relation.oid).collect();
    let rows = cx
        .rows(
            "reading row security policies",
            &format!(
                "SELECT p.oid, p.polrelid, p.polname, p.polcmd, p.polpermissive, p.polroles, \
                   pg_get_expr(p.polqual, p.polrelid) AS visible, \
                   pg_get_expr(p.polwithcheck, p.polrelid) AS writable \
                 FROM unnest({}) AS wanted (oid) JOIN pg_policy p ON p.polrelid = wanted.oid",
                oid_array(&tables)
            ),
        )
        .await?;
    for row in &rows {
        let Some(table) = relations.get(row.oid("polrelid")?) else { continue };
        let name = row.text("polname")?;
        let quoted = quote::quote_ident(&name);
        let mut sql = format!("CREATE POLICY {quoted} ON {}", table.sql);
        if !row.bool("polpermissive")? {
            sql.push_str(" AS RESTRICTIVE");
        }
        sql.push_str(match row.char("polcmd")? {
            '*' => "",
            'r' => " FOR SELECT",
            'a' => " FOR INSERT",
            'w' => " FOR UPDATE",
            'd' => " FOR DELETE",
            other => {
                return Err(Error::Uncovered {
                    database: cx.database.clone(),
                    objects: vec![format!(
                        "policy {quoted} on {} for command {other:?}",
                        table.sql
                    )],
                });
            }
        });
        let roles = row.oids("polroles")?;
        // Zero is PUBLIC, the default.
        if !roles.contains(&0) {
            let roles: Vec<String> =
                roles.iter().map(|&role| quote::quote_ident(&cx.role(role))).collect();
            let _ = write!(sql, " TO {}", roles.join(", "));
        }
        if let Some(visible) = row.opt_text("visible")? {
            let _ = write!(sql, " USING ({visible})");
        }
        if let Some(writable) = row.opt_text("writable")? {
            let _ = write!(sql, " WITH CHECK ({writable})");
        }
        sql.push_str(";\n");
        objects.push(Object {
            defn: sql.into(),
            drop_stmt: format!("DROP POLICY {quoted} ON {};\n", table.sql),
            ..table.attached(
                CatalogId { catalog: class::PG_POLICY, oid: row.oid("oid")? },
                Attached { desc: "POLICY", keyword: "POLICY", rank: Rank::Policy },
                &name,
                Section::PostData,
            )
        });
    }
    Ok(())
}
