//! A job that others are told of: people by messages, Prometheus by a file or a Pushgateway.

use jobs::Outcome;
use jobs::overview::Look;
use jobs::runner::{Job, Report};

use crate::cli;
use crate::commands::Command;
use crate::ended::Ended;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::metrics;
use crate::notify::Notifier;
use crate::serve::ScheduledJob;

/// Runs a job and tells whoever is to be told how it went. What is made is none the worse for it
/// when that fails.
pub async fn run<J: Job + ScheduledJob>(
    command: &Command,
    arguments: &cli::Now,
    job: &J,
    ended: impl Fn(&Outcome<J::Report>) -> Ended,
) -> Result<(J::Report, Exit), CommandError> {
    let mut notifier = Notifier::new(&command.settings.notify()?);
    notifier.started(J::NAME);
    let outcome = command.attempt(job).await?;
    let mut ended = ended(&outcome);
    ended.run = Some(command.run.clone());
    // Whether it was broken before is what the store remembers; without an answer it was not.
    if ended.before == Some(false) {
        notifier.recall(J::NAME);
    }
    notifier.ended(J::NAME, &ended);
    if arguments.metrics_textfile.is_some() || arguments.pushgateway.is_some() {
        measured(command, arguments, job, &ended).await;
    }
    notifier.close().await;
    let report = outcome.result?;
    let exit = report.verdict().into();
    Ok((report, exit))
}

/// Tells Prometheus.
async fn measured<J: Job + ScheduledJob>(
    command: &Command,
    arguments: &cli::Now,
    job: &J,
    ended: &Ended,
) {
    let overview = match command.attempt(&Look::default()).await.map(|outcome| outcome.result) {
        Ok(Ok(overview)) => overview,
        Ok(Err(error)) => return tracing::warn!("no metrics: {}", jobs::chain(&error)),
        Err(error) => return tracing::warn!("no metrics: {}", jobs::chain(&error)),
    };
    let known = metrics::Known {
        task: J::NAME,
        sources: &job.sources(Some(&overview)),
        backups: job.backups(&overview),
        record: job.record(&overview),
        exit: Some(ended.exit()),
    };
    let text = metrics::of_command(&known);
    if let Some(path) = &arguments.metrics_textfile
        && let Err(error) = metrics::textfile(path, &text)
    {
        tracing::warn!("cannot write metrics to {}: {error}", path.display());
    }
    if let Some(gateway) = &arguments.pushgateway
        && let Err(error) = metrics::push(gateway, J::NAME, text).await
    {
        tracing::warn!("cannot push metrics: {error}");
    }
}
