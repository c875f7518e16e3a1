//! `now`: the jobs, once, now.

mod archive;
mod export;
mod watched;

use jobs::archive::Archived;
use jobs::export::Exported;
use serde::Serialize;

use super::Command;
use crate::cli::{self, NowJob};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::{report, wanted};

/// Both jobs' reports; one that failed is missing.
#[derive(Serialize)]
struct Both<'a> {
    export: Option<&'a Exported>,
    archive: Option<&'a Archived>,
}

pub async fn run(command: &Command, arguments: &cli::Now) -> Result<Exit, CommandError> {
    match arguments.job {
        Some(NowJob::Export) => {
            let (exported, exit) = export::run(command, arguments).await?;
            print(command, &exported, export::text)?;
            Ok(exit)
        }
        Some(NowJob::Archive) => {
            let (archived, exit) = archive::run(command, arguments).await?;
            print(command, &archived, archive::text)?;
            archive::complain(&archived, exit, command.settings.log_format(), &command.run);
            Ok(exit)
        }
        None => both(command, arguments).await,
    }
}

/// One after the other: what fails in one is no reason to lose the other.
async fn both(command: &Command, arguments: &cli::Now) -> Result<Exit, CommandError> {
    // What is wrong with the settings of either is said before anything is begun.
    command.settings.archive(&arguments.archive)?;
    wanted::export(&command.settings, &arguments.export)?;
    let exported = export::run(command, arguments).await;
    let archived = match &exported {
        // Whoever is told to stop stops.
        Err(CommandError::Job(jobs::Error::Cancelled)) => Err(jobs::Error::Cancelled.into()),
        _ => archive::run(command, arguments).await,
    };
    let both = Both {
        export: exported.as_ref().ok().map(|(report, _)| report),
        archive: archived.as_ref().ok().map(|(report, _)| report),
    };
    print(command, &both, |both| {
        let export = both.export.map(export::text).unwrap_or_default();
        export + &both.archive.map(archive::text).unwrap_or_default()
    })?;
    if let Ok((archived, exit)) = &archived {
        archive::complain(archived, *exit, command.settings.log_format(), &command.run);
    }
    match (exported.map(|(_, exit)| exit), archived.map(|(_, exit)| exit)) {
        (Ok(one), Ok(other)) => Ok(one.with(other)),
        // One failed and is reported here, the other is kept.
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
            report::failure(&error, command.settings.log_format(), &command.run);
            Ok(Exit::PartDone)
        }
        (Err(first), Err(second)) => {
            let (format, run) = (command.settings.log_format(), &command.run);
            Ok(report::failure(&first, format, run).with(report::failure(&second, format, run)))
        }
    }
}

fn print<T: Serialize>(
    command: &Command,
    report: &T,
    text: impl Fn(&T) -> String,
) -> Result<(), CommandError> {
    if command.output.is_json() {
        return command.output.document(report);
    }
    command.output.text(&text(report))
}
