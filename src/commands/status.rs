//! `status`: how each group stands.

use jobs::history::standing::{Histories, HistoriesStanding, NamespaceStanding};
use jobs::status::{GroupStanding, Standing, Status};

use chrono::{DateTime, Utc};

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::Status) -> Result<Exit, CommandError> {
    let overdue_after = command.settings.overdue_after(arguments.overdue_after);
    let groups = command.settings.status_groups(&arguments.group);
    let archive = command.settings.archive(&arguments.archive)?;
    let temporal = command.settings.temporal(&arguments.temporal, &arguments.archive)?;
    let histories = Histories {
        ask: temporal.address.is_some() || temporal.environment.contains_key("TEMPORAL_ADDRESS"),
        temporal,
        namespaces: archive.namespaces,
        expiry_warning: archive.expiry_warning,
    };
    let job = Status { overdue_after: overdue_after.delta(), groups, histories: Some(histories) };
    let (standing, exit) = command.perform(&job).await?;
    if command.output.is_json() {
        command.output.document(&standing)?;
        return Ok(exit);
    }
    let mut table = Table::new(&[
        "group",
        "last good export",
        ">age",
        ">stored",
        ">rows",
        "trend",
        "drilled",
        "state",
    ]);
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
            drilled(group, standing.now),
            state(group),
        ]);
    }
    let mut text = if table.is_empty() { String::new() } else { table.render() };
    if let Some(histories) = &standing.histories
        && !histories.namespaces.is_empty()
    {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&archives(histories));
    }
    command.output.text(&text)?;
    complain(&standing);
    if standing.groups.is_empty() {
        command.hint("`aidp-backup now export` makes one; --store or AIDP_BACKUP_STORE says where");
    }
    let never_whole = standing.groups.iter().any(|group| group.last_good.is_none());
    if never_whole || !standing.failing.is_empty() {
        command.hint(
            "what was mistyped or is gone for good: `aidp-backup prune --forget NAME` with the \
             group or source as it stands here",
        );
    }
    Ok(exit)
}

/// How far each namespace is archived.
fn archives(standing: &HistoriesStanding) -> String {
    let headline = ["namespace", "archived until", ">age", ">runs", ">stored", ">holes", "state"];
    let mut table = Table::new(&headline);
    for namespace in &standing.namespaces {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let age = namespace.age_seconds.map(chrono::TimeDelta::seconds);
        table.row([
            output::line(&namespace.namespace),
            or_none(namespace.archived_until.map(output::moment)),
            or_none(age.map(output::span)),
            output::count(namespace.runs),
            output::bytes(namespace.stored_bytes),
            output::count(namespace.holes.len() as u64),
            state_of(namespace),
        ]);
    }
    table.render()
}

fn state_of(namespace: &NamespaceStanding) -> String {
    match (namespace.overdue, namespace.expiring) {
        _ if namespace.error.is_some() => "not known".into(),
        _ if !namespace.current => "archived no more".into(),
        (true, Some(1..)) => "overdue, expiring".into(),
        (false, Some(1..)) => "expiring".into(),
        (true, _) => "overdue".into(),
        (false, Some(0)) if namespace.windows == 0 => "nothing archived yet".into(),
        (false, Some(0)) => "good".into(),
        (false, None) => "good, as far as the store tells".into(),
    }
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

/// Age of the newest backup that passed a drill.
fn drilled(group: &GroupStanding, now: DateTime<Utc>) -> String {
    let newest = group.last_good.as_ref().map(|last| &last.id);
    match &group.drilled {
        Some(proven) if Some(&proven.id) == newest => "this one".into(),
        Some(proven) => format!("{} old", output::age(proven.started, now)),
        None => "never".into(),
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
    for record in &standing.settled {
        let when = output::moment(record.finished);
        let source = output::line(&record.source);
        tracing::info!(
            "the {} of {source} at {when} failed; a later one has all of it",
            record.job
        );
    }
    if let Some(histories) = &standing.histories {
        complain_of_histories(histories);
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

fn complain_of_histories(standing: &HistoriesStanding) {
    for damage in &standing.unreadable {
        tracing::error!("{damage}");
    }
    if let Some(error) = &standing.temporal_error {
        tracing::warn!("Temporal cannot be asked which histories expire: {error}");
    }
    for namespace in &standing.namespaces {
        let name = &namespace.namespace;
        if let Some(error) = &namespace.error {
            tracing::warn!("what expires in {name} is not known: {error}");
        }
        for hole in &namespace.holes {
            tracing::warn!(
                "nothing of {name} is archived from {} to {}; `aidp-backup history gaps` says what \
                 is missing",
                output::moment(hole.from),
                output::moment(hole.to)
            );
        }
        if let (Some(runs @ 1..), Some(seconds)) =
            (namespace.expiring, namespace.expiring_within_seconds)
        {
            tracing::error!("{}", history::expiring(runs, name, seconds));
        }
        if namespace.overdue {
            let until = namespace.archived_until.map(output::moment);
            let until = until.unwrap_or_else(|| "never, by these rules".into());
            tracing::error!("the archive of {name} is overdue: it ends {until}");
        }
    }
}
