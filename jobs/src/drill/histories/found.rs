//! What a drill of histories has found, and the checks that come of it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use temporal::Namespace;
use temporal::connect::Connection;
use temporal::import::Link;
use temporal::query;
use temporal::segment::Summary;

use super::super::{Check, CheckResult, Measures};
use crate::history::bring::Came;
use crate::history::find::Hit;
use crate::{Context, Error};

/// How long visibility may take to list what was imported.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK: Duration = Duration::from_millis(250);

const READ: &str = "chosen histories are whole in the archive";
const FIT: &str = "each history is that of its run";
const CHAIN: &str = "runs of a chain name each other";
const IMPORT: &str = "the server takes every history";
const SAME: &str = "every history reads back byte for byte";
const TIMES: &str = "expiry times of reset points";
const LISTED: &str = "runs are listed as they were archived";

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    /// Runs that were meant.
    pub matching: u64,
    /// Runs that were chosen of those.
    pub chosen: u64,
    /// What cannot be read.
    pub damaged: Vec<String>,
    unfit: Vec<String>,
    different: Vec<String>,
    failed: Vec<String>,
    unlike: Vec<String>,
    reset_points: u64,
    events: u64,
    back: HashMap<(String, String), (Summary, Link)>,
    /// Why nothing, or no more, could be looked at.
    stopped: Option<String>,
    was_listed: bool,
    measures: Measures,
}

impl Findings {
    /// Adds to the seconds of a part.
    pub fn spent(&mut self, part: &str, began: Instant) {
        *self.measures.parts.entry(part.to_owned()).or_default() += began.elapsed().as_secs_f64();
    }

    /// Nothing could be looked at.
    pub fn not_run(&mut self, why: &str) {
        self.stopped = Some(why.to_owned());
    }

    /// No more could be looked at.
    pub fn stopped(&mut self, why: &str) {
        self.stopped = Some(why.to_owned());
    }

    /// What came of one run.
    pub fn came(&mut self, hit: &Hit, came: Came) {
        let run = &hit.entry.summary;
        let named = |reasons: Vec<String>| format!("{}: {}", name(run), reasons.join(", "));
        match came {
            Came::Back(back) => {
                self.events += back.events;
                self.reset_points += u64::from(back.reset_points);
                let key = (run.namespace.clone(), run.run_id.clone());
                // What is compared with visibility.
                self.back.insert(key, (run.clone(), back.link));
            }
            Came::Unfit(reasons) => self.unfit.push(named(reasons)),
            Came::Different(reasons) => self.different.push(named(reasons)),
            Came::Failed(reason) => self.failed.push(named(vec![reason])),
            Came::Damaged(damage) => self.damaged.push(format!("{}: {damage}", name(run))),
        }
    }

    /// Compares what visibility lists with what was imported.
    pub async fn listed(
        &mut self,
        context: &Context,
        connection: &Connection,
        targets: &BTreeMap<String, Namespace>,
    ) -> Result<(), Error> {
        for (from, namespace) in targets {
            let expected =
                self.back.values().filter(|(run, _)| run.namespace == *from).count() as u64;
            self.wait_listed(context, connection, namespace, expected).await?;
            let renewed = connection.namespace(&namespace.name).await.map_err(Error::temporal)?;
            let mut missing: HashMap<&str, &Summary> = self
                .back
                .values()
                .filter(|(run, _)| run.namespace == *from)
                .map(|(run, _)| (run.run_id.as_str(), run))
                .collect();
            let mut token = Vec::new();
            let query = query::restriction("", &[], true).map_err(Error::temporal)?;
            let query = query::closed(&query, None, None);
            loop {
                context.go_on()?;
                let page = connection.list(&renewed, &query, token).await;
                let page = page.map_err(Error::temporal)?;
                for listed in &page.executions {
                    let Some(run) = missing.remove(listed.run_id.as_str()) else { continue };
                    let unlike = connection.unlike(&renewed, listed, run);
                    let unlike = unlike.map_err(Error::temporal)?;
                    if !unlike.is_empty() {
                        self.unlike.push(format!("{}: {}", name(run), unlike.join(", ")));
                    }
                }
                if page.next.is_empty() {
                    break;
                }
                token = page.next;
            }
            self.unlike.extend(missing.values().map(|run| format!("{}: not listed", name(run))));
        }
        self.was_listed = true;
        Ok(())
    }

