//! Calls in flight: few at first, one more with every round that goes well, half when throttled.
//!
//! A server that is only slow does not throttle, but its workers feel it: when answers take
//! several times as long as they did, no more calls are added, and when they take far longer, some
//! are taken away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Calls in flight at the beginning.
const FIRST: f64 = 4.0;

/// Throttled calls within this time have one cause.
const ONE_CAUSE: Duration = Duration::from_millis(250);

/// Answers larger than this take long for a reason of their own.
const SMALL: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Gate {
    most: f64,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    inside: usize,
    /// The least that a small answer takes, in seconds; forgotten slowly.
    least: Option<f64>,
    /// What small answers take now.
    recent: f64,
    lowered: Option<Instant>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// So many bytes, after the server had thought for so long.
    Answered(usize, Duration),
    Throttled,
}

/// A place among the calls in flight.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Arc<Gate>,
}

impl Gate {
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1) as f64;
        Self {
            most,
            state: Mutex::new(State {
                limit: FIRST.min(most),
                inside: 0,
                least: None,
                recent: 0.0,
                lowered: None,
            }),
            left: Notify::new(),
        }
    }

    pub(crate) async fn enter(self: &Arc<Self>) -> Ticket {
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            // From here on no notification is missed.
            left.as_mut().enable();
            {
                let mut state = self.lock();
                if state.inside < state.limit as usize {
                    state.inside += 1;
                    if state.inside < state.limit as usize {
                        // The limit may have grown by more than the one who left told us.
                        self.left.notify_one();
                    }
                    return Ticket { gate: Arc::clone(self) };
                }
            }
            left.await;
        }
    }

    fn learn(&self, outcome: Outcome) {
        let mut state = self.lock();
        match outcome {
            Outcome::Throttled => state.lower(0.5),
            Outcome::Answered(bytes, _) if bytes > SMALL => {}
            Outcome::Answered(_, latency) => {
                let latency = latency.as_secs_f64();
                let least = state.least.map_or(latency, |least| (least * 1.0005).min(latency));
                state.recent = if state.least.is_none() {
                    latency
                } else {
                    state.recent * 0.9 + latency * 0.1
                };
                state.least = Some(least);
                if state.recent > 10.0 * least + 0.05 {
                    state.lower(0.9);
                } else if state.recent < 4.0 * least + 0.01 {
                    state.limit = (state.limit + 1.0 / state.limit).min(self.most);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lower(&mut self, factor: f64) {
        let now = Instant::now();
        if self.lowered.is_none_or(|last| now - last > ONE_CAUSE) {
            self.limit = (self.limit * factor).max(1.0);
            self.lowered = Some(now);
        }
    }
}

impl Ticket {
    /// Leaves, and tells what became of the call.
    pub(crate) fn leave(self, outcome: Outcome) {
        self.gate.learn(outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.lock().inside -= 1;
        self.gate.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Outcome = Outcome::Answered(100, Duration::from_millis(2));

    async fn limit_after(outcomes: impl IntoIterator<Item = Outcome>) -> f64 {
        let gate = Arc::new(Gate::new(16));
        for outcome in outcomes {
            gate.enter().await.leave(outcome);
            tokio::time::advance(Duration::from_millis(300)).await;
        }
        gate.lock().limit
    }

    #[tokio::test(start_paused = true)]
    async fn calls_in_flight_grow_to_the_limit_while_answers_stay_quick() {
        assert_eq!(limit_after([QUICK; 200]).await, 16.0);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_halves_the_calls_in_flight_down_to_one() {
        assert_eq!(limit_after([Outcome::Throttled]).await, 2.0);
        assert_eq!(limit_after([Outcome::Throttled; 9]).await, 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_take_far_longer_than_before_take_calls_away() {
        let slow = Outcome::Answered(100, Duration::from_millis(400));
        let limit = limit_after([[QUICK; 200].as_slice(), &[slow; 20]].concat()).await;
        assert!(limit < 8.0, "{limit}");
    }

    #[tokio::test(start_paused = true)]
    async fn large_answers_say_nothing_about_the_server() {
        let large = Outcome::Answered(8 << 20, Duration::from_secs(1));
        assert_eq!(limit_after([large; 20]).await, 4.0);
    }

    #[tokio::test]
    async fn everyone_who_waits_gets_in_when_others_leave() {
        let gate = Arc::new(Gate::new(3));
        let inside: Vec<Ticket> = {
            let mut inside = Vec::new();
            for _ in 0..3 {
                inside.push(gate.enter().await);
            }
            inside
        };
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { drop(gate.enter().await) })
            })
            .collect();
        drop(inside);
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(gate.lock().inside, 0);
    }
}
