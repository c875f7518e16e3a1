//! The restore itself, phase by phase.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use pgarchive::{DumpId, Entry, Section};
use tokio::task::JoinSet;

use super::archive::{Archive, Part};
use super::rows::RestoredTable;
use super::schedule::{Next, Schedule};
use super::session::Writer;
use super::status::Status;
use super::{data, large_objects, statement};
use crate::Error;
use crate::conninfo::ConnInfo;

/// What went in besides definitions.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Rows of each table, in archive order.
    pub(super) tables: Vec<RestoredTable>,
    pub(super) large_objects: u64,
}

/// What one entry put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Definition,
    Rows(u64),
    LargeObjects(u64),
}

/// Drops what the archive holds, last first, as far as it is there.
///
/// # Errors
/// [`Error::Restore`], also when something else depends on what would be dropped.
pub(super) async fn drop_archived(
    leader: &mut Writer,
    archive: &Archive,
    status: &Status,
) -> Result<(), Error> {
    status.begin(archive.wanted().count() as u64);
    let wanted: Vec<&Entry> = archive.wanted().collect();
    let owners: HashSet<DumpId> =
        wanted.iter().filter(|entry| holds_parts(entry)).map(|entry| entry.dump_id).collect();
    for entry in wanted.into_iter().rev() {
        if goes_with_its_owner(entry) && entry.dependencies.iter().any(|id| owners.contains(id)) {
            continue;
        }
        let statement = match entry.desc.as_str() {
            "BLOB METADATA" => Some(large_objects::unlink(entry)?),
            _ => statement::drop_if_exists(entry),
        };
        if let Some(statement) = statement {
            leader.run(entry, &statement).await?;
        }
    }
    Ok(())
}

/// Whether constraints, indexes and the like go with this when it is dropped.
fn holds_parts(entry: &Entry) -> bool {
    matches!(
        entry.desc.as_str(),
        "TABLE" | "FOREIGN TABLE" | "VIEW" | "MATERIALIZED VIEW" | "DOMAIN"
    )
}

/// Whether an entry need not be dropped by itself. A partition's part of an index even cannot.
/// Foreign keys are dropped first all the same, for they tie tables to each other; so are
/// defaults, which tie tables to sequences and functions.
fn goes_with_its_owner(entry: &Entry) -> bool {
    matches!(
        entry.desc.as_str(),
        "CONSTRAINT" | "CHECK CONSTRAINT" | "INDEX" | "TRIGGER" | "POLICY" | "STATISTICS"
    )
}

/// Everything that data needs, in archive order.
///
/// # Errors
/// [`Error::Restore`].
pub(super) async fn definitions(
    leader: &mut Writer,
    archive: &Archive,
    schedule: &mut Schedule,
    status: &Status,
) -> Result<(), Error> {
    status.begin(archive.wanted().count() as u64);
    for index in schedule.take_serial() {
        if let Some((entry, part)) = archive.entry(index) {
            restore_entry(leader, archive, entry, part).await?;
            status.entry_done();
        }
    }
    Ok(())
}

/// Data, and whatever may follow as soon as its data is there. Gives the leader back.
///
/// # Errors
/// The first failure of any session.
pub(super) async fn in_parallel(
    leader: Writer,
    archive: &Arc<Archive>,
    target: &ConnInfo,
    mut schedule: Schedule,
    status: &Arc<Status>,
) -> Result<(Writer, Done), Error> {
    let mut idle = vec![leader];
    let sessions = archive.options.jobs.get().min(schedule.unfinished().max(1));
    while idle.len() < sessions {
        idle.push(Writer::open(target, &archive.settings, status).await?);
    }
    let mut counts = Counts::new(archive);
    let mut running: JoinSet<Result<(Writer, usize, Put), Error>> = JoinSet::new();
    loop {
        while let Some(mut writer) = idle.pop() {
            match schedule.next() {
                Next::Run(index) => {
                    let archive = Arc::clone(archive);
                    let status = Arc::clone(status);
                    running.spawn(async move {
                        let put = match archive.entry(index) {
                            Some((entry, part)) => {
                                let began = Instant::now();
                                let put = restore_entry(&mut writer, &archive, entry, part).await?;
                                if entry.section == Section::PostData {
                                    status.spent_after_rows(began.elapsed());
                                }
                                put
                            }
                            None => Put::Definition,
                        };
                        Ok((writer, index, put))
                    });
                }
                Next::Wait | Next::Finished => {
                    idle.push(writer);
                    break;
                }
            }
        }
        let Some(finished) = running.join_next().await else {
            break;
        };
        match finished {
            Ok(Ok((writer, index, put))) => {
                schedule.finish(index);
                if counts.add(index, put) {
                    archive.progress.add_table();
                }
                status.entry_done();
                idle.push(writer);
            }
            Ok(Err(error)) => {
                running.shutdown().await;
                return Err(error);
            }
            Err(died) => {
                running.shutdown().await;
                return Err(Error::Task { source: died });
            }
        }
    }
    let mut idle = idle.into_iter();
    let leader = match idle.next() {
        Some(leader) => leader,
        None => Writer::open(target, &archive.settings, status).await?,
    };
    for writer in idle {
        writer.close().await;
    }
    Ok((leader, counts.done))
}

