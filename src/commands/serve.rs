//! `serve`: the sidecar.

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;

pub async fn run(command: Command, arguments: cli::Serve) -> Result<Exit, CommandError> {
    crate::serve::run(command.settings, arguments).await?;
    Ok(Exit::Done)
}
