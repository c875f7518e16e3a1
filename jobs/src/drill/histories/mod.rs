//! `drill histories`: archived histories imported into a Temporal that is thrown away, read back
//! and compared.

mod found;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rand::seq::SliceRandom as _;
use temporal::Namespace;
use temporal::connect::{self, Connection};

use self::found::Findings;
use self::server::OwnServer;
use super::{
    Check, Drilled, Evidence, FORMAT, Isolation, Kind, Measures, Scratch, SigningKey, Subject,
    new_id, record,
};
use crate::history::bring::Bringer;
use crate::history::find::{self, Hit};
use crate::history::throwaway::{self, DRILL_KEY};
use crate::history::{Query, WorkflowId};
use crate::runner::{Job, Shared};
use crate::{Context, Error};

/// Brings archived histories back into a Temporal and compares them.
#[derive(Debug, Clone)]
pub struct DrillHistories {
    /// Which histories.
    pub query: Query,
    /// So many of them, chosen by chance; all when not given.
    pub sample: Option<usize>,
    /// Where to.
    pub target: HistoriesTarget,
    /// Signs the evidence.
    pub key: Option<Arc<SigningKey>>,
}

/// A Temporal that can be thrown away.
#[derive(Debug, Clone)]
pub enum HistoriesTarget {
    /// One that runs, and is marked as such ([`throwaway::MARKER`]).
    Server(Box<connect::Options>),
    /// One that the drill starts itself from the server's program.
    Program(PathBuf),
}

/// Where histories are brought.
struct Place {
    connection: Connection,
    own: Option<OwnServer>,
    /// Namespaces that the drill has made, by those that runs come from.
    targets: BTreeMap<String, Namespace>,
    isolation: Vec<Isolation>,
}

#[async_trait]
impl Job for DrillHistories {
    type Report = Drilled;
    type Access = Shared;
    const NAME: &'static str = "drill histories";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Drilled, Error> {
        let (started, began) = (context.clock.now(), Instant::now());
        let id = new_id(started);
        let mut findings = Findings::default();
        let mut versions = BTreeMap::new();
        versions.insert("aidp-backup".to_owned(), env!("CARGO_PKG_VERSION").to_owned());

        let hits = self.choose(context, &mut findings).await?;
        let as_of = hits.iter().map(|hit| hit.entry.summary.close_time).max();
        let names: BTreeSet<&str> =
            hits.iter().map(|hit| hit.entry.summary.namespace.as_str()).collect();
        let subject = Subject {
            id: words(&self.query, self.sample),
            digest: None,
            as_of,
            names: names.into_iter().map(str::to_owned).collect(),
        };

        let mut scratch = None;
        if hits.is_empty() {
            findings.not_run("no archived history was chosen");
        } else {
            let opened = self.open(context, &hits, &id, &mut findings).await;
            scratch = match opened {
                Ok(place) => {
                    versions.extend(place.version().await);
                    Some(self.drill(context, place, hits, &mut findings).await?)
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    findings.not_run(&explained(&error));
                    None
                }
            };
        }

        let at = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        let (checks, mut measures) = findings.into_checks();
        measures.rpo_seconds = as_of.map(|time| at((started - time).as_seconds_f64().max(0.0)));
        if measures.parts.contains_key("import") {
            measures.rto_seconds = Some(at(began.elapsed().as_secs_f64()));
        }
        self.record(context, id, started, subject, versions, scratch, checks, measures).await
    }
}

impl DrillHistories {
    async fn choose(&self, context: &Context, findings: &mut Findings) -> Result<Vec<Hit>, Error> {
        let began = Instant::now();
        let mut found = find::all(context, &self.query).await?;
        findings.damaged.extend(found.damaged.iter().map(ToString::to_string));
        findings.matching = found.hits.len() as u64;
        if let Some(sample) = self.sample {
            found.hits.shuffle(&mut rand::rng());
            found.hits.truncate(sample);
        }
        findings.chosen = found.hits.len() as u64;
        findings.spent("find", began);
        Ok(found.hits)
    }

    /// The Temporal, known to be one that can be thrown away, with fresh namespaces.
    async fn open(
        &self,
        context: &Context,
        hits: &[Hit],
        id: &str,
        findings: &mut Findings,
    ) -> Result<Place, Error> {
        let began = Instant::now();
        let (own, options) = match &self.target {
            HistoriesTarget::Server(options) => (None, options.as_ref().clone()),
            HistoriesTarget::Program(program) => {
                let own = OwnServer::start(program, id).await?;
                let options = own.options();
                (Some(own), options)
            }
        };
        let connection = Connection::open(&options).await.map_err(Error::temporal)?;
        let mut isolation =
            throwaway::prove(&connection, &throwaway::sources(hits), own.is_some()).await?;
        if let Some(own) = &own {
            isolation.push(Isolation {
                what: "a server of the drill's own, with a database of its own".into(),
                proof: format!(
                    "started by this drill on {}, ports of the loopback alone, on a new SQLite \
                     file in the drill's folder: there is no ring that it could join",
                    own.address()
                ),
            });
        }
        let mut place = Place { connection, own, targets: BTreeMap::new(), isolation };
        if place.own.is_none() {
            place.sweep().await;
        }
        for (from, mut wanted) in throwaway::wanted(hits) {
            // A run that is there already would be taken for one that was imported.
            let suffix = format!("-drill-{}", id.to_lowercase());
            wanted.name.truncate(wanted.name.floor_char_boundary(200));
            wanted.name.push_str(&suffix);
            let data = [(DRILL_KEY, id)];
            match throwaway::prepare(context, &place.connection, &wanted, &data).await {
                Ok(namespace) => {
                    place.targets.insert(from, namespace);
                }
                Err(error) => {
                    place.end().await;
                    return Err(error);
                }
            }
        }
        let names: Vec<&str> =
            place.targets.values().map(|namespace| namespace.name.as_str()).collect();
        place.isolation.push(Isolation {
            what: "fresh namespaces, without workers".into(),
            proof: format!("made by this drill: {}", names.join(", ")),
        });
        findings.spent("boot", began);
        Ok(place)
    }

