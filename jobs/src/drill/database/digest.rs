//! What is in a restored database, found the way an export finds it: the same plan, the same
//! COPY, the same digests; the bytes go nowhere.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use futures::TryStreamExt;
use pgarchive::{
    ArchiveSink, ArchiveSource, Compression, Entry, FileWriter, StreamError, Toc, WrittenFile,
    decode_stream, large_object_list, large_objects,
};
use postgres::conninfo::ConnInfo;
use postgres::export::{CHUNK_BYTES, DataFormat, ExportOptions, Exported, Format};
use postgres::progress::Progress;
use postgres::selection::Selection;
use postgres::session::SessionOptions;
use postgres::snapshot::Snapshot;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use vault::manifest::Database;

/// SHA-256 of the content of large objects, by OID.
pub(super) type LargeObjects = BTreeMap<u32, [u8; 32]>;

/// What a database holds.
pub(super) struct Content {
    /// Entries as an export would write them, without files.
    pub entries: Vec<Entry>,
    /// Entries of each class.
    pub counts: BTreeMap<String, u64>,
    /// Of the server.
    pub server_version_num: i32,
    /// Tables with rows and digests.
    pub exported: Exported,
    pub large_objects: LargeObjects,
}

/// Reads a whole database.
pub(super) async fn read(
    info: &ConnInfo,
    archived: &Database,
    selection: &vault::manifest::Selection,
    jobs: NonZeroUsize,
    progress: Arc<Progress>,
    cancel: &CancellationToken,
) -> Result<Content, postgres::Error> {
    let selection = Selection {
        tables: selection.tables.clone(),
        exclude_tables: selection.exclude_tables.clone(),
        exclude_table_data: selection.exclude_table_data.clone(),
        schema_only: selection.schema_only,
    };
    // The form of a table follows from its columns, unless text was asked for.
    let binary = archived.tables.iter().any(|table| table.data == "binary");
    let options = ExportOptions {
        format: Format::Directory,
        jobs,
        data: if binary { DataFormat::Auto } else { DataFormat::Text },
        codec: Compression::None.into(),
        chunk_bytes: CHUNK_BYTES,
        created: Utc::now(),
    };
    let mut snapshot = Snapshot::open(info, &SessionOptions::default()).await?;
    let plan = postgres::plan::plan(snapshot.session(), &selection).await?;
    let (entries, counts) = (plan.entries.clone(), plan.object_counts.clone());
    let server_version_num = plan.database.server_version_num;
    let sink = Arc::new(Sink::default());
    let cancel = cancel.clone();
    let exported =
        postgres::export::export(&mut snapshot, plan, &options, sink.clone(), progress, cancel);
    let exported = exported.await?;
    snapshot.close().await;
    let large_objects = std::mem::take(&mut *sink.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Content { entries, counts, server_version_num, exported, large_objects })
}

/// Takes the files of an export and keeps the digests of large objects.
#[derive(Default)]
struct Sink(Arc<Mutex<LargeObjects>>);

struct File {
    /// Of a large object, which is not compressed here.
    large_object: Option<(u32, Sha256)>,
    digests: Arc<Mutex<LargeObjects>>,
    size: u64,
}

#[async_trait]
impl ArchiveSink for Sink {
    async fn create(&self, name: &str) -> Result<Box<dyn FileWriter>, StreamError> {
        let oid = name.strip_prefix("blob_").and_then(|rest| rest.strip_suffix(".dat"));
        let large_object = oid.and_then(|oid| oid.parse().ok()).map(|oid| (oid, Sha256::new()));
        Ok(Box::new(File { large_object, digests: self.0.clone(), size: 0 }))
    }
}

#[async_trait]
impl FileWriter for File {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.size += bytes.len() as u64;
        if let Some((_, digest)) = &mut self.large_object {
            digest.update(&bytes);
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<WrittenFile, StreamError> {
        if let Some((oid, digest)) = self.large_object {
            let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
            digests.insert(oid, digest.finalize().into());
        }
        // Nobody asks for the digest of a file that does not exist.
        Ok(WrittenFile { size: self.size, sha256: [0; 32] })
    }

    async fn abort(self: Box<Self>) {}
}

/// Digests of the large objects in an archive.
pub(super) async fn archived(
    source: &dyn ArchiveSource,
    toc: &Toc,
) -> Result<LargeObjects, StreamError> {
    let files: BTreeMap<String, String> = source
        .list()
        .await?
        .into_iter()
        .map(|file| (Compression::of_file(&file.name).0.to_owned(), file.name))
        .collect();
    let mut digests = LargeObjects::new();
    for entry in &toc.entries {
        let Some(list) = large_object_list(toc.header.version, entry) else { continue };
        let mut bytes = Vec::new();
        let mut content = source.open(list).await?;
        while let Some(piece) = content.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        for object in large_objects(&bytes) {
            let object = object?;
            let Some(file) = files.get(object.file_name) else {
                return Err(format!("the backup holds no file {}", object.file_name).into());
            };
            let (_, compression) = Compression::of_file(file);
            let mut content = decode_stream(compression, source.open(file).await?);
            let mut digest = Sha256::new();
            while let Some(piece) = content.try_next().await? {
                digest.update(&piece);
            }
            digests.insert(object.oid, digest.finalize().into());
        }
    }
    Ok(digests)
}
