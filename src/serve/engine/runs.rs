//! Runs of jobs: begun, ended, remembered.

use jobs::Verdict;
use tokio::task::{Id, JoinError};
use tracing::Instrument as _;

use super::Engine;
use crate::ended::Ended;
use crate::serve::agenda::Why;
use crate::serve::task::Task;
use crate::serve::view::Running;

/// How a task ended, with its number.
type Finished = (Id, (Task, Why, Ended));

impl Engine {
    pub(super) fn start(&mut self, task: Task, why: Why) -> bool {
        let started = self.clock.now();
        let job = match task.job(&self.setup.settings, &self.setup.flags) {
            Ok(job) => job,
            Err(error) => {
                let ended = Ended {
                    verdict: Verdict::Refused,
                    error: Some(jobs::chain(&error)),
                    hint: error.hint(),
                    ..Ended::fault(started, started)
                };
                self.conclude(task, why, ended);
                return false;
            }
        };
        let context = self.context(self.cancel.child_token());
        let progress = context.progress.clone();
        let run = crate::logging::run_id();
        self.state(task).running = Some(Running { run: run.clone(), why, started, progress });
        tracing::info!(runId = run, "{} begins ({})", task.name(), reason(why));
        self.notifier.started(task.name());
        let span = crate::logging::run_span(&run, task.name());
        let running = async move { (task, why, job.perform(&context).await) };
        let running = self.runs.spawn(running.instrument(span));
        self.ids.insert(running.id(), (task, why, started));
        true
    }

    pub(super) fn ended(&mut self, ended: Result<Finished, JoinError>) {
        let (task, why, ended) = match ended {
            Ok((id, ended)) => {
                self.ids.remove(&id);
                ended
            }
            Err(error) => {
                let Some((task, why, started)) = self.ids.remove(&error.id()) else { return };
                (task, why, Ended::fault(started, self.clock.now()))
            }
        };
        self.conclude(task, why, ended);
        // What it made is to be seen at once. Only an export is worth counting all objects for.
        if task == Task::Export {
            self.looked.measured = None;
        }
        self.looked.tried = None;
        self.look();
        self.publish();
    }

    /// Remembers how a run ended, and says so.
    fn conclude(&mut self, task: Task, why: Why, mut ended: Ended) {
        let agenda = self.agenda(task).cloned();
        let now = self.clock.now();
        let state = self.state(task);
        ended.run = state.running.take().map(|running| running.run);
        state.counters.count(&ended, why);
        let name = task.name();
        let error = ended.error.as_deref().unwrap_or_default();
        match ended.verdict {
            Verdict::Done => {
                state.past.succeed(ended.started);
                let run = ended.run.as_deref();
                tracing::info!(runId = run, "{name} is done: {}", ended.made());
            }
            Verdict::LeaseHeld => {
                state.past.busy = Some(now);
                tracing::info!("{name} was not needed or has to wait: {error}");
            }
            _ => {
                state.past.fail(agenda.as_ref(), now);
                let run = ended.run.as_deref();
                tracing::error!(runId = run, "{name} failed: {error}");
                if let Some(hint) = &ended.hint {
                    tracing::error!(runId = run, "hint: {hint}");
                }
            }
        }
        state.last = Some(ended.clone());
        self.notifier.ended(name, &ended);
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Schedule => "by its schedule",
        Why::CatchUp => "a run was missed",
        Why::Retry => "once more after a failure",
        Why::Busy => "once more after another run",
        Why::Request => "somebody asked for it",
    }
}
