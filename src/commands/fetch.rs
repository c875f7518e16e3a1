//! `fetch`: an export as plain files.

use jobs::fetch::Fetch;

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, arguments: &cli::Fetch) -> Result<Exit, CommandError> {
    let job = Fetch {
        id: arguments.id.clone(),
        dir: arguments.dir.clone(),
        jobs: command.settings.verify_jobs(arguments.jobs)?,
    };
    let (fetched, exit) = command.perform(&job).await?;
    if command.output.is_json() {
        command.output.document(&fetched)?;
        return Ok(exit);
    }
    let mut text = format!(
        "fetched {}: {}, {}\n",
        fetched.id,
        output::counted(fetched.files, "file"),
        output::bytes(fetched.bytes)
    );
    for database in &fetched.databases {
        text.push_str(&format!("{}: {}\n", database.name, database.command));
    }
    command.output.text(&text)?;
    Ok(exit)
}
