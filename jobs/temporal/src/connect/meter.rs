//! Counters of calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Calls by RPC, such as `GetWorkflowExecutionHistory`.
pub type Calls = BTreeMap<&'static str, CallCount>;

/// What was asked of one RPC, and what came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCount {
    /// Calls sent, retries included.
    pub sent: u64,
    /// Calls that the server refused for lack of capacity.
    pub throttled: u64,
    /// Calls that failed otherwise.
    pub failed: u64,
    /// Bytes of answers.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Calls>);

impl Meter {
    pub(super) fn answered(&self, rpc: &'static str, bytes: usize) {
        let mut calls = self.lock();
        let count = calls.entry(rpc).or_default();
        count.sent += 1;
        count.bytes += bytes as u64;
    }

    pub(super) fn throttled(&self, rpc: &'static str) {
        let mut calls = self.lock();
        let count = calls.entry(rpc).or_default();
        count.sent += 1;
        count.throttled += 1;
    }

    pub(super) fn failed(&self, rpc: &'static str) {
        let mut calls = self.lock();
        let count = calls.entry(rpc).or_default();
        count.sent += 1;
        count.failed += 1;
    }

    pub(super) fn read(&self) -> Calls {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
