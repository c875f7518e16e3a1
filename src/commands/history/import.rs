//! `history import`: archived runs back into a Temporal that can be thrown away.

use jobs::history::WorkflowId;
use jobs::history::import::{ImportRuns, ImportedRuns};

use super::query;
use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, arguments: &cli::ImportRuns) -> Result<Exit, CommandError> {
    let archived =
        cli::Archived { namespace: arguments.namespace.clone(), ..cli::Archived::default() };
    let mut query = query(&archived, &arguments.filter)?;
    if let Some(id) = &arguments.id {
        query.workflow_id = Some(WorkflowId::Is(id.clone()));
    }
    let job = ImportRuns {
        query,
        temporal: command.settings.temporal(&arguments.temporal, &cli::Archive::default())?,
        into: arguments.into.clone(),
    };
    let (imported, exit) = command.perform(&job).await?;
    for damage in &imported.damaged {
        tracing::error!("{damage}");
    }
    for run in &imported.failed {
        tracing::error!(
            "{}: workflow {}, run {}: {}",
            run.outcome,
            output::line(&run.workflow_id),
            run.run_id,
            output::line(&run.reasons.join(", "))
        );
    }
    if command.output.is_json() {
        command.output.document(&imported)?;
    } else {
        command.output.text(&text(&imported))?;
    }
    Ok(exit)
}

fn text(imported: &ImportedRuns) -> String {
    let mut text = format!(
        "{} with {} are in the Temporal at {} as they were archived\n",
        output::counted(imported.runs, "run"),
        output::counted(imported.events, "event"),
        imported.address
    );
    for (from, into) in &imported.namespaces {
        text.push_str(&format!("  namespace {from} as {into}\n"));
    }
    if imported.reset_points > 0 {
        text.push_str(&format!(
            "  {} with other expiry times of reset points, which the retention there decides\n",
            output::counted(imported.reset_points, "run")
        ));
    }
    text
}
