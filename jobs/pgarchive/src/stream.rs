//! Where an archive's files go and where they come from.
//!
//! The database side writes files by name and never learns whether a folder or an object
//! store lies behind them.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// A failure of whatever lies behind a sink or a source, kept whole so that the caller
/// can find its own error type in it again.
pub type StreamError = Box<dyn std::error::Error + Send + Sync>;

/// The content of one file, in pieces of the producer's choosing.
pub type ByteStream = BoxStream<'static, Result<Bytes, StreamError>>;

/// What became of a finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Bytes written.
    pub size: u64,
    /// SHA-256 of those bytes.
    pub sha256: [u8; 32],
}

/// Takes the files of one archive. Several may be open at once.
#[async_trait]
pub trait ArchiveSink: Send + Sync {
    /// Begins the file `name` (`toc.dat`, `123.dat.zst`). A name is begun once.
    async fn create(&self, name: &str) -> Result<Box<dyn FileWriter>, StreamError>;
}

/// One file being written. It does not exist for readers before [`finish`](Self::finish);
/// dropping it without `finish` leaves nothing that a reader could take for the file.
#[async_trait]
pub trait FileWriter: Send {
    /// Appends. Waits while the sink is busy, so that memory stays bounded.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StreamError>;
    /// Makes the file durable.
    async fn finish(self: Box<Self>) -> Result<WrittenFile, StreamError>;
    /// Gives the file up and removes what was written of it.
    async fn abort(self: Box<Self>);
}

/// One file of an archive, as its source lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Name inside the archive, with the compression's suffix.
    pub name: String,
    /// Stored bytes.
    pub size: u64,
}

/// Gives back the files of one archive. Several may be open at once.
#[async_trait]
pub trait ArchiveSource: Send + Sync {
    /// Every file of the archive, in no particular order. A table of contents does not say
    /// how each data file is compressed nor how large it is; the list does.
    async fn list(&self) -> Result<Vec<SourceFile>, StreamError>;
    /// The whole content of file `name`, from the start.
    async fn open(&self, name: &str) -> Result<ByteStream, StreamError>;
}
