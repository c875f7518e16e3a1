//! How much is asked of a server at once: calls per second, calls in flight, bytes in flight.
//!
//! An exporter without limits starves workers: the server's own limiter puts reading a history
//! before their polls. So all three are bounded here, and give way when the server shows strain.

mod gate;
mod rate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use gate::{Gate, Outcome, Ticket};
pub(crate) use rate::Rate;

/// Bounds of what is asked of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Pages of histories per second, over all namespaces.
    pub history_rate: f64,
    /// Lists and counts per second in one namespace. The server's own limit is 10 by default.
    pub visibility_rate: f64,
    /// Pages of histories asked for at the same time, at most. It begins lower.
    pub concurrency: usize,
    /// Bytes held at the same time, at most: half of it answers, half of it lines being built. What
    /// is larger than its half is held alone.
    pub memory: usize,
    /// Bytes of history that one page should have: the server counts batches, not bytes.
    pub page: usize,
    /// How long one call may take.
    pub deadline: Duration,
    /// How long a server that was there may be away before that is an error.
    pub patience: Duration,
    /// How long one call may be throttled before that is an error.
    pub throttle_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_rate: 1_000.0,
            visibility_rate: 8.0,
            concurrency: 16,
            memory: 64 << 20,
            page: 8 << 20,
            deadline: Duration::from_secs(60),
            patience: Duration::from_secs(90),
            throttle_patience: Duration::from_secs(300),
        }
    }
}

/// A run with nothing new makes five or six such calls, which need not wait for each other. The
/// server lets ten through at once (`frontend.namespaceBurstRatio.visibility`).
const VISIBILITY_BURST: Duration = Duration::from_millis(500);

/// Permits of the memory budget are so many bytes each.
const UNIT: usize = 1 << 10;

/// A share of the bytes that may be held.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) semaphore: Arc<Semaphore>,
    total: u32,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        let total = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        Self { semaphore: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Permits for so many bytes. More than all of them cannot be had: what is larger than the
    /// budget is held alone.
    pub(crate) fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total)
    }
}

/// All limits of one connection.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) limits: Limits,
    /// For answers, from when their length is known until their last byte has been used.
    pub(crate) answers: Memory,
    /// For lines being built.
    lines: Memory,
    gate: Arc<Gate>,
    histories: Rate,
    visibility: Mutex<HashMap<String, Arc<Rate>>>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            answers: Memory::new(limits.memory / 2),
            lines: Memory::new(limits.memory / 2),
            gate: Arc::new(Gate::new(limits.concurrency)),
            histories: Rate::new(limits.history_rate),
            visibility: Mutex::default(),
            limits,
        }
    }

    /// Waits until there is memory to build the line of a history of so many bytes.
    pub(crate) async fn line(&self, history: i64) -> Option<OwnedSemaphorePermit> {
        // JSON and base64 make more of it, compression makes less of it again.
        let bytes = usize::try_from(history).unwrap_or(0) / 2;
        let semaphore = Arc::clone(&self.lines.semaphore);
        // It is never closed.
        semaphore.acquire_many_owned(self.lines.permits(bytes)).await.ok()
    }

    /// Waits for a turn to ask for a page of a history.
    pub(crate) async fn history(&self) -> Ticket {
        let ticket = self.gate.enter().await;
        self.histories.turn().await;
        ticket
    }

    /// Waits for a turn to list or count in a namespace.
    pub(crate) async fn visibility(&self, namespace: &str) {
        self.visibility_rate(namespace).turn().await;
    }

    pub(crate) fn history_throttled(&self) {
        self.histories.throttled();
    }

    pub(crate) fn history_succeeded(&self) {
        self.histories.succeeded();
    }

    pub(crate) fn visibility_rate(&self, namespace: &str) -> Arc<Rate> {
        let mut rates = self.visibility.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.entry(namespace.to_owned());
        let new = || Rate::with_burst(self.limits.visibility_rate, VISIBILITY_BURST);
        Arc::clone(rate.or_insert_with(|| Arc::new(new())))
    }
}
