//! Which tables to lock, so that none changes its shape between its definition and its rows.

use crate::Error;
use crate::catalog::{Catalog, Emit};
use crate::lock::LockTarget;
use crate::quote;

/// Locks every table whose definition or rows are exported.
///
/// # Errors
/// [`Error::Denied`] for a table that the role may not read, and as
/// [`Session::lock_tables`](crate::session::Session::lock_tables).
pub(super) async fn lock_tables(catalog: &mut Catalog<'_>) -> Result<(), Error> {
    let rows = catalog
        .rows(
            "listing tables",
            "SELECT c.oid, c.relnamespace, n.nspname, c.relname, \
                    has_table_privilege(c.oid, 'SELECT') AS readable \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' ORDER BY c.oid",
        )
        .await?;
    let mut targets = Vec::new();
    for row in rows {
        let oid = row.oid("oid")?;
        let emit = catalog.emit_table(oid, row.oid("relnamespace")?)?;
        if emit != Emit::Everything && catalog.emit_config_data(oid).is_none() {
            continue;
        }
        let (schema, name) = (row.text("nspname")?, row.text("relname")?);
        // NULL: it was dropped since the snapshot was taken, and the lock will say so.
        if row.opt_text("readable")?.as_deref() == Some("f") {
            return Err(Error::Denied {
                database: catalog.database.clone(),
                role: catalog.current_role.clone(),
                object: format!("table {}", quote::quote_qualified(&schema, &name)),
            });
        }
        targets.push(LockTarget::new(oid, &schema, &name));
    }
    catalog.lock(&targets).await
}
