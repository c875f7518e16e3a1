//! Closed histories as the restored Temporal serves them, against the archive, both ways.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use temporal::connect::Connection;
use temporal::import::Archived;
use temporal::{Execution, Namespace, query};
use vault::window::{Window, Windows};

use crate::archive::Pattern;
use crate::drill::{Check, CheckResult};
use crate::history::Query;
use crate::history::find::{self, Hit};
use crate::{Context, Error};

/// Histories that are read at the same time.
const AT_ONCE: usize = 8;

/// How far the clocks of Temporal and of its databases may be apart.
const CLOCKS: TimeDelta = TimeDelta::seconds(2);

const CONTENT: &str = "Temporal: histories as archived";
const BOTH: &str = "Temporal: runs in the database and in the archive";

/// How many histories are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Every closed run that is archived too.
    All,
    /// So many of them, evenly over time.
    Some(usize),
}

/// What the two snapshots allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Everything that closed before this is in both databases.
    pub settled: DateTime<Utc>,
    /// The latest of the two.
    pub last: DateTime<Utc>,
}

impl Times {
    pub(super) fn new(one: DateTime<Utc>, other: DateTime<Utc>) -> Self {
        Self { settled: one.min(other) - CLOCKS, last: one.max(other) }
    }
}

/// What was found in one namespace.
#[derive(Default)]
struct Found {
    read: usize,
    both: usize,
    content: Vec<String>,
    missing: Vec<String>,
    skewed: Vec<String>,
    reset_points: usize,
}

/// Compares every namespace; gives the checks and the number of histories that were read.
pub(super) async fn compare(
    context: &Context,
    connection: &Connection,
    sample: Sample,
    times: Times,
) -> Result<(Vec<Check>, u64), Error> {
    let windows = Windows::new(context.catalogue.store().clone());
    let mut checks = Vec::new();
    let mut read = 0;
    let namespaces = connection.namespaces().await.map_err(Error::temporal)?;
    for namespace in namespaces {
        context.go_on()?;
        let published = windows.of_namespace(&namespace.name, &namespace.id).await?;
        if published.windows.is_empty() && published.damaged.is_empty() {
            let why = "nothing of this namespace is archived here";
            checks.push(Check::not_run(CONTENT, why).about(&namespace.name).optional());
            continue;
        }
        let name = namespace.name.clone();
        match one(context, connection, &namespace, &published.windows, sample, times).await {
            Ok(found) => {
                read += found.read as u64;
                checks.extend(found.checks(&name));
            }
            Err(error @ Error::Cancelled) => return Err(error),
            Err(error) if error.is_of_the_store() => return Err(error),
            Err(error) => match error.into_damage() {
                Ok(damage) => {
                    let check = Check::new(CONTENT, CheckResult::Fail).found(damage.to_string());
                    checks.push(check.about(&name));
                }
                Err(error) => {
                    checks.push(Check::not_run(CONTENT, crate::chain(&error)).about(&name));
                }
            },
        }
    }
    Ok((checks, read))
}

impl Found {
    fn checks(self, namespace: &str) -> Vec<Check> {
        let expected = format!("{} of {} closed runs, byte for byte", self.read, self.both);
        let mut content = Check::of_differences(CONTENT, expected, self.content);
        if content.result == CheckResult::Pass && self.reset_points > 0 {
            content = content.found(format!(
                "in {} of them event 1 has other times of expiry, which a server computes",
                self.reset_points
            ));
        }
        let expected = "each closed run that is covered is in both";
        let mut checks = vec![content, Check::of_differences(BOTH, expected, self.missing)];
        if !self.skewed.is_empty() {
            let check =
                Check::new("Temporal: runs that moved around the snapshots", CheckResult::Pass);
            checks.push(
                check
                    .expected("differences that the times of snapshots and retention explain")
                    .found(self.skewed.len().to_string())
                    .names(self.skewed)
                    .optional(),
            );
        }
        checks.into_iter().map(|check| check.about(namespace)).collect()
    }
}

