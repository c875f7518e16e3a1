//! The contract every store keeps.

use std::ops::Range;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use futures::stream::BoxStream;

use crate::{Key, StoreError, StoreErrorKind};

/// Content of an object, in pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// What a listing says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// When it became visible, by the store's clock; in a directory, when its last byte was
    /// written.
    pub modified: DateTime<Utc>,
}

/// What a finished upload became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of those bytes, computed on the way.
    pub sha256: [u8; 32],
}

/// Whether a put may replace an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// Create or replace.
    Overwrite,
    /// Fail with [`StoreErrorKind::AlreadyExists`] when the key is taken. Atomic where
    /// [`Capabilities::conditional_put`] says so, otherwise checked before writing.
    IfAbsent,
}

/// What a store was found able to do, by trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Of several racing [`PutMode::IfAbsent`] exactly one wins.
    pub conditional_put: bool,
    /// The server refuses content that does not match the checksum sent with it, and keeps
    /// nothing of it. False where there is no server in between, as in a directory.
    pub checksums: bool,
}

/// A place that keeps objects.
///
/// Atomic: an object is visible whole or not at all, and only after `finish` or `put`
/// returned. Durable: what is put survives a crash, and so does every upload that the same store
/// finished before: publishing is an upload or many, then a put that names them. Deleting what is absent is
/// success. Listing is ordered by key. Implementations retry no call: retrying, limiting and
/// fault injection are wrappers. The one exception is the part of an upload in the
/// background, which no caller can send again; see [`Policy`](crate::retry::Policy).
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Where this is, for messages; never with credentials.
    fn describe(&self) -> String;

    /// Finds out, once, what the store can do; leaves nothing behind.
    async fn capabilities(&self) -> Result<Capabilities, StoreError>;

    /// Stores a small object in one step.
    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError>;

    /// Begins an object of unknown size. Finishing replaces what had the key before.
    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError>;

    /// Reads an object, or the bytes of `range` (end exclusive, cut at the object's end). An
    /// object that ends early, or changed its size since it was opened, fails the stream with
    /// [`StoreErrorKind::Corrupt`] or, where the connection was cut,
    /// [`StoreErrorKind::Unavailable`]; it never ends as if it were whole.
    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError>;

    /// Size and time of one object; [`StoreErrorKind::NotFound`] when there is none.
    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError>;

    /// Every object whose key begins with `prefix` (a plain string prefix), by key. What lies
    /// in the same place under a name that is no [`Key`] is not listed.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError>;

    /// Removes objects; those already gone count as removed. After a failure some of them may
    /// be gone.
    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError>;

    /// Gives up uploads that were begun before `before` and never finished; returns how many.
    /// Whoever still writes one of them fails at `finish`.
    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// An object being written. Dropped without `finish`, it never becomes visible.
#[async_trait]
pub trait Upload: Send {
    /// Appends; waits while too much is in flight. After an error only `abort` is of use.
    async fn write(&mut self, content: Bytes) -> Result<(), StoreError>;
    /// Makes the object visible; it is durable at the latest when the next [`Store::put`] returns.
    async fn finish(self: Box<Self>) -> Result<Uploaded, StoreError>;
    /// Gives it up and frees what it holds.
    async fn abort(self: Box<Self>) -> Result<(), StoreError>;
}

/// Reads a small object whole; more than `limit` bytes are refused as
/// [`StoreErrorKind::Corrupt`], so that a stray object cannot fill the memory.
pub async fn read_small(store: &dyn Store, key: &Key, limit: u64) -> Result<Bytes, StoreError> {
    let mut pieces = store.read(key, None).await?;
    let mut content = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        if (content.len() as u64).saturating_add(piece.len() as u64) > limit {
            let action = format!("cannot read {key}: it is larger than {limit} bytes");
            return Err(StoreError::new(StoreErrorKind::Corrupt, action, store.describe()));
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}
