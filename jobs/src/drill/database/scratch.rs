//! Where a drill restores to: fresh databases on a server that is named, or a server of its own.
//!
//! Databases are called `aidp_drill_TOKEN_N`, which nothing else uses, and are dropped at the
//! end. While a drill lives, one of its sessions is called `aidp-backup drill TOKEN`; a database
//! whose drill has no such session any more is a dead drill's and is dropped by the next one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use pgarchive::quote::{quote_ident, quote_literal};
use postgres::conninfo::ConnInfo;
use postgres::inspect;
use postgres::session::{Session, SessionOptions};
use rand::Rng as _;

use super::super::{Isolation, Scratch as Described};
use super::postgres::{self as own, OwnServer};
use crate::Error;

const PREFIX: &str = "aidp_drill_";
const SESSION: &str = "aidp-backup drill ";

/// How long a configured source may take to say who it is.
const ASK_SOURCE: Duration = Duration::from_secs(10);

/// How long dropping databases may take when the drill is stopped.
const CLOSE: Duration = Duration::from_secs(60);

/// What to restore into.
#[derive(Debug, Clone)]
pub enum Target {
    /// Fresh databases on this server.
    Server(Box<ConnInfo>),
    /// A server started from the programs in this folder.
    Binaries(PathBuf),
}

/// A database by what it is, not by what it is called from here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub cluster: String,
    pub database: String,
}

/// An open scratch.
pub(super) struct Scratch {
    token: String,
    info: ConnInfo,
    holder: Session,
    own: Option<OwnServer>,
    /// Databases that were given out.
    databases: Vec<String>,
    /// Identifier of its cluster, where the role may ask.
    pub cluster: Option<String>,
    isolation: Vec<Isolation>,
    server: String,
    leftover: bool,
}

impl Scratch {
    /// Opens it and removes what dead drills left there. Databases in `sources` are never
    /// touched.
    pub async fn open(
        target: &Target,
        tcp: bool,
        sources: &BTreeSet<Identity>,
    ) -> Result<Self, Error> {
        let token = format!("{:016x}", rand::rng().random::<u64>());
        let (info, own) = match target {
            Target::Server(info) if info.names_database() => (info.as_ref().clone(), None),
            Target::Server(info) => (reach(info.with_database("postgres"))?, None),
            Target::Binaries(bin) => {
                let own = own::start(bin, &token, tcp).await?;
                (own.info.clone(), Some(own))
            }
        };
        let opened = Self::attach(&token, &info).await;
        let (mut holder, cluster) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if let Some(own) = own {
                    own.stop().await;
                }
                return Err(Error::database("open the scratch", info.database(), error));
            }
        };
        if own.is_none() {
            sweep(&mut holder).await;
        }
        let version = holder.database_info().server_version.clone();
        let server = match &own {
            Some(_) => format!("a PostgreSQL {version} that the drill started for itself"),
            None => format!("PostgreSQL {version}, reached as {info}"),
        };
        let mut scratch = Self {
            token,
            info,
            holder,
            own,
            databases: Vec::new(),
            cluster,
            isolation: Vec::new(),
            server,
            leftover: false,
        };
        scratch.describe(sources);
        Ok(scratch)
    }

    async fn attach(
        token: &str,
        info: &ConnInfo,
    ) -> Result<(Session, Option<String>), postgres::Error> {
        let mut holder = Session::open(info, &SessionOptions::default()).await?;
        let name = quote_literal(&format!("{SESSION}{token}"));
        holder
            .execute("naming the drill's session", &format!("SET application_name = {name}"))
            .await?;
        let cluster = inspect::system_identifier(&mut holder).await?;
        Ok((holder, cluster))
    }

    fn describe(&mut self, sources: &BTreeSet<Identity>) {
        let mut put = |what: &str, proof: String| {
            self.isolation.push(Isolation { what: what.into(), proof });
        };
        match &self.own {
            Some(own) => {
                let proof = match &own.tcp {
                    None => "listen_addresses is empty; the socket's folder is 0700".to_owned(),
                    Some((port, _)) => format!(
                        "it listens on a socket in a folder of 0700 and on 127.0.0.1:{port}, which \
                         asks for a random password"
                    ),
                };
                put("a server of the drill's own", proof);
            }
            None => put(
                "databases of the drill's own",
                format!("made by it, called {PREFIX}{}_N", self.token),
            ),
        }
        let clusters: BTreeSet<&str> = sources.iter().map(|s| s.cluster.as_str()).collect();
        match &self.cluster {
            Some(cluster) if clusters.contains(cluster.as_str()) => {
                tracing::warn!("the scratch server is the source's own: the drill is a load on it");
                put(
                    "another database than any source",
                    format!("same cluster {cluster}, and no source is called {PREFIX}…"),
                );
            }
            Some(cluster) if !clusters.is_empty() => put(
                "another cluster than any source",
                format!(
                    "system identifier {cluster}; the sources' are {}",
                    clusters.into_iter().collect::<Vec<_>>().join(", ")
                ),
            ),
            _ => put(
                "databases that did not exist before",
                "CREATE DATABASE refuses a name that is taken".into(),
            ),
        }
    }

    /// Says what else keeps it apart.
    pub fn isolated(&mut self, what: &str, proof: impl Into<String>) {
        self.isolation.push(Isolation { what: what.into(), proof: proof.into() });
    }

    /// Something of what was beside it could not be removed.
    pub fn leftover(&mut self) {
        self.leftover = true;
    }

    /// What its databases and sessions are called by.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The server of the drill's own, if it is one.
    pub fn own(&self) -> Option<&OwnServer> {
        self.own.as_ref()
    }

    /// Version of the server.
    pub fn version(&self) -> (&str, i32) {
        let info = self.holder.database_info();
        (&info.server_version, info.server_version_num)
    }

    /// How to reach a database that does not exist yet and is dropped at the end.
    pub fn next(&mut self, sources: &BTreeSet<Identity>) -> Result<ConnInfo, Error> {
        let name = format!("{PREFIX}{}_{}", self.token, self.databases.len());
        if let Some(cluster) = &self.cluster {
            let identity = Identity { cluster: cluster.clone(), database: name.clone() };
            if sources.contains(&identity) {
                return Err(Error::Refused {
                    what: format!("database {name:?} of the scratch is a configured source"),
                    hint: "name another server with --scratch".into(),
                });
            }
        }
        let info = reach(self.info.with_database(&name))?;
        self.databases.push(name);
        Ok(info)
    }

    /// Makes the roles that a restore needs, on a server of the drill's own. They cannot log in.
    pub async fn make_roles(&mut self, roles: &BTreeSet<String>) -> Result<(), Error> {
        if self.own.is_none() {
            return Ok(());
        }
        for role in roles.iter().filter(|role| !role.starts_with("pg_")) {
            let sql = format!(
                "DO $drill$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {}) \
                 THEN CREATE ROLE {} NOLOGIN; END IF; END $drill$",
                quote_literal(role),
                quote_ident(role)
            );
            let made = self.holder.execute("making a role on the scratch", &sql).await;
            made.map_err(|error| Error::database("prepare", self.info.database(), error))?;
        }
        Ok(())
    }

    /// Drops everything, ends the server, and describes what it was.
    pub async fn close(self) -> Described {
        let Self { holder, own, databases, isolation, server, leftover, .. } = self;
        let gone = !leftover
            & match own {
                Some(own) => {
                    drop(holder);
                    own.stop().await
                }
                None => {
                    let dropping = tokio::time::timeout(CLOSE, drop_all(holder, &databases));
                    dropping.await.unwrap_or(false)
                }
            };
        if !gone {
            tracing::warn!("the scratch is not gone; the next drill removes what is left");
        }
        Described { server, isolation, gone }
    }
}

