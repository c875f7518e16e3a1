//! Metrics by Prometheus's names and units, in one place: from what a store knows, and from what
//! this process has done. What is not known is left out: alerts tell "never" from "old" by it.

mod archive;
mod drill;
mod export;
mod text;

use chrono::{DateTime, Utc};
use jobs::overview::Kept;
use jobs::record::Record;
use vault::lease::Held;

use crate::serve::Task;
use crate::serve::view::{TaskView, View};
pub use drill::of_drill;
pub use export::{push, textfile};
use text::{Kind, Page};

/// Version of Prometheus's text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the store knows of one job.
pub struct Known<'a> {
    /// The job's name.
    pub task: &'a str,
    /// What it is about.
    pub sources: &'a [String],
    /// Its backups, oldest first.
    pub backups: Vec<&'a Kept>,
    /// The record of its last run.
    pub record: Option<&'a Record>,
    /// The last run's exit code, when it is known better than the record tells it.
    pub exit: Option<u8>,
}

/// What a command that ran one job has to say.
pub fn of_command(known: &Known<'_>) -> String {
    let mut page = Page::default();
    build_info(&mut page);
    of_store(&mut page, known);
    page.render()
}

/// What the sidecar has to say.
pub fn of_sidecar(view: &View) -> String {
    let mut page = Page::default();
    build_info(&mut page);
    page.add("up", Kind::Gauge, "The sidecar runs.", &[], 1.0);
    for task in &view.tasks {
        let known = Known {
            task: task.name,
            sources: &task.sources,
            backups: task.backups.iter().collect(),
            record: task.record.as_ref(),
            exit: task.last.as_ref().map(crate::ended::Ended::exit),
        };
        if task.schedule.is_some() {
            for source in &task.sources {
                let labels = [("task", task.name), ("source", source.as_str())];
                let help = "A job is configured to run for this source.";
                page.add("configured", Kind::Gauge, help, &labels, 1.0);
            }
        }
        if view.overview.is_some() {
            of_store(&mut page, &known);
        }
        of_process(&mut page, task);
    }
    of_view(&mut page, view);
    page.render()
}

fn build_info(page: &mut Page) {
    let revision = option_env!("AIDP_BACKUP_REVISION").unwrap_or("unknown");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("revision", revision)];
    page.add("build_info", Kind::Gauge, "Version of the program.", &labels, 1.0);
}

/// Source by source: the newest backup that holds it counts, though another source failed in it.
fn of_store(page: &mut Page, known: &Known<'_>) {
    let by_task = [("task", known.task)];
    if let Some(record) = known.record.filter(|record| !record.namespaces.is_empty()) {
        archive::of_record(page, known.task, record);
    }
    // Namespaces have no backups.
    let sources = if known.task == "archive" { &[][..] } else { known.sources };
    for source in sources {
        let labels = [("task", known.task), ("source", source.as_str())];
        let mut gauge = |name: &str, help: &str, value: f64| {
            page.add(name, Kind::Gauge, help, &labels, value);
        };
        let part = |kept: &&Kept| kept.parts.iter().find(|part| part.name == *source).cloned();
        let holding: Vec<_> =
            known.backups.iter().filter_map(|kept| Some((&kept.summary, part(kept)?))).collect();
        gauge("backups", "Backups that are kept.", holding.len() as f64);
        if let Some((oldest, _)) = holding.first() {
            let help = "Begin of the oldest backup that is kept.";
            gauge("oldest_timestamp_seconds", help, seconds(oldest.started));
        }
        if let Some((last, part)) = holding.last() {
            let help = "End of the last good run.";
            gauge("last_success_timestamp_seconds", help, seconds(last.finished));
            let took = (last.finished - last.started).as_seconds_f64();
            gauge("last_duration_seconds", "Duration of the last good run.", took);
            let help = "Stored bytes of the last good backup.";
            gauge("last_size_bytes", help, part.stored_bytes as f64);
            gauge("last_rows", "Rows in the last good backup.", part.rows as f64);
        }
        if let Some((_, part)) = holding.iter().rev().nth(1) {
            let help = "Stored bytes of the good backup before the last one.";
            gauge("previous_size_bytes", help, part.stored_bytes as f64);
        }
        if let Some(record) = known.record {
            let help = "Begin of the last run.";
            gauge("last_attempt_timestamp_seconds", help, seconds(record.started));
            let made = holding.iter().any(|(kept, _)| record.backup.as_ref() == Some(&kept.id));
            let help = "Whether the last finished run was good for this source.";
            gauge("last_attempt_success", help, f64::from(u8::from(record.done || made)));
        }
    }
    let recorded = known.record.map(|record| match (record.done, &record.backup) {
        (true, _) => 0,
        (false, Some(_)) => 3,
        (false, None) => 1,
    });
    if let Some(exit) = known.exit.or(recorded) {
        let help = "Exit code of the last finished run.";
        page.add("last_attempt_exit_code", Kind::Gauge, help, &by_task, f64::from(exit));
    }
}

