//! The table of contents: the plan's entries, with the files that were written.
//!
//! A table of one file keeps the usual form. For a table of several files there is a trap in
//! every `pg_restore` up to 18: restoring in parallel it knows one `TABLE DATA` entry per
//! table, lets indexes and constraints wait for that one only, and truncates the table before
//! it, which loses the rows of the others in silence. So the entries of chunks depend on
//! nothing (there is no table to truncate, and data comes after all definitions anyway), and
//! what comes after the data and needs the table waits for each chunk by name.

use std::collections::{BTreeMap, BTreeSet};

use pgarchive::{DumpId, Entry, Header, LARGE_OBJECTS, Section, Toc};

use super::ExportOptions;
use super::work::{self, TableWork, Work};
use crate::Error;
use crate::plan::DatabaseInfo;

/// The list of large objects; archives from 1.16 on, which this does not write, may have more.
pub(super) const LARGE_OBJECT_LIST: &str = "blobs.toc";

const TABLE_DATA: &str = "TABLE DATA";

/// The table of contents for what `work` made of `entries`.
///
/// # Errors
/// [`Error::Refused`] when plan and work do not fit, which would be a defect of this program.
pub(super) fn assemble(
    planned: Vec<Entry>,
    work: &Work,
    database: &DatabaseInfo,
    options: &ExportOptions,
) -> Result<Toc, Error> {
    let header = Header::new(
        options.codec.compression(),
        options.created,
        database.name.clone(),
        database.server_version.clone(),
        concat!("aidp-backup ", env!("CARGO_PKG_VERSION")),
    );
    Ok(Toc { header, entries: entries(planned, work)? })
}

/// Gives entries their files and splits those of chunked tables.
fn entries(planned: Vec<Entry>, work: &Work) -> Result<Vec<Entry>, Error> {
    let by_data: BTreeMap<DumpId, &TableWork> =
        work.tables.iter().map(|t| (t.data_id, t)).collect();
    // What each entry of a chunked table stands for.
    let mut chunks: BTreeMap<DumpId, &[DumpId]> = BTreeMap::new();
    for table in work.tables.iter().filter(|t| t.chunk_ids.len() > 1) {
        chunks.insert(table.data_id, &table.chunk_ids);
        if let Some(table_id) = table.table_id {
            chunks.insert(table_id, &table.chunk_ids);
        }
    }

    let mut entries = Vec::with_capacity(planned.len() + work.pieces.len());
    let mut placed = BTreeSet::new();
    for mut entry in planned {
        repoint(&mut entry, &chunks, &by_data);
        match by_data.get(&entry.dump_id) {
            Some(table) if entry.desc == TABLE_DATA => {
                placed.insert(entry.dump_id);
                entry.had_dumper = true;
                entry.copy_stmt.clone_from(&table.copy_in);
                for dump_id in &table.chunk_ids {
                    let mut part = entry.clone();
                    part.dump_id = *dump_id;
                    part.file_name = Some(work::file_name(*dump_id));
                    if table.chunk_ids.len() > 1 {
                        part.dependencies.clear();
                    }
                    entries.push(part);
                }
            }
            Some(_) => return Err(misfit(&entry, "is taken for a table's rows")),
            None if entry.desc == TABLE_DATA => return Err(misfit(&entry, "has no table to copy")),
            None if entry.desc == LARGE_OBJECTS => {
                entry.had_dumper = true;
                entry.file_name = Some(LARGE_OBJECT_LIST.to_owned());
                entries.push(entry);
            }
            None => entries.push(entry),
        }
    }
    match work.tables.iter().find(|t| !placed.contains(&t.data_id)) {
        None => Ok(entries),
        Some(table) => Err(Error::Refused {
            what: format!("table {:?} has rows but no entry in the plan", table.name),
            hint: "this is a defect: report it".to_owned(),
        }),
    }
}

