//! A Temporal server on the restored copy, frozen and alone: it fires no timer, deletes nothing,
//! has no worker, and is in no ring but its own, which the ring itself is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use postgres::conninfo::{ConnInfo, SslMode};
use postgres::session::{Session, SessionOptions};
use postgres::temporal_schema::{self, sanity};
use rustix::process::Signal;
use serde_json::{Value, json};
use temporal::connect::{self, Connection};

use super::postgres::{OwnServer, free_port};
use super::temporal::Copy;
use crate::Error;
use crate::drill::folder::Folder;
use crate::drill::keeper::{Server, Spec};

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(10);

/// How long one attempt to reach it may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The services that are started; the worker is not: it scavenges, scans and deletes.
const SERVICES: [&str; 3] = ["frontend", "history", "matching"];

/// A limit that a drill does not reach.
const UNLIMITED: u32 = 100_000;

/// A running server.
pub(super) struct Booted {
    server: Server,
    /// Where its files are, when they are not in the folder of the drill's own PostgreSQL.
    folder: Option<Folder>,
    /// To its frontend.
    pub connection: Connection,
    /// Membership ports by which its own members are known.
    pub ports: Vec<u16>,
    /// Tables that were emptied before.
    pub frozen: Vec<String>,
    /// Seconds until it answered.
    pub seconds: f64,
}

/// Freezes the copies and starts a server on them.
pub(super) async fn boot(
    binary: &Path,
    main: &Copy<'_>,
    visibility: &Copy<'_>,
    own: Option<&OwnServer>,
    token: &str,
) -> Result<Booted, Error> {
    let (cluster, frozen) = freeze(main).await?;
    settle(visibility).await?;
    let (folder, path) = match own {
        Some(own) => (None, own.folder().join("temporal")),
        None => {
            let folder = Folder::new(token, None)?;
            let path = folder.path().join("temporal");
            (Some(folder), path)
        }
    };
    fs::create_dir(&path).map_err(local("create", &path))?;
    let ports: Vec<u16> = (0..8).map(|_| free_port()).collect::<Result<_, _>>()?;
    let database = |copy: &Copy<'_>| store(&copy.copy.info, own);
    let dynamic = path.join("dynamic.json");
    let config = config(&cluster, &ports, &dynamic, [database(main)?, database(visibility)?]);
    let file = path.join("server.json");
    let nothing = path.join("temporal.toml");
    for (path, text) in
        [(&dynamic, limits().to_string()), (&file, config.to_string()), (&nothing, String::new())]
    {
        write(path, &text)?;
    }
    let began = Instant::now();
    let mut arguments =
        vec!["--config-file".into(), file.clone().into(), "--allow-no-auth".into(), "start".into()];
    for service in SERVICES {
        arguments.extend(["--service".into(), service.into()]);
    }
    let mut server = Server::start(Spec {
        name: "the drill's Temporal",
        program: binary,
        arguments,
        account: None,
        folder: &path,
        log: path.join("log"),
    })?;
    let frontend = ports.first().copied().unwrap_or_default();
    let options = connect::Options {
        address: Some(format!("127.0.0.1:{frontend}")),
        // No profile of the operator's: this server has no TLS and no keys.
        config_file: Some(nothing),
        identity: "aidp-backup drill".into(),
        limits: temporal::limit::Limits {
            visibility_rate: 1_000.0,
            history_rate: 10_000.0,
            patience: Duration::from_secs(10),
            ..Default::default()
        },
        ..Default::default()
    };
    let connected = tokio::sync::Mutex::new(None);
    let ready = || async {
        let open = async {
            let connection = Connection::open(&options).await.ok()?;
            // The port is open before the services have found each other.
            connection.namespaces().await.ok()?;
            Some(connection)
        };
        let opened = tokio::time::timeout(ATTEMPT, open).await.ok().flatten();
        let is_ready = opened.is_some();
        *connected.lock().await = opened;
        is_ready
    };
    server.wait_until(START, ready).await?;
    let connection = connected.into_inner().ok_or_else(|| Error::Refused {
        what: "the drill's Temporal does not answer".into(),
        hint: "see its log".into(),
    })?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Booted { server, folder, connection, ports, frozen, seconds })
}

impl Booted {
    /// Ends it; says whether its files are gone or go with the scratch.
    pub async fn stop(self) -> bool {
        drop(self.connection);
        self.server.stop(Signal::TERM, STOP).await;
        self.folder.is_none_or(Folder::remove)
    }
}

/// Makes a copy of the main database one that does nothing by itself.
async fn freeze(main: &Copy<'_>) -> Result<(sanity::Cluster, Vec<String>), Error> {
    let failed = |error| Error::database("freeze", &main.copy.name, error);
    let mut session = open(main).await?;
    temporal_schema::settle(&mut session, &main.schema, &main.copy.name).await.map_err(failed)?;
    let mut frozen = temporal_schema::freeze(&mut session, &main.schema).await.map_err(failed)?;
    frozen.push("cluster_membership".into());
    let clusters = sanity::clusters(&mut session, &main.schema).await.map_err(failed)?;
    session.close().await;
    let cluster = clusters.into_iter().next().ok_or_else(|| Error::Refused {
        what: "the backup names no Temporal cluster".into(),
        hint: "a Temporal server has never started on this database".into(),
    })?;
    Ok((cluster, frozen))
}

