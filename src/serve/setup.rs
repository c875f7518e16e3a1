//! The configuration in force, and its replacement by a newer one.

use std::sync::Arc;

use vault::Store;

use super::agenda::Agenda;
use super::task::{ScheduledJob, Task};
use crate::cli;
use crate::config::{ServeSettings, Settings};
use crate::error::CommandError;

/// What the sidecar works by.
pub struct Setup {
    /// Flags, variables and the file.
    pub settings: Settings,
    /// The flags of `serve`.
    pub flags: cli::Serve,
    /// The sidecar's own.
    pub serve: ServeSettings,
    /// Where backups are kept.
    pub store: Arc<dyn Store>,
    /// What is run, and when; without a time when its schedule is off.
    pub plans: Vec<Plan>,
}

/// A job and when it runs.
pub struct Plan {
    /// Which.
    pub task: Task,
    /// When.
    pub agenda: Option<Agenda>,
    /// The job as it would run now.
    pub job: Box<dyn ScheduledJob>,
}

impl Setup {
    /// Validates everything that a run will need.
    pub async fn new(settings: Settings, flags: cli::Serve) -> Result<Self, CommandError> {
        let serve = settings.serve(&flags)?;
        let mut plans = Vec::new();
        for task in Task::ALL {
            let job = task.job(&settings, &flags)?;
            plans.push(Plan { task, agenda: task.agenda(&serve), job });
        }
        let environment = vault::Environment::of_process();
        let store = vault::open(settings.store()?, &environment).await;
        let store = store.map_err(|error| jobs::Error::Vault(error.into()))?;
        Ok(Self { settings, flags, serve, store, plans })
    }

    /// The same from the files as they are now.
    pub async fn again(&self) -> Result<Self, CommandError> {
        Self::new(self.settings.reload()?, self.flags.clone()).await
    }
}
