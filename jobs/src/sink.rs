//! An archive's files as objects of a store.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use pgarchive::{ArchiveSink, FileWriter, StreamError, WrittenFile};
use vault::manifest::Object;
use vault::{Key, Store, Upload, hex};

/// Writes each file of an archive to the object `PREFIX` + name, and remembers what it wrote.
#[derive(Debug)]
pub struct StoreSink {
    store: Arc<dyn Store>,
    prefix: String,
    written: Written,
}

/// Objects finished so far, in no order.
type Written = Arc<Mutex<Vec<Object>>>;

impl StoreSink {
    /// A sink that puts its files under `prefix`, which ends in `/`.
    pub fn new(store: Arc<dyn Store>, prefix: String) -> Self {
        Self { store, prefix, written: Written::default() }
    }

    /// Every object that was finished.
    pub fn written(&self) -> Vec<Object> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl ArchiveSink for StoreSink {
    async fn create(&self, name: &str) -> Result<Box<dyn FileWriter>, StreamError> {
        let key = Key::new(format!("{}{}", self.prefix, Key::escape_segment(name)))?;
        let upload = self.store.begin(&key).await?;
        Ok(Box::new(StoreFile { key, upload, written: self.written.clone() }))
    }
}

struct StoreFile {
    key: Key,
    upload: Box<dyn Upload>,
    written: Written,
}

#[async_trait]
impl FileWriter for StoreFile {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        Ok(self.upload.write(bytes).await?)
    }

    async fn finish(self: Box<Self>) -> Result<WrittenFile, StreamError> {
        let uploaded = self.upload.finish().await?;
        let object =
            Object { key: self.key, size: uploaded.size, sha256: hex::encode(&uploaded.sha256) };
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        Ok(WrittenFile { size: uploaded.size, sha256: uploaded.sha256 })
    }

    async fn abort(self: Box<Self>) {
        if let Err(error) = self.upload.abort().await {
            tracing::debug!("{}: left for the next sweep: {}", self.key, crate::chain(&error));
        }
    }
}
