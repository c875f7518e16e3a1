//! What is known, shown: the one place that makes a [`View`].

use std::sync::Arc;

use vault::Catalogue;

use super::Engine;
use crate::serve::setup::{Plan, Setup};
use crate::serve::space;
use crate::serve::view::{Reload, TaskView, View};

/// What is known before anything was looked at.
pub(super) fn nothing(setup: &Setup, reload: &Reload) -> View {
    View {
        store: setup.store.describe(),
        catalogue: Catalogue::new(setup.store.clone()),
        overview: None,
        trouble: None,
        space: None,
        tasks: Vec::new(),
        reload: reload.clone(),
        overdue_after: setup.settings.overdue_after(None).delta(),
        stopping: false,
        token: setup.serve.token.clone(),
        browse: setup.serve.browse,
    }
}

impl Engine {
    /// Shows what is known now.
    pub(super) fn publish(&self) {
        let now = self.clock.now();
        let task = |plan: &Plan| {
            let state = self.states.get(&plan.task)?;
            let overview = self.overview.as_deref();
            let schedule = plan.agenda.as_ref().map(|agenda| {
                (agenda.schedule.text().to_owned(), agenda.schedule.zone().name().to_owned())
            });
            Some(TaskView {
                task: plan.task,
                name: plan.task.name(),
                schedule,
                next: plan.agenda.as_ref().and_then(|agenda| agenda.next(&state.past, now)),
                running: state.running.clone(),
                last: state.last.clone(),
                sources: plan.job.sources(overview),
                backups: overview
                    .map(|seen| plan.job.backups(seen).into_iter().cloned().collect())
                    .unwrap_or_default(),
                record: overview.and_then(|seen| plan.job.record(seen)).cloned(),
                counters: state.counters.clone(),
            })
        };
        self.views.send_replace(Arc::new(View {
            overview: self.overview.clone(),
            trouble: self.trouble.clone(),
            space: self.setup.settings.store().ok().and_then(space::of),
            tasks: self.setup.plans.iter().filter_map(task).collect(),
            stopping: self.stopping,
            ..nothing(&self.setup, &self.reload)
        }));
    }
}
