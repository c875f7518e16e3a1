//! `drill report`: which workflows have moved since a backup.

use jobs::drill::report::{Again, Moved, MovedRun, SinceBackup};

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::SinceBackup) -> Result<Exit, CommandError> {
    let temporal = match arguments.offline {
        true => None,
        false => Some(command.settings.temporal(&arguments.temporal, &cli::Archive::default())?),
    };
    let job = SinceBackup { id: arguments.since_backup.clone(), temporal };
    let (moved, exit) = command.perform(&job).await?;
    for damage in &moved.damaged {
        tracing::error!("{damage}");
    }
    if let Some(error) = moved.live.error.as_ref().filter(|_| !arguments.offline) {
        tracing::warn!("no live server could be asked: {error}");
    }
    if command.output.is_json() {
        command.output.document(&moved)?;
    } else {
        command.output.text(&text(&moved))?;
    }
    Ok(exit)
}

fn text(moved: &Moved) -> String {
    let until = moved.archived_until.map_or_else(|| "nothing".into(), output::moment);
    let mut text = format!(
        "since backup {} of {}; newest archived close: {until}; live server: {}\n",
        moved.backup,
        output::moment(moved.as_of),
        moved.live.address.as_deref().unwrap_or("none"),
    );
    for (runs, what) in [
        (&moved.finished, "finished since; running again after a restore"),
        (&moved.progressed, "progressed since; go on from where the backup is"),
        (&moved.started, "started since; unknown after a restore"),
        (&moved.unknown, "were open, and nothing is known of them since"),
    ] {
        text.push_str(&format!("\n{} {what}\n", output::count(runs.len() as u64)));
        text.push_str(&table(runs));
    }
    let activities = moved.activities.len() as u64;
    text.push_str(&format!("\n{} activities run again\n", output::count(activities)));
    let mut table = Table::new(&["namespace", "workflow", "activity", "type", "moved since"]);
    for Again { namespace, workflow_id, activity_id, activity_type, moved, .. } in &moved.activities
    {
        let moved = if *moved { "yes" } else { "" };
        let cells = [namespace, workflow_id, activity_id, activity_type, &moved.to_owned()];
        table.row(cells.map(Clone::clone));
    }
    if !table.is_empty() {
        text.push_str(&table.render());
    }
    text
}

fn table(runs: &[MovedRun]) -> String {
    let mut table =
        Table::new(&["namespace", "workflow", "run", "type", "status", "closed", ">events"]);
    for run in runs {
        let status = run.status.as_deref().unwrap_or_default();
        let status = status.strip_prefix("WORKFLOW_EXECUTION_STATUS_").unwrap_or(status);
        let events = match (run.events_before, run.events_now) {
            (Some(before), Some(now)) => format!("{before} to {now}"),
            (before, now) => before.or(now).map(output::count).unwrap_or_default(),
        };
        table.row([
            run.namespace.clone(),
            run.workflow_id.clone(),
            run.run_id.clone(),
            run.type_name.clone(),
            status.to_lowercase(),
            run.close_time.map(output::moment).unwrap_or_default(),
            events,
        ]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}
