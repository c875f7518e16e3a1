//! A store full of archived histories, made up and written in seconds: as many runs as years would
//! bring, for measuring how long it takes to find one.
//!
//! It is written after `docs/formats/histories.md` and shares no code with the program under test,
//! so that a mistake there is not made here again.

mod calendar;
mod manifest;
mod segment;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;
use crate::s3::Client;

use calendar::{DAY_MICROS, Day};
use manifest::Part;

/// Name of the namespace that all runs are in.
pub const NAMESPACE: &str = "default";

/// Its id.
pub const NAMESPACE_ID: &str = "11111111-2222-4333-8444-555555555555";

/// Runs in one segment at most.
const SEGMENT_RUNS: u64 = 50_000;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Histories {
    runs: u64,
    days: u32,
}

/// One run among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// The day on which it closed, `2026-03-01`.
    pub day: String,
}

impl Histories {
    /// So many runs, spread evenly over so many days from 2026-01-01 on: a window a day.
    #[must_use]
    pub fn new(runs: u64, days: u32) -> Self {
        Self { runs, days: days.max(1) }
    }

    /// Run number `n`, counted from 0.
    #[must_use]
    pub fn run(&self, n: u64) -> Run {
        let day = Day::new(u32::try_from(n / self.a_day().max(1)).unwrap_or(0).min(self.days - 1));
        Run { workflow_id: workflow_id(n), run_id: run_id(n), day: day.to_string() }
    }

    /// Runs on each day; the last day has the rest besides.
    fn a_day(&self) -> u64 {
        self.runs / u64::from(self.days)
    }

    /// Writes segments, indexes and manifests into a folder that is a store.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, store: &Path) -> Result<(), Error> {
        let next = AtomicU32::new(0);
        let work = || loop {
            let day = next.fetch_add(1, Ordering::Relaxed);
            if day >= self.days {
                return Ok(());
            }
            self.write_day(store, day)?;
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(work);
            work()?;
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn write_day(&self, store: &Path, number: u32) -> Result<(), Error> {
        let first = self.a_day() * u64::from(number);
        let behind = if number + 1 == self.days { self.runs } else { first + self.a_day() };
        if first == behind {
            return Ok(());
        }
        let day = Day::new(number);
        let step = DAY_MICROS / (behind - first + 1);
        let close = |n: u64| day.micros() + (n - first + 1) * step;
        let id = format!(
            "{}-{}-{number:08x}",
            calendar::compact(close(first)),
            calendar::compact(close(behind - 1))
        );
        let folder = format!("histories/{NAMESPACE}/{day}");
        make(&store.join(&folder))?;
        let mut parts = Vec::new();
        let mut from = first;
        while from < behind {
            let to = behind.min(from + SEGMENT_RUNS);
            let written = segment::segment(from..to, close)?;
            let stem = format!("{folder}/{id}-{:02}", parts.len());
            let part = Part::new(
                &stem,
                &written,
                calendar::time(close(from)),
                calendar::time(close(to - 1)),
            );
            put(store, &part.data.key, &written.data)?;
            put(store, &part.index.key, &written.index)?;
            parts.push(part);
            from = to;
        }
        let manifests = format!("manifests/histories/{NAMESPACE}");
        make(&store.join(&manifests))?;
        put(store, &format!("{manifests}/{id}.json"), &manifest::document(&id, &day, &parts))
    }
}

/// Copies a store that is a folder into a bucket.
///
/// # Errors
/// When a file cannot be read, or the server refuses.
pub fn upload(store: &Path, client: &Client, bucket: &str) -> Result<(), Error> {
    upload_below(store, "", client, bucket)
}

fn upload_below(store: &Path, key: &str, client: &Client, bucket: &str) -> Result<(), Error> {
    let folder = store.join(key);
    let failed = || Error::io(format!("cannot read {}", folder.display()));
    for entry in fs::read_dir(&folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = if key.is_empty() { name } else { format!("{key}/{name}") };
        if entry.path().is_dir() {
            upload_below(store, &key, client, bucket)?;
        } else {
            client.put(bucket, &key, &fs::read(entry.path()).map_err(failed())?)?;
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(format!("cannot make {}", folder.display())))
}

fn put(store: &Path, key: &str, content: &[u8]) -> Result<(), Error> {
    fs::write(store.join(key), content).map_err(Error::io(format!("cannot write {key}")))
}

fn workflow_id(n: u64) -> String {
    format!("change-{n}")
}

/// A UUID of the number, the same on every call.
fn run_id(n: u64) -> String {
    let (a, b) = (mix(n), mix(n ^ 0x5555_5555_5555_5555));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

/// SplitMix64's output function.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