async fn one(
    context: &Context,
    connection: &Connection,
    namespace: &Namespace,
    windows: &[Window],
    sample: Sample,
    times: Times,
) -> Result<Found, Error> {
    let mut found = Found::default();
    // What is older has been deleted by retention, and says nothing.
    let since = times.last - namespace.retention - TimeDelta::days(1);
    let wanted =
        Query { namespace: Pattern::new(&namespace.name), since: Some(since), ..Query::default() };
    let archived = find::all(context, &wanted).await?;
    found.content.extend(archived.damaged.iter().map(ToString::to_string));
    let hits: BTreeMap<String, Hit> = archived
        .hits
        .into_iter()
        .filter(|hit| hit.entry.summary.namespace_id == namespace.id)
        .map(|hit| (hit.entry.summary.run_id.clone(), hit))
        .collect();
    let listed = listed(context, connection, namespace, "", None).await?;

    // In the archive and not in the database.
    for (run, hit) in &hits {
        if listed.contains_key(run) {
            continue;
        }
        let summary = &hit.entry.summary;
        let name = format!("{} / {run}", summary.workflow_id);
        if summary.close_time >= times.settled {
            found.skewed.push(format!("{name}: closed after the snapshot"));
        } else if summary.close_time + namespace.retention <= times.last {
            found.skewed.push(format!("{name}: its retention was over"));
        } else {
            found.missing.push(format!("{name}: is archived and not in the database"));
        }
    }

    // In the database and not in the archive, although windows say that they cover it.
    let gone: HashSet<&str> =
        windows.iter().flat_map(|w| &w.vanished).map(|gone| gone.run_id.as_str()).collect();
    let filters: BTreeSet<&str> = windows.iter().map(|window| window.filter.as_str()).collect();
    for filter in filters {
        let covers = windows.iter().filter(|window| window.filter == filter);
        for cover in joined(covers.flat_map(|window| &window.covers).map(|c| (c.from, c.to))) {
            let runs = self::listed(context, connection, namespace, filter, Some(cover)).await?;
            for (run, execution) in runs {
                if execution.close_time < since
                    || hits.contains_key(&run)
                    || gone.contains(run.as_str())
                {
                    continue;
                }
                let name = format!("{} / {run}", execution.workflow_id);
                found.missing.push(format!("{name}: is in the database and not archived"));
            }
        }
    }

    // In both: the histories themselves.
    let both: Vec<&Hit> =
        hits.iter().filter(|(run, _)| listed.contains_key(*run)).map(|(_, hit)| hit).collect();
    found.both = both.len();
    let chosen: Vec<Hit> = choose(both, sample).into_iter().cloned().collect();
    found.read = chosen.len();
    let mut waiting = chosen.into_iter();
    let mut reading = FuturesUnordered::new();
    let read = |hit: Hit| async {
        let outcome = read(context, connection, namespace, &hit).await;
        (hit, outcome)
    };
    reading.extend(waiting.by_ref().take(AT_ONCE).map(read));
    while let Some((hit, outcome)) = reading.next().await {
        context.go_on()?;
        reading.extend(waiting.next().map(read));
        let summary = &hit.entry.summary;
        let name = format!("{} / {}", summary.workflow_id, summary.run_id);
        let difference = match outcome? {
            Ok(back) if back.is_same() => {
                found.reset_points += usize::from(back.reset_points);
                continue;
            }
            Ok(back) => back.differences.first().map_or_else(String::new, ToString::to_string),
            Err(why) => why,
        };
        if summary.close_time >= times.settled {
            found.skewed.push(format!("{name}: closed between the snapshots: {difference}"));
        } else {
            found.content.push(format!("{name}: {difference}"));
        }
    }
    Ok(found)
}

/// One history from the copy, compared with its line; what the server does not have is said in
/// words.
async fn read(
    context: &Context,
    connection: &Connection,
    namespace: &Namespace,
    hit: &Hit,
) -> Result<Result<temporal::import::ReadBack, String>, Error> {
    let line = find::line(context.catalogue.store(), hit).await?;
    let archived = Archived::new(&hit.entry, line);
    let archived = archived.map_err(|error| Error::segment(&hit.data.key, error))?;
    match connection.read_back(namespace, &archived).await {
        Ok(back) => Ok(Ok(back)),
        Err(temporal::Error::Vanished { .. }) => Ok(Err("the server has no history of it".into())),
        Err(error @ temporal::Error::Incomplete { .. }) => Ok(Err(crate::chain(&error))),
        Err(error) => Err(Error::temporal(error)),
    }
}

/// So many of them, evenly.
fn choose(all: Vec<&Hit>, sample: Sample) -> Vec<&Hit> {
    let wanted = match sample {
        Sample::All => return all,
        Sample::Some(wanted) if wanted >= all.len() => return all,
        Sample::Some(wanted) => wanted,
    };
    let mut all = all;
    all.sort_by_key(|hit| hit.entry.summary.close_time);
    let count = all.len();
    (0..wanted).filter_map(|at| all.get(at * count / wanted).copied()).collect()
}

/// Closed runs by run id.
async fn listed(
    context: &Context,
    connection: &Connection,
    namespace: &Namespace,
    filter: &str,
    within: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Result<HashMap<String, Execution>, Error> {
    let (from, to) = within.map_or((None, None), |(from, to)| (Some(from), Some(to)));
    let query = query::closed(filter, from, to);
    let mut runs = HashMap::new();
    let mut token = Vec::new();
    loop {
        context.go_on()?;
        let page = connection.list(namespace, &query, token).await.map_err(Error::temporal)?;
        for execution in page.executions {
            runs.insert(execution.run_id.clone(), execution);
        }
        if page.next.is_empty() {
            return Ok(runs);
        }
        token = page.next;
    }
}

/// Intervals that touch each other as one.
fn joined(
    intervals: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let mut sorted: Vec<_> = intervals.collect();
    sorted.sort_unstable();
    let mut joined: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (from, to) in sorted {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}
