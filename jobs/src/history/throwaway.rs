//! Temporal clusters that can be thrown away, and namespaces in them to import into.
//!
//! An import schedules what follows the close of a run, so no cluster that anybody needs may get
//! one. Nothing is imported unless all of this holds:
//! - the drill has started the server itself, or the cluster has a namespace called [`MARKER`],
//!   which only a person makes;
//! - none of its namespaces is one that the histories come from, by its id;
//! - no workflow runs in any of its namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use temporal::Namespace;
use temporal::connect::Connection;
use temporal::segment::Summary;
use tokio::time::Instant;

use super::find::Hit;
use crate::drill::Isolation;
use crate::{Context, Error};

/// The namespace that says of a cluster that it can be thrown away.
pub const MARKER: &str = "aidp-backup-throwaway";

/// Data of a namespace that a drill has made: whoever finds it may delete it.
pub(crate) const DRILL_KEY: &str = "aidp-backup-drill";

/// What is kept of runs beyond their age.
const SPARE: TimeDelta = TimeDelta::days(30);

/// How long a server's caches may take to know a new namespace.
const CACHES: Duration = Duration::from_secs(60);

const LOOK: Duration = Duration::from_millis(100);

/// What is wanted of a namespace to import into.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its name.
    pub name: String,
    /// When the oldest of its runs closed.
    pub oldest: DateTime<Utc>,
    /// Search attributes, as far as lines tell them: their types by name.
    pub attributes: BTreeMap<String, String>,
}

/// What is wanted for some runs, by the namespace that they come from.
pub(crate) fn wanted(hits: &[Hit]) -> BTreeMap<String, Wanted> {
    let mut all: BTreeMap<String, Wanted> = BTreeMap::new();
    for hit in hits {
        let run = &hit.entry.summary;
        let wanted = all.entry(run.namespace.clone()).or_insert_with(|| Wanted {
            name: run.namespace.clone(),
            oldest: run.close_time,
            attributes: BTreeMap::new(),
        });
        wanted.oldest = wanted.oldest.min(run.close_time);
        wanted.attributes.extend(attributes(run));
    }
    all
}

fn attributes(run: &Summary) -> impl Iterator<Item = (String, String)> {
    run.search_attributes.iter().filter_map(|(name, attribute)| {
        Some((name.clone(), attribute.get("type")?.as_str()?.to_owned()))
    })
}

/// Ids of the namespaces that runs come from.
pub(crate) fn sources(hits: &[Hit]) -> BTreeSet<String> {
    hits.iter().map(|hit| hit.entry.summary.namespace_id.clone()).collect()
}

/// Makes sure that a cluster can be thrown away; gives how that is known.
///
/// # Errors
/// [`Error::Refused`] when it cannot be known, or is known not to be so.
pub(crate) async fn prove(
    connection: &Connection,
    sources: &BTreeSet<String>,
    own: bool,
) -> Result<Vec<Isolation>, Error> {
    let address = connection.address();
    let namespaces = connection.namespaces().await.map_err(Error::temporal)?;
    if let Some(source) = namespaces.iter().find(|namespace| sources.contains(&namespace.id)) {
        return Err(Error::Refused {
            what: format!(
                "the Temporal at {address} is the one that the histories come from, or a copy of \
                 it: its namespace {:?} has the same id",
                source.name
            ),
            hint: "name a cluster that can be thrown away with --temporal-address".into(),
        });
    }
    let mut isolation = vec![Isolation {
        what: "not the cluster that the histories come from".into(),
        proof: format!("none of its namespaces has one of their {} ids", sources.len()),
    }];
    if !own {
        if !namespaces.iter().any(|namespace| namespace.name == MARKER) {
            return Err(Error::Refused {
                what: format!("nothing says that the Temporal at {address} can be thrown away"),
                hint: format!(
                    "imports disturb a cluster. If nobody needs this one, say so: `temporal \
                     operator namespace create -n {MARKER} --retention 24h`"
                ),
            });
        }
        isolation.push(Isolation {
            what: "a cluster that can be thrown away".into(),
            proof: format!("it has the namespace {MARKER}"),
        });
    }
    for namespace in &namespaces {
        let running = connection.running(namespace).await.map_err(Error::temporal)?;
        if running > 0 {
            return Err(Error::Refused {
                what: format!(
                    "the Temporal at {address} is in use: {running} workflows run in namespace {:?}",
                    namespace.name
                ),
                hint: "use a cluster in which nothing runs".into(),
            });
        }
    }
    isolation.push(Isolation {
        what: "nobody works there".into(),
        proof: format!("no workflow runs in its {} namespaces", namespaces.len()),
    });
    Ok(isolation)
}

/// A namespace to import into, which is made when it is not there; it knows its search attributes
/// then.
///
/// # Errors
/// When it keeps runs for less time than these need: the server would delete them at once.
pub(crate) async fn prepare(
    context: &Context,
    connection: &Connection,
    wanted: &Wanted,
    data: &[(&str, &str)],
) -> Result<Namespace, Error> {
    let age = context.clock.now() - wanted.oldest;
    let existing = match connection.namespace(&wanted.name).await {
        Ok(namespace) => Some(namespace),
        Err(temporal::Error::NamespaceGone { .. }) => None,
        Err(error) => return Err(Error::temporal(error)),
    };
    match existing {
        Some(namespace) if namespace.retention > age + TimeDelta::hours(1) => {}
        Some(namespace) => {
            return Err(Error::Refused {
                what: format!(
                    "namespace {:?} keeps runs for {} days, and the oldest of these closed {} days \
                     ago: the server would delete them again",
                    namespace.name,
                    namespace.retention.num_days(),
                    age.num_days()
                ),
                hint: "name a namespace that does not exist with --into, or raise its retention"
                    .into(),
            });
        }
        None => {
            let retention = TimeDelta::days((age.max(TimeDelta::zero()) + SPARE).num_days());
            connection.register(&wanted.name, retention, data).await.map_err(Error::temporal)?;
        }
    }
    let known = Instant::now() + CACHES;
    loop {
        context.go_on()?;
        let ready = match connection.namespace(&wanted.name).await {
            Ok(namespace) => connection.running(&namespace).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => break,
            Err(temporal::Error::NamespaceGone { .. }) if Instant::now() < known => {
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(Error::temporal(error)),
        }
    }
    let ensured = connection.ensure_search_attributes(&wanted.name, &wanted.attributes).await;
    ensured.map_err(Error::temporal)?;
    connection.namespace(&wanted.name).await.map_err(Error::temporal)
}
