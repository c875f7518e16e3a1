//! One connection to one database, and what is known of both.
//!
//! Statements go by the simple protocol, so each is one round trip and every value comes back
//! as text. A connection that was left in the middle of anything is not used again.

mod copy_out;
mod row;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub use copy_out::CopyOut;
pub use row::Row;

use crate::Error;
use crate::conninfo::{ConnInfo, Tunnel};
use crate::plan::DatabaseInfo;
use crate::quote::quote_ident;

/// The oldest and the newest major version that an export understands.
pub const MAJOR_VERSIONS: std::ops::RangeInclusive<i32> = 13..=18;

/// How long a polite goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the sessions of an export are told besides the connection settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// `SET ROLE` after login, as `pg_dump --role` does.
    pub role: Option<String>,
    /// How long to wait for locks; `None`: as long as it takes.
    pub lock_timeout: Option<Duration>,
}

/// An open connection. Dropping it cuts the connection; [`close`](Self::close) says goodbye.
pub struct Session {
    connection: PgConnection,
    /// Carries the connection's bytes, if something does.
    tunnel: Option<Tunnel>,
    /// Leads to the server that was dialled, and to no other.
    info: ConnInfo,
    options: SessionOptions,
    facts: Arc<Facts>,
    pid: i32,
    client_encoding: &'static str,
    /// Set while anything is under way: a future that was dropped leaves it set.
    busy: bool,
}

/// What does not change while a session lives.
#[derive(Debug)]
struct Facts {
    database: DatabaseInfo,
    role: String,
    /// Microseconds since the epoch at which this server started, which tells servers apart.
    started: i64,
}

impl Session {
    /// Connects and learns where it got to. No setting is changed.
    ///
    /// As in libpq, a host that cannot be reached or is starting up is passed over, and a host
    /// that refuses the login ends the search.
    ///
    /// # Errors
    /// [`Error::Connect`] with the last host's failure.
    pub async fn connect(info: &ConnInfo) -> Result<Self, Error> {
        let dialled = info.dial().await?;
        let facts = Facts {
            database: DatabaseInfo {
                name: info.database().to_owned(),
                encoding: String::new(),
                server_version: String::new(),
                server_version_num: 0,
            },
            role: info.user().to_owned(),
            started: 0,
        };
        let mut session = Self {
            connection: dialled.connection,
            tunnel: dialled.tunnel,
            info: info.pinned(&dialled.host),
            options: SessionOptions::default(),
            facts: Arc::new(facts),
            pid: 0,
            client_encoding: "UTF8",
            busy: false,
        };
        let row = session
            .row(
                "asking the server for its version",
                "SELECT pg_catalog.current_database() AS database, current_user AS role, \
                 pg_catalog.current_setting('server_encoding') AS encoding, \
                 pg_catalog.current_setting('server_version') AS version, \
                 pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version_num, \
                 (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::pg_catalog.int8 AS started, \
                 pg_catalog.pg_backend_pid() AS pid",
            )
            .await?;
        session.pid = row.get("pid")?;
        session.facts = Arc::new(Facts {
            database: DatabaseInfo {
                name: row.get("database")?,
                encoding: row.get("encoding")?,
                server_version: row.get("version")?,
                server_version_num: row.get("version_num")?,
            },
            role: row.get("role")?,
            started: row.get("started")?,
        });
        Ok(session)
    }

