//! The one place that decides and remembers: what runs, what is known, which configuration is in
//! force. It takes one event after the other and publishes a [`View`] after each that matters.
//!
//! [`runs`] starts and ends jobs, [`looks`] learns what the store knows, [`publish`] shows it.

mod looks;
mod publish;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::overview::Overview;
use jobs::{Clock, Context, Progress};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use vault::Catalogue;
use vault::lease::{Holder, Timing};

use super::agenda::{Agenda, Due, Past, Why};
use super::setup::Setup;
use super::task::Task;
use super::view::{Counters, Reload, Running, Trouble, View};
use crate::ended::Ended;
use crate::notify::Notifier;

/// How old what is known of the store may be before somebody looks again.
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(60);

/// Somebody wants a job to run now.
#[derive(Debug)]
pub struct Request {
    /// Which.
    pub task: Task,
    /// Whether it was started, or why not.
    pub answer: oneshot::Sender<Answer>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It runs.
    Started,
    /// It is running already.
    Running,
    /// The sidecar is about to end.
    Stopping,
    /// The configuration does not allow it at the moment; the log says why.
    Refused,
}

/// State of the sidecar.
pub struct Engine {
    setup: Setup,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    states: BTreeMap<Task, State>,
    runs: JoinSet<(Task, Why, Ended)>,
    ids: BTreeMap<Id, (Task, Why, DateTime<Utc>)>,
    looks: JoinSet<(DateTime<Utc>, bool, Result<Overview, jobs::Error>)>,
    looked: Looked,
    overview: Option<Arc<Overview>>,
    trouble: Option<Trouble>,
    reload: Reload,
    stopping: bool,
    views: watch::Sender<Arc<View>>,
    notifier: Notifier,
}

/// When the store was looked at.
#[derive(Debug, Default)]
struct Looked {
    /// Begin of the last look that ended, well or not.
    tried: Option<DateTime<Utc>>,
    /// Begin of the last one that counted objects.
    measured: Option<DateTime<Utc>>,
    /// Bytes it counted.
    bytes: Option<u64>,
}

/// State of one job.
#[derive(Debug, Default)]
struct State {
    past: Past,
    running: Option<Running>,
    last: Option<Ended>,
    counters: Counters,
    /// Whether the store's record of the last run was taken in, which is done once.
    recalled: bool,
}

impl Engine {
    /// An engine that has not begun.
    pub fn new(setup: Setup, clock: Arc<dyn Clock>) -> (Self, watch::Receiver<Arc<View>>) {
        let now = clock.now();
        let state =
            || State { past: Past { since: Some(now), ..Past::default() }, ..State::default() };
        let notifier = Notifier::new(&setup.serve.notify);
        let reload = Reload { at: now, refused: None };
        let (views, seen) = watch::channel(Arc::new(publish::nothing(&setup, &reload)));
        let engine = Self {
            states: setup.plans.iter().map(|plan| (plan.task, state())).collect(),
            setup,
            clock,
            cancel: CancellationToken::new(),
            runs: JoinSet::new(),
            ids: BTreeMap::new(),
            looks: JoinSet::new(),
            looked: Looked::default(),
            overview: None,
            trouble: None,
            reload,
            stopping: false,
            views,
            notifier,
        };
        engine.publish();
        (engine, seen)
    }

    /// The configuration in force.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Waits for a run or a look to end; for ever when there is none.
    pub async fn event(&mut self) {
        tokio::select! {
            Some(ended) = self.runs.join_next_with_id() => {
                self.ended(ended);
            }
            Some(looked) = self.looks.join_next() => {
                if let Ok((began, measured, result)) = looked {
                    self.take_in(began, measured, result);
                }
            }
            else => std::future::pending().await,
        }
    }

    /// Starts what is due, and looks at the store when that is.
    pub fn beat(&mut self) {
        let now = self.clock.now();
        let mut wants_look = self.looked.tried.is_none_or(|at| now - at >= LOOK_EVERY || at > now);
        for task in Task::ALL {
            if self.stopping || self.state(task).running.is_some() {
                continue;
            }
            let Some(due) = self.due(task, now).filter(|due| due.at <= now) else { continue };
            // Somebody else may have done it: nothing is started on what was known before it
            // was due. A store that cannot be looked at is the run's to fail on.
            if self.looked.tried.is_some_and(|tried| tried >= due.at && now - tried < LOOK_EVERY) {
                self.start(task, due.why);
            } else {
                wants_look = true;
            }
        }
        if wants_look {
            self.look();
        }
        self.publish();
    }

    /// Starts a job because somebody asked for it.
    pub fn request(&mut self, request: Request) {
        let answer = if self.stopping {
            Answer::Stopping
        } else if self.state(request.task).running.is_some() {
            Answer::Running
        } else if self.start(request.task, Why::Request) {
            Answer::Started
        } else {
            Answer::Refused
        };
        self.publish();
        // Whoever asked may be gone.
        let _ = request.answer.send(answer);
    }

    /// Puts a new configuration in force, or says why not.
    pub async fn reload(&mut self) {
        match self.setup.again().await {
            Ok(setup) => {
                if setup.serve.listen != self.setup.serve.listen {
                    tracing::warn!("the new address to listen on counts after a restart");
                }
                if setup.store.describe() != self.setup.store.describe() {
                    self.overview = None;
                    self.looked = Looked::default();
                    self.states.values_mut().for_each(|state| {
                        state.recalled = false;
                        state.past = Past { since: state.past.since, ..Past::default() };
                    });
                }
                self.notifier = self.notifier.with(&setup.serve.notify);
                self.setup = setup;
                self.reload = Reload { at: self.clock.now(), refused: None };
                tracing::info!("the configuration was read again");
            }
            Err(error) => {
                let what = jobs::chain(&error);
                tracing::error!("the new configuration is refused, the old one stays: {what}");
                let since = self.clock.now();
                let trouble = Trouble { since, error: what, hint: error.hint() };
                self.reload.refused = Some(trouble);
            }
        }
        self.publish();
    }

    /// Starts nothing more.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.publish();
    }

    /// Whether runs are in progress.
    pub fn is_busy(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Asks runs in progress to give up.
    pub fn abandon(&self) {
        self.cancel.cancel();
    }

    /// Ends what else there is; messages that are on their way are given a moment.
    pub async fn close(mut self) {
        self.cancel.cancel();
        self.looks.shutdown().await;
        self.notifier.close().await;
    }

    fn state(&mut self, task: Task) -> &mut State {
        self.states.entry(task).or_default()
    }

    fn agenda(&self, task: Task) -> Option<&Agenda> {
        self.setup.plans.iter().find(|plan| plan.task == task)?.agenda.as_ref()
    }

    fn due(&self, task: Task, now: DateTime<Utc>) -> Option<Due> {
        self.agenda(task)?.next(&self.states.get(&task)?.past, now)
    }

    fn context(&self, cancel: CancellationToken) -> Context {
        Context {
            catalogue: Catalogue::new(self.setup.store.clone()),
            clock: self.clock.clone(),
            cancel,
            progress: Arc::new(Progress::default()),
            holder: Holder::this_process(),
            timing: Timing::default(),
        }
    }
}

/// Requests come over this.
pub type Requests = mpsc::Sender<Request>;
