//! `prune`: what retention removes and keeps, each with its reason.

use jobs::prune::{PlanPrune, Prune, Pruned, Rules};

use super::Command;
use crate::cli;
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::Prune) -> Result<Exit, CommandError> {
    if arguments.accept_smaller.is_some() && !arguments.apply {
        let what = "--accept-smaller changes the store";
        return Err(ConfigError::Conflict { what, hint: "add --apply" }.into());
    }
    let settings = command.settings.retention(&arguments.retention)?;
    let rules = Rules { policy: settings.policy, orphan_grace: settings.orphan_grace };
    let (pruned, exit) = if arguments.apply {
        let accept_smaller = arguments.accept_smaller.clone();
        command.perform(&Prune { rules, accept_smaller }).await?
    } else {
        command.perform(&PlanPrune { rules }).await?
    };
    for damage in &pruned.unreadable {
        tracing::error!("nothing is removed: {damage}");
    }
    if command.output.is_json() {
        command.output.document(&pruned)?;
    } else {
        command.output.text(&text(&pruned))?;
    }
    Ok(exit)
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