    /// Imports, compares, and ends what was begun.
    async fn drill(
        &self,
        context: &Context,
        place: Place,
        hits: Vec<Hit>,
        findings: &mut Findings,
    ) -> Result<Scratch, Error> {
        let brought = self.bring(context, &place, hits, findings).await;
        let server = place.connection.address().to_owned();
        let isolation = place.isolation.clone();
        let gone = place.end().await;
        match brought {
            Ok(()) => {}
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => findings.stopped(&explained(&error)),
        }
        Ok(Scratch { server: format!("Temporal at {server}"), isolation, gone })
    }

    async fn bring(
        &self,
        context: &Context,
        place: &Place,
        hits: Vec<Hit>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let bringer = Bringer::new(context, &place.connection, place.targets.clone())?;
        let brought = bringer.bring(hits, |hit, came| findings.came(hit, came)).await;
        findings.spent("import", began);
        brought?;
        let began = Instant::now();
        findings.listed(context, &place.connection, &place.targets).await?;
        findings.spent("checks", began);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one document")]
    async fn record(
        &self,
        context: &Context,
        id: String,
        started: DateTime<Utc>,
        subject: Subject,
        versions: BTreeMap<String, String>,
        scratch: Option<Scratch>,
        checks: Vec<Check>,
        measures: Measures,
    ) -> Result<Drilled, Error> {
        let evidence = Evidence {
            format: FORMAT.into(),
            id,
            kind: Kind::Histories,
            verdict: Evidence::judge(&checks),
            started,
            ended: context.clock.now(),
            subject,
            versions,
            scratch,
            checks,
            measures,
        };
        let recorded = record(context, &evidence, self.key.as_deref()).await?;
        Ok(Drilled { evidence, recorded })
    }
}

impl Place {
    async fn version(&self) -> Option<(String, String)> {
        let version = self.connection.server_version().await.ok()?;
        Some(("scratch Temporal".to_owned(), version))
    }

    /// Deletes what drills that were killed have left on a server.
    async fn sweep(&self) {
        let Ok(namespaces) = self.connection.namespaces().await else { return };
        for namespace in namespaces.iter().filter(|one| one.data.contains_key(DRILL_KEY)) {
            if let Err(error) = self.connection.unregister(namespace).await {
                tracing::warn!(
                    "namespace {:?} of a dead drill is left: {}",
                    namespace.name,
                    crate::chain(&error)
                );
            }
        }
    }

    /// Ends it all; says whether nothing is left.
    async fn end(self) -> bool {
        if let Some(own) = self.own {
            drop(self.connection);
            return own.end().await;
        }
        let mut gone = true;
        for namespace in self.targets.values() {
            if let Err(error) = self.connection.unregister(namespace).await {
                tracing::warn!("a namespace is left: {}", crate::chain(&error));
                gone = false;
            }
        }
        gone
    }
}

/// The choice of histories in words that make it again.
pub(super) fn words(query: &Query, sample: Option<usize>) -> String {
    let mut words = vec!["histories".to_owned()];
    let mut say = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name} {value}")));
    };
    say("of namespace", query.namespace.as_ref().map(ToString::to_string));
    say(
        "of workflow",
        query.workflow_id.as_ref().map(|id| match id {
            WorkflowId::Is(id) => id.clone(),
            WorkflowId::Begins(prefix) => format!("{prefix}…"),
        }),
    );
    say("of run", query.run_id.clone());
    say("of type", query.type_name.clone());
    let statuses = Some(query.statuses.join(", ")).filter(|text| !text.is_empty());
    say("that ended", statuses);
    say("closed since", query.since.map(|time| time.to_rfc3339()));
    say("closed before", query.until.map(|time| time.to_rfc3339()));
    for (name, value) in &query.attributes {
        say("with", Some(format!("{name}={value}")));
    }
    say("a sample of", sample.map(|sample| sample.to_string()));
    words.join(" ")
}

/// Whether the drill cannot even leave evidence, or was told to stop.
fn is_final(error: &Error) -> bool {
    error.is_of_the_store() || matches!(error, Error::Cancelled | Error::Task { .. })
}

/// An error with what mends it, for whoever reads the evidence.
fn explained(error: &Error) -> String {
    let text = crate::chain(error);
    error.hint().map_or(text.clone(), |hint| format!("{text}; {hint}"))
}
