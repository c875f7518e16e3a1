//! How far a job is, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counters of one job; written by the job, read by a bar or a log line.
#[derive(Debug, Default)]
pub struct Progress {
    phase: Mutex<Phase>,
}

/// What a job is doing.
#[derive(Debug, Default, Clone)]
struct Phase {
    name: &'static str,
    gauges: Vec<Arc<dyn Gauge>>,
}

/// Something that can be asked how far it is.
pub trait Gauge: Send + Sync + std::fmt::Debug {
    /// How far it is; the phase is left empty.
    fn read(&self) -> Reading;
}

/// Counters of one phase.
#[derive(Debug, Default)]
pub struct Meter {
    total: AtomicU64,
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl Gauge for Meter {
    fn read(&self) -> Reading {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            phase: "",
            total: load(&self.total),
            bytes: load(&self.bytes),
            rows: load(&self.rows),
        }
    }
}

impl Meter {
    /// Says that `bytes` more are expected.
    pub fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what was done.
    pub fn add(&self, bytes: u64, rows: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Gauge for postgres::progress::Progress {
    /// Bytes are those that the tables take on the server's disk.
    fn read(&self) -> Reading {
        let reading = self.reading();
        Reading {
            phase: "",
            total: reading.planned_bytes,
            bytes: reading.done_bytes,
            rows: reading.rows,
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the job is doing, such as `reading back`; empty before it begins.
    pub phase: &'static str,
    /// Bytes expected; an estimate, 0 when unknown.
    pub total: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Rows done.
    pub rows: u64,
}

impl Progress {
    /// Begins a phase and gives its counters.
    pub fn begin(&self, name: &'static str) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        self.follow(name, vec![meter.clone()]);
        meter
    }

    /// Begins a phase in which others count.
    pub fn follow(&self, name: &'static str, gauges: Vec<Arc<dyn Gauge>>) {
        *self.lock() = Phase { name, gauges };
    }

    /// The counters now.
    pub fn reading(&self) -> Reading {
        let phase = self.lock().clone();
        let none = Reading { phase: phase.name, ..Reading::default() };
        phase.gauges.iter().map(|gauge| gauge.read()).fold(none, |sum, one| Reading {
            phase: sum.phase,
            total: sum.total + one.total,
            bytes: sum.bytes + one.bytes,
            rows: sum.rows + one.rows,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