fn of_process(page: &mut Page, task: &TaskView) {
    let labels = [("task", task.name)];
    let mut add = |name: &str, kind, help: &str, value: f64| {
        page.add(name, kind, help, &labels, value);
    };
    let counters = &task.counters;
    add("bytes_total", Kind::Counter, "Bytes stored.", counters.bytes as f64);
    if task.task == Task::Export {
        add("rows_total", Kind::Counter, "Rows exported.", counters.rows as f64);
    }
    add("retries_total", Kind::Counter, "Attempts after the first.", counters.retries as f64);
    let running = f64::from(u8::from(task.running.is_some()));
    add("run_in_progress", Kind::Gauge, "A run is in progress here.", running);
    let reading = task.running.as_ref().map(|running| running.progress.reading());
    if let Some(reading) = reading.filter(|reading| reading.total > 0) {
        let share = (reading.bytes as f64 / reading.total as f64).min(1.0);
        add("run_progress_ratio", Kind::Gauge, "How far the phase in progress is.", share);
    }
    if let Some(next) = task.next {
        add(
            "next_run_timestamp_seconds",
            Kind::Gauge,
            "When the next run is due.",
            seconds(next.at),
        );
    }
    archive::of_process(page, counters);
    for outcome in ["done", "failed", "partial", "damaged", "busy", "usage"] {
        let count = counters.runs.get(outcome).copied().unwrap_or(0);
        let labels = [("task", task.name), ("outcome", outcome)];
        page.add(
            "runs_total",
            Kind::Counter,
            "Runs that ended, by outcome.",
            &labels,
            count as f64,
        );
    }
}

fn of_view(page: &mut Page, view: &View) {
    let mut gauge = |name: &str, help: &str, value: f64| {
        page.add(name, Kind::Gauge, help, &[], value);
    };
    if let Some(bytes) = view.overview.as_ref().and_then(|overview| overview.store_bytes) {
        gauge("store_size_bytes", "Bytes of all objects in the store.", bytes as f64);
    }
    if let Some((free, total)) = view.space {
        gauge("store_available_bytes", "Free bytes of the store's file system.", free as f64);
        gauge("store_capacity_bytes", "Bytes of the store's file system.", total as f64);
    }
    let good = f64::from(u8::from(view.reload.refused.is_none()));
    gauge("config_last_reload_success", "The newest configuration is in force.", good);
    let help = "When the configuration in force was read.";
    gauge("config_last_reload_timestamp_seconds", help, seconds(view.reload.at));
    if let Some(overview) = &view.overview {
        of_lease(page, "exports", overview.lease.as_ref());
        of_lease(page, "histories", overview.histories_lease.as_ref());
    }
}

fn of_lease(page: &mut Page, name: &str, lease: Option<&Held>) {
    let labels = [("lease", name)];
    let held = f64::from(u8::from(lease.is_some()));
    page.add("lease_held", Kind::Gauge, "Somebody holds the lease.", &labels, held);
    if let Some(lease) = lease {
        let help = "Until when the lease is held, unless it is renewed.";
        let name = "lease_expires_timestamp_seconds";
        page.add(name, Kind::Gauge, help, &labels, seconds(lease.expires));
    }
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}
