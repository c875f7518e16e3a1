//! `man`: the manual, every verb on one page.

use clap::CommandFactory;

use super::Command;
use crate::cli::Cli;
use crate::error::CommandError;
use crate::exit::Exit;

pub fn run(command: &Command) -> Result<Exit, CommandError> {
    let mut definition = Cli::command();
    definition.build();
    let mut page = Vec::new();
    let render = |definition: clap::Command, page: &mut Vec<u8>| {
        clap_mangen::Man::new(definition).render(page).map_err(CommandError::Output)
    };
    render(definition.clone(), &mut page)?;
    for verb in definition.get_subcommands().filter(|verb| verb.get_name() != "help") {
        render(verb.clone(), &mut page)?;
    }
    command.output.text(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}
