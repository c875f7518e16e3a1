//! `verify`: read back every object.

use jobs::verify::{Verified, Verify, Which};

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, arguments: &cli::Verify) -> Result<Exit, CommandError> {
    let which = match (arguments.all, arguments.ids.is_empty()) {
        (true, _) => Which::All,
        (false, true) => Which::Newest,
        (false, false) => Which::Named(arguments.ids.clone()),
    };
    let job = Verify { which, jobs: command.settings.verify_jobs(arguments.jobs)? };
    let (verified, exit) = command.perform(&job).await?;
    if command.output.is_json() {
        command.output.document(&verified)?;
    } else {
        command.output.text(&text(&verified))?;
    }
    Ok(exit)
}

fn text(verified: &Verified) -> String {
    let mut text = String::new();
    for backup in &verified.backups {
        let word = if backup.good { "good" } else { "DAMAGED" };
        text.push_str(&format!(
            "{word} {}: {}, {}, {}\n",
            backup.id,
            output::counted(backup.objects, "object"),
            output::bytes(backup.bytes),
            output::counted(backup.rows, "row")
        ));
        for damage in &backup.damage {
            text.push_str(&format!("  {damage}\n"));
        }
    }
    for damage in &verified.unreadable {
        text.push_str(&format!("DAMAGED {damage}\n"));
    }
    text
}
