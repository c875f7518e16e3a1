//! The server's archival into files.
//!
//! A history is a JSON list of batches in `HASHES_VERSION.history`, where HASHES are the decimal
//! hashes of namespace id, workflow id and run id, one behind the other, and VERSION is the
//! failover version at close: of several versions the highest counts. What was archived of
//! visibility is one JSON object a run in `NAMESPACE_ID/CLOSE_HASH.visibility`, with the hash
//! of the run id, by which both are brought together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::folder::{beginning, name, read_file};
use super::json::Batch;
use super::{Error, ForeignRun, History, Place};

/// What was archived of a run's visibility, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Record {
    namespace_id: String,
    namespace: String,
    workflow_id: String,
    run_id: String,
}

impl Record {
    /// Tells a run what its history does not say.
    pub(super) fn complete(&self, run: &mut ForeignRun) {
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        // The hash is of 64 bits and of the run id alone: a record of another workflow is another
        // run's.
        if !run.workflow_id.is_empty() && run.workflow_id != self.workflow_id {
            return;
        }
        run.namespace = known(&self.namespace);
        run.namespace_id = known(&self.namespace_id);
        run.workflow_id.clone_from(&self.workflow_id);
        run.run_id = known(&self.run_id);
    }
}

/// What of files is histories, and what is known of their runs.
#[derive(Debug, Default)]
pub(super) struct Found<'f> {
    /// By folder and hashes: the highest version and its file.
    histories: BTreeMap<(&'f Path, &'f str), (i64, &'f PathBuf)>,
    /// By hash of the run id.
    records: BTreeMap<&'f str, &'f PathBuf>,
}

impl<'f> Found<'f> {
    /// Takes a file whose name or content is that of a history or of a record; false when it is
    /// neither.
    pub(super) fn take(&mut self, file: &'f PathBuf) -> Result<bool, Error> {
        let folder = file.parent().unwrap_or(file);
        if let Some(stem) = name(file).strip_suffix(".history")
            && let Some((hashes, version)) = stem.split_once('_')
            && is_decimal(hashes)
            && let Ok(version) = version.parse()
        {
            let best = self.histories.entry((folder, hashes)).or_insert((version, file));
            if version > best.0 {
                *best = (version, file);
            }
        } else if let Some(stem) = name(file).strip_suffix(".visibility")
            && let Some((_, hash)) = stem.split_once('_')
            && is_decimal(hash)
        {
            self.records.insert(hash, file);
        } else if is_batches(&beginning(file)?) {
            // Renamed, and a history all the same.
            self.histories.insert((folder, name(file)), (0, file));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn places(self) -> Result<Vec<Place>, Error> {
        let place = |((_, hashes), (_, file)): ((&Path, &str), (i64, &PathBuf))| {
            // The hash of the run id stands last, and has up to 20 digits.
            let record = (1..=20)
                .rev()
                .filter_map(|digits| hashes.get(hashes.len().checked_sub(digits)?..))
                .find_map(|hash| self.records.get(hash));
            let record = record.map(|path| read_record(path)).transpose()?;
            Ok(Place::File { file: file.clone(), record: record.map(Box::new) })
        };
        self.histories.iter().map(|(at, file)| place((*at, *file))).collect()
    }
}

/// Whether a file begins as a list of batches of events does: `[{"events":[`.
fn is_batches(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    b"[{\"events\":[".iter().all(|byte| rest.next() == Some(byte))
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_record(path: &Path) -> Result<Record, Error> {
    serde_json::from_slice(&read_file(path)?)
        .map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// The events of one file.
pub(super) fn read(path: &Path, history: &mut History<'_>) -> Result<(), Error> {
    let content = read_file(path)?;
    let batches: Vec<Batch<'_>> = serde_json::from_slice(&content)
        .map_err(|source| Error::Json { path: path.to_owned(), source })?;
    batches.iter().flat_map(|batch| &batch.events).try_for_each(|event| history.event_json(event))
}
