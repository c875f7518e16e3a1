//! `status`: how each group stands.

use jobs::status::{GroupStanding, Standing, Status};

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::Status) -> Result<Exit, CommandError> {
    let overdue_after = command.settings.overdue_after(arguments.overdue_after);
    let groups = command.settings.status_groups(&arguments.group);
    let job = Status { overdue_after: overdue_after.delta(), groups };
    let (standing, exit) = command.perform(&job).await?;
    if command.output.is_json() {
        command.output.document(&standing)?;
        return Ok(exit);
    }
    let mut table =
        Table::new(&["group", "last good export", ">age", ">stored", ">rows", "trend", "state"]);
    for group in &standing.groups {
        let last = group.last_good.as_ref();
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        table.row([
            group.group.clone(),
            or_none(last.map(|last| last.id.clone())),
            or_none(last.map(|last| output::age(last.started, standing.now))),
            or_none(last.map(|last| output::bytes(last.stored_bytes))),
            or_none(last.map(|last| output::count(last.rows))),
            trend(group),
            state(group),
        ]);
    }
    let text = if table.is_empty() { String::new() } else { table.render() };
    command.output.text(&text)?;
    complain(&standing);
    Ok(exit)
}

/// Rows of the last good export against the one before.
fn trend(group: &GroupStanding) -> String {
    match (&group.last_good, group.before) {
        (Some(last), Some(before)) if before.rows > 0 => {
            let change = (last.rows as f64 / before.rows as f64 - 1.0) * 100.0;
            format!("{change:+.1} % rows")
        }
        _ => "-".into(),
    }
}

fn state(group: &GroupStanding) -> String {
    match (group.overdue, &group.part_done_since) {
        (true, Some(_)) => "overdue, part done since".into(),
        (true, None) => "overdue".into(),
        (false, Some(_)) => "part done since".into(),
        (false, None) => "good".into(),
    }
}

/// What an operator must know, one line each.
fn complain(standing: &Standing) {
    for damage in &standing.unreadable {
        tracing::error!("{damage}");
    }
    for record in &standing.failing {
        let when = output::moment(record.finished);
        let what = record.error.as_deref().unwrap_or("it did not end well");
        tracing::error!("the last {} of {} failed at {when}: {what}", record.job, record.source);
    }
    if standing.groups.is_empty() {
        tracing::error!("there is no export yet");
    }
    for group in standing.groups.iter().filter(|group| group.overdue) {
        match &group.last_good {
            Some(last) => {
                let age = output::age(last.started, standing.now);
                tracing::error!("{} is overdue: its last good export is {age} old", group.group);
            }
            None => tracing::error!("{} is overdue: it has no whole export", group.group),
        }
    }
}
