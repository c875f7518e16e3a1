//! Where the server is and how to log in: connection settings as libpq takes them.
//!
//! A connection string (URL or `key=value`) beats a service file, which beats the `PG*`
//! variables, which beat the defaults. What libpq honours and this program cannot is refused
//! by name; see [`ConnInfo::resolve`].

mod dial;
mod environment;
mod hint;
mod host;
mod keyword;
mod parse;
mod passfile;
mod secret;
mod service;
mod tls;
mod tunnel;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use environment::Environment;
pub(crate) use hint::for_query as query_hint;
pub use host::Host;
pub use secret::Secret;
pub use tls::{Roots, SslMode, Tls};
pub(crate) use tunnel::Tunnel;

use crate::Error;
use parse::Settings;

/// Connection settings, complete and checked. Cloning is cheap enough for one per worker.
#[derive(Clone)]
pub struct ConnInfo {
    settings: Settings,
    environment: Arc<Environment>,
    hosts: Vec<Host>,
    database: String,
    user: String,
    tls: Tls,
    connect_timeout: Option<Duration>,
    options: Vec<(String, String)>,
    application_name: String,
    target_session: TargetSession,
}

/// `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl ConnInfo {
    /// Settings from `text` (a URL, `key=value` pairs, or a database name; `None` for
    /// variables alone) and from what surrounds the process.
    ///
    /// Besides libpq's sources, `PGPASSWORD_FILE` names a file with nothing but the password,
    /// such as a mounted Kubernetes secret; `PGPASSWORD` beats it.
    ///
    /// # Errors
    /// [`Error::Settings`] names the keyword that is unknown, malformed or not supported.
    pub fn resolve(text: Option<&str>, environment: &Environment) -> Result<Self, Error> {
        let explicit = parse::parse(text.unwrap_or_default())?;
        let settings = with_defaults(explicit, environment)?;
        for name in keyword::unused_in(&settings) {
            tracing::warn!("connection setting {name} has no effect here");
        }
        Self::complete(settings, Arc::new(environment.clone()))
    }

    /// The same server and role, another database.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    pub fn with_database(&self, database: &str) -> Result<Self, Error> {
        let mut settings = self.settings.clone();
        settings.insert("dbname", database.to_owned());
        Self::complete(settings, Arc::clone(&self.environment))
    }

    /// The same settings with only the host that was dialled, so that further sessions go to
    /// the server of the first one.
    pub(crate) fn pinned(&self, host: &Host) -> Self {
        Self { hosts: vec![host.clone()], ..self.clone() }
    }

    /// Database to connect to.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether the settings name a database, rather than leaving it to be called like the role.
    pub fn names_database(&self) -> bool {
        self.settings.get("dbname").is_some_and(|name| !name.is_empty())
    }

    /// Role to connect as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The hosts, in the order they are tried.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Encryption and certificates.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    fn complete(settings: Settings, environment: Arc<Environment>) -> Result<Self, Error> {
        keyword::check_supported(&settings)?;
        let get = |name: &str| settings.get(name).map(String::as_str).filter(|v| !v.is_empty());

        let user = match get("user") {
            Some(user) => user.to_owned(),
            None => environment.user.clone().ok_or_else(|| {
                settings_error(
                    "no role to connect as: this user id has no name",
                    "set user in the connection string, or PGUSER",
                )
            })?,
        };
        let database = get("dbname").unwrap_or(&user).to_owned();
        let connect_timeout = match get("connect_timeout") {
            None => None,
            Some(text) => match text.trim().parse::<i64>() {
                Err(_) => return Err(number("connect_timeout", text)),
                Ok(seconds) if seconds <= 0 => None,
                // libpq waits at least two seconds.
                Ok(seconds) => Some(Duration::from_secs(seconds.unsigned_abs().max(2))),
            },
        };
        let target_session = match get("target_session_attrs").unwrap_or("any") {
            "any" => TargetSession::Any,
            "read-write" => TargetSession::ReadWrite,
            "read-only" => TargetSession::ReadOnly,
            "primary" => TargetSession::Primary,
            "standby" => TargetSession::Standby,
            "prefer-standby" => TargetSession::PreferStandby,
            other => {
                return Err(settings_error(
                    format!("target_session_attrs {other:?} is unknown"),
                    "use any, read-write, read-only, primary, standby or prefer-standby",
                ));
            }
        };
        let mut hosts = host::list(&get)?;
        host::find_passwords(&mut hosts, &get, &environment, &database, &user)?;
        let tls = Tls::resolve(&get, environment.home.as_deref())?;
        let options = server_options(get("options").unwrap_or_default())?;
        let application_name = get("application_name")
            .or_else(|| get("fallback_application_name"))
            .unwrap_or("aidp-backup")
            .to_owned();
        Ok(Self {
            hosts,
            database,
            user,
            tls,
            connect_timeout,
            options,
            application_name,
            target_session,
            settings,
            environment,
        })
    }
}

impl fmt::Display for ConnInfo {
    /// Database, hosts and role; never a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {:?} at ", self.database)?;
        for (at, host) in self.hosts.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{host}")?;
        }
        write!(f, " as role {:?}", self.user)
    }
}

impl fmt::Debug for ConnInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnInfo({self})")
    }
}

/// An [`Error::Settings`].
fn settings_error(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Settings { what: what.into(), hint: hint.into() }
}

fn number(name: &str, value: &str) -> Error {
    settings_error(
        format!("{name} {value:?} is not a number"),
        format!("give {name} as a plain integer"),
    )
}

/// Explicit settings, completed from the service file and the variables.
fn with_defaults(mut settings: Settings, environment: &Environment) -> Result<Settings, Error> {
    let lookup = |settings: &Settings, name: &str, variable: &str| {
        settings
            .get(name)
            .cloned()
            .or_else(|| environment.get(variable).map(str::to_owned))
            .filter(|v| !v.is_empty())
    };
    if let Some(service) = lookup(&settings, "service", "PGSERVICE") {
        let file = lookup(&settings, "servicefile", "PGSERVICEFILE");
        for (name, value) in service::load(&service, file.as_deref(), environment)? {
            settings.entry(name).or_insert(value);
        }
    }
    for (name, variable) in keyword::variables() {
        if let Some(value) = environment.get(variable) {
            settings.entry(name).or_insert_with(|| value.to_owned());
        }
    }
    Ok(settings)
}

/// `-c name=value` and `--name=value`, as the server itself splits its command line
/// (`pg_split_opts()` in `src/backend/utils/init/postinit.c`).
fn server_options(text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            break;
        }
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
            match c {
                '\\' => word.extend(chars.next()),
                c => word.push(c),
            }
        }
        words.push(word);
    }
    let refused = |word: &str| {
        settings_error(
            format!("server option {word:?} is not supported"),
            "options may hold -c name=value and --name=value",
        )
    };
    let mut options = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let pair = if word == "-c" {
            words.next().ok_or_else(|| refused(&word))?
        } else if let Some(pair) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            pair.to_owned()
        } else {
            return Err(refused(&word));
        };
        let (name, value) = pair.split_once('=').ok_or_else(|| refused(&pair))?;
        // The server takes "-" for "_" in names given this way.
        options.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(options)
}

#[cfg(test)]
mod tests;
