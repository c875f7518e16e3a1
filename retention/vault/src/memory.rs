//! A store in memory, for tests of everything above it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};

use crate::{
    ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, StoreErrorKind, Upload,
    Uploaded,
};

/// Bytes a read yields at once.
const PIECE: usize = 64 << 10;

type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// A store that lives as long as its clones do.
#[derive(Clone)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
    clock: Clock,
}

#[derive(Default)]
struct Content {
    objects: BTreeMap<Key, (Bytes, DateTime<Utc>)>,
    /// Uploads under way: by number, when they began.
    uploads: BTreeMap<u64, DateTime<Utc>>,
    next_upload: u64,
}

impl MemoryStore {
    /// An empty store that dates its objects by the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Utc::now)
    }

    /// An empty store that dates its objects by `clock`.
    pub fn with_clock(clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self { content: Arc::default(), clock: Arc::new(clock) }
    }

    /// Changes a stored object in place, as a failing disk would; false when there is none.
    pub fn tamper(&self, key: &Key, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut content = self.content();
        let Some((bytes, _)) = content.objects.get_mut(key) else { return false };
        let mut changed = bytes.to_vec();
        change(&mut changed);
        *bytes = changed.into();
        true
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, kind: StoreErrorKind, action: String) -> StoreError {
        StoreError::new(kind, action, self.describe())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("objects", &self.content().objects.len()).finish()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        Ok(Capabilities { conditional_put: true, checksums: false })
    }

    async fn put(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let now = (self.clock)();
        let mut content = self.content();
        if mode == PutMode::IfAbsent && content.objects.contains_key(key) {
            let action = format!("cannot write {key}: the key is taken");
            return Err(self.error(StoreErrorKind::AlreadyExists, action));
        }
        content.objects.insert(key.clone(), (bytes, now));
        Ok(())
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        let now = (self.clock)();
        let mut content = self.content();
        let number = content.next_upload;
        content.next_upload += 1;
        content.uploads.insert(number, now);
        let (store, key) = (self.clone(), key.clone());
        Ok(Box::new(MemoryUpload { store, key, number, collected: BytesMut::new() }))
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        let found = self.content().objects.get(key).map(|(bytes, _)| bytes.clone());
        let Some(mut bytes) = found else {
            return Err(self.error(StoreErrorKind::NotFound, format!("cannot read {key}")));
        };
        if let Some(range) = range {
            let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let (start, end) = (cut(range.start), cut(range.end));
            bytes = bytes.slice(start..end.max(start));
        }
        let next = |mut rest: Bytes| async move {
            let piece = rest.split_to(rest.len().min(PIECE));
            (!piece.is_empty()).then_some((Ok(piece), rest))
        };
        Ok(stream::unfold(bytes, next).boxed())
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        let content = self.content();
        let Some((bytes, modified)) = content.objects.get(key) else {
            return Err(self.error(StoreErrorKind::NotFound, format!("cannot look at {key}")));
        };
        Ok(ObjectInfo { key: key.clone(), size: bytes.len() as u64, modified: *modified })
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let content = self.content();
        let listed = content.objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        let info = |(key, (bytes, modified)): (&Key, &(Bytes, DateTime<Utc>))| ObjectInfo {
            key: key.clone(),
            size: bytes.len() as u64,
            modified: *modified,
        };
        Ok(listed.map(info).collect())
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        let mut content = self.content();
        for key in keys {
            content.objects.remove(key);
        }
        Ok(())
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let uploads = &mut self.content().uploads;
        let count = uploads.len();
        uploads.retain(|_, begun| *begun >= before);
        Ok((count - uploads.len()) as u64)
    }
}

struct MemoryUpload {
    store: MemoryStore,
    key: Key,
    number: u64,
    collected: BytesMut,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, content: Bytes) -> Result<(), StoreError> {
        self.collected.extend_from_slice(&content);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded, StoreError> {
        let now = (self.store.clock)();
        let bytes = self.collected.split().freeze();
        let mut content = self.store.content();
        if content.uploads.remove(&self.number).is_none() {
            let action = format!("cannot write {}: the upload was given up", self.key);
            return Err(self.store.error(StoreErrorKind::Other, action));
        }
        content.objects.insert(self.key.clone(), (bytes.clone(), now));
        Ok(Uploaded { size: bytes.len() as u64, sha256: Sha256::digest(&bytes).into() })
    }

    async fn abort(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        self.store.content().uploads.remove(&self.number);
    }
}