    /// Connects and makes the settings that a faithful export needs, those of `pg_dump`'s
    /// `setup_connection()`.
    ///
    /// # Errors
    /// [`Error::Refused`] for a server whose version is not understood.
    pub async fn open(info: &ConnInfo, options: &SessionOptions) -> Result<Self, Error> {
        let mut session = Self::connect(info).await?;
        session.check_version()?;
        let version = session.server_version_num();
        let mut sql = String::new();
        if let Some(role) = &options.role {
            sql.push_str("SET ROLE ");
            sql.push_str(&quote_ident(role));
            sql.push_str(";\n");
        }
        // A database without an encoding holds bytes: they are passed on as they are. Any
        // other is converted to UTF-8 by the server.
        if session.facts.database.encoding == "SQL_ASCII" {
            session.client_encoding = "SQL_ASCII";
        }
        sql.push_str(&format!("SET client_encoding = '{}';\n", session.client_encoding));
        sql.push_str(SETTINGS);
        if version >= 14_00_00 {
            sql.push_str("SET idle_session_timeout = 0;\n");
        }
        if version >= 17_00_00 {
            sql.push_str("SET transaction_timeout = 0;\n");
        }
        // Came with security releases of all branches, so the version number does not tell.
        sql.push_str(
            "SELECT pg_catalog.set_config(name, 'view, foreign-table', false) \
             FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind';\n",
        );
        session.execute("preparing the session", &sql).await?;
        session.options = options.clone();
        if let Some(role) = &options.role {
            let facts = &session.facts;
            session.facts = Arc::new(Facts {
                database: facts.database.clone(),
                role: role.clone(),
                started: facts.started,
            });
        }
        Ok(session)
    }

    fn check_version(&self) -> Result<(), Error> {
        let major = self.server_version_num() / 10_000;
        if MAJOR_VERSIONS.contains(&major) {
            return Ok(());
        }
        let (oldest, newest) = (MAJOR_VERSIONS.start(), MAJOR_VERSIONS.end());
        Err(Error::Refused {
            what: format!(
                "database {:?} is on PostgreSQL {}, and only {oldest} to {newest} are understood",
                self.database(),
                self.database_info().server_version
            ),
            hint: if major > *newest {
                "update this program; until then use the server's own pg_dump".to_owned()
            } else {
                "update the server; until then use its own pg_dump".to_owned()
            },
        })
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.facts.database.name
    }

    /// Name, encoding and version.
    pub fn database_info(&self) -> &DatabaseInfo {
        &self.facts.database
    }

    /// Role that statements run as.
    pub fn role(&self) -> &str {
        &self.facts.role
    }

    /// `server_version_num`, such as 170011.
    pub fn server_version_num(&self) -> i32 {
        self.facts.database.server_version_num
    }

