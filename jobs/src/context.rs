//! What every job is given.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vault::Catalogue;
use vault::lease::{Holder, Timing};

use crate::{Clock, Error, Progress};

/// What every job is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The backups, and the store they are in.
    pub catalogue: Catalogue,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Asks the job to stop.
    pub cancel: CancellationToken,
    /// How far the job is.
    pub progress: Arc<Progress>,
    /// This process, for the lease.
    pub holder: Holder,
    /// The lease's clockwork.
    pub timing: Timing,
}

impl Context {
    /// [`Error::Cancelled`] once the job is to stop; asked between two steps.
    pub fn go_on(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
