//! How a server is to be set up.

use crate::error::Error;

use super::{SERVER_MAJORS, Server, Tls};

/// How a server checks who connects over TCP. Over its Unix socket it trusts everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Auth {
    /// By password, as production does.
    #[default]
    Scram,
    /// Not at all.
    Trust,
}

/// Options of a server that is not yet running.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) major: u16,
    pub(super) durable: bool,
    pub(super) auth: Auth,
    pub(super) tls: Option<Tls>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) initdb: Vec<String>,
}

impl Options {
    pub(super) fn new(major: u16) -> Self {
        Self {
            major,
            durable: false,
            auth: Auth::default(),
            tls: None,
            settings: Vec::new(),
            initdb: Vec::new(),
        }
    }

    /// Keeps fsync, synchronous commit and full page writes on, as production has them; needed
    /// where the machine, and not only the server, is thought to crash, and for fair figures.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// How to check who connects over TCP.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Offers TLS.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// A line of `postgresql.conf`; later ones win.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An argument for `initdb`, such as `--data-checksums`.
    #[must_use]
    pub fn initdb(mut self, argument: &str) -> Self {
        self.initdb.push(argument.to_owned());
        self
    }

    /// Makes the database cluster and starts the server.
    ///
    /// # Errors
    /// When the server cannot be installed or does not come up.
    pub fn start(self) -> Result<Server, Error> {
        if !SERVER_MAJORS.contains(&self.major) {
            return Err(Error::Unknown {
                wanted: format!("server of PostgreSQL {}", self.major),
                known: format!("{SERVER_MAJORS:?}"),
            });
        }
        Server::create(self)
    }

    /// The text to append to `postgresql.conf`.
    pub(super) fn configuration(&self, port: u16, socket_dir: &str) -> String {
        let mut lines = vec![
            "# Written by the harness.".to_owned(),
            format!("port = {port}"),
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = {}", quote(socket_dir)),
            "max_connections = 200".to_owned(),
            "shared_buffers = 64MB".to_owned(),
            "max_wal_size = 4GB".to_owned(),
            "password_encryption = 'scram-sha-256'".to_owned(),
            "timezone = 'UTC'".to_owned(),
            "log_timezone = 'UTC'".to_owned(),
            "log_line_prefix = '%m [%p] %q%u@%d '".to_owned(),
        ];
        if !self.durable {
            lines.extend(
                ["fsync = off", "synchronous_commit = off", "full_page_writes = off"]
                    .map(str::to_owned),
            );
        }
        if self.tls.is_some() {
            lines.extend(
                [
                    "ssl = on",
                    "ssl_cert_file = 'server.crt'",
                    "ssl_key_file = 'server.key'",
                    "ssl_ca_file = 'ca.crt'",
                ]
                .map(str::to_owned),
            );
        }
        for (name, value) in &self.settings {
            lines.push(format!("{name} = {}", quote(value)));
        }
        lines.join("\n") + "\n"
    }

    /// The text of `pg_hba.conf`.
    pub(super) fn host_based_authentication(&self) -> String {
        let method = match self.auth {
            Auth::Scram => "scram-sha-256",
            Auth::Trust => "trust",
        };
        let (kind, option) = match self.tls {
            Some(tls) => (
                if tls.required { "hostssl" } else { "host" },
                if tls.client_certificate { " clientcert=verify-full" } else { "" },
            ),
            None => ("host", ""),
        };
        // clientcert is only allowed on hostssl lines.
        let kind = if option.is_empty() { kind } else { "hostssl" };
        format!(
            "local all all trust\nlocal replication all trust\n\
             {kind} all all 127.0.0.1/32 {method}{option}\n\
             {kind} replication all 127.0.0.1/32 {method}{option}\n"
        )
    }
}

fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}
