//! Objects of a store as an archive's files, each checked against its manifest while it is
//! read: the stream of a damaged object ends in an error that names it, never in silence.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use pgarchive::{ArchiveSource, ByteStream, SourceFile, StreamError};
use sha2::{Digest, Sha256};
use vault::manifest::{Database, Manifest, Object};
use vault::{Key, Store, StoreErrorKind, hex};

use crate::Error;

/// What is wrong with one stored object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("object {key} {what}")]
pub struct Damage {
    /// The object.
    pub key: Key,
    /// What is wrong with it, to follow its name: `is missing`.
    pub what: String,
}

impl Damage {
    /// Damage of the object `key`.
    pub fn new(key: &Key, what: impl Into<String>) -> Self {
        Self { key: key.clone(), what: what.into() }
    }

    /// A manifest that cannot be used.
    pub(crate) fn unusable(key: &Key, error: &vault::Error) -> Self {
        let why = std::error::Error::source(error).map(crate::chain);
        let why = why.unwrap_or_else(|| error.to_string());
        Self::new(key, format!("cannot be used ({why})"))
    }
}

/// The files of one database's archive in a store.
#[derive(Debug)]
pub struct StoreSource {
    store: Arc<dyn Store>,
    files: HashMap<String, Object>,
}

impl StoreSource {
    /// The archive of `database`, one of those in `manifest`.
    pub fn new(store: Arc<dyn Store>, manifest: &Manifest, database: &Database) -> Self {
        let own = |object: &Object| {
            let name = object.key.as_str().strip_prefix(&database.location)?;
            Some((name.to_owned(), object.clone()))
        };
        Self { store, files: manifest.objects.iter().filter_map(own).collect() }
    }
}

#[async_trait]
impl ArchiveSource for StoreSource {
    async fn list(&self) -> Result<Vec<SourceFile>, StreamError> {
        let file = |(name, object): (&String, &Object)| SourceFile {
            name: name.clone(),
            size: object.size,
        };
        Ok(self.files.iter().map(file).collect())
    }

    async fn open(&self, name: &str) -> Result<ByteStream, StreamError> {
        match self.files.get(name) {
            Some(object) => open(self.store.as_ref(), object).await,
            None => Err(format!("the backup holds no file {name}").into()),
        }
    }
}

/// The content of an object, checked against its size and digest.
pub async fn open(store: &dyn Store, object: &Object) -> Result<ByteStream, StreamError> {
    let content = store.read(&object.key, None).await.map_err(|error| match error.kind {
        StoreErrorKind::NotFound => Damage::new(&object.key, "is missing").into(),
        _ => StreamError::from(error),
    })?;
    Ok(Checked { content, object: object.clone(), size: 0, digest: Sha256::new(), done: false }
        .boxed())
}

/// An object whose stream failed: damage stays damage, a store's error a store's error.
pub(crate) fn error(object: &Object, error: StreamError) -> Error {
    let error = match error.downcast::<vault::StoreError>() {
        Ok(store) => return Error::Vault((*store).into()),
        Err(error) => error,
    };
    Error::Stream { file: object.key.to_string(), source: error }
}

/// Passes bytes on and compares their number and digest at the end.
struct Checked {
    content: vault::ByteStream,
    object: Object,
    size: u64,
    digest: Sha256,
    done: bool,
}

impl Checked {
    /// The verdict at the end of the stream.
    fn end(&mut self) -> Option<Damage> {
        let object = &self.object;
        let digest = hex::encode(&self.digest.finalize_reset());
        if self.size != object.size {
            let what = format!("has {} bytes instead of {}", self.size, object.size);
            return Some(Damage::new(&object.key, what));
        }
        (digest != object.sha256)
            .then(|| Damage::new(&object.key, "has changed: its SHA-256 is not the manifest's"))
    }
}

impl Stream for Checked {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let next = ready!(self.content.poll_next_unpin(context));
        self.done = !matches!(next, Some(Ok(_)));
        Poll::Ready(match next {
            Some(Ok(bytes)) => {
                self.size += bytes.len() as u64;
                self.digest.update(&bytes);
                if self.size > self.object.size {
                    self.done = true;
                    let what = format!("has more than its {} bytes", self.object.size);
                    return Poll::Ready(Some(Err(Damage::new(&self.object.key, what).into())));
                }
                Some(Ok(bytes))
            }
            Some(Err(error)) if error.kind == StoreErrorKind::Corrupt => {
                let what = format!("cannot be read whole ({})", crate::chain(&error));
                Some(Err(Damage::new(&self.object.key, what).into()))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => self.end().map(|damage| Err(damage.into())),
        })
    }
}
