//! `now export`: databases, once, now.

use jobs::export::Exported;

use super::watched;
use crate::cli;
use crate::commands::Command;
use crate::ended::Ended;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::{output, wanted};

/// Exports.
pub async fn run(
    command: &Command,
    arguments: &cli::Now,
) -> Result<(Exported, Exit), CommandError> {
    let job = wanted::export(&command.settings, &arguments.export)?;
    watched::run(command, arguments, &job, Ended::export).await
}

/// What came of it, for people.
pub fn text(exported: &Exported) -> String {
    let backup = &exported.backup;
    let mut text = format!(
        "exported {}: {}, {} of data, {} stored, in {}\n",
        backup.id,
        output::counted(backup.rows, "row"),
        output::bytes(backup.data_bytes),
        output::bytes(backup.stored_bytes),
        output::span(backup.finished - backup.started)
    );
    for failed in &backup.failed {
        text.push_str(&format!("failed {}: {}\n", failed.name, failed.error));
    }
    if let Some(pruned) = &exported.pruned {
        for (group, _) in pruned.frozen() {
            text.push_str(&format!("frozen {group}: nothing is removed\n"));
        }
        for group in &pruned.plan.groups {
            let is_gone = |id| pruned.applied.as_ref().is_some_and(|it| it.backups.contains(id));
            for gone in group.remove.iter().filter(|gone| is_gone(&gone.id)) {
                text.push_str(&format!("removed {}: {}\n", gone.id, gone.reason));
            }
        }
    }
    text
}
