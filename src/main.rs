//! The command: parse, configure, run, report.

mod arguments;
mod cli;
mod commands;
mod config;
mod ended;
mod error;
mod exit;
mod history;
mod http_client;
mod logging;
mod metrics;
mod notify;
mod output;
mod progress;
mod report;
mod secret;
mod serve;
mod signals;
mod wanted;

use std::process::ExitCode;

use error::CommandError;
use exit::Exit;

fn main() -> ExitCode {
    // A drill starts its servers through this very program, so that they end with it.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == jobs::drill::keeper::WORD) {
        let error = CommandError::Runtime(jobs::drill::keeper::become_server(words));
        return report::failure(&error, cli::LogFormat::Text, "").into();
    }
    // One TLS library with one set of ciphers, for every client that asks for the process's own.
    // It is the first to be installed, so that it cannot be refused.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = arguments::parse();
    let exit = match arguments.refusal {
        Some(refusal) => report::failure(&refusal.into(), cli::LogFormat::Text, ""),
        None => start(arguments.cli),
    };
    exit.into()
}

/// Configures, then runs the verb.
fn start(cli: cli::Cli) -> Exit {
    let run = logging::run_id();
    let settings = match config::Settings::load(&cli.global) {
        Ok(settings) => settings,
        Err(error) => {
            let format = cli.global.log_format.unwrap_or(cli::LogFormat::Text);
            return report::failure(&error.into(), format, &run);
        }
    };
    let format = settings.log_format();
    let terminal = progress::Terminal::new(&cli.global);
    logging::start(&cli.global, format, &terminal);
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(commands::run(cli, settings, terminal, run.clone()));
        // Blocking calls that were given up on must not keep the process alive.
        runtime.shutdown_timeout(std::time::Duration::from_secs(2));
        result
    });
    result.unwrap_or_else(|error| report::failure(&error, format, &run))
}

/// Few threads: the codecs run on the blocking pool, and memory is bounded.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, 4))
        .enable_all()
        .build()
        .map_err(CommandError::Runtime)
}
