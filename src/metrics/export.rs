//! Metrics of a command that ends: into a file, or to a Pushgateway. Neither may fail the run.

use std::io::{self, Write};
use std::path::Path;

use crate::http_client;

/// Replaces the file in one step, so that node_exporter never reads half of it.
pub fn textfile(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // node_exporter reads `*.prom`, and must not take this for one.
    let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = std::fs::File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    });
    if written.is_err() {
        // It may never have come into being.
        let _ = std::fs::remove_file(&draft);
    }
    written
}

/// Replaces the group of this job's task on a Pushgateway.
pub async fn push(gateway: &str, task: &str, text: String) -> Result<(), String> {
    let Some(client) = http_client::client() else { return Ok(()) };
    let url = format!("{}/metrics/job/aidp-backup/task/{task}", gateway.trim_end_matches('/'));
    let request = client.put(url).header("content-type", super::CONTENT_TYPE).body(text);
    let sent = request.send().await.and_then(reqwest::Response::error_for_status);
    sent.map(drop).map_err(http_client::blame)
}
