//! Tables whose rows are split over several entries.
//!
//! `pg_restore -j` knows one entry of rows per table: it lets indexes and constraints wait for
//! that one only, and truncates the table before it, after other entries may have filled it.
//! Both are avoided by entries that depend on nothing, and by everything that comes after the
//! data and needs the table naming each of them.

use std::collections::BTreeMap;

use super::{Problem, label};
use crate::{DumpId, Entry, Section, Toc};

const TABLE_DATA: &str = "TABLE DATA";

type Name<'a> = (Option<&'a str>, &'a str);

pub(super) fn check(toc: &Toc) -> Vec<Problem> {
    let mut rows: BTreeMap<Name<'_>, Vec<&Entry>> = BTreeMap::new();
    for entry in toc.entries.iter().filter(|entry| entry.desc == TABLE_DATA) {
        rows.entry(name(entry)).or_default().push(entry);
    }
    rows.retain(|_, chunks| chunks.len() > 1);
    if rows.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for chunk in rows.values().flatten().filter(|chunk| !chunk.dependencies.is_empty()) {
        problems.push(Problem::ChunkWithDependencies { entry: label(chunk) });
    }
    let tables: BTreeMap<DumpId, &Vec<&Entry>> = toc
        .entries
        .iter()
        .filter(|entry| entry.desc == "TABLE")
        .filter_map(|table| Some((table.dump_id, rows.get(&name(table))?)))
        .collect();
    for entry in toc.entries.iter().filter(|entry| entry.section == Section::PostData) {
        for chunks in entry.dependencies.iter().filter_map(|id| tables.get(id)) {
            let missed = chunks.iter().filter(|chunk| !entry.dependencies.contains(&chunk.dump_id));
            problems.extend(missed.map(|chunk| Problem::ChunkNotAwaited {
                entry: label(entry),
                chunk: chunk.dump_id,
            }));
        }
    }
    problems
}

fn name(entry: &Entry) -> Name<'_> {
    (entry.namespace.as_deref(), &entry.tag)
}
