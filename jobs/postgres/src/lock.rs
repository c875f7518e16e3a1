//! Locks that keep tables as they are while they are copied.
//!
//! `ACCESS SHARE` conflicts with nothing but `ACCESS EXCLUSIVE`. Between the snapshot and the
//! lock a table can still be dropped, truncated or rewritten, and a copy would then miss rows
//! that the snapshot has: so after locking, each table is compared with what the snapshot
//! knows of it.

use crate::Error;
use crate::quote::{quote_literal, quote_qualified};
use crate::session::{Session, sql_state};

/// Tables named in one `LOCK` statement.
const BATCH: usize = 500;

/// How many tables an error names.
const NAMED: usize = 5;

/// A table to lock: relation kind `r` or `p`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockTarget {
    oid: u32,
    quoted: String,
}

impl LockTarget {
    /// Table `oid`, by its unquoted schema and name.
    pub fn new(oid: u32, schema: &str, name: &str) -> Self {
        Self { oid, quoted: quote_qualified(schema, name) }
    }
}

impl Session {
    /// Locks `tables` in `ACCESS SHARE` mode until the transaction ends. Each statement waits
    /// as long as [`SessionOptions::lock_timeout`](crate::session::SessionOptions) says. The
    /// session must be in the transaction of the snapshot.
    ///
    /// # Errors
    /// [`Error::Locked`] names the tables that others hold; [`Error::Changed`] those that were
    /// dropped, truncated or rewritten since the snapshot, which a new snapshot mends;
    /// [`Error::Denied`] those that the role may not read. The transaction is lost with each.
    pub async fn lock_tables(&mut self, tables: &[LockTarget]) -> Result<(), Error> {
        if tables.is_empty() {
            return Ok(());
        }
        let doing = "locking tables";
        // Zero means no limit to the server.
        let limit = self
            .lock_timeout()
            .map_or(0, |t| t.as_millis().clamp(1, i32::MAX.unsigned_abs().into()));
        self.execute(doing, &format!("SET LOCAL lock_timeout = {limit}")).await?;
        for batch in tables.chunks(BATCH) {
            let names: Vec<&str> = batch.iter().map(|t| t.quoted.as_str()).collect();
            let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
            if let Err(error) = self.execute(doing, &sql).await {
                return Err(self.explain(error, batch).await);
            }
            self.check_unchanged(batch).await?;
        }
        self.execute(doing, "SET LOCAL lock_timeout = 0").await
    }

    /// Compares locked tables with the snapshot's. A catalog query sees the snapshot, while
    /// `to_regclass()` and `pg_relation_filenode()` see what is there now.
    async fn check_unchanged(&mut self, batch: &[LockTarget]) -> Result<(), Error> {
        let sql = format!(
            "SELECT t.name, t.now IS DISTINCT FROM t.oid AS replaced FROM ({}) t \
             LEFT JOIN pg_catalog.pg_class c ON c.oid = t.oid \
             WHERE t.now IS DISTINCT FROM t.oid OR c.relfilenode <> 0 \
             AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(t.oid)",
            listed(batch)
        );
        let rows = self.rows("comparing locked tables with the snapshot", &sql).await?;
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let what =
            if first.get("replaced")? { "dropped or renamed" } else { "truncated or rewritten" };
        Err(Error::Changed {
            database: self.database().to_owned(),
            object: format!("table {}", first.get::<String>("name")?),
            what,
        })
    }

    /// Finds out which tables a failed `LOCK` statement was about. This session's transaction
    /// is lost, so another one looks; where that fails too, the first failure is what counts.
    async fn explain(&self, error: Error, batch: &[LockTarget]) -> Error {
        let Error::Query { database, source, doing } = error else {
            return error;
        };
        match sql_state(&source).as_deref() {
            Some("55P03") => {
                let object = self.look(&holders(batch)).await.unwrap_or_else(|| "a table".into());
                Error::Locked { database, object, source }
            }
            Some("42P01" | "3F000") => match self.look(&missing(batch)).await {
                Some(object) => Error::Changed { database, object, what: "dropped or renamed" },
                None => Error::Query { database, source, doing },
            },
            Some("42501") => match self.look(&denied(batch)).await {
                Some(object) => Error::Denied { database, role: self.role().to_owned(), object },
                None => Error::Query { database, source, doing },
            },
            _ => Error::Query { database, source, doing },
        }
    }

    /// The column `what` of a query made by a session of its own.
    async fn look(&self, sql: &str) -> Option<String> {
        let mut other = self.another().await.ok()?;
        let rows = other.rows("looking up tables", sql).await.ok()?;
        other.close().await;
        let found: Vec<String> = rows.iter().filter_map(|row| row.get("what").ok()).collect();
        (!found.is_empty()).then(|| found.join(", "))
    }
}

/// A subquery with what was asked for and what is there now.
fn listed(batch: &[LockTarget]) -> String {
    let values: Vec<String> = batch
        .iter()
        .map(|t| format!("({}::pg_catalog.oid, {})", t.oid, quote_literal(&t.quoted)))
        .collect();
    format!(
        "SELECT oid, name, pg_catalog.to_regclass(name)::pg_catalog.oid AS now FROM (VALUES {}) v (oid, name)",
        values.join(", ")
    )
}

/// Who holds or awaits a lock that conflicts.
fn holders(batch: &[LockTarget]) -> String {
    format!(
        "SELECT 'table ' || t.name || ' (process ' || l.pid || CASE WHEN l.granted THEN ' holds' ELSE ' awaits' END \
         || ' ACCESS EXCLUSIVE)' AS what FROM ({}) t JOIN pg_catalog.pg_locks l ON l.relation = t.now \
         WHERE l.mode = 'AccessExclusiveLock' AND l.database = \
         (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
         ORDER BY l.granted DESC, t.name LIMIT {NAMED}",
        listed(batch)
    )
}

fn missing(batch: &[LockTarget]) -> String {
    format!(
        "SELECT 'table ' || name AS what FROM ({}) t WHERE now IS DISTINCT FROM oid ORDER BY name LIMIT {NAMED}",
        listed(batch)
    )
}

fn denied(batch: &[LockTarget]) -> String {
    format!(
        "SELECT CASE WHEN pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') THEN 'table ' || name \
         ELSE 'schema ' || c.relnamespace::pg_catalog.regnamespace::pg_catalog.text END AS what \
         FROM ({}) t JOIN pg_catalog.pg_class c ON c.oid = t.oid \
         WHERE NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') \
         OR NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') ORDER BY name LIMIT {NAMED}",
        listed(batch)
    )
}
