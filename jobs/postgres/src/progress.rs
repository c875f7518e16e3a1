//! How far an export is, for whoever shows it. Written by the workers, sampled by a reader.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counters of one export.
#[derive(Debug, Default)]
pub struct Progress {
    planned_bytes: AtomicU64,
    done_bytes: AtomicU64,
    copied_bytes: AtomicU64,
    planned_rows: AtomicU64,
    rows: AtomicU64,
    planned_tables: AtomicU64,
    tables: AtomicU64,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    phase: Phase,
    /// Names of the tables being copied, and how many workers are at each.
    tables: BTreeMap<String, usize>,
}

/// What an export is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Reading the catalogs.
    #[default]
    Planning,
    /// Waiting for locks.
    Locking,
    /// Creating what rows need, in a restore.
    Defining,
    /// Copying rows and large objects; in a restore also what follows as soon as a table's
    /// rows are there: indexes, constraints.
    Copying,
    /// Writing the table of contents.
    Finishing,
    /// Nothing more.
    Done,
}

impl Phase {
    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Locking => "locking",
            Self::Defining => "defining",
            Self::Copying => "copying",
            Self::Finishing => "finishing",
            Self::Done => "done",
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is being done.
    pub phase: Phase,
    /// Bytes that the tables take on the server's disk: the measure of all work.
    pub planned_bytes: u64,
    /// How much of that is done; never more, and all of it at the end.
    pub done_bytes: u64,
    /// Bytes of COPY data received, before compression.
    pub copied_bytes: u64,
    /// Rows expected, by the server's statistics.
    pub planned_rows: u64,
    /// Rows received.
    pub rows: u64,
    /// Tables to copy.
    pub planned_tables: u64,
    /// Tables of which every part is copied.
    pub tables: u64,
    /// Tables being copied now.
    pub current: Vec<String>,
}

impl Progress {
    /// The counters now.
    pub fn reading(&self) -> Reading {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let now = self.now();
        Reading {
            phase: now.phase,
            planned_bytes: load(&self.planned_bytes),
            done_bytes: load(&self.done_bytes),
            copied_bytes: load(&self.copied_bytes),
            planned_rows: load(&self.planned_rows),
            rows: load(&self.rows),
            planned_tables: load(&self.planned_tables),
            tables: load(&self.tables),
            current: now.tables.keys().cloned().collect(),
        }
    }

    /// Begins a phase.
    pub fn enter(&self, phase: Phase) {
        self.now().phase = phase;
    }

    /// Says what is to be copied.
    pub(crate) fn plan(&self, bytes: u64, rows: u64, tables: u64) {
        self.planned_bytes.store(bytes, Ordering::Relaxed);
        self.planned_rows.store(rows, Ordering::Relaxed);
        self.planned_tables.store(tables, Ordering::Relaxed);
    }

    /// Counts a table of which every part is copied.
    pub(crate) fn add_table(&self) {
        self.tables.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a piece of work of `bytes` planned bytes on what people call `name`.
    pub(crate) fn begin(&self, name: &str, bytes: u64) -> Piece<'_> {
        *self.now().tables.entry(name.to_owned()).or_default() += 1;
        Piece { progress: self, name: name.to_owned(), planned: bytes, credited: 0 }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece of work under way. What a server sends for a table differs from what the table takes
/// on its disk, so a piece is credited as bytes come in, up to what was planned for it, and
/// the rest when it is done.
pub(crate) struct Piece<'p> {
    progress: &'p Progress,
    name: String,
    planned: u64,
    credited: u64,
}

impl Piece<'_> {
    /// Counts bytes received.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.progress.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.credit(bytes.min(self.planned - self.credited));
    }

    /// Counts rows received.
    pub(crate) fn add_rows(&mut self, rows: u64) {
        self.progress.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts what is left of the piece.
    pub(crate) fn done(mut self) {
        self.credit(self.planned - self.credited);
    }

    fn credit(&mut self, bytes: u64) {
        self.credited += bytes;
        self.progress.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let mut now = self.progress.now();
        if let Some(workers) = now.tables.get_mut(&self.name) {
            *workers -= 1;
            if *workers == 0 {
                now.tables.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_credited_up_to_their_plan() {
        let progress = Progress::default();
        progress.plan(100, 10, 2);
        let mut first = progress.begin("a", 60);
        let mut second = progress.begin("b", 40);
        first.add(200);
        second.add(10);
        let reading = progress.reading();
        assert_eq!((reading.done_bytes, reading.copied_bytes), (70, 210));
        assert_eq!(reading.current, ["a", "b"]);
        first.done();
        second.done();
        let reading = progress.reading();
        assert_eq!(reading.done_bytes, reading.planned_bytes);
        assert!(reading.current.is_empty());
    }

    #[test]
    fn a_table_stays_current_while_any_worker_is_at_it() {
        let progress = Progress::default();
        let first = progress.begin("a", 1);
        let second = progress.begin("a", 1);
        first.done();
        assert_eq!(progress.reading().current, ["a"]);
        drop(second);
        assert!(progress.reading().current.is_empty());
    }
}
