//! `drill database`: restore a backup into something that is thrown away, and check all of it.

use std::num::NonZeroUsize;

use jobs::drill::database::DrillDatabase;

use super::{Command, show, signing_key};
use crate::cli;
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;

/// Whether the configuration or the environment names a scratch.
pub fn is_configured(command: &Command) -> Result<bool, CommandError> {
    Ok(command.settings.drill_database(&cli::ScratchServer::default())?.is_some())
}

pub async fn run(command: &Command, arguments: &cli::DrillDatabase) -> Result<Exit, CommandError> {
    let settings = &command.settings;
    let drill = settings.drill_database(&arguments.scratch)?.ok_or(ConfigError::Conflict {
        what: "nobody said what to restore into",
        hint: "give --scratch URL, a server in which databases are made and dropped, or \
               --postgres-bin DIR, PostgreSQL's server programs",
    })?;
    let jobs = settings.restore_jobs(arguments.jobs)?;
    let job = DrillDatabase {
        id: arguments.id.clone().unwrap_or_else(|| "latest".into()),
        target: drill.target,
        // What cannot be told is known from the backup.
        sources: settings.connections(&cli::Databases::default()).unwrap_or_default(),
        jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN),
        assertions: drill.assertions,
        temporal: settings.drill_temporal(&arguments.temporal),
        key: signing_key(command, &arguments.signing)?,
    };
    let (drilled, exit) = command.perform(&job).await?;
    show(command, &drilled, &arguments.metrics).await?;
    Ok(exit)
}
