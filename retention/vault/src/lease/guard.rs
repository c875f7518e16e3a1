//! A lease held, renewed in the background.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Timing;
use super::holder::since_boot_ms;
use super::record::{self, Place, Record, State};
use crate::{Error, PutMode, Store};

/// How long the release may take when the store does not answer.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// A held lease. Dropped, it is released in the background; [`release`](Self::release) waits
/// for that.
#[derive(Debug)]
pub struct Guard {
    held: Arc<Held>,
    stop: CancellationToken,
    renewing: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Held {
    store: Arc<dyn Store>,
    name: String,
    place: Place,
    timing: Timing,
    state: Mutex<Renewal>,
    lost: CancellationToken,
}

#[derive(Debug)]
struct Renewal {
    record: Record,
    /// When the last successful renewal was begun: the record is at least as young as that.
    renewed: Instant,
}

impl Guard {
    pub(super) fn new(
        store: Arc<dyn Store>,
        name: &str,
        place: Place,
        record: Record,
        renewed: Instant,
        timing: Timing,
    ) -> Self {
        let held = Arc::new(Held {
            store,
            name: name.to_owned(),
            place,
            timing,
            state: Mutex::new(Renewal { record, renewed }),
            lost: CancellationToken::new(),
        });
        let stop = CancellationToken::new();
        let renewing = tokio::spawn(renew(Arc::clone(&held), stop.clone()));
        Self { held, stop, renewing: Some(renewing) }
    }

    /// Number of this acquisition; every later one of the same lease has a higher one.
    pub fn generation(&self) -> u64 {
        self.held.place.generation
    }

    /// Cancelled as soon as the lease is known to be lost: whatever the run still does must
    /// stop before it publishes or removes anything.
    pub fn lost(&self) -> CancellationToken {
        self.held.lost.clone()
    }

    /// Asks the store whether the lease is still ours. To be called before whatever must not
    /// happen twice; [`Error::LeaseLost`] when it is not.
    pub async fn check(&self) -> Result<(), Error> {
        self.held.check().await
    }

    /// Gives the lease back and waits until that is stored, at most some seconds.
    pub async fn release(mut self) {
        self.stop.cancel();
        if let Some(task) = self.renewing.take() {
            // A panic in it means that the lease runs out instead.
            let _ = task.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Renews until told to stop or until the lease is lost.
async fn renew(held: Arc<Held>, stop: CancellationToken) {
    let mut wait = held.timing.renew_every;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        let left = held.left().await;
        // A renewal is not given up half way: it could be stored after the release.
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(left, held.renew()) => outcome,
            () = stopped_long_ago(&stop) => {
                tracing::warn!(lease = held.name, "the lease is not released and will run out");
                return;
            }
        };
        wait = held.timing.renew_every;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(Error::LeaseLost { .. })) => return,
            Ok(Err(error)) => {
                tracing::warn!(
                    lease = held.name,
                    error = &error as &dyn std::error::Error,
                    "the lease could not be renewed, trying again"
                );
                wait = held.timing.renew_every / 5;
            }
            Err(_) => wait = Duration::ZERO,
        }
        if held.left().await.is_zero() {
            held.lose("it could not be renewed in time");
            return;
        }
        wait = wait.min(held.left().await);
    }
    match tokio::time::timeout(RELEASE_WITHIN, held.release()).await {
        Ok(Ok(())) | Ok(Err(Error::LeaseLost { .. })) => {}
        Ok(Err(error)) => tracing::warn!(
            lease = held.name,
            error = &error as &dyn std::error::Error,
            "the lease could not be released and will run out"
        ),
        Err(_) => tracing::warn!(
            lease = held.name,
            "the store did not answer in time; the lease is not released and will run out"
        ),
    }
}

async fn stopped_long_ago(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(RELEASE_WITHIN).await;
}

impl Held {
    /// How long the last renewal still keeps others away, by this machine's clock.
    async fn left(&self) -> Duration {
        let renewed = self.state.lock().await.renewed;
        self.timing.give_up_after.saturating_sub(renewed.elapsed())
    }

    fn lose(&self, reason: &str) -> Error {
        if !self.lost.is_cancelled() {
            tracing::error!(lease = self.name, reason, "the lease is lost");
            self.lost.cancel();
        }
        let (name, store) = (self.name.clone(), self.store.describe());
        Error::LeaseLost { name, store, reason: reason.to_owned() }
    }

    /// Fails unless our record is the highest.
    async fn require_highest(&self) -> Result<(), Error> {
        if self.lost.is_cancelled() {
            return Err(self.lose("another run may hold it"));
        }
        let places = record::places(&*self.store, &self.name).await?;
        match places.last() {
            Some(highest) if highest.generation > self.place.generation => {
                Err(self.lose("another run has taken it over"))
            }
            Some(_) if places.contains(&self.place) => Ok(()),
            _ => Err(self.lose("its record is gone")),
        }
    }

    async fn check(&self) -> Result<(), Error> {
        self.require_highest().await?;
        let state = self.state.lock().await;
        let found = record::read(&*self.store, self.place.clone()).await?;
        let ours = found
            .and_then(|found| found.record)
            .is_some_and(|found| found.nonce == state.record.nonce && found.state == State::Held);
        drop(state);
        if !ours {
            return Err(self.lose("its record is another's"));
        }
        if self.left().await.is_zero() {
            return Err(self.lose("it could not be renewed in time"));
        }
        Ok(())
    }

    async fn renew(&self) -> Result<(), Error> {
        let begun = Instant::now();
        self.require_highest().await?;
        let mut state = self.state.lock().await;
        state.record.renewals += 1;
        self.write(&mut state.record).await?;
        state.renewed = begun;
        Ok(())
    }

    /// The record stays, marked as released: it keeps the number from being given twice.
    async fn release(&self) -> Result<(), Error> {
        self.require_highest().await?;
        let mut state = self.state.lock().await;
        state.record.state = State::Released;
        self.write(&mut state.record).await
    }

    async fn write(&self, record: &mut Record) -> Result<(), Error> {
        record.renewed = wall_clock();
        record.renewed_since_boot_ms = since_boot_ms();
        Ok(self.store.put(&self.place.key, record.encode(), PutMode::Overwrite).await?)
    }
}

/// For people to read; nothing is decided by it.
pub(super) fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}
