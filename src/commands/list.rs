//! `list`: what is kept.

use jobs::list::List;

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::List) -> Result<Exit, CommandError> {
    let job = List { group: arguments.group.clone() };
    let (listed, exit) = command.perform(&job).await?;
    for damage in &listed.unreadable {
        tracing::error!("{damage}");
    }
    if command.output.is_json() {
        command.output.documents(&listed.backups)?;
        return Ok(exit);
    }
    let mut table = Table::new(&["id", "started", "group", ">rows", ">data", ">stored", "note"]);
    for backup in &listed.backups {
        let failed: Vec<&str> = backup.failed.iter().map(|failed| failed.name.as_str()).collect();
        let note = match failed.is_empty() {
            true => String::new(),
            false => format!("part done: without {}", failed.join(", ")),
        };
        table.row([
            backup.id.clone(),
            output::moment(backup.started),
            backup.group.clone(),
            output::count(backup.rows),
            output::bytes(backup.data_bytes),
            output::bytes(backup.stored_bytes),
            note,
        ]);
    }
    if table.is_empty() {
        tracing::info!("no backup yet");
    } else {
        command.output.text(&table.render())?;
    }
    Ok(exit)
}
