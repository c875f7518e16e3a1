//! The workers: each has a session of its own on the snapshot and takes one piece at a time.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use pgarchive::{ArchiveSink, Codec, CopyFormat, TEXT_COPY_TRAILER, large_object_file};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::copy::{Copied, Source, copy_rows};
use super::files::{failed, settle, unless_stopped};
use super::frames::{Encoders, Frames};
use super::large_objects::LargeObjectSource;
use super::work::{self, Done, Piece, RowsTask, Task, Work};
use crate::Error;
use crate::progress::{self, Progress};
use crate::session::{Session, sql_state};
use crate::snapshot::{KEEP_ALIVE, Snapshot, Workers};

/// Where the files go, and who is told.
pub(super) struct Target {
    /// Takes the files.
    pub sink: Arc<dyn ArchiveSink>,
    /// How they are compressed.
    pub codec: Codec,
    /// Is told.
    pub progress: Arc<Progress>,
}

/// Pieces that nobody has taken yet, the biggest first.
#[derive(Clone)]
struct Queue(Arc<Mutex<VecDeque<Piece>>>);

impl Queue {
    fn new(work: &Work) -> Self {
        let mut pieces = work.pieces.clone();
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.bytes));
        Self(Arc::new(Mutex::new(pieces.into())))
    }

    fn take(&self) -> Option<Piece> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// What one worker brings back.
#[derive(Default)]
struct Share {
    done: Done,
    /// Pieces of tables that somebody waits to lock exclusively. The leader holds their lock
    /// already and does not have to queue behind him.
    deferred: Vec<Piece>,
}

/// Copies every piece of `work` with up to `jobs` workers.
///
/// # Errors
/// The first failure; the other workers are stopped and waited for.
pub(super) async fn run(
    snapshot: &mut Snapshot,
    work: &Work,
    jobs: NonZeroUsize,
    target: &Arc<Target>,
    cancel: &CancellationToken,
) -> Result<Done, Error> {
    let queue = Queue::new(work);
    let stop = cancel.child_token();
    let mut running = JoinSet::new();
    for _ in 0..jobs.get().min(work.pieces.len()) {
        let (workers, queue) = (snapshot.workers(), queue.clone());
        let (target, stop) = (Arc::clone(target), stop.clone());
        running.spawn(async move { work_off(&workers, &queue, &target, &stop).await });
    }

    let mut share = Share::default();
    let mut failure: Option<Error> = None;
    let mut alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        let outcome = tokio::select! {
            joined = running.join_next() => match joined {
                None => break,
                Some(Ok(outcome)) => outcome,
                Some(Err(panicked)) => Err(Error::Task { source: panicked }),
            },
            _ = alive.tick(), if failure.is_none() => snapshot.keep_alive().await.map(|()| Share::default()),
        };
        match outcome {
            Ok(part) => {
                share.done.merge(part.done);
                share.deferred.extend(part.deferred);
            }
            Err(error) => {
                stop.cancel();
                // Those who were stopped because of the first failure only say so.
                if failure.as_ref().is_none_or(|first| matches!(first, Error::Cancelled)) {
                    failure = Some(error);
                }
            }
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }

    let mut encoders = Encoders::new(target.codec, 1);
    for piece in &share.deferred {
        copy(snapshot.session(), piece, &mut encoders, target, &stop, &mut share.done).await?;
    }
    Ok(share.done)
}

/// One worker's life.
async fn work_off(
    workers: &Workers,
    queue: &Queue,
    target: &Target,
    stop: &CancellationToken,
) -> Result<Share, Error> {
    let mut session = unless_stopped(stop, begin(workers)).await?;
    let mut encoders = Encoders::new(target.codec, 1);
    let mut share = Share::default();
    let mut locked = HashSet::new();
    while let Some(piece) = queue.take() {
        if let Task::Rows(rows) = &piece.task
            && !locked.contains(&rows.table)
        {
            if !unless_stopped(stop, lock(&mut session, rows)).await? {
                share.deferred.push(piece);
                continue;
            }
            locked.insert(rows.table);
        }
        copy(&mut session, &piece, &mut encoders, target, stop, &mut share.done).await?;
    }
    session.close().await;
    Ok(share)
}

