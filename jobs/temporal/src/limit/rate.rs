//! Calls per second: as configured, less when the server throttles, more again when it does not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How far ahead of the rate calls may run after a pause, unless told otherwise.
const BURST: Duration = Duration::from_millis(100);

/// Never slower than this, so that a server with any capacity at all is noticed.
const SLOWEST: f64 = 1.0;

/// Several calls in flight are throttled by one cause: only the first counts.
const ONE_CAUSE: Duration = Duration::from_millis(100);

/// After throttling nothing is asked for so long. A server's limiter has tokens again by then.
const PAUSE: Duration = Duration::from_millis(200);

/// Throttling takes at most all but this share of the rate: what went well lately may have been
/// little only because little was asked.
const DEEPEST_CUT: f64 = 0.125;

/// Growth per second without throttling.
const GROWTH: f64 = 0.25;

#[derive(Debug)]
pub(crate) struct Rate {
    most: f64,
    burst: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: f64,
    /// When the next call is due.
    next: Instant,
    throttled: Option<Instant>,
    grown: Instant,
    /// Calls that went well since the rate was last cut.
    successes: u32,
    since: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: f64) -> Self {
        Self::with_burst(per_second, BURST)
    }

    /// A rate of which so much may be used at once, at the beginning and after a pause.
    pub(crate) fn with_burst(per_second: f64, burst: Duration) -> Self {
        let most = if per_second.is_finite() { per_second.max(0.01) } else { 1e6 };
        let now = Instant::now();
        let state = State {
            per_second: most,
            next: now.checked_sub(burst).unwrap_or(now),
            throttled: None,
            grown: now,
            successes: 0,
            since: now,
        };
        Self { most, burst, state: Mutex::new(state) }
    }

    /// Waits until it is this call's turn.
    pub(crate) async fn turn(&self) {
        tokio::time::sleep_until(self.reserve(Instant::now())).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.lock();
        let due = match now.checked_sub(self.burst) {
            Some(earliest) => state.next.max(earliest),
            None => state.next,
        };
        state.next = due + Duration::from_secs_f64(1.0 / state.per_second);
        due
    }

    /// Slows down: to half, or to what the server has let through since the last time.
    pub(crate) fn throttled(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.throttled.is_some_and(|last| now - last <= ONE_CAUSE) {
            return;
        }
        let seconds = (now - state.since).as_secs_f64().max(0.05);
        let passed = f64::from(state.successes) / seconds;
        let cut = passed.clamp(state.per_second * DEEPEST_CUT, state.per_second / 2.0);
        state.per_second = cut.max(SLOWEST.min(self.most));
        state.throttled = Some(now);
        state.grown = now;
        (state.successes, state.since) = (0, now);
        state.next = state.next.max(now + PAUSE);
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.lock();
        state.successes = state.successes.saturating_add(1);
        if state.per_second < self.most {
            let now = Instant::now();
            let seconds = (now - state.grown).as_secs_f64();
            state.per_second = (state.per_second * (1.0 + GROWTH * seconds)).min(self.most);
            state.grown = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_over_time_after_a_short_burst() {
        let rate = Rate::new(10.0);
        let started = Instant::now();
        for _ in 0..21 {
            rate.turn().await;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((1.85..2.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn few_calls_go_at_once_where_a_burst_is_allowed_and_many_do_not() {
        let rate = Rate::with_burst(8.0, Duration::from_millis(500));
        let started = Instant::now();
        for _ in 0..5 {
            rate.turn().await;
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        for _ in 0..8 {
            rate.turn().await;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((0.95..1.05).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_down_once_per_cause_and_success_speeds_up_again() {
        let rate = Rate::new(100.0);
        for _ in 0..100 {
            rate.succeeded();
        }
        for _ in 0..8 {
            rate.throttled();
        }
        assert_eq!(rate.lock().per_second, 50.0);
        for _ in 0..400 {
            tokio::time::advance(Duration::from_millis(10)).await;
            rate.succeeded();
        }
        assert_eq!(rate.lock().per_second, 100.0);
    }

    #[tokio::test(start_paused = true)]
    async fn limit_of_a_server_is_found_in_few_throttled_calls() {
        // A token bucket of 10 a second, as a server has it.
        let rate = Rate::new(1_000.0);
        let started = Instant::now();
        let (mut taken, mut throttled, mut passed) = (0.0, 0, 0);
        while passed < 200 {
            rate.turn().await;
            let filled = started.elapsed().as_secs_f64() * 10.0 + 20.0;
            if taken + 1.0 <= filled {
                taken += 1.0;
                passed += 1;
                rate.succeeded();
            } else {
                throttled += 1;
                rate.throttled();
            }
        }
        let took = started.elapsed().as_secs_f64();
        assert!(took < 26.0, "{took} s for what the server would do in 18");
        assert!(throttled < 60, "{throttled} calls throttled");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_always_throttles_is_still_asked_once_a_second() {
        let rate = Rate::new(100.0);
        for _ in 0..50 {
            tokio::time::advance(Duration::from_secs(1)).await;
            rate.throttled();
        }
        assert_eq!(rate.lock().per_second, 1.0);
    }
}
