//! `now archive`: histories of closed workflow executions, once, now.

use jobs::archive::{Archive, Archived, ArchivedNamespace};

use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

/// Archives.
pub async fn run(
    command: &Command,
    arguments: &cli::Now,
) -> Result<(Archived, Exit), CommandError> {
    let settings = command.settings.archive(&arguments.archive)?;
    let job = Archive {
        temporal: command.settings.temporal(&arguments.temporal, &arguments.archive)?,
        namespaces: settings.namespaces,
        codec: settings.codec,
        settle: settings.settle,
        overlap: settings.overlap,
        expiry_warning: settings.expiry_warning,
        orphan_grace: command.settings.retention(&arguments.export.retention)?.orphan_grace,
        join_windows: settings.join_windows,
        full: settings.full,
        prune: !arguments.export.no_prune,
    };
    command.perform(&job).await
}

/// What came of it, for people.
pub fn text(archived: &Archived) -> String {
    let mut text = String::new();
    for namespace in &archived.namespaces {
        text.push_str(&line(namespace));
        for gone in &namespace.vanished {
            text.push_str(&format!(
                "  gone before it could be read: workflow {}, run {}, closed {}\n",
                gone.workflow_id,
                gone.run_id,
                output::moment(gone.close_time)
            ));
        }
    }
    if archived.namespaces.is_empty() {
        text.push_str("there is no namespace to archive\n");
    }
    text
}

fn line(namespace: &ArchivedNamespace) -> String {
    let mut line = format!(
        "archived {}: {}, {}, {} of history, {} stored",
        namespace.namespace,
        output::counted(namespace.runs, "run"),
        output::counted(namespace.events, "event"),
        output::bytes(namespace.bytes),
        output::bytes(namespace.stored_bytes)
    );
    if let Some(until) = namespace.covered_until {
        line.push_str(&format!(
            "; everything that closed before {} is archived",
            output::moment(until)
        ));
    }
    if namespace.joined > 0 {
        line.push_str(&format!("; {} joined", output::counted(namespace.joined, "window")));
    }
    if namespace.removed > 0 {
        line.push_str(&format!("; {} expired", output::counted(namespace.removed, "window")));
    }
    line.push('\n');
    line
}

/// What an operator must know, one line each.
pub fn complain(archived: &Archived) {
    for (namespace, error) in archived.failed() {
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        tracing::error!("namespace {:?}: {}{hint}", namespace.namespace, jobs::chain(error));
    }
    for namespace in archived.namespaces.iter().filter(|namespace| namespace.expiring > 0) {
        tracing::error!(
            "{} in {} expire within {} and are not archived",
            output::counted(namespace.expiring, "history").replace("historys", "histories"),
            namespace.namespace,
            output::span(chrono::TimeDelta::seconds(namespace.expiring_within_seconds))
        );
    }
}
