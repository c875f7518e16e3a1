//! Opening a connection: hosts in order, encryption as `sslmode` asks, the kind of server that
//! `target_session_attrs` wants.

use std::io;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

use super::tunnel::Tunnel;
use super::{ConnInfo, Host, Roots, SslMode, TargetSession, hint};
use crate::Error;

/// A connection and the host it leads to.
pub(crate) struct Dialled {
    /// Logged in; nothing else was done with it.
    pub connection: PgConnection,
    /// Carries the connection's bytes, if something does; must live as long.
    pub tunnel: Option<Tunnel>,
    /// Which of the hosts answered.
    pub host: Host,
}

/// A login that worked.
struct Login {
    connection: PgConnection,
    tunnel: Option<Tunnel>,
}

impl ConnInfo {
    /// Connects to the first host that answers and is of the wanted kind.
    ///
    /// As in libpq, a host that cannot be reached or is starting up is passed over, and a host
    /// that refuses the login ends the search.
    ///
    /// # Errors
    /// [`Error::Connect`] with the last host's failure.
    pub(crate) async fn dial(&self) -> Result<Dialled, Error> {
        // "prefer-standby" takes any server on its second round.
        let rounds: &[TargetSession] = match self.target_session {
            TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
            TargetSession::Any => &[TargetSession::Any],
            TargetSession::ReadWrite => &[TargetSession::ReadWrite],
            TargetSession::ReadOnly => &[TargetSession::ReadOnly],
            TargetSession::Primary => &[TargetSession::Primary],
            TargetSession::Standby => &[TargetSession::Standby],
        };
        let mut failure = None;
        for wanted in rounds {
            for host in &self.hosts {
                match self.dial_host(host, *wanted).await {
                    Ok(Login { connection, tunnel }) => {
                        return Ok(Dialled { connection, tunnel, host: host.clone() });
                    }
                    Err(Failure { error, ends_search: true }) => return Err(error),
                    Err(Failure { error, .. }) => {
                        if let Some(earlier) = failure.replace(error) {
                            tracing::debug!(
                                error = &earlier as &dyn std::error::Error,
                                "host passed over"
                            );
                        }
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| super::settings_error("no host", "set host or PGHOST")))
    }

    async fn dial_host(&self, host: &Host, wanted: TargetSession) -> Result<Login, Failure> {
        let fail = |source: sqlx::Error| {
            let ends_search =
                matches!(&source, sqlx::Error::Database(e) if e.code().as_deref() != Some("57P03"));
            let error = Error::Connect {
                target: format!("database {:?} at {host} as role {:?}", self.database, self.user),
                hint: hint::for_connect(self, host, &source),
                source,
            };
            Failure { error, ends_search }
        };
        let mut login = self.log_in(host).await.map_err(fail)?;
        if wanted == TargetSession::Any {
            return Ok(login);
        }
        let sql = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only') = 'on'";
        let state = async {
            let row = sqlx::raw_sql(sql).fetch_one(&mut login.connection).await?;
            Ok::<_, sqlx::Error>((row.try_get::<bool, _>(0)?, row.try_get::<bool, _>(1)?))
        };
        let (standby, read_only) = state.await.map_err(fail)?;
        let fits = match wanted {
            TargetSession::Any | TargetSession::PreferStandby => true,
            TargetSession::ReadWrite => !standby && !read_only,
            TargetSession::ReadOnly => standby || read_only,
            TargetSession::Primary => !standby,
            TargetSession::Standby => standby,
        };
        if fits {
            return Ok(login);
        }
        // Nothing is lost if the farewell is.
        drop(login.connection.close().await);
        let is = if standby {
            "a standby"
        } else if read_only {
            "read-only"
        } else {
            "a primary that takes writes"
        };
        let error = Error::Refused {
            what: format!(
                "the server at {host} is {is}, and target_session_attrs wants another kind"
            ),
            hint: "add the other hosts, or change target_session_attrs".to_owned(),
        };
        Err(Failure { error, ends_search: false })
    }

    /// One login, encrypted or not as `sslmode` wants it.
    async fn log_in(&self, host: &Host) -> Result<Login, sqlx::Error> {
        // Sockets are never encrypted, whatever the mode says.
        if host.is_socket() || self.tls.mode == SslMode::Disable {
            return self.attempt(host, PgSslMode::Disable).await;
        }
        let encrypted = match (self.tls.mode, &self.tls.roots) {
            (SslMode::VerifyFull, _) => PgSslMode::VerifyFull,
            (SslMode::VerifyCa, _) | (_, Roots::File(_)) => PgSslMode::VerifyCa,
            _ => PgSslMode::Require,
        };
        match self.tls.mode {
            // Plain first; encrypted if the server will not have it.
            SslMode::Allow => match self.attempt(host, PgSslMode::Disable).await {
                Err(error) if not_let_in(&error) => self.attempt(host, encrypted).await,
                outcome => outcome,
            },
            // Encrypted first; plain if the server cannot or will not.
            SslMode::Prefer => match self.attempt(host, encrypted).await {
                Err(error) if not_let_in(&error) || failed_handshake(&error) => {
                    self.attempt(host, PgSslMode::Disable).await
                }
                outcome => outcome,
            },
            _ => self.attempt(host, encrypted).await,
        }
    }

    async fn attempt(&self, host: &Host, mode: PgSslMode) -> Result<Login, sqlx::Error> {
        let connecting = async {
            let Some((roots, full)) = self.beyond_driver(host, mode) else {
                let connection = self.driver_options(host, mode).connect().await?;
                return Ok(Login { connection, tunnel: None });
            };
            let (stream, entrance) = Tunnel::dig(host, &self.tls, roots, full).await?;
            let options = self.driver_options(host, PgSslMode::Disable).socket(&entrance.folder);
            let tunnel = Tunnel::carry(stream, entrance);
            match options.connect().await {
                Ok(connection) => Ok(Login { connection, tunnel: Some(tunnel) }),
                Err(sqlx::Error::Io(seen)) => {
                    Err(sqlx::Error::Io(tunnel.reason().await.unwrap_or(seen)))
                }
                Err(error) => Err(error),
            }
        };
        match self.connect_timeout {
            None => connecting.await,
            Some(limit) => tokio::time::timeout(limit, connecting)
                .await
                .unwrap_or_else(|_| Err(timed_out(limit))),
        }
    }

    /// The trusted authorities and whether the name is verified too, where the driver cannot
    /// verify as it must.
    fn beyond_driver(&self, host: &Host, mode: PgSslMode) -> Option<(&Roots, bool)> {
        let full = match mode {
            PgSslMode::VerifyFull => true,
            PgSslMode::VerifyCa => false,
            _ => return None,
        };
        let by_address = host.address.is_some() && !host.name.is_empty();
        match &self.tls.roots {
            Roots::File(_) => Some((&self.tls.roots, full)),
            Roots::System | Roots::Unchecked => by_address.then_some((&self.tls.roots, full)),
        }
    }

    fn driver_options(&self, host: &Host, mode: PgSslMode) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(host.port)
            .username(&self.user)
            .database(&self.database)
            .application_name(&self.application_name)
            .extra_float_digits(None)
            .options(self.options.iter().map(|(name, value)| (name, value)))
            .ssl_mode(mode)
            // Statements hold names and literals of the user's data: they are not for logs.
            .disable_statement_logging();
        options = match &host.name {
            name if host.is_socket() => {
                let folder =
                    name.strip_prefix('@').map_or_else(|| name.clone(), |rest| format!("\0{rest}"));
                options.socket(folder).host("localhost")
            }
            name => options.host(host.address.as_deref().unwrap_or(name)),
        };
        if let Some(password) = &host.password {
            options = options.password(password.expose());
        }
        // An empty list, so that PGSSLROOTCERT is not read again: where there are such roots,
        // they are not the driver's to check.
        options = options.ssl_root_cert_from_pem(Vec::new());
        if let Some((cert, key)) = &self.tls.client {
            options = options.ssl_client_cert(cert).ssl_client_key(key);
        }
        options
    }
}

struct Failure {
    error: Error,
    ends_search: bool,
}

/// Whether the server refused the login by `pg_hba.conf`, which may differ with encryption.
fn not_let_in(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.code().as_deref() == Some("28000"))
}

fn failed_handshake(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.get_ref().is_some_and(|e| e.is::<rustls::Error>()),
        _ => false,
    }
}

fn timed_out(limit: Duration) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {} seconds", limit.as_secs()),
    ))
}
