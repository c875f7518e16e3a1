//! The archive as one restore sees it: what is wanted of it and where each part lies.

use std::collections::HashMap;
use std::sync::Arc;

use pgarchive::{ArchiveSource, Entry, Toc, Version};

use super::data::{DataFile, Files};
use super::large_objects::missing;
use super::schedule::{Schedule, loads_via_partition_root};
use super::session::Settings;
use super::{ExpectedTable, RestoreOptions, sql};
use crate::Error;
use crate::conninfo::ConnInfo;
use crate::progress::Progress;
use crate::temporal_schema::{self, TemporalSchema};

/// What all parts of one restore share.
pub(super) struct Archive {
    pub(super) source: Arc<dyn ArchiveSource>,
    pub(super) files: Files,
    pub(super) progress: Arc<Progress>,
    pub(super) options: RestoreOptions,
    pub(super) settings: Settings,
    /// Database it was made from.
    pub(super) database: String,
    /// `server_version` of that database.
    pub(super) server_version: String,
    /// Everything in it, in order. Where the target has another name, statements about the
    /// database name the target.
    pub(super) entries: Vec<Entry>,
    /// How each entry is restored.
    pub(super) parts: Vec<Part>,
    /// Set when this is one of Temporal's databases.
    pub(super) temporal: Option<TemporalSchema>,
}

/// What the restore does with one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Whether it is restored in the course of things; `DATABASE` and the like are not.
    pub(super) wanted: bool,
    /// Its data.
    pub(super) file: Option<DataFile>,
    /// Whether nothing else fills its table.
    pub(super) alone: bool,
}

impl Archive {
    /// Finds the data of every wanted entry.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is missing; [`Error::Refused`] for an entry of a kind
    /// that this program cannot restore.
    pub(super) async fn open(
        source: Arc<dyn ArchiveSource>,
        toc: Toc,
        target: &ConnInfo,
        options: &RestoreOptions,
        expected: &[ExpectedTable],
        progress: Arc<Progress>,
    ) -> Result<Self, Error> {
        let list = source.list().await.map_err(|source| Error::File {
            doing: "list",
            file: "the archive's files".to_owned(),
            source,
        })?;
        let files = Files::new(list);
        let Toc { header, mut entries } = toc;
        if header.database != target.database() {
            for entry in entries.iter_mut().filter(|entry| concerns_database(entry)) {
                entry.defn = sql::rename_database(&entry.defn, &header.database, target.database());
            }
        }
        let mut loads: HashMap<(Option<String>, String), usize> = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.desc == "TABLE DATA") {
            *loads.entry((entry.namespace.clone(), entry.tag.clone())).or_default() += 1;
        }
        let crosses_tables = entries.iter().any(loads_via_partition_root);
        let mut parts = Vec::with_capacity(entries.len());
        for entry in &entries {
            let wanted = wanted(entry, options);
            let file = if wanted && entry.had_dumper {
                Some(data_file(entry, &files, header.version)?)
            } else {
                None
            };
            let table = (entry.namespace.clone(), entry.tag.clone());
            let alone =
                entry.desc == "TABLE DATA" && !crosses_tables && loads.get(&table) == Some(&1);
            parts.push(Part { wanted, file, alone });
        }
        let stored = parts.iter().filter_map(|part| part.file.as_ref()).map(|file| file.size).sum();
        progress.plan(stored, expected.iter().map(|table| table.rows).sum(), loads.len() as u64);
        Ok(Self {
            source,
            files,
            progress,
            options: options.clone(),
            settings: Settings::new(&entries, options),
            database: header.database,
            server_version: header.server_version,
            temporal: temporal_schema::recognise(&entries),
            entries,
            parts,
        })
    }

    /// The entry at `index` and what becomes of it.
    pub(super) fn entry(&self, index: usize) -> Option<(&Entry, &Part)> {
        Some((self.entries.get(index)?, self.parts.get(index)?))
    }

    /// Entries that are restored.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().zip(&self.parts).filter(|(_, part)| part.wanted).map(|(entry, _)| entry)
    }

    /// The first entry of a class.
    pub(super) fn find(&self, desc: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.desc == desc)
    }

    /// The order of this restore.
    pub(super) fn schedule(&self) -> Schedule {
        let wanted: Vec<bool> = self.parts.iter().map(|part| part.wanted).collect();
        let weights: Vec<u64> =
            self.parts.iter().map(|part| part.file.as_ref().map_or(0, |file| file.size)).collect();
        Schedule::new(&self.entries, &wanted, &weights)
    }
}

/// Whether an entry's statements name the database itself.
fn concerns_database(entry: &Entry) -> bool {
    match entry.desc.as_str() {
        "DATABASE" | "DATABASE PROPERTIES" => true,
        "ACL" | "COMMENT" | "SECURITY LABEL" => entry.tag.starts_with("DATABASE "),
        _ => false,
    }
}

fn wanted(entry: &Entry, options: &RestoreOptions) -> bool {
    match entry.desc.as_str() {
        // Settings of every session, see there; and a remark of ancient versions.
        "ENCODING" | "STDSTRINGS" | "SEARCHPATH" | "<Init>" => false,
        // Done before, in another database.
        "DATABASE" | "DATABASE PROPERTIES" => false,
        "ACL" | "DEFAULT ACL" if options.no_privileges => false,
        _ if concerns_database(entry) => options.prepare.creates(),
        _ => true,
    }
}

fn data_file(entry: &Entry, files: &Files, version: Version) -> Result<DataFile, Error> {
    let refused = |why: String| Error::Refused {
        what: format!("{} {why}", super::statement::object_name(entry)),
        hint: "restore this archive with the pg_restore of the version that made it".to_owned(),
    };
    let name = match entry.desc.as_str() {
        // Before 1.16 there was one list of large objects, whatever the entry calls it.
        "BLOBS" if version < Version::V1_16 => "blobs.toc",
        "TABLE DATA" | "BLOBS" => entry
            .file_name
            .as_deref()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| refused("names no data file".to_owned()))?,
        _ => return Err(refused("has data of a kind that this program does not know".to_owned())),
    };
    files.find(name).ok_or_else(|| missing(name))
}
