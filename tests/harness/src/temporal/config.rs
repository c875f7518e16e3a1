//! What a Temporal server is told: its configuration file and its dynamic configuration.
//!
//! Both files are YAML, of which JSON is a part. Keys: `common/config/config.go` and
//! `common/dynamicconfig/constants.go` of the server.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::postgres::{self, Certificates, Tls};
use crate::run::Port;

use super::tokens::Guarded;
use super::{Archival, Server, Tokens};

/// A limit that no test reaches.
const UNLIMITED: u32 = 100_000;

/// Dynamic keys that hold a rate or a count which tests must not run into.
const LIMITS: [&str; 11] = [
    "frontend.rps",
    "frontend.namespaceRPS",
    "frontend.namespaceRPS.visibility",
    "frontend.namespaceCount",
    "frontend.rps.namespaceReplicationInducingAPIs",
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs",
    "frontend.persistenceMaxQPS",
    "history.rps",
    "history.persistenceMaxQPS",
    "matching.rps",
    "matching.persistenceMaxQPS",
];

/// Options of a server that is not yet running.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) main: String,
    pub(super) visibility: String,
    pub(super) existing: bool,
    pub(super) shards: u32,
    pub(super) cluster: String,
    pub(super) namespaces: Vec<(String, u32)>,
    pub(super) tls: Option<Tls>,
    pub(super) archival: Option<Archival>,
    pub(super) guarded: Option<Guarded>,
    imports: bool,
    dynamic: Map<String, Value>,
}

impl Default for Options {
    fn default() -> Self {
        let mut dynamic = Map::new();
        for key in LIMITS {
            dynamic.insert(key.to_owned(), UNLIMITED.into());
        }
        dynamic.insert("worker.persistenceMaxQPS".to_owned(), UNLIMITED.into());
        // Timers fire up to so much late, a second by default: tests would do little but wait.
        dynamic.insert("history.timerProcessorMaxTimeShift".to_owned(), "20ms".into());
        Self {
            main: "temporal".to_owned(),
            visibility: "temporal_visibility".to_owned(),
            existing: false,
            shards: 4,
            cluster: "active".to_owned(),
            namespaces: vec![("default".to_owned(), 7)],
            tls: None,
            archival: None,
            guarded: None,
            imports: true,
            dynamic,
        }
    }
}

impl Options {
    /// Names of the two databases; `temporal` and `temporal_visibility` without this.
    #[must_use]
    pub fn databases(mut self, main: &str, visibility: &str) -> Self {
        main.clone_into(&mut self.main);
        visibility.clone_into(&mut self.visibility);
        self
    }

