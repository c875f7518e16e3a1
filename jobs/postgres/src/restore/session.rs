//! Sessions that write: settings as `pg_restore` makes them, and what speeds a restore up
//! without a risk to what was there before.

use pgarchive::Entry;
use sqlx::AssertSqlSafe;

use super::RestoreOptions;
use super::statement::{object_name, shortened};
use super::status::Status;
use crate::Error;
use crate::conninfo::ConnInfo;
use crate::quote::{quote_ident, quote_literal};
use crate::session::Session;

/// How often a statement is tried again that lost to another one of the same restore.
const ATTEMPTS: usize = 5;

/// What every session of one restore is told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// `SET client_encoding`, `SET standard_conforming_strings` and the search path, as the
    /// archive has them.
    archive: String,
    /// Whether each entry's schema goes into the search path, as archives from before
    /// March 2018 (1.13) expect.
    schema_in_path: bool,
    jobs: usize,
    maintenance_work_mem_kib: u32,
    tablespaces: bool,
}

impl Settings {
    pub(super) fn new(entries: &[Entry], options: &RestoreOptions) -> Self {
        let text =
            |desc| entries.iter().find(|entry| entry.desc == desc).map(|entry| entry.defn.as_str());
        let search_path = text("SEARCHPATH");
        let archive = [text("ENCODING"), text("STDSTRINGS"), search_path];
        Self {
            archive: archive.into_iter().flatten().collect(),
            schema_in_path: search_path.is_none(),
            jobs: options.jobs.get(),
            maintenance_work_mem_kib: options.maintenance_work_mem_kib,
            tablespaces: !options.no_tablespaces,
        }
    }
}

/// A session of a restore.
pub(super) struct Writer {
    session: Session,
    settings: Settings,
    tablespace: Option<String>,
    table_am: Option<String>,
}

impl Writer {
    /// Connects to the target.
    ///
    /// # Errors
    /// As [`Session::connect`]; [`Error::Query`].
    pub(super) async fn open(
        info: &ConnInfo,
        settings: &Settings,
        status: &Status,
    ) -> Result<Self, Error> {
        let mut session = Session::connect(info).await?;
        status.opened(session.pid());
        let version = session.server_version_num();
        let mut sql = settings.archive.clone();
        sql.push_str(FIXED);
        if version >= 14_00_00 {
            sql.push_str("SET idle_session_timeout = 0;\n");
        }
        if version >= 17_00_00 {
            sql.push_str("SET transaction_timeout = 0;\n");
        }
        // Never less than the server's own setting; parallel index builds divide it.
        sql.push_str(&format!(
            "SELECT pg_catalog.set_config(name, {memory}::pg_catalog.text, false) \
             FROM pg_catalog.pg_settings \
             WHERE name = 'maintenance_work_mem' AND setting::pg_catalog.int8 < {memory};\n",
            memory = settings.maintenance_work_mem_kib,
        ));
        sql.push_str(&format!(
            "SET max_parallel_maintenance_workers = {};\n",
            settings.jobs.min(MAX_INDEX_WORKERS)
        ));
        session.execute("preparing a session for the restore", &sql).await?;
        if version >= 14_00_00 {
            // An index build ends soon after its client died. Not every platform can do it.
            let checked = session
                .execute(
                    "asking for liveness checks",
                    "SET client_connection_check_interval = 2000",
                )
                .await;
            if let Err(error) = checked {
                tracing::debug!(%error, "the server cannot check whether its client is alive");
            }
        }
        Ok(Self { session, settings: settings.clone(), tablespace: None, table_am: None })
    }

