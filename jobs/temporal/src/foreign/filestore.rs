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

use super::folder::{Folder, name, read_file};
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

/// The histories in a folder.
pub(super) fn find(folder: &Folder) -> Result<Vec<Place>, Error> {
    // By hashes: the highest version and its file.
    let mut histories: BTreeMap<(&Path, &str), (i64, &PathBuf)> = BTreeMap::new();
    let mut records: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    for file in &folder.files {
        if let Some(stem) = name(file).strip_suffix(".history")
            && let Some((hashes, version)) = stem.split_once('_')
            && is_decimal(hashes)
            && let Ok(version) = version.parse()
        {
            let place = (file.parent().unwrap_or(file), hashes);
            let best = histories.entry(place).or_insert((version, file));
            if version > best.0 {
                *best = (version, file);
            }
        } else if let Some(stem) = name(file).strip_suffix(".visibility")
            && let Some((_, hash)) = stem.split_once('_')
            && is_decimal(hash)
        {
            records.insert(hash, file);
        }
    }
    let place = |((_, hashes), (_, file)): ((&Path, &str), (i64, &PathBuf))| {
        // The hash of the run id stands last, and has up to 20 digits.
        let record = (1..=20)
            .rev()
            .filter_map(|digits| hashes.get(hashes.len().checked_sub(digits)?..))
            .find_map(|hash| records.get(hash));
        let record = record.map(|path| read_record(path)).transpose()?;
        Ok(Place::File { file: file.clone(), record: record.map(Box::new) })
    };
    histories.into_iter().map(place).collect()
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
