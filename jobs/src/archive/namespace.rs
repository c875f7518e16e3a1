//! One namespace: plan, list, archive window by window, join, expire.

use std::sync::Arc;

use chrono::TimeDelta;
use temporal::Namespace;
use temporal::connect::Connection;
use vault::lease::Guard;
use vault::window::{Window, WindowListing, Windows};

use super::listing::{Listing, SLICE};
use super::plan::{self, Interval, WindowLimits, microsecond};
use super::report::ArchivedNamespace;
use super::{Archive, NamespaceRule, audit, compact, epoch, expire, known, outlook, window};
use crate::{Context, Error, Meter};

/// What a kill may cost, and what is held in memory: the rows of so many runs.
const LIMITS: WindowLimits = WindowLimits { runs: SLICE as usize, bytes: 256 << 20 };

/// A window without runs says no more than that nothing closed; one an hour says it well enough.
const COVER_EMPTY_AFTER: TimeDelta = TimeDelta::hours(1);

/// One namespace being archived.
pub(super) struct Task<'a> {
    pub job: &'a Archive,
    pub context: &'a Context,
    pub lease: &'a Guard,
    pub connection: &'a Connection,
    pub windows: &'a Windows,
    pub namespace: Namespace,
    pub rule: NamespaceRule,
    pub meter: &'a Arc<Meter>,
}

