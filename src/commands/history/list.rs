//! `history list` and `history search`.

use chrono::{TimeDelta, Utc};
use jobs::history::Query;
use jobs::history::list::{ListRuns, Runs};

use super::query;
use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

/// The runs of a time; the last day when nothing else is said.
pub async fn list(command: &Command, arguments: &cli::ListRuns) -> Result<Exit, CommandError> {
    let mut query = query(&arguments.archived, &arguments.filter)?;
    if query.since.is_none() {
        let end = query.until.unwrap_or_else(Utc::now);
        query.since = Some(end - TimeDelta::days(1));
    }
    run(command, query, arguments.limit).await
}

/// Runs of all times.
pub async fn search(command: &Command, arguments: &cli::ListRuns) -> Result<Exit, CommandError> {
    run(command, query(&arguments.archived, &arguments.filter)?, arguments.limit).await
}

async fn run(command: &Command, query: Query, limit: u64) -> Result<Exit, CommandError> {
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let (runs, exit) = command.perform(&ListRuns { query, limit }).await?;
    for damage in &runs.damaged {
        tracing::error!("{damage}");
    }
    if command.output.is_json() {
        command.output.documents(&runs.runs)?;
    } else {
        command.output.text(&table(&runs))?;
    }
    if runs.more {
        tracing::warn!("there are more runs than these; --limit 0 lists all");
    }
    tracing::debug!("{} read", output::counted(runs.reads, "object"));
    Ok(exit)
}

fn table(runs: &Runs) -> String {
    let mut table =
        Table::new(&["closed", "namespace", "workflow id", "run id", "type", "status", ">events"]);
    for run in &runs.runs {
        table.row([
            output::moment(run.close_time),
            run.namespace.clone(),
            output::line(&run.workflow_id),
            run.run_id.clone(),
            output::line(&run.type_name),
            super::events::name(
                run.status.strip_prefix("WORKFLOW_EXECUTION_STATUS_").unwrap_or(&run.status),
            ),
            output::count(u64::try_from(run.history_length).unwrap_or(0)),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}