async fn begin(workers: &Workers) -> Result<Session, Error> {
    let mut session = workers.open().await?;
    // A chunk is to be read by a TID range scan, never by reading the whole table.
    let sql = "SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off";
    session.execute("preparing the session", sql).await?;
    Ok(session)
}

/// Locks a table without queueing: behind somebody who waits to lock it exclusively, this
/// worker would wait for him, and he for the leader. Says whether that worked.
async fn lock(session: &mut Session, rows: &RowsTask) -> Result<bool, Error> {
    let doing = format!("locking table {}", rows.quoted);
    let sql = format!(
        "SAVEPOINT piece; LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT; RELEASE SAVEPOINT piece",
        rows.quoted
    );
    match session.execute(&doing, &sql).await {
        Ok(()) => Ok(true),
        Err(Error::Query { source, .. }) if sql_state(&source).as_deref() == Some("55P03") => {
            tracing::debug!(
                table = rows.quoted,
                "somebody waits for this table: the leader copies it"
            );
            session.execute(&doing, "ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece").await?;
            Ok(false)
        }
        Err(error) => Err(denied(session, error, &rows.quoted)),
    }
}

/// Copies one piece.
async fn copy(
    session: &mut Session,
    piece: &Piece,
    encoders: &mut Encoders,
    target: &Target,
    stop: &CancellationToken,
    done: &mut Done,
) -> Result<(), Error> {
    let mut progress = target.progress.begin(&piece.name, piece.bytes);
    match &piece.task {
        Task::Rows(rows) => {
            let file = stored(&work::file_name(rows.dump_id), target);
            let mut writer = target.sink.create(&file).await.map_err(failed(&file))?;
            let copied = unless_stopped(stop, async {
                let mut frames = Frames::new(encoders, &mut *writer, &file);
                let copied = rows_into(session, rows, &mut frames, &file, &mut progress).await?;
                if rows.format == CopyFormat::Text {
                    frames.put(TEXT_COPY_TRAILER).await?;
                }
                frames.finish().await?;
                Ok(copied)
            })
            .await;
            let copied = settle(writer, &file, copied).await?;
            done.chunks.insert(rows.dump_id, copied);
            if rows.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                target.progress.add_table();
            }
        }
        Task::LargeObjects(oids) => {
            for oid in oids {
                let file = stored(&large_object_file(*oid), target);
                let mut writer = target.sink.create(&file).await.map_err(failed(&file))?;
                let copied = unless_stopped(stop, async {
                    let mut frames = Frames::new(encoders, &mut *writer, &file);
                    let mut source = LargeObjectSource::new(session, *oid);
                    let mut bytes = 0;
                    while let Some(part) = source.next().await? {
                        bytes += part.len() as u64;
                        progress.add(part.len() as u64);
                        frames.put(&part).await?;
                    }
                    frames.finish().await?;
                    Ok(bytes)
                })
                .await;
                done.large_object_bytes += settle(writer, &file, copied).await?;
                done.large_objects += 1;
            }
        }
    }
    progress.done();
    Ok(())
}

/// Copies a chunk's rows.
///
/// # Errors
/// [`Error::Denied`] where that is why; else as [`copy_rows`].
pub(super) async fn rows_into(
    session: &mut Session,
    rows: &RowsTask,
    frames: &mut Frames<'_>,
    file: &str,
    progress: &mut progress::Piece<'_>,
) -> Result<Copied, Error> {
    let doing = format!("copying table {}", rows.quoted);
    let copied = async {
        let mut source = session.copy_out(&doing, &rows.copy_out).await?;
        copy_rows(&mut source, rows.format, frames, file, progress).await
    };
    copied.await.map_err(|error| denied(session, error, &rows.quoted))
}

fn stored(name: &str, target: &Target) -> String {
    format!("{name}{}", target.codec.compression().suffix())
}

/// A refusal by name, where that is what `error` is.
fn denied(session: &Session, error: Error, quoted: &str) -> Error {
    match error {
        Error::Query { database, source, .. } if sql_state(&source).as_deref() == Some("42501") => {
            let role = session.role().to_owned();
            Error::Denied { database, role, object: format!("table {quoted}") }
        }
        error => error,
    }
}
