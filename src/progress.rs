//! Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jobs::{Progress, Reading};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::{Global, LogFormat};
use crate::output;

/// How often the bar moves.
const FRAME: Duration = Duration::from_millis(100);
/// How often a line is printed where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Standard error as progress sees it.
#[derive(Debug, Clone)]
pub struct Terminal {
    bars: MultiProgress,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Silent,
}

impl Terminal {
    /// Finds out what standard error is.
    pub fn new(global: &Global) -> Self {
        let json = global.log_format == Some(LogFormat::Json);
        let style = match (global.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (_, true) if !json => Style::Bar,
            _ => Style::Lines,
        };
        let target = match style {
            Style::Bar => ProgressDrawTarget::stderr(),
            Style::Lines | Style::Silent => ProgressDrawTarget::hidden(),
        };
        Self { bars: MultiProgress::with_draw_target(target), style }
    }

    /// Prints with the bar out of the way.
    pub fn suspended<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    /// Shows `progress` until the returned guard is closed.
    pub fn show(&self, progress: &Arc<Progress>) -> Shown {
        let stop = CancellationToken::new();
        let showing = match self.style {
            Style::Silent => None,
            Style::Bar => {
                let bar = self.bars.add(ProgressBar::no_length());
                Some(tokio::spawn(draw(bar, progress.clone(), stop.clone())))
            }
            Style::Lines => Some(tokio::spawn(print(progress.clone(), stop.clone()))),
        };
        Shown { stop, showing }
    }
}

/// Progress being shown.
#[derive(Debug)]
pub struct Shown {
    stop: CancellationToken,
    showing: Option<JoinHandle<()>>,
}

impl Shown {
    /// Clears the bar and waits until that is done.
    pub async fn close(mut self) {
        self.stop.cancel();
        if let Some(showing) = self.showing.take() {
            // A panic while drawing is no reason to fail a backup.
            let _ = showing.await;
        }
    }
}

async fn draw(bar: ProgressBar, progress: Arc<Progress>, stop: CancellationToken) {
    // The templates are constants, and a test parses them.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let mut pace = Pace::default();
    while !tick(&stop, FRAME).await {
        bar.set_message(pace.line(progress.reading(), Instant::now()));
        bar.tick();
    }
    bar.finish_and_clear();
}

async fn print(progress: Arc<Progress>, stop: CancellationToken) {
    let mut pace = Pace::default();
    pace.line(progress.reading(), Instant::now());
    while !tick(&stop, LINE).await {
        tracing::info!("{}", pace.line(progress.reading(), Instant::now()));
    }
}

/// Waits; true when it is time to stop.
async fn tick(stop: &CancellationToken, interval: Duration) -> bool {
    tokio::time::timeout(interval, stop.cancelled()).await.is_ok()
}

/// When the current phase began, for its rate.
#[derive(Debug, Default)]
struct Pace {
    phase: &'static str,
    began: Option<Instant>,
}

impl Pace {
    /// `copying tables  1.20 of 3.50 GiB  34 %  1 200 345 rows  310 MiB/s  8s left`.
    fn line(&mut self, reading: Reading, now: Instant) -> String {
        if self.phase != reading.phase || self.began.is_none() {
            (self.phase, self.began) = (reading.phase, Some(now));
        }
        let elapsed = self.began.map_or(0.0, |began| now.duration_since(began).as_secs_f64());
        let rate = if elapsed > 0.2 { reading.bytes as f64 / elapsed } else { 0.0 };
        let mut parts = vec![reading.phase.to_owned(), output::bytes(reading.bytes)];
        if reading.total > reading.bytes {
            let share = reading.bytes as f64 * 100.0 / reading.total as f64;
            parts.push(format!("of {}  {share:.0} %", output::bytes(reading.total)));
        }
        if reading.rows > 0 {
            parts.push(format!("{} rows", output::count(reading.rows)));
        }
        if rate >= 1.0 {
            parts.push(format!("{}/s", output::bytes(rate as u64)));
            if reading.total > reading.bytes {
                let left = (reading.total - reading.bytes) as f64 / rate;
                // Beyond a year nobody counts.
                let left = TimeDelta::seconds(left.min(3.2e7) as i64);
                parts.push(format!("{} left", output::span(left)));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_bytes_rows_rate_and_time_left() {
        let mut pace = Pace::default();
        let began = Instant::now();
        let mut reading = Reading { phase: "copying", total: 4 << 20, bytes: 0, rows: 0 };
        assert_eq!(pace.line(reading, began), "copying  0 B  of 4.00 MiB  0 %");
        (reading.bytes, reading.rows) = (1 << 20, 1234);
        assert_eq!(
            pace.line(reading, began + Duration::from_secs(1)),
            "copying  1.00 MiB  of 4.00 MiB  25 %  1 234 rows  1.00 MiB/s  3.0s left"
        );
    }

    #[test]
    fn a_new_phase_begins_its_own_rate() {
        let mut pace = Pace::default();
        let began = Instant::now();
        let copying = Reading { phase: "copying", total: 0, bytes: 1 << 20, rows: 0 };
        pace.line(copying, began);
        let reading_back = Reading { phase: "reading back", ..copying };
        let line = pace.line(reading_back, began + Duration::from_secs(60));
        assert_eq!(line, "reading back  1.00 MiB");
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template("{spinner} {msg}").is_ok());
    }
}
