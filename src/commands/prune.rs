//! `prune`: what retention removes and keeps, each with its reason.

use std::time::Duration;

use jobs::archive::NamespaceRule;
use jobs::history::prune::{
    Fate, FateReason, PlanHistories, PruneHistories, PrunedHistories, PrunedNamespace,
};
use jobs::prune::{PlanPrune, Prune, Pruned, Rules};
use serde::Serialize;

use super::Command;
use crate::cli;
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};
use crate::report;

pub async fn run(command: &Command, arguments: &cli::Prune) -> Result<Exit, CommandError> {
    if arguments.accept_smaller.is_some() && !arguments.apply {
        let what = "--accept-smaller changes the store";
        return Err(ConfigError::Conflict { what, hint: "add --apply" }.into());
    }
    if let Some(name) = &arguments.forget {
        return super::forget::run(command, name, arguments.apply).await;
    }
    let settings = command.settings.retention(&arguments.retention)?;
    let archive = command.settings.archive(&cli::Archive {
        namespace: arguments.histories.namespace.clone(),
        keep_histories: arguments.histories.keep_histories,
        ..cli::Archive::default()
    })?;
    let grace = settings.orphan_grace;
    let rules = Rules { policy: settings.policy, orphan_grace: grace };
    let (pruned, exit) = if arguments.apply {
        let accept_smaller = arguments.accept_smaller.clone();
        command.perform(&Prune { rules, accept_smaller }).await?
    } else {
        command.perform(&PlanPrune { rules }).await?
    };
    for damage in &pruned.unreadable {
        tracing::error!("nothing is removed: {damage}");
    }
    for damage in &pruned.damaged {
        tracing::error!("{damage}");
    }
    // Histories have a lease of their own, which an archive may hold: what was done stays done.
    let pruned_histories = histories(command, arguments.apply, archive.namespaces, grace).await;
    let histories = pruned_histories.as_ref().ok().map(|(histories, _)| histories);
    for damage in histories.iter().flat_map(|histories| &histories.unreadable) {
        tracing::error!("no history is removed: {damage}");
    }
    if command.output.is_json() {
        command.output.document(&Both { backups: &pruned, histories })?;
    } else {
        let histories = histories.map(text_of_histories).unwrap_or_default();
        command.output.text(&(text(&pruned) + &histories))?;
    }
    match pruned_histories {
        Ok((_, of_histories)) => Ok(exit.with(of_histories)),
        Err(error) => {
            let format = command.settings.log_format();
            Ok(exit.with(report::failure(&error, format, &command.run)))
        }
    }
}

/// What became of backups and of histories; those are missing when they failed.
#[derive(Serialize)]
struct Both<'a> {
    #[serde(flatten)]
    backups: &'a Pruned,
    histories: Option<&'a PrunedHistories>,
}

/// Archived histories: the lease is taken only when there is something to be removed.
async fn histories(
    command: &Command,
    apply: bool,
    rules: Vec<NamespaceRule>,
    orphan_grace: Duration,
) -> Result<(PrunedHistories, Exit), CommandError> {
    let planned = command.perform(&PlanHistories { rules: rules.clone() }).await?;
    if !apply || planned.0.removals() == 0 || !planned.0.unreadable.is_empty() {
        return Ok(planned);
    }
    command.perform(&PruneHistories { rules, orphan_grace }).await
}

fn text_of_histories(pruned: &PrunedHistories) -> String {
    let verb = if pruned.applied.is_some() { "removed" } else { "remove" };
    let mut text = String::new();
    for namespace in &pruned.namespaces {
        text.push_str(&format!("\n{}", windows(namespace, verb)));
    }
    match &pruned.applied {
        Some(freed) => text.push_str(&format!(
            "removed {}, {}, {}\n",
            output::counted(freed.windows, "window"),
            output::counted(freed.objects, "object"),
            output::bytes(freed.bytes)
        )),
        None if pruned.removals() > 0 => text.push_str(&format!(
            "would remove {} of histories; --apply does it\n",
            output::counted(pruned.removals(), "window")
        )),
        None => {}
    }
    text
}

/// The windows of a namespace; neighbours with one fate for one reason on one line, since there
/// may be thousands.
fn windows(namespace: &PrunedNamespace, verb: &str) -> String {
    let title = format!("histories of {}", output::line(&namespace.namespace));
    let mut table = Table::new(&[&title, "to", ">windows", ">runs", "", "reason"]);
    let fates = namespace.remove.iter().map(|fate| (verb, fate));
    let fates: Vec<(&str, &Fate)> =
        fates.chain(namespace.keep.iter().map(|fate| ("keep", fate))).collect();
    for alike in fates.chunk_by(|(a, one), (b, other)| a == b && one.reason == other.reason) {
        let Some((what, first)) = alike.first() else { continue };
        let from = alike.iter().map(|(_, fate)| fate.first_close).min();
        let to = alike.iter().map(|(_, fate)| fate.last_close).max();
        table.row([
            from.map(output::moment).unwrap_or_default(),
            to.map(output::moment).unwrap_or_default(),
            output::count(alike.len() as u64),
            output::count(alike.iter().map(|(_, fate)| fate.runs).sum()),
            (*what).to_owned(),
            reason(&first.reason),
        ]);
    }
    table.render()
}

fn reason(reason: &FateReason) -> String {
    let span = |seconds: i64| output::span(chrono::TimeDelta::seconds(seconds));
    match reason {
        FateReason::Forever => "kept for ever".into(),
        FateReason::Unnamed => "no rule names the namespace".into(),
        FateReason::Within { seconds } => format!("within {}", span(*seconds)),
        FateReason::Expired { seconds } => format!("older than {}", span(*seconds)),
        FateReason::Replaced => "another window has taken its place".into(),
    }
}

fn text(pruned: &Pruned) -> String {
    let verb = if pruned.applied.is_some() { "removed" } else { "remove" };
    let mut text = String::new();
    for group in &pruned.plan.groups {
        let mut table = Table::new(&[group.group.as_str(), "started", "", "reason"]);
        let started = |id: &String| {
            pruned.started.get(id).map_or_else(String::new, |time| output::moment(*time))
        };
        for kept in &group.keep {
            let reasons: Vec<String> = kept.reasons.iter().map(ToString::to_string).collect();
            table.row([kept.id.clone(), started(&kept.id), "keep".into(), reasons.join(", ")]);
        }
        for gone in &group.remove {
            table.row([gone.id.clone(), started(&gone.id), verb.into(), gone.reason.to_string()]);
        }
        text.push_str(&table.render());
        if let Some(shrink) = &group.frozen {
            text.push_str(&format!("frozen, nothing is removed: {shrink}\n"));
        }
        text.push('\n');
    }
    text.push_str(&match &pruned.applied {
        Some(freed) => format!(
            "removed {}, {}, {}\n",
            output::counted(freed.backups.len() as u64, "backup"),
            output::counted(freed.objects, "object"),
            output::bytes(freed.bytes)
        ),
        None => format!(
            "would remove {}, and {} that no backup names; --apply does it\n",
            output::counted(pruned.removals().len() as u64, "backup"),
            output::counted(pruned.orphans, "object")
        ),
    });
    text
}