    /// The encoding that text arrives in, which is the archive's: `UTF8`, or `SQL_ASCII` for a
    /// database that has none.
    pub fn client_encoding(&self) -> &'static str {
        self.client_encoding
    }

    /// Process id of the server's backend.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Settings that lead to the server that was dialled, and to no other.
    pub(crate) fn conninfo(&self) -> &ConnInfo {
        &self.info
    }

    /// One more session like this one, outside its transaction.
    pub(crate) async fn another(&self) -> Result<Self, Error> {
        Self::open(&self.info, &self.options).await
    }

    /// How long to wait for locks.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        self.options.lock_timeout
    }

    /// When this server started, in microseconds since the epoch: no two are the same.
    pub(crate) fn started(&self) -> i64 {
        self.facts.started
    }

    /// All rows of `sql`. `doing` completes "... failed": `reading the list of tables`.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn rows(&mut self, doing: &str, sql: &str) -> Result<Vec<Row>, Error> {
        let context = Arc::new(Context { doing: doing.to_owned(), facts: Arc::clone(&self.facts) });
        self.begin(&context)?;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await;
        self.busy = false;
        let rows = rows.map_err(|source| context.error(source))?;
        Ok(rows.into_iter().map(|row| Row { row, context: Arc::clone(&context) }).collect())
    }

    /// Hands each row of `sql` to `take`, one at a time, for results too large to hold. After an
    /// error in `take` the session is of no further use.
    ///
    /// # Errors
    /// [`Error::Query`], and whatever `take` returns.
    pub async fn each(
        &mut self,
        doing: &str,
        sql: &str,
        mut take: impl FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let context = Arc::new(Context { doing: doing.to_owned(), facts: Arc::clone(&self.facts) });
        self.begin(&context)?;
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(&mut self.connection);
        while let Some(row) = rows.next().await {
            match row {
                Ok(row) => take(Row { row, context: Arc::clone(&context) })?,
                Err(source) => {
                    drop(rows);
                    self.busy = false;
                    return Err(context.error(source));
                }
            }
        }
        drop(rows);
        self.busy = false;
        Ok(())
    }

    /// The one row of `sql`.
    ///
    /// # Errors
    /// [`Error::Query`], also when there is no row.
    pub async fn row(&mut self, doing: &str, sql: &str) -> Result<Row, Error> {
        let context = Context { doing: doing.to_owned(), facts: Arc::clone(&self.facts) };
        let first = self.rows(doing, sql).await?.into_iter().next();
        first.ok_or_else(|| context.error(sqlx::Error::RowNotFound))
    }

    /// Runs one or several statements and drops what they return.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn execute(&mut self, doing: &str, sql: &str) -> Result<(), Error> {
        let context = Context { doing: doing.to_owned(), facts: Arc::clone(&self.facts) };
        self.begin(&context)?;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await;
        self.busy = false;
        done.map(drop).map_err(|source| context.error(source))
    }

    /// Begins `COPY ... TO STDOUT`. The session is of no further use unless the copy is read
    /// to its end: the driver may take what is left of it for the answer to the next statement.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn copy_out<'s>(&'s mut self, doing: &str, sql: &str) -> Result<CopyOut<'s>, Error> {
        let context = Context { doing: doing.to_owned(), facts: Arc::clone(&self.facts) };
        self.begin(&context)?;
        let Self { connection, busy, .. } = self;
        match connection.copy_out_raw(sql).await {
            Ok(stream) => Ok(CopyOut { stream, busy, context }),
            Err(source) => Err(context.error(source)),
        }
    }

    /// At most `length` bytes of a large object from `offset` on; fewer only at its end.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn large_object(
        &mut self,
        oid: u32,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        let context = Context {
            doing: format!("reading large object {oid}"),
            facts: Arc::clone(&self.facts),
        };
        self.begin(&context)?;
        // A prepared statement, so that the bytes come as they are and not as hexadecimal.
        let read = sqlx::query_scalar::<_, Vec<u8>>("SELECT pg_catalog.lo_get($1, $2, $3)")
            .bind(Oid(oid))
            .bind(i64::try_from(offset).unwrap_or(i64::MAX))
            .bind(i32::try_from(length).unwrap_or(i32::MAX))
            .fetch_one(&mut self.connection)
            .await;
        self.busy = false;
        read.map_err(|source| context.error(source))
    }

    /// The driver's connection, for what has no method here. The caller answers for leaving it
    /// ready for the next statement.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// An [`Error::Query`] about this session.
    pub fn error(&self, doing: impl Into<String>, source: sqlx::Error) -> Error {
        Context { doing: doing.into(), facts: Arc::clone(&self.facts) }.error(source)
    }

    /// Says goodbye, but not for long: a server that does not listen is left.
    pub async fn close(self) {
        if self.busy {
            return;
        }
        // Nothing depends on the farewell, so its failure is not looked at.
        drop(tokio::time::timeout(CLOSE_TIMEOUT, self.connection.close()).await);
        if let Some(tunnel) = self.tunnel {
            tunnel.close().await;
        }
    }

    fn begin(&mut self, context: &Context) -> Result<(), Error> {
        if self.busy {
            let text = "the connection was left in the middle of an earlier statement";
            return Err(context.error(sqlx::Error::Protocol(text.to_owned())));
        }
        self.busy = true;
        Ok(())
    }
}

/// The rest of `setup_connection()` in `src/bin/pg_dump/pg_dump.c`, and what keeps output the
/// same whatever the role's own settings are.
const SETTINGS: &str = "\
SELECT pg_catalog.set_config('search_path', '', false);
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET standard_conforming_strings = on;
SET quote_all_identifiers = off;
SET synchronize_seqscans = off;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET row_security = off;
SET jit = off;
";

/// The server's five-character code, if the server sent this error.
pub(crate) fn sql_state(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// What was being done, for errors.
#[derive(Debug)]
struct Context {
    doing: String,
    facts: Arc<Facts>,
}

impl Context {
    fn error(&self, source: sqlx::Error) -> Error {
        Error::Query {
            database: self.facts.database.name.clone(),
            doing: self.doing.clone(),
            source,
        }
    }
}
