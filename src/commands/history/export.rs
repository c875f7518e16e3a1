//! `history export`: one file for each run.

use jobs::history::export::ExportRuns;

use super::{from, query};
use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, arguments: &cli::ExportRuns) -> Result<Exit, CommandError> {
    let query = query(&arguments.archived, &arguments.filter)?;
    let job = ExportRuns { from: from(&arguments.archived)?, query, dir: arguments.dir.clone() };
    let (exported, exit) = command.read(job.from.as_ref(), &job).await?;
    for damage in &exported.damaged {
        tracing::error!("{damage}");
    }
    if command.output.is_json() {
        command.output.document(&exported)?;
    } else {
        command.output.text(&format!(
            "wrote {} to {}: {}\n",
            output::counted(exported.files, "file"),
            exported.dir.display(),
            output::bytes(exported.bytes)
        ))?;
    }
    Ok(exit)
}
