//! What there is to copy, in pieces that one worker takes at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use pgarchive::{CopyFormat, DumpId};

use super::chunk::{self, Chunk};
use super::copy::Copied;
use super::data_format::Formats;
use super::{ExportOptions, Exported, ExportedChunk, ExportedTable, Format};
use crate::Error;
use crate::plan::{Plan, TableData};
use crate::quote::{quote_ident_list, quote_qualified};

/// Large objects that one worker copies at a time.
const LARGE_OBJECTS: usize = 500;

/// What a large object is taken to weigh: nobody may ask the server for its size.
pub(super) const LARGE_OBJECT_BYTES: u64 = 16 << 10;

/// All pieces of one export.
#[derive(Debug)]
pub(super) struct Work {
    /// Tables in plan order.
    pub tables: Vec<TableWork>,
    /// Every piece.
    pub pieces: Vec<Piece>,
}

/// One table and its chunks.
#[derive(Debug)]
pub(super) struct TableWork {
    /// Unquoted.
    pub schema: String,
    /// Unquoted.
    pub name: String,
    /// The `TABLE` entry, if there is one.
    pub table_id: Option<DumpId>,
    /// The planner's `TABLE DATA` entry.
    pub data_id: DumpId,
    /// Text or binary.
    pub format: CopyFormat,
    /// `COPY ... FROM stdin` for the restore.
    pub copy_in: String,
    /// Entries of its chunks, in ctid order: `data_id` alone for a table that is not split.
    pub chunk_ids: Vec<DumpId>,
}

/// What one worker takes at a time.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Planned bytes.
    pub bytes: u64,
    /// For people.
    pub name: String,
    /// What to do.
    pub task: Task,
}

/// What to do.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Copies a chunk of a table to a file.
    Rows(RowsTask),
    /// Copies large objects, a file each.
    LargeObjects(Vec<u32>),
}

/// A chunk of a table.
#[derive(Debug, Clone)]
pub(super) struct RowsTask {
    /// Index in [`Work::tables`].
    pub table: usize,
    /// Entry, and number in the file's name.
    pub dump_id: DumpId,
    /// Quoted table, for locks.
    pub quoted: String,
    /// `COPY ... TO STDOUT`.
    pub copy_out: String,
    /// Text or binary.
    pub format: CopyFormat,
    /// How many chunks of the table are not copied yet.
    pub left: Arc<AtomicUsize>,
}

/// What became of the pieces.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Rows and uncompressed bytes, by the chunk's entry.
    pub chunks: BTreeMap<DumpId, Copied>,
    /// Uncompressed bytes of large objects.
    pub large_object_bytes: u64,
    /// Number of large objects.
    pub large_objects: u64,
}

/// Name of a data file, without the compression's suffix.
pub(super) fn file_name(dump_id: DumpId) -> String {
    format!("{dump_id}.dat")
}

/// Splits what `plan` lists.
///
/// # Errors
/// [`Error::Refused`] for a table that the wanted data format cannot hold.
pub(super) fn prepare(
    plan: &Plan,
    options: &ExportOptions,
    formats: &Formats,
    server_version_num: i32,
) -> Result<Work, Error> {
    let mut next_id = plan.next_dump_id;
    let planned_copy: BTreeMap<DumpId, &str> = plan
        .entries
        .iter()
        .filter(|e| !e.copy_stmt.is_empty())
        .map(|e| (e.dump_id, e.copy_stmt.as_str()))
        .collect();
    let mut tables = Vec::with_capacity(plan.tables.len());
    let mut pieces = Vec::new();
    for (index, table) in plan.tables.iter().enumerate() {
        let format = formats.of(table)?;
        let quoted = quote_qualified(&table.schema, &table.name);
        let chunks = match options.format {
            Format::Directory => chunk::split(table, options.chunk_bytes, server_version_num),
            Format::Plain => vec![Chunk::whole(table.bytes)],
        };
        let mut chunk_ids = Vec::with_capacity(chunks.len());
        let left = Arc::new(AtomicUsize::new(chunks.len()));
        for chunk in &chunks {
            let dump_id = if chunks.len() == 1 {
                table.data_id
            } else {
                next_id += 1;
                next_id - 1
            };
            chunk_ids.push(dump_id);
            pieces.push(Piece {
                bytes: chunk.bytes,
                name: quoted.clone(),
                task: Task::Rows(RowsTask {
                    table: index,
                    dump_id,
                    copy_out: copy_out(table, &quoted, chunk, format),
                    quoted: quoted.clone(),
                    format,
                    left: Arc::clone(&left),
                }),
            });
        }
        let copy_in = match planned_copy.get(&table.data_id) {
            // The planner knows better where rows must not go to the table itself.
            Some(planned) => with_format(planned, format),
            None => with_format(&copy_in(table, &quoted), format),
        };
        tables.push(TableWork {
            schema: table.schema.clone(),
            name: table.name.clone(),
            table_id: table.table_id,
            data_id: table.data_id,
            format,
            copy_in,
            chunk_ids,
        });
    }
    for oids in plan.large_objects.chunks(LARGE_OBJECTS) {
        pieces.push(Piece {
            bytes: LARGE_OBJECT_BYTES * oids.len() as u64,
            name: "large objects".to_owned(),
            task: Task::LargeObjects(oids.to_vec()),
        });
    }
    Ok(Work { tables, pieces })
}