impl Task<'_> {
    /// Archives it. What was published before a failure stays, and is in the report; an error of
    /// the store, of the lease or a request to stop ends the whole run.
    pub(super) async fn run(self) -> Result<(ArchivedNamespace, Option<Error>), Error> {
        let mut done = ArchivedNamespace {
            namespace: self.namespace.name.clone(),
            retention_seconds: Some(self.namespace.retention.num_seconds()),
            ..Default::default()
        };
        // What is archived already: every window of this namespace that counts.
        let (name, id) = (&self.namespace.name, &self.namespace.id);
        let mut listing = self.windows.of_namespace(name, id).await?;
        let failure = match self.archive(&mut done, &mut listing).await {
            Ok(()) => None,
            Err(error) if error.is_of_the_store() || matches!(error, Error::Cancelled) => {
                return Err(error);
            }
            Err(error) => Some(error),
        };
        // However that went: what is covered, and what is not and goes soon.
        let failure = match self.look(&mut done, &listing).await {
            Ok(()) => failure,
            Err(error) => failure.or(Some(error)),
        };
        Ok((done, failure))
    }

    async fn archive(
        &self,
        done: &mut ArchivedNamespace,
        listing: &mut WindowListing,
    ) -> Result<(), Error> {
        let filter = self.rule.filter()?;
        for damaged in &listing.damaged {
            tracing::error!(
                "{}; what it covered is archived again, as far as Temporal still has it",
                crate::chain(&damaged.error)
            );
        }
        let interval = self.interval().await?;
        if let Some(interval) = interval.filter(|interval| !interval.is_empty()) {
            // What no window covers, oldest first: that is what Temporal deletes next.
            let covered = match self.job.full {
                true => Vec::new(),
                false => coverage(&listing.windows, &filter),
            };
            for part in plan::uncovered(interval, &covered, self.job.overlap) {
                self.part(part, &filter, &mut listing.windows, done).await?;
            }

            // What visibility listed after its time was covered is found by counting.
            for part in audit::short(self, interval, &filter, &listing.windows).await? {
                self.part(part, &filter, &mut listing.windows, done).await?;
            }
        }

        self.context.go_on()?;
        done.joined = compact::join(self, listing).await?;
        if self.job.prune
            && let Some(keep) = self.rule.keep
        {
            let reached = interval.map(|interval| interval.to + self.job.settle);
            done.removed = expire::apply(self, keep, reached, &mut listing.windows).await?;
        }
        Ok(())
    }

    /// How far the archive reaches, and what it lacks.
    async fn look(
        &self,
        done: &mut ArchivedNamespace,
        listing: &WindowListing,
    ) -> Result<(), Error> {
        let filter = self.rule.filter()?;
        let covered = coverage(&listing.windows, &filter);
        let (now, warning) = (self.context.clock.now(), self.job.expiry_warning);
        done.covered_until = covered.first().map(|first| first.to);
        done.gaps = outlook::gaps(&self.rule, &covered, now).len() as u64;
        let expiring =
            outlook::expiring(self.connection, &self.namespace, &self.rule, &covered, now, warning);
        done.expiring = expiring.await?;
        done.expiring_within_seconds = outlook::within(&self.namespace, warning).num_seconds();
        done.looked = true;
        Ok(())
    }

    /// What is to be archived: from the beginning, or what retention keeps, to the moment up to
    /// which visibility can be trusted to have listed everything; it may be empty. `None` when there is nothing to
    /// tell the server's time by, and so nothing to archive.
    async fn interval(&self) -> Result<Option<Interval>, Error> {
        let ours = self.context.clock.now();
        // A clock that is ahead would cover time that has not come, and what closes in it
        // would be taken for archived. The server's clock is known to have reached a time that
        // may be a minute old. Ours is believed as far beyond it as the next run lists again.
        let theirs = self.connection.server_now(&self.namespace).await.map_err(Error::temporal)?;
        let Some(theirs) = theirs else { return Ok(None) };
        let now = ours.min(theirs.at_least + self.job.overlap / 2);
        let oldest = self.rule.keep.and_then(|keep| now.checked_sub_signed(keep));
        let from = oldest.map_or(epoch(), microsecond);
        Ok(Some(Interval { from, to: microsecond(now - self.job.settle) }))
    }

    /// Archives one part, slice by slice, window by window.
    async fn part(
        &self,
        part: Interval,
        filter: &str,
        published: &mut Vec<Window>,
        done: &mut ArchivedNamespace,
    ) -> Result<(), Error> {
        let listing = self.listing(filter);
        for slice in listing.slices(part).await? {
            self.context.go_on()?;
            let mut runs = listing.runs(slice).await?;
            let known = known::runs(self.windows.store().as_ref(), published, slice).await?;
            runs.retain(|run| !known.contains(&run.run_id));
            if runs.is_empty() && !is_worth_covering(slice, published, filter) {
                continue;
            }
            for cut in plan::cut(slice, runs, LIMITS) {
                self.context.go_on()?;
                let window = window::archive(self, cut, filter).await?;
                done.count(&window);
                published.push(window);
            }
        }
        Ok(())
    }

    /// The runs of the namespace as visibility lists them.
    pub(super) fn listing<'a>(&'a self, filter: &'a str) -> Listing<'a> {
        Listing {
            context: self.context,
            connection: self.connection,
            namespace: &self.namespace,
            filter,
        }
    }
}

/// Whether it is time to say that nothing closed in an interval.
fn is_worth_covering(interval: Interval, published: &[Window], filter: &str) -> bool {
    let covered = coverage(published, filter);
    let new = plan::uncovered(interval, &covered, TimeDelta::zero());
    covered.is_empty() || new.iter().any(|part| part.to - part.from > COVER_EMPTY_AFTER)
}

impl ArchivedNamespace {
    fn count(&mut self, window: &Window) {
        self.windows += 1;
        self.runs += window.runs;
        self.events += window.events;
        self.bytes += window.history_bytes;
        self.stored_bytes += window.stored_bytes();
        self.vanished.extend(window.vanished.iter().map(super::report::Vanished::from));
    }
}

/// What the windows of a restriction cover, joined, oldest first.
pub(super) fn coverage(windows: &[Window], filter: &str) -> Vec<Interval> {
    let mut covers: Vec<Interval> = windows
        .iter()
        .filter(|window| window.filter == filter)
        .flat_map(|window| &window.covers)
        .map(|cover| Interval { from: cover.from, to: cover.to })
        .collect();
    covers.sort_by_key(|cover| cover.from);
    plan::join(covers)
}