/// Settings of a database on the same server.
fn reach(info: Result<ConnInfo, postgres::Error>) -> Result<ConnInfo, Error> {
    info.map_err(|error| Error::database("reach", "scratch", error))
}

/// Drops databases, and looks whether they are gone.
async fn drop_all(mut holder: Session, databases: &[String]) -> bool {
    let mut gone = true;
    for database in databases {
        gone &= drop_one(&mut holder, database).await;
    }
    holder.close().await;
    gone
}

async fn drop_one(holder: &mut Session, database: &str) -> bool {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_ident(database));
    match holder.execute("dropping a database of the drill", &sql).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("{database} cannot be dropped: {}", crate::chain(&error));
            false
        }
    }
}

/// Drops databases of drills that are gone.
async fn sweep(holder: &mut Session) {
    let begin = PREFIX.len() + 1;
    let sql = format!(
        "SELECT d.datname::pg_catalog.text AS name FROM pg_catalog.pg_database AS d \
         WHERE d.datname ~ '^{PREFIX}[0-9a-f]{{16}}_[0-9]+$' \
         AND pg_catalog.pg_has_role(d.datdba, 'MEMBER') \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.application_name = \
         '{SESSION}' || pg_catalog.substr(d.datname::pg_catalog.text, {begin}, 16)) ORDER BY 1"
    );
    let found = holder.rows("looking for what drills left", &sql).await;
    let names: Result<Vec<String>, _> =
        found.and_then(|rows| rows.iter().map(|row| row.get("name")).collect());
    match names {
        Ok(names) => {
            for name in names {
                tracing::info!("dropping {name}, left by a drill that was killed");
                drop_one(holder, &name).await;
            }
        }
        Err(error) => tracing::warn!("leftovers cannot be looked for: {}", crate::chain(&error)),
    }
}

/// What the configured sources are; one that does not answer is known by the backup alone.
pub(super) async fn identify(sources: &[ConnInfo]) -> Vec<Identity> {
    let asking = sources.iter().map(|info| async move {
        let ask = async {
            let mut session = Session::open(info, &SessionOptions::default()).await?;
            let cluster = inspect::system_identifier(&mut session).await?;
            let database = session.database().to_owned();
            session.close().await;
            Ok::<_, postgres::Error>(cluster.map(|cluster| Identity { cluster, database }))
        };
        match tokio::time::timeout(ASK_SOURCE, ask).await {
            Ok(Ok(identity)) => identity,
            Ok(Err(error)) => {
                tracing::debug!("a configured source does not answer: {}", crate::chain(&error));
                None
            }
            Err(_) => None,
        }
    });
    futures::future::join_all(asking).await.into_iter().flatten().collect()
}