    async fn wait_listed(
        &self,
        context: &Context,
        connection: &Connection,
        namespace: &Namespace,
        expected: u64,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let query = query::restriction("", &[], true).map_err(Error::temporal)?;
        let query = query::closed(&query, None, None);
        loop {
            context.go_on()?;
            let listed = connection.count(namespace, &query).await.map_err(Error::temporal)?;
            if listed >= expected || began.elapsed() > PATIENCE {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Runs that say which one comes before or after them, and are not told the same by it.
    fn broken_chains(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for ((namespace, _), (run, link)) in &self.back {
            let other = |id: &String| self.back.get(&(namespace.clone(), id.clone()));
            if let Some(after) = &link.after
                && let Some((next, its)) = other(after)
                && its.before.as_ref().is_some_and(|before| *before != run.run_id)
            {
                broken.push(format!(
                    "{}: says that run {after} continues it, which says it continues {}",
                    name(run),
                    its.before.as_deref().unwrap_or("none")
                ));
                debug_assert!(next.run_id == *after);
            }
            if let Some(before) = &link.before
                && let Some((_, its)) = other(before)
                && its.after.as_ref().is_some_and(|after| *after != run.run_id)
            {
                broken.push(format!(
                    "{}: says that it continues run {before}, which says that {} does",
                    name(run),
                    its.after.as_deref().unwrap_or("none")
                ));
            }
        }
        broken.sort();
        broken
    }

    /// The checks, and what was measured.
    pub fn into_checks(mut self) -> (Vec<Check>, Measures) {
        let chosen = self.chosen;
        let back = self.back.len() as u64;
        let counts = [("runs", back), ("events", self.events)];
        self.measures.counts.extend(counts.map(|(name, count)| (name.to_owned(), count)));
        let chains = self.broken_chains();
        let expected = match self.matching {
            matching if matching == chosen => format!("{chosen} runs"),
            matching => format!("{chosen} of {matching} runs, chosen by chance"),
        };
        // What was found counts even where not all could be looked at.
        let mut checks = Vec::new();
        let mut check = |name: &str, expected: &str, mut differing: Vec<String>, looked: bool| {
            differing.sort();
            let why = self.stopped.as_deref().unwrap_or("not all histories could be looked at");
            checks.push(if differing.is_empty() && !looked {
                Check::not_run(name, why).expected(expected)
            } else {
                Check::of_differences(name, expected, differing)
            });
        };
        let done = self.stopped.is_none() && chosen > 0;
        let bad = self.damaged.len() + self.unfit.len() + self.failed.len() + self.different.len();
        let imported = done && self.failed.is_empty() && back > 0;
        check(READ, &expected, self.damaged, done);
        check(FIT, "ids, type, status, end and number of events agree", self.unfit, done);
        check(CHAIN, "as far as both are among the chosen", chains, done);
        check(SAME, &format!("{chosen} runs"), self.different, imported);
        check(LISTED, "status, times, memo and search attributes", self.unlike, self.was_listed);
        // A server that does not take a history proves nothing about it.
        let take = if self.failed.is_empty() && done && back + bad as u64 >= chosen {
            Check::new(IMPORT, CheckResult::Pass)
                .expected("all that fit their runs")
                .found(format!("{back} runs, {} events", self.events))
        } else if self.failed.is_empty() {
            let why = self.stopped.as_deref().unwrap_or("not all histories could be looked at");
            Check::not_run(IMPORT, why)
        } else {
            Check::not_run(IMPORT, format!("{} were refused", self.failed.len()))
                .expected("all that fit their runs")
                .names(self.failed)
        };
        checks.insert(3, take);
        let times = match self.reset_points {
            0 => Check::new(TIMES, CheckResult::Pass).found("the same everywhere"),
            count => Check::new(TIMES, CheckResult::Pass).found(format!(
                "in {count} runs other ones: the server computes \
                 prevAutoResetPoints.points[].expireTime of event 1 by its own retention"
            )),
        };
        let times = if done { times } else { Check::not_run(TIMES, "see above") };
        checks.push(times.optional());
        (checks, self.measures)
    }
}

fn name(run: &Summary) -> String {
    format!("{} {} run {}", run.namespace, run.workflow_id, run.run_id)
}
