//! One window: fetch, write, read back, publish. Published whole or not at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use temporal::Execution;
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

/// Bytes that finished lines may hold while they wait for the store, about; a line that is larger
/// waits alone. The connection bounds only what is being fetched, see [`temporal::limit::Limits`].
const AHEAD_BYTES: usize = 24 << 20;

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
            let (runs, namespace) = (cut.runs.len(), &task.namespace.name);
            tracing::debug!(
                "fetching the histories of {runs} runs of {namespace} for {}",
                window.id
            );
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
    let ahead = Ahead::default();
    let mut fetching = JoinSet::new();
    loop {
        while fetching.len() < AHEAD
            && let Some(share) = waiting.front().and_then(|run| ahead.share(run))
            && let Some(run) = waiting.pop_front()
        {
            let (connection, namespace) = (task.connection.clone(), task.namespace.clone());
            let codec = task.job.codec;
            fetching.spawn(async move {
                let fetched = connection.fetch(&namespace, &run, codec).await;
                let fetched = fetched.map(|fetched| {
                    let share = share.resized(fetched.line.stored_len());
                    (fetched, share)
                });
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
            Ok((fetched, share)) => {
                let size = fetched.line.size();
                part.push(fetched.summary, fetched.events, fetched.line).await?;
                drop(share);
                task.meter.add(size, 1);
            }
            Err(error) if is_gone(task, &error).await => {
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

/// Whether a run is gone, by itself or with its namespace. What was fetched before a namespace was
/// deleted is worth keeping: there is no second chance. So that nothing is given up for a mistake,
/// the server is asked once more whether the namespace is really gone.
async fn is_gone(task: &Task<'_>, error: &temporal::Error) -> bool {
    match error {
        temporal::Error::Vanished { .. } => true,
        temporal::Error::NamespaceGone { .. } => {
            let found = task.connection.namespace(&task.namespace.name).await;
            match found {
                Ok(now) => now.id != task.namespace.id,
                Err(error) => matches!(error, temporal::Error::NamespaceGone { .. }),
            }
        }
        _ => false,
    }
}

/// Bytes of lines that are being fetched or wait to be written.
#[derive(Default)]
struct Ahead(Arc<AtomicUsize>);

/// The bytes of one of them, given back when it is dropped.
struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Ahead {
    /// Room for a run's line; `None` while there is none. Whoever is alone always has room.
    fn share(&self, run: &Execution) -> Option<Share> {
        // JSON takes more than what the server counts, and compression less again: until the line
        // is there, that is the guess.
        let bytes = usize::try_from(run.history_size_bytes).unwrap_or(0);
        let held = self.0.load(Ordering::Relaxed);
        if held > 0 && held.saturating_add(bytes) > AHEAD_BYTES {
            return None;
        }
        // Only this task adds; others may have given back since, which does no harm.
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Some(Share { held: Arc::clone(&self.0), bytes })
    }
}

impl Share {
    /// The share of a line that is known now.
    fn resized(mut self, bytes: usize) -> Self {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
        self
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
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