/// Gives a copy its own name.
async fn settle(copy: &Copy<'_>) -> Result<(), Error> {
    let mut session = open(copy).await?;
    let settled = temporal_schema::settle(&mut session, &copy.schema, &copy.copy.name).await;
    session.close().await;
    settled.map(drop).map_err(|error| Error::database("freeze", &copy.copy.name, error))
}

async fn open(copy: &Copy<'_>) -> Result<Session, Error> {
    let opened = Session::open(&copy.copy.info, &SessionOptions::default()).await;
    opened.map_err(|error| Error::database("freeze", &copy.copy.name, error))
}

/// How Temporal reaches a database (`common/config`, `SQL`).
fn store(info: &ConnInfo, own: Option<&OwnServer>) -> Result<Value, Error> {
    let sql = |address: String, user: &str, password: &str, more: Value| {
        let mut sql = json!({
            "pluginName": "postgres12",
            "databaseName": info.database(),
            "connectAddr": address,
            "connectProtocol": "tcp",
            "user": user,
            "password": password,
            "maxConns": 20,
            "maxIdleConns": 20,
            "maxConnLifetime": "1h",
        });
        if let (Value::Object(sql), Value::Object(more)) = (&mut sql, more) {
            sql.extend(more);
        }
        json!({ "sql": sql })
    };
    if let Some((port, password)) = own.and_then(|own| own.tcp.as_ref()) {
        return Ok(sql(format!("127.0.0.1:{port}"), "postgres", password, json!({})));
    }
    let host = info.hosts().first().ok_or_else(|| Error::Refused {
        what: "the scratch has no host".into(),
        hint: "name one with --scratch".into(),
    })?;
    let password = host.password.as_ref().map_or("", |password| password.expose());
    if host.is_socket() {
        // The driver takes the socket's folder from a parameter, whatever the address is.
        let more =
            json!({ "connectAttributes": { "host": host.name, "port": host.port.to_string() } });
        return Ok(sql(format!("localhost:{}", host.port), info.user(), password, more));
    }
    let name = host.address.as_deref().unwrap_or(&host.name);
    let tls = info.tls();
    let more = match tls.mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => json!({}),
        mode => {
            let roots = match &tls.roots {
                postgres::conninfo::Roots::File(path) => path.display().to_string(),
                _ => String::new(),
            };
            let (certificate, key) = tls.client.as_ref().map_or_else(Default::default, |(c, k)| {
                (c.display().to_string(), k.display().to_string())
            });
            json!({ "tls": {
                "enabled": true,
                "enableHostVerification": mode == SslMode::VerifyFull,
                "caFile": roots,
                "certFile": certificate,
                "keyFile": key,
            }})
        }
    };
    Ok(sql(format!("{name}:{}", host.port), info.user(), password, more))
}

/// The server's configuration; JSON is YAML too.
fn config(
    cluster: &sanity::Cluster,
    ports: &[u16],
    dynamic: &Path,
    [main, visibility]: [Value; 2],
) -> Value {
    let service = |at: usize| {
        json!({ "rpc": {
            "grpcPort": ports.get(at),
            "membershipPort": ports.get(at + 1),
            "bindOnIP": "127.0.0.1",
        }})
    };
    let frontend = format!("127.0.0.1:{}", ports.first().copied().unwrap_or_default());
    let name = &cluster.name;
    json!({
        "log": { "stdout": true, "level": "warn" },
        "persistence": {
            "defaultStore": "main",
            "visibilityStore": "visibility",
            "numHistoryShards": cluster.shards,
            "datastores": { "main": main, "visibility": visibility },
        },
        "global": { "membership": { "maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1" } },
        "services": {
            "frontend": service(0),
            "history": service(2),
            "matching": service(4),
            "worker": service(6),
        },
        "clusterMetadata": {
            "enableGlobalNamespace": cluster.global,
            "failoverVersionIncrement": cluster.failover_increment.max(1),
            "masterClusterName": name,
            "currentClusterName": name,
            "clusterInformation": { name: {
                "enabled": true,
                "initialFailoverVersion": cluster.initial_failover,
                "rpcName": "frontend",
                "rpcAddress": &frontend,
            }},
        },
        "dcRedirectionPolicy": { "policy": "noop" },
        "publicClient": { "hostPort": &frontend },
        "dynamicConfigClient": { "filepath": dynamic, "pollInterval": "60s" },
    })
}

/// Nobody else uses this server.
fn limits() -> Value {
    let keys = [
        "frontend.rps",
        "frontend.namespaceRPS",
        "frontend.namespaceRPS.visibility",
        "frontend.namespaceCount",
        "frontend.persistenceMaxQPS",
        "history.rps",
        "history.persistenceMaxQPS",
    ];
    let all = keys.into_iter().map(|key| (key.to_owned(), json!([{ "value": UNLIMITED }])));
    Value::Object(all.collect())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, format!("{text}\n"))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(local("write", path))
}

fn local(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path: PathBuf = path.to_owned();
    move |source| Error::Local { doing, path, source }
}
