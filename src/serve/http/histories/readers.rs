//! Room for readers: what a page may cost is bounded by how many are made at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use jobs::runner::{Job, Shared};
use jobs::{Context, Progress, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use vault::Catalogue;
use vault::lease::{Holder, Timing};

/// Searches and histories being read at a time.
const READING: usize = 2;
/// Histories being sent as files at a time; each is held in memory meanwhile.
const DOWNLOADING: usize = 2;
/// How long somebody waits for a place, and then for the store.
const PLACE_WITHIN: Duration = Duration::from_secs(5);
const READ_WITHIN: Duration = Duration::from_secs(20);
/// Bytes of a file that are handed over at a time.
const PIECE: usize = 64 * 1024;

/// Those who read histories.
#[derive(Clone)]
pub struct Readers {
    reading: Arc<Semaphore>,
    downloading: Arc<Semaphore>,
}

/// Why nothing could be read.
#[derive(Debug)]
pub enum Failure {
    /// Others are at it.
    Busy,
    /// It took too long.
    Slow,
    /// The job failed.
    Job(jobs::Error),
}

impl Default for Readers {
    fn default() -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { reading: places(READING), downloading: places(DOWNLOADING) }
    }
}

impl Readers {
    /// Runs a job that only reads.
    pub async fn read<J: Job<Access = Shared>>(
        &self,
        catalogue: &Catalogue,
        job: &J,
    ) -> Result<J::Report, Failure> {
        let Some(_place) = place(&self.reading).await else { return Err(Failure::Busy) };
        let cancel = CancellationToken::new();
        // Whatever becomes of the wait, nothing is left behind that goes on reading.
        let _stop = cancel.clone().drop_guard();
        let context = Context {
            catalogue: catalogue.clone(),
            clock: Arc::new(SystemClock),
            cancel,
            progress: Arc::new(Progress::default()),
            holder: Holder::this_process(),
            timing: Timing::default(),
        };
        match tokio::time::timeout(READ_WITHIN, jobs::run(job, &context)).await {
            Ok(outcome) => outcome.result.map_err(Failure::Job),
            Err(_) => Err(Failure::Slow),
        }
    }

    /// A place for sending a file; `None` when there is none for too long.
    pub async fn downloading(&self) -> Option<OwnedSemaphorePermit> {
        place(&self.downloading).await
    }
}

async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let place = tokio::time::timeout(PLACE_WITHIN, places.clone().acquire_owned()).await;
    place.ok().and_then(Result::ok)
}

/// A file in pieces; its place is given back with the last of them.
pub fn pieces(
    content: Vec<u8>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::unfold((Bytes::from(content), place), |(mut rest, place)| async move {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok(piece), (rest, place)))
    })
}
