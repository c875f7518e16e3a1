//! What must hold inside a manifest, whoever wrote it.

use std::collections::HashSet;

use super::{Database, Manifest, ManifestError, Table};
use crate::{Key, hex};

/// Whether `text` is the identity of a backup: `YYYYMMDDTHHMMSSZ-xxxxxx`.
pub fn is_id(text: &str) -> bool {
    let pattern = b"00000000T000000Z-xxxxxx";
    text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(byte, want)| match want {
            b'0' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            fixed => byte == *fixed,
        })
}

impl Manifest {
    /// Refuses a manifest that contradicts itself. Checked before publishing and after
    /// reading, so that nobody downstream has to.
    pub(super) fn refuse_contradictions(&self) -> Result<(), ManifestError> {
        let wrong = |reason: String| Err(ManifestError::Contradiction { reason });
        if !is_id(&self.id) {
            return wrong(format!("{:?} is not the identity of a backup", self.id));
        }
        if self.finished < self.started {
            return wrong("it was finished before it was started".into());
        }
        for pair in self.objects.windows(2) {
            if let [a, b] = pair
                && a.key >= b.key
            {
                return wrong(format!("object {} is named twice or out of order", b.key));
            }
        }
        for object in &self.objects {
            if hex::decode_sha256(&object.sha256).is_none() {
                return wrong(format!("object {} has no proper digest", object.key));
            }
            if !object.key.as_str().starts_with("exports/") {
                return wrong(format!("object {} does not lie under exports/", object.key));
            }
        }
        let mut names = HashSet::new();
        for database in &self.databases {
            if !names.insert(database.name.as_str()) {
                return wrong(format!("database {:?} is in it twice", database.name));
            }
            self.check_database(database)
                .or_else(|reason| wrong(format!("database {:?}: {reason}", database.name)))?;
        }
        Ok(())
    }

    fn check_database(&self, database: &Database) -> Result<(), String> {
        match database.format.as_str() {
            "directory" => {
                let folder = database.location.as_str();
                if !folder.ends_with('/') {
                    return Err(format!("location {folder:?} does not end with a slash"));
                }
                self.require(folder, "toc.dat")?;
                for table in &database.tables {
                    for chunk in &table.chunks {
                        self.require(folder, &chunk.file)?;
                    }
                }
            }
            "plain" => self.require(&database.location, "")?,
            other => return Err(format!("unknown format {other:?}")),
        }
        database.tables.iter().try_for_each(check_table)
    }

    /// `folder` and `file` must together name an object of this backup.
    fn require(&self, folder: &str, file: &str) -> Result<(), String> {
        let key = Key::new(format!("{folder}{file}")).map_err(|error| error.to_string())?;
        match self.objects.binary_search_by(|object| object.key.cmp(&key)) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("object {key} is missing")),
        }
    }
}

fn check_table(table: &Table) -> Result<(), String> {
    let name = || format!("table {:?}.{:?}", table.schema, table.name);
    if !matches!(table.data.as_str(), "text" | "binary") {
        return Err(format!("{}: unknown form of data {:?}", name(), table.data));
    }
    let rows = table.chunks.iter().try_fold(0_u64, |sum, chunk| sum.checked_add(chunk.rows));
    if !table.chunks.is_empty() && rows != Some(table.rows) {
        return Err(format!("{}: the rows of its chunks do not add up to its rows", name()));
    }
    let digests = table.chunks.iter().map(|chunk| &chunk.digest).chain([&table.digest]);
    for digest in digests.flatten() {
        let proper = digest.split_once(':').is_some_and(|(algorithm, value)| {
            let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            !algorithm.is_empty() && !value.is_empty() && value.bytes().all(lower_hex)
        });
        if !proper {
            return Err(format!("{}: {digest:?} is not a digest", name()));
        }
    }
    Ok(())
}
