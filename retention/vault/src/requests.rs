//! How often a store is asked for something.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;

use crate::{ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, Upload};

/// Keys in one answer of S3 to a listing.
const PAGE: usize = 1000;

/// Requests so far, of all stores that were opened with it. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    lists: AtomicU64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    heads: AtomicU64,
    writes: AtomicU64,
    deletes: AtomicU64,
}

impl Requests {
    /// Pages of listings: S3 gives a thousand keys at a time.
    pub fn lists(&self) -> u64 {
        self.0.lists.load(Ordering::Relaxed)
    }

    /// Objects that were read, whole or in part. A read that was cut and goes on counts again.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Bytes that came with them.
    pub fn read_bytes(&self) -> u64 {
        self.0.read_bytes.load(Ordering::Relaxed)
    }

    /// Objects whose size and time were asked for.
    pub fn heads(&self) -> u64 {
        self.0.heads.load(Ordering::Relaxed)
    }

    /// Objects that were written, or begun to be: one that is large takes several requests.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Objects that were deleted; S3 takes a thousand at a time.
    pub fn deletes(&self) -> u64 {
        self.0.deletes.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lists={} reads={} read_bytes={} heads={} writes={} deletes={}",
            self.lists(),
            self.reads(),
            self.read_bytes(),
            self.heads(),
            self.writes(),
            self.deletes()
        )
    }
}

/// A store whose requests are counted.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Arc<dyn Store>,
    requests: Requests,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Store>, requests: &Requests) -> Self {
        Self { inner, requests: requests.clone() }
    }

    fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64, number: usize) {
        counter(&self.requests.0).fetch_add(number as u64, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for Counted {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        self.inner.capabilities().await
    }

    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.count(|it| &it.writes, 1);
        self.inner.put(key, content, mode).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        self.count(|it| &it.writes, 1);
        self.inner.begin(key).await
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        self.count(|it| &it.reads, 1);
        let requests = self.requests.clone();
        let pieces = self.inner.read(key, range).await?;
        let counted = pieces.inspect(move |piece| {
            let bytes = piece.as_ref().map_or(0, Bytes::len) as u64;
            requests.0.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        });
        Ok(counted.boxed())
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.count(|it| &it.heads, 1);
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let listed = self.inner.list(prefix).await;
        let pages = listed.as_ref().map_or(1, |listed| listed.len().div_ceil(PAGE).max(1));
        self.count(|it| &it.lists, pages);
        listed
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.count(|it| &it.deletes, keys.len());
        self.inner.delete(keys).await
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.inner.abort_uploads(before).await
    }
}
