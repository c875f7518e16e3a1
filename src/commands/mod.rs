//! The verbs, one file each.

mod completions;
mod config;
mod drill;
mod fetch;
mod forget;
mod history;
mod list;
mod man;
mod now;
mod prune;
mod restore;
mod serve;
mod show;
mod status;
mod verify;

use std::sync::Arc;

use jobs::runner::{Job, Report};
use jobs::{Context, Outcome, Progress, SystemClock};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use vault::lease::{Holder, Timing};
use vault::{Catalogue, Requests};

use crate::cli::{Cli, Verb};
use crate::config::Settings;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::Terminal;
use crate::report;
use crate::signals;

/// What every verb is given.
struct Command {
    settings: Settings,
    output: Output,
    terminal: Terminal,
    /// Id of this run, by which its messages are found.
    run: String,
}

/// Runs the verb of a command line.
pub async fn run(
    cli: Cli,
    settings: Settings,
    terminal: Terminal,
    run: String,
) -> Result<Exit, CommandError> {
    let output = Output::new(cli.global.json);
    let command = Command { settings, output, terminal, run };
    match cli.verb {
        Verb::Now(arguments) => now::run(&command, &arguments).await,
        Verb::Serve(arguments) => serve::run(command, arguments).await,
        Verb::Status(arguments) => status::run(&command, &arguments).await,
        Verb::List(arguments) => list::run(&command, &arguments).await,
        Verb::Show(arguments) => show::run(&command, &arguments).await,
        Verb::Verify(arguments) => verify::run(&command, &arguments).await,
        Verb::Restore(arguments) => restore::run(&command, &arguments).await,
        Verb::Fetch(arguments) => fetch::run(&command, &arguments).await,
        Verb::Prune(arguments) => prune::run(&command, &arguments).await,
        Verb::History(arguments) => history::run(&command, &arguments).await,
        Verb::Drill(arguments) => drill::run(&command, &arguments).await,
        Verb::Config(arguments) => config::run(&command, arguments.verb),
        Verb::Completions(arguments) => completions::run(&command, &arguments),
        Verb::Man => man::run(&command),
    }
}

impl Command {
    /// Says on standard error what helps.
    fn hint(&self, text: &str) {
        report::hint(text, self.settings.log_format(), &self.run);
    }

    /// Runs a job as any job is run, with signals and progress, and gives its report and the
    /// exit code that goes with it.
    async fn perform<J: Job>(&self, job: &J) -> Result<(J::Report, Exit), CommandError> {
        self.perform_at(self.settings.store()?, job).await
    }

    /// The same with another store.
    async fn perform_at<J: Job>(
        &self,
        store: &str,
        job: &J,
    ) -> Result<(J::Report, Exit), CommandError> {
        let report = self.attempt_at(store, job).await?.result?;
        let exit = report.verdict().into();
        Ok((report, exit))
    }

    /// The same, and gives whatever came of it.
    async fn attempt<J: Job>(&self, job: &J) -> Result<Outcome<J::Report>, CommandError> {
        self.attempt_at(self.settings.store()?, job).await
    }

    async fn attempt_at<J: Job>(
        &self,
        store: &str,
        job: &J,
    ) -> Result<Outcome<J::Report>, CommandError> {
        let cancel = CancellationToken::new();
        signals::watch(&cancel).map_err(CommandError::Runtime)?;
        let requests = Requests::default();
        let environment = vault::Environment::of_process();
        let store = vault::open_counted(store, &environment, &requests).await;
        let store = store.map_err(|error| jobs::Error::Vault(error.into()))?;
        let context = Context {
            catalogue: Catalogue::new(store),
            clock: Arc::new(SystemClock),
            cancel,
            progress: Arc::new(Progress::default()),
            holder: Holder::this_process(),
            timing: Timing::default(),
        };
        let shown = self.terminal.show(&context.progress);
        let span = crate::logging::run_span(&self.run, J::NAME);
        let outcome = jobs::run(job, &context).instrument(span.clone()).await;
        shown.close().await;
        span.in_scope(|| tracing::debug!("requests to the store: {requests}"));
        Ok(outcome)
    }
}
