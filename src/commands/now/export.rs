//! `now export`: databases, once, now.

use jobs::export::{Export, Exported};
use jobs::overview::Look;
use jobs::runner::{Job, Report};

use crate::cli;
use crate::commands::Command;
use crate::ended::Ended;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::serve::ScheduledJob;
use crate::{metrics, output, wanted};

/// Exports.
pub async fn run(
    command: &Command,
    arguments: &cli::Now,
) -> Result<(Exported, Exit), CommandError> {
    let job = wanted::export(&command.settings, &arguments.export)?;
    let outcome = command.attempt(&job).await?;
    if arguments.metrics_textfile.is_some() || arguments.pushgateway.is_some() {
        watched(command, arguments, &job, Ended::export(&outcome).exit()).await;
    }
    let exported = outcome.result?;
    let exit = exported.verdict().into();
    Ok((exported, exit))
}

/// Tells Prometheus, by way of a file or a Pushgateway. A backup is none the worse for it when
/// that fails.
async fn watched(command: &Command, arguments: &cli::Now, job: &Export, exit: u8) {
    let look = Look::default();
    let overview = match command.attempt(&look).await.map(|outcome| outcome.result) {
        Ok(Ok(overview)) => overview,
        Ok(Err(error)) => return tracing::warn!("no metrics: {}", jobs::chain(&error)),
        Err(error) => return tracing::warn!("no metrics: {}", jobs::chain(&error)),
    };
    let known = metrics::Known {
        task: Export::NAME,
        sources: &job.sources(),
        backups: job.backups(&overview),
        record: job.record(&overview),
        exit: Some(exit),
    };
    let text = metrics::of_command(&known);
    if let Some(path) = &arguments.metrics_textfile
        && let Err(error) = metrics::textfile(path, &text)
    {
        tracing::warn!("cannot write metrics to {}: {error}", path.display());
    }
    if let Some(gateway) = &arguments.pushgateway
        && let Err(error) = metrics::push(gateway, Export::NAME, text).await
    {
        tracing::warn!("cannot push metrics: {error}");
    }
}

/// What came of it, for people.
pub fn text(exported: &Exported) -> String {
    let backup = &exported.backup;
    let mut text = format!(
        "exported {}: {}, {} of data, {} stored, in {}\n",
        backup.id,
        output::counted(backup.rows, "row"),
        output::bytes(backup.data_bytes),
        output::bytes(backup.stored_bytes),
        output::span(backup.finished - backup.started)
    );
    for failed in &backup.failed {
        text.push_str(&format!("failed {}: {}\n", failed.name, failed.error));
    }
    if let Some(pruned) = &exported.pruned {
        for (group, _) in pruned.frozen() {
            text.push_str(&format!("frozen {group}: nothing is removed\n"));
        }
        for group in &pruned.plan.groups {
            for gone in &group.remove {
                text.push_str(&format!("removed {}: {}\n", gone.id, gone.reason));
            }
        }
    }
    text
}
