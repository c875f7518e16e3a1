//! `history list` and `history search`.

use chrono::{TimeDelta, Utc};
use jobs::history::list::StreamRuns;
use jobs::history::{Listed, Query};
use tokio::sync::mpsc::{Receiver, channel};

use super::{from, query};
use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history::events;
use crate::output::{self, Output, Table};

/// Runs that are printed in one go.
const PAGE: usize = 1000;

/// The runs of a time; the last day when nothing else is said, and all of an old archive.
pub async fn list(command: &Command, arguments: &cli::ListRuns) -> Result<Exit, CommandError> {
    let mut query = query(&arguments.archived, &arguments.filter)?;
    if query.since.is_none() && arguments.archived.from.is_none() {
        let end = query.until.unwrap_or_else(Utc::now);
        query.since = Some(end - TimeDelta::days(1));
    }
    run(command, query, arguments).await
}

/// Runs of all times.
pub async fn search(command: &Command, arguments: &cli::ListRuns) -> Result<Exit, CommandError> {
    run(command, query(&arguments.archived, &arguments.filter)?, arguments).await
}

async fn run(
    command: &Command,
    query: Query,
    arguments: &cli::ListRuns,
) -> Result<Exit, CommandError> {
    let limit = usize::try_from(arguments.limit).ok().filter(|limit| *limit > 0);
    let from = from(&arguments.archived)?;
    let (runs, found) = channel(PAGE);
    // The job ends with the block: then nothing more is to be printed.
    let job = async move {
        let job = StreamRuns { from, query, limit, runs };
        command.read(job.from.as_ref(), &job).await
    };
    let (listed, printed) = tokio::join!(job, print(command.output, found));
    printed?;
    let (listed, exit) = listed?;
    for damage in &listed.damaged {
        tracing::error!("{damage}");
    }
    if listed.more {
        tracing::warn!("there are more runs than these; --limit 0 lists all");
    }
    Ok(exit)
}

/// Prints runs as they are found.
async fn print(output: Output, mut found: Receiver<Listed>) -> Result<(), CommandError> {
    let mut table =
        Table::new(&["closed", "namespace", "workflow id", "run id", "type", "status", ">events"]);
    let (mut lines, mut any) = (String::new(), false);
    while let Some(run) = found.recv().await {
        any = true;
        if output.is_json() {
            lines.push_str(&output::document_line(&run)?);
            lines.push('\n');
        } else {
            table.row(row(&run));
        }
        if lines.len() >= 1 << 20 {
            output.text(&std::mem::take(&mut lines))?;
        }
        if table.len() >= PAGE {
            output.text(&table.take())?;
        }
    }
    if any && !output.is_json() {
        lines = table.take();
    }
    output.text(&lines)
}

fn row(run: &Listed) -> [String; 7] {
    let run = run.summary();
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { output::line(text) };
    [
        output::moment(run.close_time),
        or_none(&run.namespace),
        or_none(&run.workflow_id),
        or_none(&run.run_id),
        output::line(&run.type_name),
        events::name(run.status.strip_prefix("WORKFLOW_EXECUTION_STATUS_").unwrap_or(&run.status)),
        output::count(u64::try_from(run.history_length).unwrap_or(0)),
    ]
}
