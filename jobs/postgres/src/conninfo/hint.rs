//! Why a connection failed, in words that say what to do.

use std::io::ErrorKind;

use super::{ConnInfo, Host};

/// The hint for `error` met while connecting to `host`.
pub(super) fn for_connect(info: &ConnInfo, host: &Host, error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code();
            server(info, host, code.as_deref().unwrap_or_default(), error.message())
        }
        sqlx::Error::Io(error) => {
            if let Some(tls) = tls(error) {
                return tls;
            }
            match error.kind() {
                ErrorKind::ConnectionRefused => {
                    format!("no server answers at {host}: check that it runs and listens there (listen_addresses, port)")
                }
                ErrorKind::NotFound => {
                    format!("there is no socket {}/.s.PGSQL.{}: check the folder, the port, and that the server runs", host.name, host.port)
                }
                ErrorKind::PermissionDenied => {
                    format!("this user may not use the socket in {}", host.name)
                }
                ErrorKind::TimedOut => {
                    format!("{host} did not answer in time: check the address, firewalls and network policies, or raise connect_timeout")
                }
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                    format!("{host} closed the connection: check that a PostgreSQL server listens there, and its log")
                }
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    format!("no route to {host}: check the address, firewalls and network policies")
                }
                // The standard library has no kind for a failed look-up.
                _ if error.to_string().contains("lookup address") => {
                    format!("host name {:?} is unknown here: check its spelling and DNS", host.name)
                }
                _ => format!("check that {host} can be reached from here"),
            }
        }
        sqlx::Error::Tls(source) if source.to_string().contains("does not support TLS") => {
            "the server does not offer TLS: set ssl = on there, or sslmode=prefer or disable here".to_owned()
        }
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
            "check sslmode, sslrootcert, sslcert and sslkey".to_owned()
        }
        sqlx::Error::Protocol(text) if text.contains("unsupported") && text.contains("authentication") => {
            "the server asks for a login method other than a password or a certificate (GSSAPI, SSPI, LDAP by SASL, OAuth): give this role a scram-sha-256 line in pg_hba.conf".to_owned()
        }
        _ => format!("check that a PostgreSQL server listens at {host}"),
    }
}

fn server(info: &ConnInfo, host: &Host, code: &str, message: &str) -> String {
    let user = info.user();
    match code {
        "28P01" if host.password.is_none() => match &host.password_note {
            Some(note) => format!("no password was found for role {user:?}: {note}"),
            None => format!(
                "no password was found for role {user:?}: set PGPASSWORD or PGPASSWORD_FILE, or add a line to the PGPASSFILE"
            ),
        },
        "28P01" => format!("the password for role {user:?} is wrong: check PGPASSWORD, PGPASSWORD_FILE or the PGPASSFILE"),
        "28000" if message.contains("pg_hba.conf") => {
            "add a line for this host, role and database to the server's pg_hba.conf, or try another sslmode".to_owned()
        }
        "28000" => format!("the server does not let role {user:?} in: check that it exists, may LOGIN, and matches pg_hba.conf and pg_ident.conf"),
        "3D000" => format!("there is no database {:?} on {host}: check dbname or PGDATABASE", info.database()),
        "42501" => format!("GRANT CONNECT ON DATABASE {:?} TO {user:?}", info.database()),
        "53300" => "all connections are taken: try later, use fewer jobs, or raise max_connections or the role's CONNECTION LIMIT".to_owned(),
        "57P03" => "the server is starting up, shutting down or recovering: try again in a moment".to_owned(),
        "55000" => format!("database {:?} does not accept connections (ALLOW_CONNECTIONS)", info.database()),
        _ => "see the server's log".to_owned(),
    }
}

/// The hint for a failed handshake.
fn tls(error: &std::io::Error) -> Option<String> {
    use rustls::{AlertDescription, CertificateError, Error as TlsError};
    let error = error.get_ref()?.downcast_ref::<TlsError>()?;
    Some(match error {
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it, and check this machine's clock".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet: check the clocks of both machines".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the server's certificate comes from an authority that sslrootcert does not hold: point it to the right one".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "the server's certificate is for another host name: connect by a name it holds, or use sslmode=verify-ca".to_owned()
        }
        TlsError::InvalidCertificate(_) => "the server's certificate was not accepted: check it and sslrootcert".to_owned(),
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate: set sslcert and sslkey".to_owned()
        }
        TlsError::AlertReceived(_) => {
            "the server refused the TLS handshake: check sslcert and sslkey, and the server's log".to_owned()
        }
        _ => "the TLS handshake failed: check that the server speaks TLS 1.2 or later".to_owned(),
    })
}

/// The hint for a statement that failed on a connection that worked.
pub(crate) fn for_query(error: &sqlx::Error) -> Option<String> {
    let lost = || {
        Some("the server went away while it was being read: see its log, then run again; what was begun is not published".to_owned())
    };
    match error {
        sqlx::Error::Io(_) => lost(),
        sqlx::Error::Database(error) => match error.code().as_deref()? {
            "57P01" | "57P02" | "57P03" | "08006" | "08003" => lost(),
            "57P05" | "25P03" | "25P04" => Some("a server-side idle or transaction timeout closed the session: exempt this role with ALTER ROLE ... SET".to_owned()),
            "57014" => Some("the statement was cancelled on the server (pg_cancel_backend, a timeout, or a conflict with recovery)".to_owned()),
            "40001" => Some("on a standby, raise max_standby_streaming_delay or set hot_standby_feedback = on".to_owned()),
            "53100" => Some("the server's disk is full".to_owned()),
            "53200" => Some("the server is out of memory".to_owned()),
            "42501" => Some("GRANT pg_read_all_data to this role (PostgreSQL 14 and later), or SELECT and USAGE on what it names".to_owned()),
            "XX001" | "XX002" => Some("the server found damaged data: see its log, and check the disk before anything else".to_owned()),
            _ => None,
        },
        _ => None,
    }
}