impl Done {
    /// Takes in what another worker did.
    pub fn merge(&mut self, other: Self) {
        self.chunks.extend(other.chunks);
        self.large_object_bytes += other.large_object_bytes;
        self.large_objects += other.large_objects;
    }
}

impl Work {
    /// Planned bytes of all pieces.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|p| p.bytes).sum()
    }

    /// What was written, for the manifest.
    ///
    /// # Errors
    /// [`Error::Refused`] if a piece was lost, which would be a defect of this program.
    pub fn exported(
        &self,
        done: &Done,
        options: &ExportOptions,
        file: &str,
    ) -> Result<Exported, Error> {
        let suffix = options.codec.compression().suffix();
        let mut exported = Exported {
            file: file.to_owned(),
            tables: Vec::with_capacity(self.tables.len()),
            large_objects: done.large_objects,
            data_bytes: done.large_object_bytes,
        };
        for table in &self.tables {
            let mut chunks = Vec::with_capacity(table.chunk_ids.len());
            for dump_id in &table.chunk_ids {
                let Copied { rows, bytes } =
                    *done.chunks.get(dump_id).ok_or_else(|| Error::Refused {
                        what: format!("part {dump_id} of table {:?} was not copied", table.name),
                        hint: "this is a defect: report it".to_owned(),
                    })?;
                let file = format!("{}{suffix}", file_name(*dump_id));
                chunks.push(ExportedChunk { file, rows: rows.rows, bytes, digest: rows.digest });
            }
            let mut table = ExportedTable {
                schema: table.schema.clone(),
                name: table.name.clone(),
                format: table.format,
                rows: chunks.iter().map(|c| c.rows).sum(),
                bytes: chunks.iter().map(|c| c.bytes).sum(),
                digest: chunks.iter().map(|c| c.digest).sum(),
                chunks,
            };
            if options.format == Format::Plain {
                table.chunks.clear();
            }
            exported.data_bytes += table.bytes;
            exported.tables.push(table);
        }
        Ok(exported)
    }
}

fn columns(table: &TableData) -> String {
    quote_ident_list(table.columns.iter().map(|c| c.name.as_str()))
}

/// The statement that reads a chunk.
fn copy_out(table: &TableData, quoted: &str, chunk: &Chunk, format: CopyFormat) -> String {
    let columns = columns(table);
    let with = match format {
        CopyFormat::Text => "",
        CopyFormat::Binary => " WITH (FORMAT binary)",
    };
    let condition = match (&table.condition, chunk.condition()) {
        (Some(condition), _) => Some(condition.clone()),
        (None, range) => range.map(|range| format!("WHERE {range}")),
    };
    match condition {
        Some(condition) => {
            format!("COPY (SELECT {columns} FROM ONLY {quoted} {condition}) TO STDOUT{with}")
        }
        None if columns.is_empty() => format!("COPY {quoted} TO STDOUT{with}"),
        None => format!("COPY {quoted} ({columns}) TO STDOUT{with}"),
    }
}

/// The statement that writes it, letter for letter as `pg_dump` has it.
fn copy_in(table: &TableData, quoted: &str) -> String {
    let columns = columns(table);
    let list = if columns.is_empty() { columns } else { format!("({columns})") };
    format!("COPY {quoted} {list} FROM stdin;\n")
}

/// `statement` for data of `format`.
fn with_format(statement: &str, format: CopyFormat) -> String {
    match (format, statement.strip_suffix(" FROM stdin;\n")) {
        (CopyFormat::Binary, Some(head)) => {
            format!("{head} FROM stdin WITH (FORMAT binary);\n")
        }
        _ => statement.to_owned(),
    }
}
