//! What can keep the sidecar from starting.

use std::net::SocketAddr;

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The ticker does not tick.
    #[error("cannot start the ticker")]
    Ticker(#[source] Box<tokio_cron_scheduler::JobSchedulerError>),
}

impl ServeError {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { .. } => {
                Some("give another address with --listen, or end the program that has it".into())
            }
            Self::Ticker(_) => None,
        }
    }
}
