//! Looks at the store: what others have done there counts like what this process remembers.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::overview::{Look, Overview};
use std::sync::Arc;

use super::Engine;
use crate::serve::agenda::Failed;
use crate::serve::view::Trouble;

/// How often every object is counted, which lists the whole store.
const MEASURE_EVERY: TimeDelta = TimeDelta::minutes(15);

impl Engine {
    /// Looks at the store, unless somebody is at it.
    pub(super) fn look(&mut self) {
        if !self.looks.is_empty() {
            return;
        }
        let now = self.clock.now();
        let measure = self.looked.measured.is_none_or(|at| now - at >= MEASURE_EVERY || at > now);
        let known = self.overview.as_ref().map(|seen| seen.backups.clone()).unwrap_or_default();
        let context = self.context(self.cancel.child_token());
        self.looks.spawn(async move {
            let look = Look { known, measure };
            (now, measure, jobs::run(&look, &context).await.result)
        });
    }

    /// Takes in what was seen in the store.
    pub(super) fn take_in(
        &mut self,
        began: DateTime<Utc>,
        measured: bool,
        result: Result<Overview, jobs::Error>,
    ) {
        self.looked.tried = Some(began);
        match result {
            Ok(mut overview) => {
                if measured {
                    (self.looked.measured, self.looked.bytes) = (Some(began), overview.store_bytes);
                }
                overview.store_bytes = self.looked.bytes;
                self.trouble = None;
                self.recall(&overview);
                self.overview = Some(Arc::new(overview));
            }
            Err(error) => {
                let (what, hint) = (jobs::chain(&error), error.hint());
                let since = self.trouble.as_ref().map_or(began, |trouble| trouble.since);
                if self.trouble.as_ref().is_none_or(|trouble| trouble.error != what) {
                    tracing::warn!("the store cannot be looked at: {what}");
                }
                self.trouble = Some(Trouble { since, error: what, hint });
            }
        }
        self.publish();
    }

    /// What the store knows of earlier runs counts like what this process remembers.
    fn recall(&mut self, overview: &Overview) {
        for plan in &self.setup.plans {
            let Some(state) = self.states.get_mut(&plan.task) else { continue };
            let success = plan.job.last_success(overview);
            if success > state.past.success
                && let Some(success) = success
            {
                state.past.succeed(success);
            }
            if !state.recalled {
                state.recalled = true;
                let record = plan.job.record(overview).filter(|record| !record.done);
                if let Some(record) = record.filter(|record| Some(record.started) > success) {
                    state.past.failed = Some(Failed { count: 1, at: record.finished });
                    // Somebody was told, by this process's predecessor or by a command.
                    self.notifier.recall(plan.task.name());
                }
            }
        }
    }
}