    /// The session itself, for queries of our own.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Runs the statements of one entry as one string, and so as one transaction.
    ///
    /// # Errors
    /// [`Error::Restore`] with the entry and the statement.
    pub(super) async fn run(&mut self, entry: &Entry, sql: &str) -> Result<u64, Error> {
        let mut attempt = 1;
        loop {
            let connection = self.session.connection();
            match sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
                Ok(done) => return Ok(done.rows_affected()),
                // The whole string was rolled back, so it can be run again.
                Err(error) if attempt < ATTEMPTS && lost_to_another(&error) => {
                    tracing::debug!(object = object_name(entry), attempt, "trying again: {error}");
                    attempt += 1;
                }
                Err(source) => return Err(restore_error(entry, sql, source)),
            }
        }
    }

    /// Makes the settings that the definition of `entry` relies on.
    ///
    /// # Errors
    /// [`Error::Restore`].
    pub(super) async fn select_storage(&mut self, entry: &Entry) -> Result<(), Error> {
        let mut sql = String::new();
        if self.settings.tablespaces
            && let Some(wanted) = &entry.tablespace
            && self.tablespace.as_ref() != Some(wanted)
        {
            let value = if wanted.is_empty() { quote_literal("") } else { quote_ident(wanted) };
            sql.push_str(&format!("SET default_tablespace = {value};\n"));
            self.tablespace = Some(wanted.clone());
        }
        if entry.relkind != Some('p')
            && let Some(wanted) = entry.table_am.as_ref().filter(|method| !method.is_empty())
            && self.table_am.as_ref() != Some(wanted)
        {
            sql.push_str(&format!("SET default_table_access_method = {};\n", quote_ident(wanted)));
            self.table_am = Some(wanted.clone());
        }
        if self.settings.schema_in_path
            && let Some(schema) = entry.namespace.as_deref().filter(|schema| !schema.is_empty())
        {
            let path = match schema {
                "pg_catalog" => quote_ident(schema),
                schema => format!("{}, pg_catalog", quote_ident(schema)),
            };
            sql.push_str(&format!("SET search_path = {path};\n"));
        }
        if sql.is_empty() {
            return Ok(());
        }
        self.run(entry, &sql).await.map(drop)
    }

    /// Makes everything that the restore has committed durable: the log is flushed up to a
    /// commit, and so is all that came before it, from whichever session.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub(super) async fn make_durable(&mut self) -> Result<(), Error> {
        self.session
            .execute(
                "making the restore durable",
                "BEGIN;\nSET LOCAL synchronous_commit = on;\n\
                 SELECT pg_catalog.pg_logical_emit_message(true, 'aidp-backup', 'restored');\nCOMMIT;\n",
            )
            .await
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        self.session.close().await;
    }
}

/// A failed statement of an entry.
pub(super) fn restore_error(entry: &Entry, statement: &str, source: sqlx::Error) -> Error {
    let mut statement = shortened(statement);
    // For a COPY this says which line of which file.
    if let sqlx::Error::Database(error) = &source
        && let Some(postgres) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        && let Some(place) = postgres.r#where()
    {
        statement = format!("{statement} ({})", shortened(place));
    }
    Error::Restore { object: object_name(entry), statement, source }
}

/// Whether a statement failed only because another one ran at the same time.
fn lost_to_another(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    match error.code().as_deref() {
        // deadlock_detected, serialization_failure
        Some("40P01" | "40001") => true,
        // An internal error without a code of its own: two commands changed one catalog row.
        Some("XX000") => error.message().contains("tuple concurrently"),
        _ => false,
    }
}

/// A single large index is built by all the cores that the restore may use; more workers
/// than this gain little.
const MAX_INDEX_WORKERS: usize = 4;

/// `_doSetFixedOutputState()` in `pg_backup_archiver.c`, and more. `synchronous_commit`: one commit
/// at the end of the restore makes everything before it durable. `array_nulls`: a database that has
/// it off would take the NULLs in arrays for words. `default_transaction_read_only`: a database
/// that has it on could not be filled.
const FIXED: &str = "\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET synchronous_commit = off;
SET array_nulls = on;
SET default_transaction_read_only = off;
";
