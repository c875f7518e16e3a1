//! A Temporal server of the drill's own, on SQLite in the drill's folder: it imports, and nobody
//! else can reach it or be reached by it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use temporal::connect::{Connection, Options};

use super::super::folder::Folder;
use super::super::keeper::{Server, Spec};
use crate::Error;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The four services, each with a gRPC and a membership port.
const SERVICES: [&str; 4] = ["frontend", "history", "matching", "worker"];

/// Dynamic keys that hold rates: this server has no other caller.
const RATES: [&str; 10] = [
    "frontend.rps",
    "frontend.namespaceRPS",
    "frontend.namespaceRPS.visibility",
    "frontend.namespaceCount",
    "frontend.persistenceMaxQPS",
    "frontend.rps.namespaceReplicationInducingAPIs",
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs",
    "history.rps",
    "history.persistenceMaxQPS",
    "worker.persistenceMaxQPS",
];

/// The running server, and its folder.
pub(super) struct OwnServer {
    server: Server,
    folder: Folder,
    address: String,
}

impl OwnServer {
    /// Starts the server that `program` is.
    pub async fn start(program: &Path, token: &str) -> Result<Self, Error> {
        let folder = Folder::new(token, None)?;
        let ports = free_ports()?;
        let frontend = ports.first().copied().unwrap_or_default();
        let address = format!("127.0.0.1:{frontend}");
        let (config, dynamic) =
            (folder.path().join("server.yaml"), folder.path().join("dynamic.yaml"));
        let rates: BTreeMap<&str, Value> =
            RATES.iter().map(|key| (*key, json!([{ "value": 1_000_000 }]))).collect();
        let file = configuration(&ports, &address, folder.path(), &dynamic);
        // JSON is a part of YAML.
        for (path, value) in [(&dynamic, json!(rates)), (&config, file)] {
            std::fs::write(path, value.to_string()).map_err(|source| Error::Local {
                doing: "write",
                path: path.clone(),
                source,
            })?;
        }
        let mut server = Server::start(Spec {
            name: "the Temporal server",
            program,
            arguments: ["--config-file".into(), config.into_os_string()]
                .into_iter()
                .chain(["--allow-no-auth".into(), "start".into()])
                .collect(),
            account: None,
            folder: folder.path(),
            log: folder.path().join("log"),
        })?;
        let options = options(&address);
        server
            .wait_until(START_LIMIT, || async {
                match Connection::open(&options).await {
                    // It answers before it serves.
                    Ok(connection) => connection.namespaces().await.is_ok(),
                    Err(_) => false,
                }
            })
            .await?;
        Ok(Self { server, folder, address })
    }

    /// `HOST:PORT` of its frontend.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How it is reached: never by the operator's own settings.
    pub fn options(&self) -> Options {
        options(&self.address)
    }

    /// Ends it and removes its folder; says whether nothing is left.
    pub async fn end(self) -> bool {
        let ended = self.server.stop(Signal::TERM, STOP_LIMIT);
        ended.await;
        self.folder.remove()
    }
}

fn options(address: &str) -> Options {
    Options {
        address: Some(address.to_owned()),
        environment: BTreeMap::from([("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())]),
        identity: "aidp-backup drill".into(),
        ..Options::default()
    }
}

/// Ports that nobody listens on, all different.
fn free_ports() -> Result<Vec<u16>, Error> {
    let failed = |source| Error::Local { doing: "listen on", path: "127.0.0.1".into(), source };
    let mut held = Vec::new();
    for _ in 0..SERVICES.len() * 2 {
        held.push(TcpListener::bind("127.0.0.1:0").map_err(failed)?);
    }
    held.iter().map(|listener| Ok(listener.local_addr().map_err(failed)?.port())).collect()
}

fn configuration(ports: &[u16], address: &str, folder: &Path, dynamic: &Path) -> Value {
    let services: BTreeMap<&str, Value> = SERVICES
        .iter()
        .zip(ports.chunks(2))
        .map(|(name, ports)| {
            let port = |at: usize| ports.get(at).copied().unwrap_or_default();
            let rpc = json!({
                "grpcPort": port(0),
                "membershipPort": port(1),
                "bindOnIP": "127.0.0.1",
            });
            (*name, json!({ "rpc": rpc }))
        })
        .collect();
    let store = json!({ "sql": {
        "pluginName": "sqlite",
        "databaseName": folder.join("temporal.db"),
        "connectAddr": "localhost",
        "connectProtocol": "tcp",
        // What is thrown away need not survive a crash.
        "connectAttributes": {
            "cache": "private",
            "setup": "true",
            "journal_mode": "wal",
            "synchronous": "off",
            "busy_timeout": "10000",
        },
        "maxConns": 1,
        "maxIdleConns": 1,
    }});
    json!({
        "log": { "stdout": true, "level": "warn" },
        "persistence": {
            "defaultStore": "main",
            "visibilityStore": "visibility",
            "numHistoryShards": 4,
            "datastores": { "main": store, "visibility": store },
        },
        "global": {
            "membership": { "maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1" },
        },
        "services": services,
        "clusterMetadata": {
            // Importing asks for it.
            "enableGlobalNamespace": true,
            "failoverVersionIncrement": 10,
            "masterClusterName": "active",
            "currentClusterName": "active",
            "clusterInformation": {
                "active": {
                    "enabled": true,
                    "initialFailoverVersion": 1,
                    "rpcName": "frontend",
                    "rpcAddress": address,
                },
            },
        },
        "dcRedirectionPolicy": { "policy": "noop" },
        "publicClient": { "hostPort": address },
        "dynamicConfigClient": { "filepath": dynamic, "pollInterval": "1m" },
    })
}
