//! The heartbeat: tokio-cron-scheduler, once a second.
//!
//! It only beats. When something is due is the agenda's affair: the crate's jobs overlap
//! themselves, freeze the time zone's offset when they are made, and forget what was missed.

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Beats until it is stopped.
pub struct Ticker {
    scheduler: JobScheduler,
    beats: mpsc::Receiver<()>,
}

impl Ticker {
    /// Starts beating.
    pub async fn start() -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        // One beat may wait: whoever is late looks once, not once for every beat it missed.
        let (beat, beats) = mpsc::channel(1);
        let job = Job::new_async("* * * * * *", move |_, _| {
            let beat = beat.clone();
            Box::pin(async move {
                let _ = beat.try_send(());
            })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, beats })
    }

    /// The next beat; false when there will be none.
    pub async fn beat(&mut self) -> bool {
        self.beats.recv().await.is_some()
    }

    /// Stops beating.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!("the ticker did not stop: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ticker;
    use std::time::Duration;

    #[tokio::test]
    async fn it_beats_again_and_again() {
        let mut ticker = Ticker::start().await.unwrap();
        for _ in 0..2 {
            let beat = tokio::time::timeout(Duration::from_secs(10), ticker.beat());
            assert!(beat.await.unwrap());
        }
        ticker.stop().await;
    }
}
