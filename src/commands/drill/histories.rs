//! `drill histories`: archived histories into a Temporal that is thrown away, and back.

use jobs::drill::histories::DrillHistories;

use super::{Command, show, signing_key};
use crate::cli;
use crate::commands::history;
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;

/// Whether the configuration or the environment names a Temporal.
pub fn is_configured(command: &Command) -> Result<bool, CommandError> {
    Ok(command.settings.drill_histories(&cli::DrillHistories::default())?.is_some())
}

pub async fn run(command: &Command, arguments: &cli::DrillHistories) -> Result<Exit, CommandError> {
    let settings = &command.settings;
    let drill = settings.drill_histories(arguments)?.ok_or(ConfigError::Conflict {
        what: "nobody said which Temporal histories go into",
        hint: "give --temporal-server FILE, Temporal's server program, or --scratch-temporal \
               HOST:PORT, one that can be thrown away",
    })?;
    let archived =
        cli::Archived { namespace: arguments.namespace.clone(), ..cli::Archived::default() };
    let job = DrillHistories {
        query: history::query(&archived, &arguments.filter)?,
        sample: drill.sample,
        target: drill.target,
        key: signing_key(command, &arguments.signing)?,
    };
    let (drilled, exit) = command.perform(&job).await?;
    show(command, &drilled, &arguments.metrics).await?;
    Ok(exit)
}
