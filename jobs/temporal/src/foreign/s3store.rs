//! The server's archival into S3, as a folder that is a copy of the bucket.
//!
//! A history is in `[PATH/]NAMESPACE_ID/history/WORKFLOW_ID/RUN_ID/VERSION/N`, N from 0 on until
//! the header of a part says that it is the last. Of several versions the highest counts. A
//! workflow id with slashes makes folders of its own; what counts is what the header says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::folder::{name, read_file};
use super::json::Batch;
use super::{Error, ForeignRun, History, Place};

/// One part, a `HistoryBlob` of the server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part<'a> {
    header: Header,
    #[serde(borrow, default)]
    body: Vec<Batch<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Header {
    namespace: String,
    namespace_id: String,
    workflow_id: String,
    run_id: String,
    is_last: bool,
}

/// What of files is histories in a copy of a bucket.
#[derive(Debug, Default)]
pub(super) struct Found<'f> {
    /// By run: its highest version and the folder of that.
    runs: BTreeMap<&'f Path, (i64, &'f Path)>,
}

impl<'f> Found<'f> {
    /// Takes a file whose place is that of a part; false when it is none.
    pub(super) fn take(&mut self, file: &'f Path) -> bool {
        let Some(version_folder) = file.parent() else { return false };
        let Some(run) = version_folder.parent() else { return false };
        // RUN_ID, WORKFLOW_ID and at some height above them `history`.
        let in_history = run.ancestors().skip(2).any(|folder| name(folder) == "history");
        let (Ok(_), Ok(version), true) =
            (name(file).parse::<u32>(), name(version_folder).parse::<i64>(), in_history)
        else {
            return false;
        };
        let best = self.runs.entry(run).or_insert((version, version_folder));
        if version > best.0 {
            *best = (version, version_folder);
        }
        true
    }

    pub(super) fn places(self) -> Vec<Place> {
        let parts = |(_, folder): (i64, &Path)| Place::Parts { folder: folder.to_owned() };
        self.runs.into_values().map(parts).collect()
    }
}

/// Whether a file is what was archived of visibility in a copy of a bucket. The headers of
/// histories say all that is needed of it.
pub(super) fn is_record(file: &Path) -> bool {
    file.ancestors().skip(1).any(|folder| name(folder) == "visibility")
}

/// The events of one version of a run.
pub(super) fn read(folder: &Path, history: &mut History<'_>) -> Result<(), Error> {
    for number in 0_u32.. {
        let path = folder.join(number.to_string());
        if !path.exists() {
            break;
        }
        let content = read_file(&path)?;
        let part = parse(&path, &content)?;
        part.body
            .iter()
            .flat_map(|batch| &batch.events)
            .try_for_each(|event| history.event_json(event))?;
        if part.header.is_last {
            return Ok(());
        }
    }
    Err(history.wrong("lacks its last part"))
}

fn parse<'a>(path: &Path, content: &'a [u8]) -> Result<Part<'a>, Error> {
    serde_json::from_slice(content).map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// Tells a run what the header of its first part says.
pub(super) fn complete(folder: &Path, run: &mut ForeignRun) -> Result<(), Error> {
    let path = folder.join("0");
    let content = read_file(&path)?;
    let Header { namespace, namespace_id, workflow_id, run_id, .. } =
        parse(&path, &content)?.header;
    let known = |text: String| Some(text).filter(|text| !text.is_empty());
    run.namespace = known(namespace);
    run.namespace_id = known(namespace_id);
    run.run_id = known(run_id).or(run.run_id.take());
    if !workflow_id.is_empty() {
        run.workflow_id = workflow_id;
    }
    Ok(())
}
