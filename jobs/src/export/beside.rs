//! Work, and signs of life beside it.

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

/// What must not be taken for dead while something else is worked on.
#[async_trait]
pub(super) trait Alive: Send {
    /// Gives a sign of life.
    async fn sign(&mut self);
}

/// Does `work`, and meanwhile has `idle` give a sign of life every so often. A sign that was
/// begun is finished also when the work ends before it: given up half way, it would leave a
/// connection in the middle of a statement, and of no further use.
pub(super) async fn beside<T>(
    work: impl Future<Output = T>,
    every: Duration,
    idle: &mut impl Alive,
) -> T {
    let stop = CancellationToken::new();
    let signs = async {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(every) => {}
            }
            idle.sign().await;
        }
    };
    let work = async {
        let done = work.await;
        stop.cancel();
        done
    };
    tokio::join!(work, signs).0
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    #[derive(Default)]
    struct Counting {
        begun: u32,
        finished: u32,
    }

    #[async_trait]
    impl Alive for Counting {
        async fn sign(&mut self) {
            self.begun += 1;
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.finished += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_that_was_begun_is_finished_when_the_work_ends() {
        let mut idle = Counting::default();
        beside(tokio::time::sleep(EVERY + Duration::from_secs(1)), EVERY, &mut idle).await;
        assert_eq!((idle.begun, idle.finished), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn signs_come_as_long_as_the_work_lasts() {
        let mut idle = Counting::default();
        let done = beside(
            async {
                tokio::time::sleep(EVERY * 10).await;
                7
            },
            EVERY,
            &mut idle,
        );
        assert_eq!(done.await, 7);
        assert!((8..=9).contains(&idle.finished), "{}", idle.finished);
    }
}
