//! `drill`: the drills, one file each, and what they have in common.

mod database;
mod histories;
mod replay;
mod report;
mod verify_report;

use std::sync::Arc;

use jobs::drill::{CheckResult, Drilled, SigningKey};

use super::Command;
use crate::cli::{self, DrillVerb};
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::metrics;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::Drill) -> Result<Exit, CommandError> {
    match &arguments.verb {
        Some(DrillVerb::Database(arguments)) => database::run(command, arguments).await,
        Some(DrillVerb::Histories(arguments)) => histories::run(command, arguments).await,
        Some(DrillVerb::Replay(arguments)) => replay::run(command, arguments).await,
        Some(DrillVerb::Report(arguments)) => report::run(command, arguments).await,
        Some(DrillVerb::VerifyReport(arguments)) => verify_report::run(command, arguments),
        None => configured(command).await,
    }
}

/// Every drill that the configuration sets up, one after the other.
async fn configured(command: &Command) -> Result<Exit, CommandError> {
    let mut exits = Vec::new();
    if database::is_configured(command)? {
        let arguments = cli::DrillDatabase::default();
        exits.push(attempted(database::run(command, &arguments).await)?);
    }
    if histories::is_configured(command)? {
        let arguments = cli::DrillHistories::default();
        exits.push(attempted(histories::run(command, &arguments).await)?);
    }
    if replay::is_configured(command) {
        let arguments = cli::DrillReplay::default();
        exits.push(attempted(replay::run(command, &arguments).await)?);
    }
    exits.into_iter().reduce(Exit::with).ok_or_else(|| {
        ConfigError::Conflict {
            what: "no drill is configured",
            hint: "set one up in [drill] of the configuration file, or name one: drill database",
        }
        .into()
    })
}

/// One drill that fails does not keep the next one from running.
fn attempted(outcome: Result<Exit, CommandError>) -> Result<Exit, CommandError> {
    match outcome {
        Err(error @ (CommandError::Output(_) | CommandError::Config(_))) => Err(error),
        Err(error) => {
            tracing::error!("{}", jobs::chain(&error));
            Ok(error.exit())
        }
        Ok(exit) => Ok(exit),
    }
}

/// The key that signs evidence.
fn signing_key(
    command: &Command,
    flags: &cli::Signing,
) -> Result<Option<Arc<SigningKey>>, CommandError> {
    let path = command.settings.signing_key_file(flags);
    Ok(path.map(|path| SigningKey::read(&path)).transpose()?.map(Arc::new))
}

/// Prints what a drill found, and leaves its metrics.
async fn show(
    command: &Command,
    drilled: &Drilled,
    metrics: &cli::DrillMetrics,
) -> Result<(), CommandError> {
    let text = metrics::of_drill(&drilled.evidence);
    if let Some(path) = &metrics.metrics_textfile
        && let Err(error) = metrics::textfile(path, &text)
    {
        tracing::warn!("metrics cannot be written to {}: {error}", path.display());
    }
    if let Some(gateway) = &metrics.pushgateway {
        let task = format!("drill-{}", drilled.evidence.kind.name());
        if let Err(error) = metrics::push(gateway, &task, text).await {
            tracing::warn!("metrics cannot be pushed: {error}");
        }
    }
    if command.output.is_json() {
        let document = serde_json::json!({
            "evidence": drilled.evidence,
            "recorded": drilled.recorded,
        });
        command.output.document(&document)
    } else {
        command.output.text(&self::text(drilled))
    }
}

fn text(drilled: &Drilled) -> String {
    let evidence = &drilled.evidence;
    let mut table = Table::new(&["result", "check", "of", "found"]);
    for check in &evidence.checks {
        let found = match check.result {
            CheckResult::Pass => check.found.as_ref().or(check.expected.as_ref()),
            _ => check.found.as_ref(),
        };
        let optional = if check.required { "" } else { " (optional)" };
        table.row([
            word(check.result).to_owned(),
            format!("{}{optional}", check.name),
            check.of.clone().unwrap_or_default(),
            found.cloned().unwrap_or_default(),
        ]);
        for name in &check.names {
            table.row([String::new(), String::new(), String::new(), format!("- {name}")]);
        }
    }
    let mut text = table.render();
    let measures = &evidence.measures;
    let mut parts = Vec::new();
    for (name, seconds) in [("RPO", measures.rpo_seconds), ("RTO", measures.rto_seconds)] {
        parts.extend(seconds.map(|seconds| format!("{name} {}", span(seconds))));
    }
    parts.extend(measures.parts.iter().map(|(name, seconds)| format!("{name} {}", span(*seconds))));
    text.push_str(&format!(
        "\n{} {}: {}\nevidence {} and {}\n",
        word(evidence.verdict),
        evidence.subject.id,
        parts.join(", "),
        drilled.recorded.json,
        drilled.recorded.html
    ));
    text
}

fn word(result: CheckResult) -> &'static str {
    match result {
        CheckResult::Pass => "PASS",
        CheckResult::Fail => "FAIL",
        CheckResult::NotRun => "NOT RUN",
    }
}

fn span(seconds: f64) -> String {
    output::span(chrono::TimeDelta::milliseconds((seconds * 1000.0) as i64))
}
