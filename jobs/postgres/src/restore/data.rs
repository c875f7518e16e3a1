//! Rows from the archive's files into tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use pgarchive::{Compression, Entry, SourceFile, StreamError, decode_stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::archive::Archive;
use super::end_marker::EndMarker;
use super::inserts;
use super::session::{Writer, restore_error};
use super::sql::{self, Token};
use crate::Error;
use crate::quote::quote_qualified;

/// Bytes sent to the server at a time: each send is a system call and a message.
const PIECE: usize = 256 * 1024;

/// Decoded pieces that may wait for the server.
const PIECES_AHEAD: usize = 3;

/// A data file as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataFile {
    /// Name with the compression's suffix.
    pub(super) name: String,
    /// Stored bytes.
    pub(super) size: u64,
    compression: Compression,
}

impl DataFile {
    /// `pg_dump` leaves a file of no bytes for an empty large object under lz4 and zstd; under
    /// gzip it writes a frame with nothing in it.
    pub(super) fn is_without_frame(&self) -> bool {
        self.size == 0 && matches!(self.compression, Compression::Lz4 | Compression::Zstd)
    }
}

/// The files of an archive, found by the names its table of contents has for them.
#[derive(Debug, Default)]
pub(super) struct Files {
    sizes: HashMap<String, u64>,
}

impl Files {
    pub(super) fn new(list: Vec<SourceFile>) -> Self {
        Self { sizes: list.into_iter().map(|file| (file.name, file.size)).collect() }
    }

    /// The stored file for `name`, whatever its compression, which `pg_dump` does not note
    /// per file; the order is that of `pg_restore`.
    pub(super) fn find(&self, name: &str) -> Option<DataFile> {
        let all = [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Zstd];
        all.into_iter().find_map(|compression| {
            let stored = format!("{name}{}", compression.suffix());
            let size = *self.sizes.get(&stored)?;
            Some(DataFile { name: stored, size, compression })
        })
    }
}

/// The decoded content of one file in pieces of one size. Reading and decoding run ahead in a
/// task of their own, so that they overlap with the server's work.
pub(super) struct Pieces {
    file: String,
    /// Stored bytes read since they were last asked for.
    stored: Arc<AtomicU64>,
    pieces: mpsc::Receiver<Result<Bytes, StreamError>>,
    reader: Option<AbortOnDropHandle<()>>,
}

impl Pieces {
    /// Opens `file`; every piece but the last has `size` bytes.
    pub(super) async fn open(
        file: &DataFile,
        archive: &Archive,
        size: usize,
    ) -> Result<Self, Error> {
        let stored = archive
            .source
            .open(&file.name)
            .await
            .map_err(|source| read_error(&file.name, source))?;
        let read = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&read);
        let stored = stored.inspect(move |piece| {
            if let Ok(piece) = piece {
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
        let mut decoded = decode_stream(file.compression, stored.boxed());
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let reader = tokio::spawn(async move {
            let mut buffer = BytesMut::with_capacity(size);
            while let Some(next) = decoded.next().await {
                let mut next = match next {
                    Ok(next) => next,
                    Err(error) => {
                        // Nobody listens any more when the restore has failed elsewhere.
                        drop(sender.send(Err(error)).await);
                        return;
                    }
                };
                while !next.is_empty() {
                    let room = size.saturating_sub(buffer.len()).min(next.len());
                    buffer.extend_from_slice(&next.split_to(room));
                    if buffer.len() == size {
                        let full = std::mem::replace(&mut buffer, BytesMut::with_capacity(size));
                        if sender.send(Ok(full.freeze())).await.is_err() {
                            return;
                        }
                    }
                }
            }
            if !buffer.is_empty() {
                drop(sender.send(Ok(buffer.freeze())).await);
            }
        });
        Ok(Self {
            file: file.name.clone(),
            stored: read,
            pieces,
            reader: Some(AbortOnDropHandle::new(reader)),
        })
    }

    /// The next piece, `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read or decoded.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(piece) = self.pieces.recv().await {
            return piece.map(Some).map_err(|source| read_error(&self.file, source));
        }
        // The channel also closes when the reader dies: that is not the end of the file.
        if let Some(reader) = self.reader.take() {
            reader.await.map_err(|source| read_error(&self.file, source.into()))?;
        }
        Ok(None)
    }
}

impl Pieces {
    /// Stored bytes read since the last call.
    pub(super) fn take_stored(&self) -> u64 {
        self.stored.swap(0, Ordering::Relaxed)
    }
}

/// A file that cannot be read, or whose content is not what it should be.
pub(super) fn read_error(file: &str, source: StreamError) -> Error {
    Error::File { doing: "read", file: file.to_owned(), source }
}

