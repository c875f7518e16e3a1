//! The hosts of a connection string, and the password for each.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::{Secret, passfile, settings_error};
use crate::Error;

/// One of the hosts, tried in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name or address; a socket folder starts with `/`, an abstract one with `@`.
    pub name: String,
    /// Numeric address to dial instead of looking the name up (`hostaddr`).
    pub address: Option<String>,
    /// Port, also for sockets.
    pub port: u16,
    /// Password for this host.
    pub password: Option<Secret>,
    /// Why a password file was not used, for the hint of a refused login.
    pub password_note: Option<String>,
}

impl Host {
    /// Whether this is a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with(['/', '@'])
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            self.address.as_deref().unwrap_or_default()
        } else {
            &self.name
        };
        if name.contains(':') {
            write!(f, "[{name}]:{}", self.port)
        } else {
            write!(f, "{name}:{}", self.port)
        }
    }
}

/// Pairs up `host`, `hostaddr` and `port`.
pub(super) fn list<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Result<Vec<Host>, Error> {
    let list = |name| get(name).map(|v| v.split(',').map(str::trim).collect::<Vec<_>>());
    let (names, addresses, ports) =
        (list("host"), list("hostaddr"), list("port").unwrap_or_default());
    let count = addresses.as_ref().or(names.as_ref()).map_or(1, Vec::len);
    if let (Some(names), Some(addresses)) = (&names, &addresses)
        && names.len() != addresses.len()
    {
        return Err(settings_error(
            format!("{} hosts but {} hostaddr values", names.len(), addresses.len()),
            "give one hostaddr per host, or only one of the two",
        ));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(settings_error(
            format!("{} ports for {count} hosts", ports.len()),
            "give one port for all hosts, or one per host",
        ));
    }
    (0..count)
        .map(|at| {
            let port = ports
                .get(at)
                .or_else(|| ports.first().filter(|_| ports.len() == 1))
                .copied()
                .unwrap_or_default();
            let port = match port {
                "" => 5432,
                text => text.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| {
                    settings_error(
                        format!("invalid port {text:?}"),
                        "a port is a number from 1 to 65535",
                    )
                })?,
            };
            let pick = |list: &Option<Vec<&str>>| {
                list.as_ref()
                    .and_then(|l| l.get(at))
                    .filter(|v| !v.is_empty())
                    .map(|v| (*v).to_owned())
            };
            let address = pick(&addresses);
            if let Some(text) = &address
                && text.parse::<std::net::IpAddr>().is_err()
            {
                return Err(settings_error(
                    format!("hostaddr {text:?} is not a numeric address"),
                    "give an IPv4 or IPv6 address, or use host for a name",
                ));
            }
            let name = match pick(&names) {
                Some(name) => name,
                None if address.is_some() => String::new(),
                None => default_host(port),
            };
            Ok(Host { name, address, port, password: None, password_note: None })
        })
        .collect()
}

/// The default socket folder that has a server's socket, or else `localhost`.
fn default_host(port: u16) -> String {
    ["/var/run/postgresql", "/tmp"]
        .into_iter()
        .find(|folder| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists())
        .unwrap_or("localhost")
        .to_owned()
}

/// Finds each host's password: given, in a mounted secret, or in the password file.
pub(super) fn find_passwords<'a>(
    hosts: &mut [Host],
    get: &impl Fn(&str) -> Option<&'a str>,
    environment: &Environment,
    database: &str,
    user: &str,
) -> Result<(), Error> {
    let given = match (get("password"), environment.get("PGPASSWORD_FILE")) {
        (Some(password), _) => Some(Secret::new(password)),
        (None, Some(path)) => Some(mounted_secret(Path::new(path))?),
        (None, None) => None,
    };
    let passfile = get("passfile")
        .map(PathBuf::from)
        .or_else(|| environment.home.as_ref().map(|home| home.join(".pgpass")));
    for host in hosts {
        if given.is_some() {
            host.password.clone_from(&given);
            continue;
        }
        let Some(passfile) = &passfile else { continue };
        let name = if host.name.is_empty() {
            host.address.as_deref().unwrap_or_default()
        } else {
            &host.name
        };
        let wanted = passfile::Wanted { host: name, port: host.port, database, user };
        match passfile::lookup(passfile, &wanted) {
            passfile::Found::Password(password) => host.password = Some(password),
            passfile::Found::Nothing => {}
            passfile::Found::Unusable(why) => {
                tracing::warn!("{why}");
                host.password_note = Some(why);
            }
        }
    }
    Ok(())
}

/// A password alone in a file; one line end after it does not belong to it.
fn mounted_secret(path: &Path) -> Result<Secret, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        settings_error(
            format!("cannot read PGPASSWORD_FILE {}: {error}", path.display()),
            "mount the secret there, readable for this user",
        )
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}
