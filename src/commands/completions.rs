//! `completions`: a script for a shell.

use clap::CommandFactory;

use super::Command;
use crate::cli::{self, Cli};
use crate::error::CommandError;
use crate::exit::Exit;

pub fn run(command: &Command, arguments: &cli::Completions) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    let mut definition = Cli::command();
    clap_complete::generate(arguments.shell, &mut definition, "aidp-backup", &mut script);
    command.output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
