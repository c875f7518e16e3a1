//! Archived runs brought into a Temporal, many at a time, and read back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use temporal::Namespace;
use temporal::connect::Connection;
use temporal::import::{Archived, Facts, Link, Translator};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::find::{self, Hit};
use crate::{Context, Damage, Error};

/// Runs in progress at the same time. Servers gain nothing from more.
const WIDTH: usize = 16;

/// Bytes of lines that are held at the same time; what is larger is held alone.
const MEMORY: u64 = 24 << 20;

/// Permits of that are so many bytes each.
const UNIT: u64 = 1 << 10;

/// How long a server's caches may take to know new search attributes.
const CACHES: Duration = Duration::from_secs(60);

const LOOK: Duration = Duration::from_millis(250);

/// What came of one run.
#[derive(Debug)]
pub(crate) enum Came {
    /// The server has it as it is archived.
    Back(Back),
    /// Its history contradicts what the archive says of it; it was not imported.
    Unfit(Vec<String>),
    /// It has come back otherwise.
    Different(Vec<String>),
    /// It could not be imported or read back.
    Failed(String),
    /// Its line cannot be read.
    Damaged(Damage),
}

/// A run that has come back.
#[derive(Debug)]
pub(crate) struct Back {
    pub events: u64,
    /// Whether times that the target's retention decides are other ones.
    pub reset_points: bool,
    pub link: Link,
}

/// Brings runs into a cluster.
pub(crate) struct Bringer {
    context: Context,
    connection: Connection,
    translator: Translator,
    /// By the names of those that the runs come from.
    targets: BTreeMap<String, Target>,
}

/// A namespace to import into.
struct Target {
    namespace: Mutex<Namespace>,
    /// Until when what it does not know may be a matter of its caches.
    settles: Mutex<Instant>,
    /// Adding search attributes, one task at a time.
    adding: tokio::sync::Mutex<()>,
}

impl Target {
    fn new(namespace: Namespace) -> Self {
        Self {
            namespace: Mutex::new(namespace),
            settles: Mutex::new(Instant::now() + CACHES),
            adding: tokio::sync::Mutex::new(()),
        }
    }

    fn namespace(&self) -> Namespace {
        self.namespace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_settled(&self) -> bool {
        Instant::now() > *self.settles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bringer {
    pub(crate) fn new(
        context: &Context,
        connection: &Connection,
        targets: BTreeMap<String, Namespace>,
    ) -> Result<Arc<Self>, Error> {
        let targets = targets.into_iter().map(|(from, into)| (from, Target::new(into)));
        Ok(Arc::new(Self {
            context: context.clone(),
            connection: connection.clone(),
            translator: Translator::built_in().map_err(Error::temporal)?,
            targets: targets.collect(),
        }))
    }

    /// Brings runs, and tells of each what came of it, in any order.
    ///
    /// # Errors
    /// Those of the store and of the connection, after which nothing would go better.
    pub(crate) async fn bring(
        self: &Arc<Self>,
        hits: Vec<Hit>,
        mut told: impl FnMut(&Hit, Came),
    ) -> Result<(), Error> {
        let meter = self.context.progress.begin("importing histories");
        let memory = Arc::new(Semaphore::new((MEMORY / UNIT) as usize));
        let mut tasks: JoinSet<(Hit, Result<Came, Error>)> = JoinSet::new();
        let mut hits = hits.into_iter();
        loop {
            self.context.go_on()?;
            if tasks.len() < WIDTH
                && let Some(hit) = hits.next()
            {
                // Its line, as bytes on the wire, and as the server gives it back.
                let bytes = hit.entry.at.size.saturating_mul(3).div_ceil(UNIT);
                let bytes = bytes.clamp(1, MEMORY / UNIT) as u32;
                let permit = Arc::clone(&memory).acquire_many_owned(bytes).await;
                let this = Arc::clone(self);
                tasks.spawn(async move {
                    let _permit = permit;
                    let came = this.one(&hit).await;
                    (hit, came)
                });
                continue;
            }
            let Some(done) = tasks.join_next().await else { return Ok(()) };
            let (hit, came) =
                done.map_err(|source| Error::Task { doing: "importing a history", source })?;
            meter.add(hit.entry.at.size, 1);
            told(&hit, came?);
        }
    }

    async fn one(&self, hit: &Hit) -> Result<Came, Error> {
        let line = match find::line(self.context.catalogue.store(), hit).await {
            Ok(line) => line,
            Err(error) => return Ok(Came::Damaged(error.into_damage()?)),
        };
        let run = match Archived::new(&hit.entry, line) {
            Ok(run) => run,
            Err(error) => {
                let error = Error::segment(&hit.data.key, error);
                return Ok(Came::Damaged(error.into_damage()?));
            }
        };
        let facts = match Facts::read(&run) {
            Ok(facts) => facts,
            Err(what) => return Ok(Came::Unfit(vec![what])),
        };
        let misfits = facts.misfits(&run);
        if !misfits.is_empty() {
            return Ok(Came::Unfit(misfits));
        }
        let Some(target) = self.targets.get(&run.summary.namespace) else {
            return Ok(Came::Failed("no namespace is prepared for it".into()));
        };
        if let Err(error) = self.import(target, &run, &facts).await {
            return failed(error);
        }
        let found = match self.connection.read_back(&target.namespace(), &run).await {
            Ok(found) => found,
            Err(error @ temporal::Error::Incomplete { .. }) => {
                return Ok(Came::Different(vec![crate::chain(&error)]));
            }
            Err(error) => return failed(error),
        };
        if !found.is_same() {
            let mut places: Vec<String> =
                found.differences.iter().map(ToString::to_string).collect();
            let more = found.different.saturating_sub(places.len() as u64);
            if more > 0 {
                places.push(format!("and {more} more"));
            }
            return Ok(Came::Different(places));
        }
        Ok(Came::Back(Back {
            events: found.events,
            reset_points: found.reset_points,
            link: facts.link(),
        }))
    }

    /// Imports; what the server does not know may be new to its caches, or an attribute that only
    /// events tell of.
    async fn import(
        &self,
        target: &Target,
        run: &Archived,
        facts: &Facts,
    ) -> Result<(), temporal::Error> {
        loop {
            let namespace = target.namespace();
            let imported = self.connection.import(&namespace, run, facts, &self.translator).await;
            let Err(error) = imported else { return Ok(()) };
            if !error.may_be_unknown_yet() {
                return Err(error);
            }
            let wanted = self.translator.search_attributes(run)?;
            let adding = target.adding.lock().await;
            let added = self.connection.ensure_search_attributes(&namespace.name, &wanted).await?;
            if added > 0 {
                let renewed = self.connection.namespace(&namespace.name).await?;
                *target.namespace.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
                *target.settles.lock().unwrap_or_else(PoisonError::into_inner) =
                    Instant::now() + CACHES;
            }
            drop(adding);
            if target.is_settled() || self.context.cancel.is_cancelled() {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What a failure says of one run, or that it is one of all.
fn failed(error: temporal::Error) -> Result<Came, Error> {
    if error.is_of_the_run() {
        return Ok(Came::Failed(crate::chain(&error)));
    }
    Err(Error::temporal(error))
}
