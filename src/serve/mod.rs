//! The sidecar: the jobs by their own schedule, watched over HTTP.
//!
//! [`schedule`] and [`agenda`] are pure and say when; [`engine`] runs the jobs and remembers;
//! [`http`] shows what the engine publishes and passes requests on. Signals, beats and changed
//! files meet in the loop below.

pub mod agenda;
mod engine;
mod error;
mod http;
pub mod schedule;
mod setup;
mod space;
mod task;
mod ticker;
pub mod view;
mod watch;

use std::sync::Arc;

use jobs::SystemClock;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::config::Settings;
use crate::error::CommandError;
use engine::{Engine, Request};
pub use error::ServeError;
use setup::Setup;
pub use task::{ScheduledJob, Task};
use ticker::Ticker;
use watch::Contents;

/// Beats between two looks at the files.
const WATCH_EVERY: u32 = 2;
/// Requests that wait to be taken in.
const REQUESTS: usize = 16;

/// Runs until SIGTERM.
pub async fn run(settings: Settings, flags: cli::Serve) -> Result<(), CommandError> {
    // Read in this order, a file that changes meanwhile is read once more, and never overlooked.
    let files = Contents::of(settings.files(&flags)).await;
    let setup = Setup::new(settings.reload()?, flags).await?;
    let address = setup.serve.listen;
    let listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let local = listener.local_addr().map_err(listen)?;
    let mut signals = Signals::new()?;
    let ticker = Ticker::start().await.map_err(|error| ServeError::Ticker(Box::new(error)))?;

    let (engine, views) = Engine::new(setup, Arc::new(SystemClock));
    let (requests, asked) = mpsc::channel(REQUESTS);
    let stop = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, views, requests, stop.clone()));
    tracing::info!("listening on http://{local}/");

    let engine = attend(engine, ticker, asked, files, &mut signals).await;
    engine.close().await;
    stop.cancel();
    // A panic there has been printed, and there is nothing left to protect.
    let _ = server.await;
    tracing::info!("stopped");
    Ok(())
}

/// What the outside world may want.
struct Signals {
    end: Ends,
    hang_up: Signal,
}

/// SIGTERM and SIGINT.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, CommandError> {
        let listen = |kind| signal(kind).map_err(CommandError::Runtime);
        Ok(Self {
            end: Ends {
                terminate: listen(SignalKind::terminate())?,
                interrupt: listen(SignalKind::interrupt())?,
            },
            hang_up: listen(SignalKind::hangup())?,
        })
    }
}

impl Ends {
    async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One event after the other, until the last run has ended after SIGTERM.
async fn attend(
    mut engine: Engine,
    mut ticker: Ticker,
    mut asked: mpsc::Receiver<Request>,
    mut files: Contents,
    signals: &mut Signals,
) -> Engine {
    let mut beats = 0_u32;
    engine.beat();
    loop {
        tokio::select! {
            () = signals.end.come() => break,
            _ = signals.hang_up.recv() => {
                files = contents(&engine).await;
                engine.reload().await;
            }
            Some(request) = asked.recv() => engine.request(request),
            true = ticker.beat() => {
                beats = beats.wrapping_add(1);
                if beats.is_multiple_of(WATCH_EVERY) {
                    let now = contents(&engine).await;
                    if now != files {
                        files = now;
                        engine.reload().await;
                    }
                }
                engine.beat();
            }
            () = engine.event() => engine.beat(),
        }
    }
    ticker.stop().await;
    finish(&mut engine, &mut signals.end).await;
    engine
}

/// Lets runs in progress end by themselves for a while, then asks them to give up, which they
/// do within seconds and without leaving anything behind.
async fn finish(engine: &mut Engine, end: &mut Ends) {
    engine.stop();
    let grace = engine.setup().serve.grace;
    let until = Instant::now() + grace;
    if engine.is_busy() {
        let seconds = grace.as_secs();
        tracing::warn!("stopping; the run in progress has {seconds} s, or until the next signal");
    }
    while engine.is_busy() {
        tokio::select! {
            () = engine.event() => {}
            () = tokio::time::sleep_until(until) => break,
            () = end.come() => break,
        }
    }
    if engine.is_busy() {
        tracing::warn!("the run in progress is abandoned");
        engine.abandon();
    }
    while engine.is_busy() {
        engine.event().await;
    }
}

async fn contents(engine: &Engine) -> Contents {
    let setup = engine.setup();
    Contents::of(setup.settings.files(&setup.flags)).await
}
