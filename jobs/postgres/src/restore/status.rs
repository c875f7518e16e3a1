//! How far a restore has come, kept where it survives the restore's end.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::Error;
use crate::conninfo::ConnInfo;
use crate::session::Session;

/// How long stopping the server's side of an abandoned restore may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What has been done to the target.
#[derive(Debug, Default)]
pub(super) struct Status {
    changed: AtomicBool,
    created: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    after_rows_micros: AtomicU64,
    /// Backends of the sessions opened, and the database they are in.
    backends: Mutex<Vec<i32>>,
}

impl Status {
    /// The target is about to be changed for the first time.
    pub(super) fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// The database was created by this restore.
    pub(super) fn created(&self) {
        self.created.store(true, Ordering::Relaxed);
    }

    /// One more entry is in.
    pub(super) fn entry_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries that are in.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// An index, a constraint or the like took so long.
    pub(super) fn spent_after_rows(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.after_rows_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What such entries took together.
    pub(super) fn after_rows(&self) -> Duration {
        Duration::from_micros(self.after_rows_micros.load(Ordering::Relaxed))
    }

    /// A session works for this restore.
    pub(super) fn opened(&self, pid: i32) {
        if let Ok(mut backends) = self.backends.lock() {
            backends.push(pid);
        }
    }

    /// Stops what still runs on the server, and puts the state of the target around `error`.
    pub(super) async fn give_up(&self, target: &ConnInfo, error: Error) -> Error {
        let changed = self.changed.load(Ordering::Relaxed);
        let created = self.created.load(Ordering::Relaxed);
        if !changed && !created {
            return error;
        }
        self.stop_backends(target).await;
        Error::PartlyRestored {
            database: target.database().to_owned(),
            created,
            done: self.done(),
            total: self.total.load(Ordering::Relaxed),
            source: Box::new(error),
        }
    }

    /// A backend whose client is gone works on until it has something to say: an index build
    /// could hold its locks for hours.
    async fn stop_backends(&self, target: &ConnInfo) {
        let backends = self.take_backends();
        if backends.is_empty() {
            return;
        }
        let list = backends.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
             WHERE pid IN ({list}) AND datname = pg_catalog.current_database() \
             AND usename = current_user"
        );
        let stop = async {
            let mut session = Session::connect(target).await?;
            session.execute("stopping the restore's sessions", &sql).await?;
            session.close().await;
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(STOP_TIMEOUT, stop).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the restore's sessions were not stopped"),
            Err(_) => tracing::debug!("the server did not stop the restore's sessions in time"),
        }
    }

    fn take_backends(&self) -> Vec<i32> {
        self.backends.lock().map(|mut list| std::mem::take(&mut *list)).unwrap_or_default()
    }
}