/// Copies the rows of `entry` from `file`. `fresh` says that nothing but this fills the table,
/// which this restore created: then the copy is made as cheap as the server allows.
///
/// # Errors
/// [`Error::Restore`] with the line the server stumbled over; [`Error::File`].
pub(super) async fn copy(
    writer: &mut Writer,
    entry: &Entry,
    file: &DataFile,
    fresh: bool,
    archive: &Archive,
) -> Result<u64, Error> {
    if entry.copy_stmt.trim().is_empty() {
        return inserts::run(writer, entry, file, archive).await;
    }
    let statement = entry.copy_stmt.trim_end().trim_end_matches(';');
    if !fresh {
        return send(writer, entry, statement, file, archive).await;
    }
    // A table truncated in the same transaction need not be logged where wal_level allows,
    // and its rows can be written as if vacuumed.
    let table = quote_qualified(entry.namespace.as_deref().unwrap_or_default(), &entry.tag);
    let begin = format!("BEGIN;\nTRUNCATE TABLE ONLY {table};\n");
    writer.run(entry, &begin).await?;
    let rows = send(writer, entry, &frozen(statement), file, archive).await?;
    writer.run(entry, "COMMIT").await?;
    Ok(rows)
}

async fn send(
    writer: &mut Writer,
    entry: &Entry,
    statement: &str,
    file: &DataFile,
    archive: &Archive,
) -> Result<u64, Error> {
    let failed = |source| restore_error(entry, statement, source);
    let mut pieces = Pieces::open(file, archive, PIECE).await?;
    let mut work = archive.progress.begin(&table_name(entry), file.size);
    let connection = writer.session().connection();
    let mut copy = connection.copy_in_raw(statement).await.map_err(failed)?;
    let mut end = if copy.is_textual() { EndMarker::text() } else { EndMarker::binary() };
    let read = loop {
        match pieces.next().await {
            Ok(Some(piece)) => {
                work.add(pieces.take_stored());
                if let Some(ready) = end.feed(piece) {
                    copy.send(ready).await.map_err(failed)?;
                }
            }
            Ok(None) => {
                break end.finish().map_err(|missing| read_error(&file.name, missing.into()));
            }
            Err(error) => break Err(error),
        }
    };
    match read {
        Ok(last) => {
            copy.send(last).await.map_err(failed)?;
            let rows = copy.finish().await.map_err(failed)?;
            work.add_rows(rows);
            work.done();
            Ok(rows)
        }
        Err(error) => {
            // The restore has failed for a reason of its own: what the server says to the
            // end of the copy adds nothing.
            drop(copy.abort("the archive's data could not be read").await);
            Err(error)
        }
    }
}

/// What people call the table.
pub(super) fn table_name(entry: &Entry) -> String {
    format!("{}.{}", entry.namespace.as_deref().unwrap_or_default(), entry.tag)
}

/// The statement with `FREEZE`, if it is of a form that takes it.
fn frozen(statement: &str) -> String {
    let tokens = sql::tokens(statement);
    match tokens.as_slice() {
        [.., (_, last)] if last.is("stdin") => format!("{statement} WITH (FREEZE)"),
        [.., (_, Token::Word(_)), (range, Token::Symbol(b')'))] => {
            let mut frozen = statement.to_owned();
            frozen.insert_str(range.start, ", FREEZE");
            frozen
        }
        _ => statement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freeze_is_added_to_both_forms_of_copy() {
        assert_eq!(
            frozen("COPY public.t (a) FROM stdin"),
            "COPY public.t (a) FROM stdin WITH (FREEZE)"
        );
        assert_eq!(
            frozen("COPY public.t (a) FROM stdin WITH (FORMAT binary)"),
            "COPY public.t (a) FROM stdin WITH (FORMAT binary, FREEZE)"
        );
        assert_eq!(frozen("COPY t FROM stdin BINARY"), "COPY t FROM stdin BINARY");
    }

    #[test]
    fn a_file_is_found_under_any_compression() {
        let files = Files::new(vec![
            SourceFile { name: "1.dat".into(), size: 1 },
            SourceFile { name: "2.dat.gz".into(), size: 2 },
            SourceFile { name: "3.dat.lz4".into(), size: 3 },
            SourceFile { name: "4.dat.zst".into(), size: 4 },
        ]);
        for (name, size) in [("1.dat", 1), ("2.dat", 2), ("3.dat", 3), ("4.dat", 4)] {
            assert_eq!(files.find(name).unwrap().size, size);
        }
        assert_eq!(files.find("5.dat"), None);
    }
}
