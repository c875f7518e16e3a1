//! Lines on standard error that say what takes time.
//!
//! They are written past the test runner's capture: whoever waits four minutes for a server to be
//! built should see why, under `cargo test` too.

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a running step says that it is still running.
const BEAT: Duration = Duration::from_secs(15);

/// Writes one line.
pub fn say(line: impl AsRef<str>) {
    // A closed standard error must not fail a test.
    let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
}

/// A step that may take minutes: says when it starts, every few seconds, and how long it took.
#[derive(Debug)]
pub struct Step {
    title: String,
    started: Instant,
    stop: Option<Sender<()>>,
    beat: Option<JoinHandle<()>>,
}

impl Step {
    /// Starts the step's clock.
    #[must_use]
    pub fn start(title: impl Into<String>) -> Self {
        let title = title.into();
        let started = Instant::now();
        say(format!("{title} …"));
        let (stop, stopped) = mpsc::channel::<()>();
        let name = title.clone();
        let beat = std::thread::spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                say(format!("{name} … {} s", started.elapsed().as_secs()));
            }
        });
        Self { title, started, stop: Some(stop), beat: Some(beat) }
    }

    /// Says that it is done.
    pub fn done(mut self) {
        self.end();
        say(format!("{}: {:.1} s", self.title, self.started.elapsed().as_secs_f64()));
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(beat) = self.beat.take() {
            // The thread only prints: there is nothing of its fate to report.
            let _ = beat.join();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.end();
    }
}
