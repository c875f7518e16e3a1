//! `drill replay`: archived histories to an SDK's replayer.

use jobs::drill::replay::DrillReplay;

use super::{Command, show, signing_key};
use crate::cli;
use crate::commands::history;
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;

/// Whether the configuration names a replayer.
pub fn is_configured(command: &Command) -> bool {
    !command.settings.drill_replay(&cli::DrillReplay::default()).replayer.is_empty()
}

pub async fn run(command: &Command, arguments: &cli::DrillReplay) -> Result<Exit, CommandError> {
    let drill = command.settings.drill_replay(arguments);
    if drill.replayer.is_empty() {
        return Err(ConfigError::Conflict {
            what: "nobody said what replays histories",
            hint: "give a program and its arguments behind --; docs/replay.md has ready-made ones",
        }
        .into());
    }
    let archived =
        cli::Archived { namespace: arguments.namespace.clone(), ..cli::Archived::default() };
    let job = DrillReplay {
        query: history::query(&archived, &arguments.filter)?,
        sample: drill.sample,
        replayer: drill.replayer,
        key: signing_key(command, &arguments.signing)?,
    };
    let (drilled, exit) = command.perform(&job).await?;
    show(command, &drilled, &arguments.metrics).await?;
    Ok(exit)
}