/// Lets `entry` wait for chunks where it waits for a table's rows. What comes before the data
/// and needs the table needs its definition only.
fn repoint(
    entry: &mut Entry,
    chunks: &BTreeMap<DumpId, &[DumpId]>,
    by_data: &BTreeMap<DumpId, &TableWork>,
) {
    if !entry.dependencies.iter().any(|id| chunks.contains_key(id)) {
        return;
    }
    let mut dependencies = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |id| {
        if seen.insert(id) {
            dependencies.push(id);
        }
    };
    for id in &entry.dependencies {
        let is_rows = by_data.contains_key(id);
        let replaced = is_rows && chunks.contains_key(id);
        if !replaced {
            add(*id);
        }
        if is_rows || entry.section == Section::PostData {
            chunks.get(id).into_iter().copied().flatten().copied().for_each(&mut add);
        }
    }
    entry.dependencies = dependencies;
}

fn misfit(entry: &Entry, what: &str) -> Error {
    Error::Refused {
        what: format!("entry {} ({} {}) {what}", entry.dump_id, entry.desc, entry.tag),
        hint: "this is a defect: report it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use pgarchive::CopyFormat;

    use super::*;

    fn entry(dump_id: DumpId, desc: &str, section: Section, dependencies: &[DumpId]) -> Entry {
        Entry { dependencies: dependencies.to_vec(), ..Entry::new(dump_id, desc, "t", section) }
    }

    fn work(chunk_ids: &[DumpId]) -> Work {
        let table = TableWork {
            schema: "public".to_owned(),
            name: "t".to_owned(),
            table_id: Some(1),
            data_id: 2,
            format: CopyFormat::Text,
            copy_in: "COPY public.t (a) FROM stdin;\n".to_owned(),
            chunk_ids: chunk_ids.to_vec(),
        };
        Work { tables: vec![table], pieces: Vec::new() }
    }

    fn planned() -> Vec<Entry> {
        vec![
            entry(1, "TABLE", Section::PreData, &[]),
            entry(5, "VIEW", Section::PreData, &[1]),
            entry(6, "COMMENT", Section::None, &[1]),
            entry(2, "TABLE DATA", Section::Data, &[1]),
            entry(7, "SEQUENCE SET", Section::Data, &[2]),
            entry(3, "INDEX", Section::PostData, &[1]),
            entry(4, "FK CONSTRAINT", Section::PostData, &[1, 3, 2]),
        ]
    }

    fn dependencies(entries: &[Entry]) -> Vec<(DumpId, Vec<DumpId>)> {
        entries.iter().map(|e| (e.dump_id, e.dependencies.clone())).collect()
    }

    #[test]
    fn a_table_of_one_file_keeps_the_usual_form() {
        let entries = entries(planned(), &work(&[2])).unwrap();
        assert_eq!(dependencies(&entries), dependencies(&planned()));
        let data = &entries[3];
        assert!(data.had_dumper);
        assert_eq!(data.file_name.as_deref(), Some("2.dat"));
        assert_eq!(data.copy_stmt, "COPY public.t (a) FROM stdin;\n");
    }

    #[test]
    fn chunks_depend_on_nothing_and_what_follows_waits_for_all() {
        let entries = entries(planned(), &work(&[10, 11, 12])).unwrap();
        assert_eq!(
            dependencies(&entries),
            [
                (1, vec![]),
                (5, vec![1]),
                (6, vec![1]),
                (10, vec![]),
                (11, vec![]),
                (12, vec![]),
                (7, vec![10, 11, 12]),
                (3, vec![1, 10, 11, 12]),
                (4, vec![1, 10, 11, 12, 3]),
            ]
        );
        let files: Vec<_> = entries.iter().filter_map(|e| e.file_name.as_deref()).collect();
        assert_eq!(files, ["10.dat", "11.dat", "12.dat"]);
    }

    #[test]
    fn plan_and_work_that_do_not_fit_are_refused() {
        let without_rows: Vec<Entry> = planned().into_iter().filter(|e| e.dump_id != 2).collect();
        assert!(entries(without_rows, &work(&[2])).is_err());
        let mut other = planned();
        other.push(entry(8, "TABLE DATA", Section::Data, &[1]));
        assert!(entries(other, &work(&[2])).is_err());
        let mut wrong = planned();
        wrong[3].desc = "INDEX".to_owned();
        assert!(entries(wrong, &work(&[2])).is_err());
    }
}
