//! Metrics of the archive, namespace by namespace. Temporal's namespaces have a label of their own:
//! `namespace` is what Kubernetes calls its own, and Prometheus sets it.

use jobs::record::{NamespaceRecord, Record};

use super::seconds;
use super::text::{Kind, Page};
use crate::serve::view::Counters;

/// What the store's record of the last run tells.
pub fn of_record(page: &mut Page, task: &str, record: &Record) {
    for namespace in &record.namespaces {
        of_run(page, task, record, namespace);
        let labels = [("temporal_namespace", namespace.namespace.as_str())];
        let mut gauge = |name: &str, help: &str, value: f64| {
            page.add(name, Kind::Gauge, help, &labels, value);
        };
        if let Some(until) = namespace.covered_until {
            let help = "Everything that closed before this is archived.";
            gauge("archive_watermark_timestamp_seconds", help, seconds(until));
        }
        if let Some(gaps) = namespace.gaps {
            let help = "Intervals of close time between windows that no window covers.";
            gauge("archive_gaps", help, gaps as f64);
        }
        if let Some(expiring) = namespace.expiring {
            let help = "Closed runs that are not archived and that Temporal deletes soon.";
            gauge("archive_expiring_runs", help, expiring as f64);
        }
        if let Some(retention) = namespace.retention_seconds {
            let help = "How long Temporal keeps closed runs.";
            gauge("temporal_retention_seconds", help, retention as f64);
        }
        let help = "Runs that the last run of the archive archived.";
        gauge("archive_last_runs", help, namespace.runs as f64);
    }
}

/// The same figures that other jobs have for their sources.
fn of_run(page: &mut Page, task: &str, record: &Record, namespace: &NamespaceRecord) {
    let labels = [("task", task), ("source", namespace.namespace.as_str())];
    let mut gauge = |name: &str, help: &str, value: f64| {
        page.add(name, Kind::Gauge, help, &labels, value);
    };
    if let Some(success) = namespace.last_success {
        gauge("last_success_timestamp_seconds", "End of the last good run.", seconds(success));
    }
    if namespace.done {
        let took = (record.finished - record.started).as_seconds_f64();
        gauge("last_duration_seconds", "Duration of the last good run.", took);
    }
    let begun = seconds(record.started);
    gauge("last_attempt_timestamp_seconds", "Begin of the last run.", begun);
    let help = "Whether the last finished run was good for this source.";
    gauge("last_attempt_success", help, f64::from(u8::from(namespace.done)));
}

/// What this process has archived.
pub fn of_process(page: &mut Page, counters: &Counters) {
    for (namespace, runs) in &counters.archived {
        let labels = [("temporal_namespace", namespace.as_str())];
        page.add("archived_runs_total", Kind::Counter, "Runs archived.", &labels, *runs as f64);
    }
}
