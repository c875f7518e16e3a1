//! The lease that keeps two runs apart.
//!
//! A lease is a series of objects `leases/NAME.0000000007.json`. The highest number counts;
//! taking the lease means creating the next one, which the store grants to one contender
//! alone ([`PutMode::IfAbsent`]). The holder rewrites its own object every few seconds; the
//! released one stays, so that no number is given twice, and whoever sees a higher number
//! than its own knows that it has lost.
//!
//! A dead holder on the same host is recognised by its process and replaced at once. One on
//! another host is watched: when its object has not changed for
//! [`Timing::take_over_after`] on *our* monotonic clock, it is dead or cut off. No wall clock
//! is compared with another. A holder that could not renew for [`Timing::give_up_after`], which
//! is less, gives up by itself, and [`Guard::check`] asks the store again before each step that
//! must not happen twice. `docs/formats/store-layout.md` says what is guaranteed where.

mod guard;
mod holder;
mod record;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Error, PutMode, Store, StoreErrorKind};
pub use guard::Guard;
pub use holder::Holder;
use record::{Found, Place, Record, State};

/// The lease's clockwork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two renewals.
    pub renew_every: Duration,
    /// A holder that could not renew for so long stops; must be less than `take_over_after`.
    pub give_up_after: Duration,
    /// A record of another host unchanged for so long is a dead holder's.
    pub take_over_after: Duration,
    /// On stores that cannot refuse a taken key: how long to wait for competing claims to
    /// show. Longer than any write takes.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            renew_every: Duration::from_secs(10),
            give_up_after: Duration::from_secs(25),
            take_over_after: Duration::from_secs(30),
            settle: Duration::from_secs(5),
        }
    }
}

/// Takes the lease `name`, or fails with [`Error::LeaseHeld`]. Returns at once unless the
/// record of another host, or of a process that hangs, must be watched first.
pub async fn acquire(
    store: Arc<dyn Store>,
    name: &str,
    holder: Holder,
    timing: Timing,
    cancel: &CancellationToken,
) -> Result<Guard, Error> {
    let contender = Contender { store, name: name.to_owned(), holder, timing };
    let generation = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(Error::Interrupted { name: name.to_owned() }),
        generation = contender.next_generation() => generation?,
    };
    // Not interrupted: a claim given up half way would have to be watched by the next run.
    contender.claim(generation).await
}

/// A lease as it is seen from outside, for people and metrics. Nothing may be decided by it: it
/// may be over by the time it is read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Who holds it.
    pub holder: String,
    /// Since when, by the holder's clock.
    pub acquired: DateTime<Utc>,
    /// Until when at least, by the holder's clock, unless it is renewed.
    pub expires: DateTime<Utc>,
}

/// Who holds the lease `name` now, if anyone does. Takes nothing and waits for nothing.
pub async fn held(
    store: Arc<dyn Store>,
    name: &str,
    observer: Holder,
    timing: Timing,
) -> Result<Option<Held>, Error> {
    let contender = Contender { store, name: name.to_owned(), holder: observer, timing };
    let Some(found) = contender.highest().await? else { return Ok(None) };
    if contender.is_free(&found) {
        return Ok(None);
    }
    let after = TimeDelta::from_std(timing.take_over_after).unwrap_or(TimeDelta::MAX);
    Ok(found.record.map(|record| Held {
        holder: record.holder.to_string(),
        acquired: record.acquired,
        expires: record.renewed + after,
    }))
}

struct Contender {
    store: Arc<dyn Store>,
    name: String,
    holder: Holder,
    timing: Timing,
}

impl Contender {
    /// The number to claim, once the one before is free.
    async fn next_generation(&self) -> Result<u64, Error> {
        loop {
            let Some(found) = self.highest().await? else { return Ok(1) };
            let place = found.place.clone();
            if !self.is_free(&found) {
                self.watch(found).await?;
            }
            if let Some(next) = place.generation.checked_add(1) {
                return Ok(next);
            }
            // Nobody counts so far: somebody has made it up. It would block the lease for ever.
            tracing::warn!(key = %place.key, "removing a record of the lease that no run wrote");
            self.store.delete(&[place.key]).await?;
        }
    }

