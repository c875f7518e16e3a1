//! `history gaps`: what Temporal has and the archive has not.

use jobs::history::gaps::{Gaps, Missing};

use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, arguments: &cli::Gaps) -> Result<Exit, CommandError> {
    let archive = command.settings.archive(&arguments.archive)?;
    let job = Gaps {
        temporal: command.settings.temporal(&arguments.temporal, &arguments.archive)?,
        namespaces: archive.namespaces,
        settle: archive.settle,
    };
    let (missing, exit) = command.perform(&job).await?;
    for damage in &missing.damaged {
        tracing::error!("{damage}");
    }
    if command.output.is_json() {
        command.output.document(&missing)?;
    } else {
        command.output.text(&text(&missing))?;
    }
    for namespace in &missing.namespaces {
        if let Some(error) = &namespace.error {
            tracing::error!("namespace {:?}: {error}", namespace.namespace);
        }
    }
    if missing.namespaces.iter().any(|namespace| namespace.missing > 0) {
        tracing::error!("`aidp-backup now archive --full` archives what is missing");
    }
    Ok(exit)
}

fn text(missing: &Missing) -> String {
    let mut text = String::new();
    for namespace in missing.namespaces.iter().filter(|namespace| namespace.error.is_none()) {
        text.push_str(&format!(
            "{}: {} of {} missing\n",
            namespace.namespace,
            output::count(namespace.missing),
            output::counted(namespace.listed, "closed run"),
        ));
        for gap in &namespace.uncovered {
            text.push_str(&format!(
                "  no window covers {} to {}\n",
                output::moment(gap.from),
                output::moment(gap.to)
            ));
        }
        for run in &namespace.runs {
            text.push_str(&format!(
                "  missing: workflow {}, run {}, closed {}\n",
                output::line(&run.workflow_id),
                run.run_id,
                output::moment(run.close_time)
            ));
        }
        if namespace.missing > namespace.runs.len() as u64 {
            text.push_str("  … and more\n");
        }
    }
    text
}
