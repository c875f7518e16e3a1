//! One window: fetch, write, read back, publish. Published whole or not at all.

use std::collections::VecDeque;

use temporal::{Execution, Fetched};
use tokio::task::JoinSet;
use vault::Key;
use vault::window::{Cover, FORMAT_VERSION, Gone, Kind, Namespace, Window, WindowId};

use super::namespace::Task;
use super::plan::{Cut, Interval};
use crate::Error;
use crate::history::part::{self, Part, Written};

/// Histories asked for at the same time and waiting to be written, at most; how many of them are
/// really in flight is for the connection to decide.
const AHEAD: usize = 48;

/// Archives the runs of a cut and publishes the window.
pub(super) async fn archive(
    task: &Task<'_>,
    cut: Cut<Execution>,
    filter: &str,
) -> Result<Window, Error> {
    let times = cut.runs.first().zip(cut.runs.last());
    let (first, last) = times.map_or((cut.covers.to, cut.covers.to), |(first, last)| {
        (first.close_time, last.close_time)
    });
    let id = WindowId::new(first, last, rand::random());
    let mut window = empty(task, id, filter, &[cut.covers]);
    let mut keys = Vec::new();
    let result = async {
        if !cut.runs.is_empty() {
            let day = first.date_naive();
            let name = part::prefix(&task.namespace.name, day, &window.id, 0);
            let store = task.context.catalogue.store();
            let part = Part::begin(store, &name, task.job.codec, &mut keys).await?;
            let (written, vanished) = fetch(task, cut.runs, part).await?;
            window.vanished = vanished;
            if let Some(written) = written {
                take_in(&mut window, written);
                window.day = Some(day);
            }
        }
        publish(task, &mut window).await
    };
    let result = result.await;
    if result.is_err() {
        discard(task, &window.id, &keys).await;
    }
    result.map(|()| window)
}

/// A window of this run's namespace without runs yet.
pub(super) fn empty(task: &Task<'_>, id: WindowId, filter: &str, covers: &[Interval]) -> Window {
    let started = task.context.clock.now();
    Window {
        format_version: FORMAT_VERSION,
        id,
        kind: Kind::Histories,
        namespace: Namespace { name: task.namespace.name.clone(), id: task.namespace.id.clone() },
        filter: filter.to_owned(),
        day: None,
        covers: covers.iter().map(|part| Cover { from: part.from, to: part.to }).collect(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        host: task.context.holder.host.clone(),
        started,
        finished: started,
        runs: 0,
        events: 0,
        history_bytes: 0,
        statuses: Default::default(),
        vanished: Vec::new(),
        replaces: Vec::new(),
        segments: Vec::new(),
    }
}

/// Adds a written segment to a window.
pub(super) fn take_in(window: &mut Window, written: Written) {
    let Written { segment, finished } = written;
    window.runs += finished.runs;
    window.events += finished.events;
    window.history_bytes += finished.bytes;
    for (status, runs) in finished.statuses {
        *window.statuses.entry(status).or_default() += runs;
    }
    window.segments.push(segment);
}

/// Fetches runs and writes each as it comes. The segment is `None` when all of them were gone.
async fn fetch(
    task: &Task<'_>,
    runs: Vec<Execution>,
    mut part: Part,
) -> Result<(Option<Written>, Vec<Gone>), Error> {
    let mut waiting: VecDeque<Execution> = runs.into();
    let mut vanished = Vec::new();
    let mut fetching: JoinSet<(Execution, Result<Fetched, temporal::Error>)> = JoinSet::new();
    loop {
        while fetching.len() < AHEAD
            && let Some(run) = waiting.pop_front()
        {
            let (connection, namespace) = (task.connection.clone(), task.namespace.clone());
            let codec = task.job.codec;
            fetching.spawn(async move {
                let fetched = connection.fetch(&namespace, &run, codec).await;
                (run, fetched)
            });
        }
        let next = tokio::select! {
            next = fetching.join_next() => next,
            () = task.context.cancel.cancelled() => return Err(Error::Cancelled),
        };
        let Some(next) = next else { break };
        let (run, fetched) =
            next.map_err(|source| Error::Task { doing: "fetching a history", source })?;
        match fetched {
            Ok(fetched) => {
                let size = fetched.line.size();
                part.push(fetched.summary, fetched.events, fetched.line).await?;
                task.meter.add(size, 1);
            }
            Err(temporal::Error::Vanished { .. }) => {
                tracing::warn!(
                    "{}: the history of workflow {:?}, run {}, was gone before it could be read",
                    task.namespace.name,
                    run.workflow_id,
                    run.run_id
                );
                vanished.push(Gone {
                    workflow_id: run.workflow_id,
                    run_id: run.run_id,
                    close_time: run.close_time,
                });
            }
            Err(error) => return Err(Error::temporal(error)),
        }
    }
    vanished.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Ok((part.finish().await?, vanished))
}

/// Reads back what was stored and publishes the manifest: the commit.
pub(super) async fn publish(task: &Task<'_>, window: &mut Window) -> Result<(), Error> {
    let context = task.context;
    context.go_on()?;
    let found = part::check(context.catalogue.store(), window, &context.cancel).await?;
    if !found.damage.is_empty() {
        return Err(Error::ReadBack { damage: found.damage });
    }
    window.finished = context.clock.now().max(window.started);
    context.go_on()?;
    task.windows.publish(window, task.lease).await?;
    tracing::debug!("published window {} of {}", window.id, window.namespace.name);
    Ok(())
}

/// Removes what a failed window has stored, unless its manifest is there after all.
pub(super) async fn discard(task: &Task<'_>, id: &WindowId, keys: &[Key]) {
    if keys.is_empty() {
        return;
    }
    let removal = async {
        task.lease.check().await?;
        if task.windows.is_published(&task.namespace.name, id).await? {
            return Ok(());
        }
        let store = task.context.catalogue.store();
        Ok(store.delete(keys).await.map_err(vault::Error::from)?)
    };
    crate::runner::within_seconds("removing what a failed window stored", removal).await;
}