    /// The databases are there already, restored from somewhere: neither they nor namespaces
    /// are created. Read [`super::freeze`] first.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self.namespaces.clear();
        self
    }

    /// Number of history shards, 4 without this. That of an existing database wins.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards;
        self
    }

    /// Name of the cluster, `active` without this. That of an existing database must be given.
    #[must_use]
    pub fn cluster(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cluster);
        self
    }

    /// Another namespace to create, beside `default`, with its retention in days.
    #[must_use]
    pub fn namespace(mut self, name: &str, retention_days: u32) -> Self {
        self.namespaces.push((name.to_owned(), retention_days));
        self
    }

    /// The frontend speaks TLS only, with or without client certificates.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The server archives at once what closes in the namespaces that these options name.
    #[must_use]
    pub fn archival(mut self, archival: Archival) -> Self {
        self.set_dynamic("history.archivalProcessorArchiveDelay", "10ms".into());
        self.archival = Some(archival);
        self
    }

    /// Nobody may call without one of these tokens.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn guarded(mut self, tokens: &Tokens) -> Result<Self, Error> {
        self.guarded = Some(tokens.for_server()?);
        Ok(self)
    }

    /// The server imports no histories, which is how servers are by default.
    #[must_use]
    pub fn without_imports(mut self) -> Self {
        self.imports = false;
        self
    }

    /// A key of the dynamic configuration.
    #[must_use]
    pub fn dynamic(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.dynamic.insert(key.to_owned(), value.into());
        self
    }

    pub(super) fn set_dynamic(&mut self, key: &str, value: Value) {
        self.dynamic.insert(key.to_owned(), value);
    }

    /// Creates databases, schema and namespaces (unless existing) and starts the server.
    ///
    /// # Errors
    /// When the server cannot be built or does not come up.
    pub fn start(self, postgres: &postgres::Server) -> Result<Server, Error> {
        Server::create(self, postgres)
    }

    /// The dynamic configuration file.
    pub(super) fn dynamic_file(&self) -> Value {
        Value::Object(
            self.dynamic
                .iter()
                .map(|(key, value)| (key.clone(), json!([{ "value": value }])))
                .collect(),
        )
    }

    /// The frontend's certificate, and that of the server's own worker, which is its client.
    fn tls_file(&self, certificates: &Certificates) -> Value {
        // What the server's worker thinks of a certificate that has run out is not what is tested.
        let client = json!({ "disableHostVerification": true });
        json!({
            "frontend": {
                "server": {
                    "certFile": &certificates.server_certificate,
                    "keyFile": &certificates.server_key,
                    "requireClientAuth": self.tls.is_some_and(|tls| tls.client_certificate),
                    "clientCaFiles": [&certificates.ca],
                },
                "client": &client,
            },
            "systemWorker": {
                "certFile": &certificates.client_certificate,
                "keyFile": &certificates.client_key,
                "client": &client,
            },
        })
    }

    /// The configuration file.
    pub(super) fn file(
        &self,
        ports: &Ports,
        database_address: &str,
        dynamic_path: &std::path::Path,
        certificates: Option<&Certificates>,
    ) -> Value {
        let store = |database: &str, connections: u32| {
            json!({ "sql": {
                "pluginName": "postgres12",
                "databaseName": database,
                "connectAddr": database_address,
                "connectProtocol": "tcp",
                "user": postgres::SUPERUSER,
                "password": postgres::PASSWORD,
                "maxConns": connections,
                "maxIdleConns": connections,
                "maxConnLifetime": "1h",
            }})
        };
        let service = |[grpc, membership]: &[Port; 2]| {
            json!({ "rpc": {
                "grpcPort": grpc.number(),
                "membershipPort": membership.number(),
                "bindOnIP": "127.0.0.1",
            }})
        };
        let frontend = format!("127.0.0.1:{}", ports.frontend());
        let mut file = json!({
            "archival": self.archival.as_ref().map_or(json!({}), Archival::file),
            "namespaceDefaults": self.archival.as_ref().map_or(json!({}), Archival::defaults),
            "log": { "stdout": true, "level": "info" },
            "persistence": {
                "defaultStore": "main",
                "visibilityStore": "visibility",
                "numHistoryShards": self.shards,
                "datastores": {
                    "main": store(&self.main, 20),
                    "visibility": store(&self.visibility, 10),
                },
            },
            "global": {
                "membership": { "maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1" },
                "tls": certificates.map_or(json!({}), |certificates| self.tls_file(certificates)),
            },
            "services": {
                "frontend": service(&ports.frontend),
                "history": service(&ports.history),
                "matching": service(&ports.matching),
                "worker": service(&ports.worker),
            },
            "clusterMetadata": {
                // Importing histories asks for it.
                "enableGlobalNamespace": self.imports,
                "failoverVersionIncrement": 10,
                "masterClusterName": &self.cluster,
                "currentClusterName": &self.cluster,
                "clusterInformation": {
                    &self.cluster: {
                        "enabled": true,
                        "initialFailoverVersion": 1,
                        "rpcName": "frontend",
                        "rpcAddress": &frontend,
                    },
                },
            },
            "dcRedirectionPolicy": { "policy": "noop" },
            "publicClient": { "hostPort": &frontend },
            "dynamicConfigClient": {
                "filepath": dynamic_path,
                "pollInterval": "10s",
            },
        });
        if let Some(guarded) = &self.guarded {
            file["global"]["authorization"] = Tokens::authorization(&guarded.public_keys);
            // The server's own worker has no token: it comes in at a door of its own.
            file["services"]["internal-frontend"] = service(&ports.internal);
            if let Some(whole) = file.as_object_mut() {
                whole.remove("publicClient");
            }
        }
        file
    }
}

/// The gRPC and the membership port of each of the four services.
#[derive(Debug)]
pub(super) struct Ports {
    frontend: [Port; 2],
    history: [Port; 2],
    matching: [Port; 2],
    worker: [Port; 2],
    /// The frontend for the server's own worker, where it needs one.
    internal: [Port; 2],
}

impl Ports {
    pub(super) fn pick() -> Result<Self, Error> {
        let two = || Ok::<_, Error>([Port::pick()?, Port::pick()?]);
        Ok(Self {
            frontend: two()?,
            history: two()?,
            matching: two()?,
            worker: two()?,
            internal: two()?,
        })
    }

    pub(super) fn frontend(&self) -> u16 {
        self.frontend[0].number()
    }
}
