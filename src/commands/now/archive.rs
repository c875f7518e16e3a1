//! `now archive`: histories of closed workflow executions, once, now.

use jobs::archive::{Archived, ArchivedNamespace};

use super::watched;
use crate::cli::{self, LogFormat};
use crate::commands::Command;
use crate::ended::Ended;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::{output, report, wanted};

/// Archives.
pub async fn run(
    command: &Command,
    arguments: &cli::Now,
) -> Result<(Archived, Exit), CommandError> {
    let (temporal, archive) = (&arguments.temporal, &arguments.archive);
    let job = wanted::archive(&command.settings, temporal, archive, &arguments.export)?;
    watched::run(command, arguments, &job, Ended::archive).await
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

/// What an operator must know, one line each. When nothing could be archived that is a failure
/// like any other, and printed so.
pub fn complain(archived: &Archived, exit: Exit, format: LogFormat, run: &str) {
    let mut first = None;
    if matches!(exit, Exit::Failed | Exit::Usage) {
        first = archived.failed().next();
    }
    if let Some((namespace, error)) = first {
        let what = wanted::failed(namespace, error);
        report::print(&what, error.hint(), exit, format, run);
    }
    wanted::complain(archived, usize::from(first.is_some()));
}