    async fn highest(&self) -> Result<Option<Found>, Error> {
        // A place may be removed between listing and reading, by one who has a higher one.
        for _ in 0..8 {
            let Some(place) = record::places(&*self.store, &self.name).await?.pop() else {
                return Ok(None);
            };
            if let Some(found) = record::read(&*self.store, place).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn held(&self, found: Option<&Found>) -> Error {
        let record = found.and_then(|found| found.record.as_ref());
        Error::LeaseHeld {
            name: self.name.clone(),
            store: self.store.describe(),
            holder: record.map_or("an unknown process".into(), |record| record.holder.to_string()),
            acquired: record.map(|record| record.acquired),
        }
    }

    /// Whether it was released, or its holder is known to be dead.
    fn is_free(&self, found: &Found) -> bool {
        found.record.as_ref().is_some_and(|record| {
            record.state == State::Released
                || (self.holder.sees(&record.holder) && record.holder.is_dead())
        })
    }

    /// Whether its holder is known to be alive: its process is there, and it renewed lately by
    /// the clock of this host.
    fn is_alive(&self, record: &Record) -> bool {
        let age = holder::since_boot_ms().saturating_sub(record.renewed_since_boot_ms);
        self.holder.sees(&record.holder)
            && u128::from(age) < 2 * self.timing.take_over_after.as_millis()
    }

    /// Returns when `found` has not changed for long enough.
    async fn watch(&self, found: Found) -> Result<(), Error> {
        if found.record.as_ref().is_some_and(|record| self.is_alive(record)) {
            return Err(self.held(Some(&found)));
        }
        tracing::info!(
            lease = self.name,
            seconds = self.timing.take_over_after.as_secs(),
            "watching whether the holder of the lease is alive"
        );
        let since = Instant::now();
        loop {
            let left = self.timing.take_over_after.saturating_sub(since.elapsed());
            tokio::time::sleep(left.min(self.timing.take_over_after / 10)).await;
            let now = self.highest().await?;
            match now {
                Some(now) if now == found && left.is_zero() => return Ok(()),
                Some(now) if now == found => {}
                // Released while we watched, and by the same holder.
                Some(now) if now.place == found.place && self.is_free(&now) => return Ok(()),
                other => return Err(self.held(other.as_ref())),
            }
        }
    }

    /// Creates the object `generation`, and holds the lease if it is the highest then.
    async fn claim(&self, generation: u64) -> Result<Guard, Error> {
        let nonce = format!("{:016x}", rand::random::<u64>());
        let now = guard::wall_clock();
        let mut record = Record::new(State::Held, nonce.clone(), self.holder.clone(), now);
        let mut begun = Instant::now();
        let place = if self.store.capabilities().await?.conditional_put {
            let place = record::place(&self.name, generation, None)?;
            match self.store.put(&place.key, record.encode(), PutMode::IfAbsent).await {
                Err(error) if error.kind == StoreErrorKind::AlreadyExists => {
                    return Err(self.held(self.highest().await?.as_ref()));
                }
                other => other?,
            }
            place
        } else {
            record.state = State::Claimed;
            let place = record::place(&self.name, generation, Some(&nonce))?;
            self.store.put(&place.key, record.encode(), PutMode::Overwrite).await?;
            tokio::time::sleep(self.timing.settle).await;
            self.require_lowest(&place).await?;
            record.state = State::Held;
            begun = Instant::now();
            self.store.put(&place.key, record.encode(), PutMode::Overwrite).await?;
            place
        };
        // One that planned this number long ago may find that others have come and gone.
        let places = record::places(&*self.store, &self.name).await?;
        if places.last().is_none_or(|highest| highest.generation != generation) {
            self.store.delete(std::slice::from_ref(&place.key)).await?;
            return Err(self.held(self.highest().await?.as_ref()));
        }
        self.remove_older(&places, generation).await;
        Ok(Guard::new(self.store.clone(), &self.name, place, record, begun, self.timing))
    }

    /// Among several claims of one number the lowest nonce wins, unless another is already
    /// confirmed. The loser takes its own away.
    async fn require_lowest(&self, ours: &Place) -> Result<(), Error> {
        for place in record::places(&*self.store, &self.name).await? {
            if place.generation < ours.generation || place == *ours {
                continue;
            }
            let higher = place > *ours;
            let Some(rival) = record::read(&*self.store, place).await? else { continue };
            let state = rival.record.as_ref().map(|record| record.state);
            let yields = rival.place.generation == ours.generation
                && (state == Some(State::Released) || (higher && state == Some(State::Claimed)));
            if !yields {
                self.store.delete(std::slice::from_ref(&ours.key)).await?;
                return Err(self.held(Some(&rival)));
            }
        }
        Ok(())
    }

    /// Tidies up; what remains is removed by the next holder.
    async fn remove_older(&self, places: &[Place], generation: u64) {
        let older: Vec<_> = places
            .iter()
            .filter(|place| place.generation < generation)
            .map(|place| place.key.clone())
            .collect();
        if let Err(error) = self.store.delete(&older).await {
            tracing::warn!(
                lease = self.name,
                error = &error as &dyn std::error::Error,
                "old records of the lease could not be removed"
            );
        }
    }
}
