//! Encryption settings: `sslmode` and the certificates.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::settings_error;
use crate::Error;

/// `sslmode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only where the server refuses otherwise.
    Allow,
    /// Encrypted where the server can.
    Prefer,
    /// Always encrypted.
    Require,
    /// And the server's certificate comes from a trusted authority.
    VerifyCa,
    /// And it names the host.
    VerifyFull,
}

/// Which authorities may have signed the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Any: the certificate is not checked.
    Unchecked,
    /// Those in this PEM file, and no others.
    File(PathBuf),
    /// The operating system's (`sslrootcert=system`).
    System,
}

/// Encryption settings of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// How much is asked for.
    pub mode: SslMode,
    /// Trusted authorities.
    pub roots: Roots,
    /// Client certificate and its key, PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// From the keywords `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, with the defaults
    /// in `~/.postgresql`.
    pub(super) fn resolve<'a>(
        get: &impl Fn(&str) -> Option<&'a str>,
        home: Option<&Path>,
    ) -> Result<Self, Error> {
        let system = get("sslrootcert") == Some("system");
        let mode = match get("sslmode") {
            None if system => SslMode::VerifyFull,
            None => SslMode::Prefer,
            Some(text) => parse_mode(text)?,
        };
        if system && mode < SslMode::VerifyFull {
            return Err(settings_error(
                "sslrootcert=system needs sslmode=verify-full",
                "any public authority may sign any name, so only the host name tells servers apart: set sslmode=verify-full or leave it unset",
            ));
        }
        let default =
            |name: &str| home.map(|h| h.join(".postgresql").join(name)).filter(|p| p.exists());
        let roots = if system {
            Roots::System
        } else if let Some(file) =
            get("sslrootcert").map(PathBuf::from).or_else(|| default("root.crt"))
        {
            let needed = mode >= SslMode::VerifyCa;
            match (file.exists(), needed) {
                (true, _) => Roots::File(file),
                (false, false) => Roots::Unchecked,
                (false, true) => {
                    return Err(settings_error(
                        format!("root certificate file {} does not exist", file.display()),
                        "mount the authority's certificate there, or set sslrootcert=system",
                    ));
                }
            }
        } else if mode >= SslMode::VerifyCa {
            return Err(settings_error(
                "no root certificates to verify the server with",
                "set sslrootcert to the authority's certificate, or sslrootcert=system for the operating system's",
            ));
        } else {
            Roots::Unchecked
        };

        let client = match get("sslcert").map(PathBuf::from).or_else(|| default("postgresql.crt")) {
            None => None,
            Some(_) if mode == SslMode::Disable => None,
            Some(cert) => {
                let key = get("sslkey")
                    .map(PathBuf::from)
                    .or_else(|| default("postgresql.key"))
                    .ok_or_else(|| {
                        settings_error(
                            "sslcert without sslkey",
                            "set sslkey to the certificate's private key",
                        )
                    })?;
                check_key(&key)?;
                Some((cert, key))
            }
        };
        Ok(Self { mode, roots, client })
    }
}

fn parse_mode(text: &str) -> Result<SslMode, Error> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        other => {
            return Err(settings_error(
                format!("sslmode {other:?} is unknown"),
                "use disable, allow, prefer, require, verify-ca or verify-full",
            ));
        }
    })
}

/// A private key must belong to this user and be closed to others, or belong to root and be
/// closed to all but its group (libpq's rule since PostgreSQL 14).
fn check_key(path: &Path) -> Result<(), Error> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        settings_error(
            format!("cannot read private key file {}: {error}", path.display()),
            "set sslkey to the client certificate's private key",
        )
    })?;
    let mode = metadata.permissions().mode();
    let forbidden = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(settings_error(
            format!("private key file {} has group or world access", path.display()),
            "chmod it to 0600, or 0640 if it belongs to root",
        ));
    }
    Ok(())
}
