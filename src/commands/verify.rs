//! `verify`: read back every object.

use jobs::history::verify::{VerifiedHistories, VerifyHistories};
use jobs::verify::{Verified, Verify, Which};
use serde::Serialize;

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
    // Histories are verified with everything else, or not at all: their windows have no names that
    // anybody would type.
    let histories = match arguments.all {
        true => Some(command.perform(&VerifyHistories).await?),
        false => None,
    };
    let job = Verify { which, jobs: command.settings.verify_jobs(arguments.jobs)? };
    let (verified, exit) = match (command.perform(&job).await, &histories) {
        // A store may well hold histories alone.
        (
            Err(CommandError::Job(jobs::Error::Vault(vault::Error::NoBackup { .. }))),
            Some((found, _)),
        ) if found.windows > 0 || !found.damage.is_empty() => {
            (Verified { backups: Vec::new(), unreadable: Vec::new() }, Exit::Done)
        }
        (verified, _) => verified?,
    };
    let (histories, exit) = match histories {
        Some((found, of_histories)) => (Some(found), exit.with(of_histories)),
        None => (None, exit),
    };
    if command.output.is_json() {
        command.output.document(&All { verified: &verified, histories: histories.as_ref() })?;
    } else {
        let histories = histories.as_ref().map(of_histories).unwrap_or_default();
        command.output.text(&(text(&verified) + &histories))?;
    }
    Ok(exit)
}

/// Both reports in one document.
#[derive(Serialize)]
struct All<'a> {
    #[serde(flatten)]
    verified: &'a Verified,
    histories: Option<&'a VerifiedHistories>,
}

fn of_histories(found: &VerifiedHistories) -> String {
    if found.windows == 0 && found.damage.is_empty() {
        return String::new();
    }
    let word = if found.damage.is_empty() { "good" } else { "DAMAGED" };
    let mut text = format!(
        "{word} histories: {}, {}, {}, {}\n",
        output::counted(found.windows, "window"),
        output::counted(found.runs, "run"),
        output::counted(found.events, "event"),
        output::bytes(found.bytes)
    );
    for damage in &found.damage {
        text.push_str(&format!("  {damage}\n"));
    }
    text
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
