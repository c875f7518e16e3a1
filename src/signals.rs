//! SIGTERM and SIGINT: the first asks the run to stop, the second ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a process that was ended by its second signal, as a shell would give it.
const KILLED: i32 = 130;

/// Cancels `token` when the process is asked to stop.
pub fn watch(token: &CancellationToken) -> std::io::Result<()> {
    let token = token.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopping; a second signal ends the program at once");
        token.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(KILLED);
    });
    Ok(())
}