/// Restores one entry, of whatever kind.
async fn restore_entry(
    writer: &mut Writer,
    archive: &Archive,
    entry: &Entry,
    part: &Part,
) -> Result<Put, Error> {
    match (entry.desc.as_str(), &part.file) {
        ("BLOBS", Some(list)) => {
            let count = large_objects::load(writer, entry, list, archive).await?;
            return Ok(Put::LargeObjects(count));
        }
        (_, Some(file)) => {
            let rows = data::copy(writer, entry, file, part.alone, archive).await?;
            return Ok(Put::Rows(rows));
        }
        ("BLOB METADATA", None) => {
            large_objects::create(writer, entry, archive.options.no_owner).await?;
            return Ok(Put::Definition);
        }
        ("WARNING", None) => {
            tracing::warn!("the archive carries a warning: {}", statement::shortened(&entry.defn));
            return Ok(Put::Definition);
        }
        ("ACL", None) if entry.tag.starts_with("LARGE OBJECTS") => {
            let of = |id: &i32| archive.entries.iter().find(|other| other.dump_id == *id);
            let metadata = entry.dependencies.iter().filter_map(of);
            if let Some(metadata) = metadata.into_iter().find(|other| other.desc == "BLOB METADATA")
            {
                large_objects::grant(writer, entry, metadata).await?;
                return Ok(Put::Definition);
            }
        }
        _ => {}
    }
    if let Some(statements) = statement::definition(entry, &archive.options) {
        let _current = archive.progress.begin(&statement::object_name(entry), 0);
        writer.select_storage(entry).await?;
        writer.run(entry, &statements).await?;
    }
    Ok(Put::Definition)
}

/// Adds up rows table by table.
struct Counts {
    done: Done,
    /// Position in `done.tables` of each entry's table.
    tables: HashMap<usize, usize>,
    /// Data entries of each table that are still to come.
    left: Vec<usize>,
}

impl Counts {
    fn new(archive: &Archive) -> Self {
        let mut done = Done::default();
        let mut tables = HashMap::new();
        let mut left = Vec::new();
        let mut by_name: HashMap<(&str, &str), usize> = HashMap::new();
        for (index, entry) in archive.entries.iter().enumerate() {
            let holds_rows = archive.parts.get(index).is_some_and(|part| part.file.is_some());
            if entry.desc != "TABLE DATA" || !holds_rows {
                continue;
            }
            let schema = entry.namespace.as_deref().unwrap_or_default();
            let table = *by_name.entry((schema, &entry.tag)).or_insert_with(|| {
                done.tables.push(RestoredTable {
                    schema: schema.to_owned(),
                    name: entry.tag.clone(),
                    rows: 0,
                });
                left.push(0);
                done.tables.len() - 1
            });
            if let Some(left) = left.get_mut(table) {
                *left += 1;
            }
            tables.insert(index, table);
        }
        Self { done, tables, left }
    }

    /// Counts what an entry put in. Says whether that was the last of a table's rows.
    fn add(&mut self, index: usize, put: Put) -> bool {
        match put {
            Put::Definition => {}
            Put::LargeObjects(count) => self.done.large_objects += count,
            Put::Rows(rows) => {
                let Some(&at) = self.tables.get(&index) else {
                    return false;
                };
                if let (Some(table), Some(left)) =
                    (self.done.tables.get_mut(at), self.left.get_mut(at))
                {
                    table.rows += rows;
                    *left -= 1;
                    return *left == 0;
                }
            }
        }
        false
    }
}
