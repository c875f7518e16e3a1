//! Copies what a plan lists out of a snapshot, into the files of a directory archive.
//!
//! Tables are split into chunks (`chunk`), the chunks are queued with the biggest first
//! (`work`), workers copy, compress and store them in parallel (`worker`, `copy`), and when
//! all is stored the table of contents says what there is (`toc`).

mod chunk;
mod copy;
mod data_format;
mod files;
mod frames;
mod large_objects;
mod plain;
mod toc;
mod work;
mod worker;

use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use pgarchive::{
    ArchiveSink, Codec, CopyFormat, LARGE_OBJECTS, RowDigest, TOC_FILE, put_large_object,
};
use tokio_util::sync::CancellationToken;

pub use data_format::DataFormat;

use crate::Error;
use crate::lock::LockTarget;
use crate::plan::Plan;
use crate::progress::{Phase, Progress};
use crate::snapshot::Snapshot;
use data_format::Formats;
use work::Work;
use worker::Target;

/// Bytes of a table, TOAST included, that one chunk holds by default.
pub const CHUNK_BYTES: u64 = 64 << 20;

/// What an export is stored as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A directory archive, which `pg_restore` reads.
    #[default]
    Directory,
    /// One SQL script, which `psql` reads.
    Plain,
}

/// How an export is made.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Archive or script.
    pub format: Format,
    /// Connections that copy at once, besides the one that holds the snapshot. A script is
    /// read in order by one connection, and compressed by this many threads.
    pub jobs: NonZeroUsize,
    /// Text or binary COPY.
    pub data: DataFormat,
    /// Compression of the data files.
    pub codec: Codec,
    /// Size of a chunk of a large table, in bytes that the table takes on the server's disk.
    pub chunk_bytes: u64,
    /// When the export began, for the archive's header and the script's name.
    pub created: DateTime<Utc>,
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file that a reader begins with: `toc.dat`, or the script.
    pub file: String,
    /// Tables whose rows were copied, in archive order.
    pub tables: Vec<ExportedTable>,
    /// Number of large objects.
    pub large_objects: u64,
    /// Uncompressed bytes of all COPY data and large objects.
    pub data_bytes: u64,
}

/// One table whose rows were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedTable {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// Text or binary COPY.
    pub format: CopyFormat,
    /// Rows: the sum over the chunks.
    pub rows: u64,
    /// Uncompressed bytes of COPY data: the sum over the chunks.
    pub bytes: u64,
    /// What the rows add up to: the sum over the chunks.
    pub digest: RowDigest,
    /// Its data files, in ctid order; one for a table that was not split, none in a script.
    pub chunks: Vec<ExportedChunk>,
}

/// One data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedChunk {
    /// File name in the archive, with the compression's suffix.
    pub file: String,
    /// Rows.
    pub rows: u64,
    /// Uncompressed bytes of COPY data.
    pub bytes: u64,
    /// What the rows add up to.
    pub digest: RowDigest,
}

/// Exports what `plan` lists, as `snapshot` sees it, into `sink`. The archive is whole when this
/// returns, and only then: `toc.dat` is its last file, a script its only one.
///
/// When `cancel` fires, or at the first failure, every worker stops where it is, its
/// connection is cut and its file given up.
///
/// # Errors
/// The first failure of any worker; [`Error::Cancelled`] only if `cancel` fired;
/// [`Error::Refused`] for a script with binary data.
pub async fn export(
    snapshot: &mut Snapshot,
    plan: Plan,
    options: &ExportOptions,
    sink: Arc<dyn ArchiveSink>,
    progress: Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Exported, Error> {
    let data = match (options.format, options.data) {
        (Format::Directory, data) => data,
        (Format::Plain, DataFormat::Auto | DataFormat::Text) => DataFormat::Text,
        (Format::Plain, DataFormat::Binary) => return Err(plain::binary_refused()),
    };
    let formats = Formats::read(data, snapshot.session()).await?;
    let work = work::prepare(&plan, options, &formats, snapshot.database().server_version_num)?;

    progress.enter(Phase::Locking);
    let targets: Vec<LockTarget> =
        plan.tables.iter().map(|t| LockTarget::new(t.oid, &t.schema, &t.name)).collect();
    files::unless_stopped(&cancel, snapshot.session().lock_tables(&targets)).await?;

    progress.enter(Phase::Copying);
    let rows = plan.tables.iter().map(|t| t.estimated_rows.max(0.0)).sum::<f64>();
    // An estimate: the cast saturates, which is as good as anything.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    progress.plan(work.bytes(), rows as u64, plan.tables.len() as u64);
    let target = Arc::new(Target { sink, codec: options.codec, progress });
    let exported = match options.format {
        Format::Directory => directory(snapshot, plan, work, options, &target, &cancel).await?,
        Format::Plain => plain::export(snapshot, plan, work, options, &target, &cancel).await?,
    };
    target.progress.enter(Phase::Done);
    Ok(exported)
}

/// Exports a directory archive.
async fn directory(
    snapshot: &mut Snapshot,
    plan: Plan,
    work: Work,
    options: &ExportOptions,
    target: &Arc<Target>,
    cancel: &CancellationToken,
) -> Result<Exported, Error> {
    let done = worker::run(snapshot, &work, options.jobs, target, cancel).await?;
    target.progress.enter(Phase::Finishing);
    if plan.entries.iter().any(|e| e.desc == LARGE_OBJECTS) {
        let mut list = Vec::new();
        plan.large_objects.iter().for_each(|oid| put_large_object(&mut list, *oid));
        files::store(&*target.sink, toc::LARGE_OBJECT_LIST, list.into(), cancel).await?;
    }
    let toc = toc::assemble(plan.entries, &work, &plan.database, options)?;
    let bytes = toc.encode().map_err(|e| files::failed(TOC_FILE)(e.into()))?;
    files::store(&*target.sink, TOC_FILE, bytes.into(), cancel).await?;
    work.exported(&done, options, TOC_FILE)
}
