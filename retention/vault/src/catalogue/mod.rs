//! What is kept: the manifests of a store, and the objects they name.

mod remove;

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use crate::lease::Guard;
use crate::manifest::{MAX_BYTES, Manifest, ManifestError, PREFIX};
use crate::{Error, Key, PutMode, Store, StoreError, StoreErrorKind, read_small};

pub use remove::{Removed, Swept};

/// How far the clocks of two machines may be apart.
const AHEAD: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// Manifests read at the same time: enough to hide a server's latency, few enough to hold.
const READ_AHEAD: usize = 4;

/// The backups of a store.
#[derive(Debug, Clone)]
pub struct Catalogue {
    store: Arc<dyn Store>,
}

/// Every manifest of a store. One that cannot be read hides no other.
#[derive(Debug, Default)]
pub struct Listing {
    /// Oldest first.
    pub manifests: Vec<Manifest>,
    /// Those that cannot be used.
    pub damaged: Vec<Damaged>,
}

/// A manifest that cannot be used.
#[derive(Debug)]
pub struct Damaged {
    /// Where it is.
    pub key: Key,
    /// Why.
    pub error: Error,
}

impl Catalogue {
    /// The catalogue of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store it looks into.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Publishes a manifest: the commit of a backup. All its objects must be stored and read
    /// back before. The lease is checked before and after; when it was lost meanwhile, or the
    /// manifest does not read back as written, it is taken away again and nothing is kept.
    pub async fn publish(&self, manifest: &Manifest, lease: &Guard) -> Result<(), Error> {
        let key = Manifest::key(&manifest.id).ok_or_else(|| Error::Manifest {
            key: format!("{PREFIX}{}.json", manifest.id),
            store: self.store.describe(),
            source: ManifestError::Contradiction { reason: "its identity is not one".into() },
        })?;
        let document = Bytes::from(manifest.encode().map_err(|error| self.unusable(&key, error))?);
        lease.check().await?;
        let outcome = self.put_and_read_back(&key, document).await;
        let outcome = match outcome {
            Ok(()) => lease.check().await,
            // Another backup has the name; it is not ours to touch.
            Err(error) if error.kind == StoreErrorKind::AlreadyExists => return Err(error.into()),
            Err(error) => Err(error.into()),
        };
        if outcome.is_err() {
            // The run has failed, and a failed run leaves no backup if that can be helped; one
            // that stays is whole.
            if let Err(error) = self.store.delete(std::slice::from_ref(&key)).await {
                tracing::warn!(
                    %key,
                    error = &error as &dyn std::error::Error,
                    "the manifest of a failed run could not be removed"
                );
            }
        }
        outcome
    }

    async fn put_and_read_back(&self, key: &Key, document: Bytes) -> Result<(), StoreError> {
        self.store.put(key, document.clone(), PutMode::IfAbsent).await?;
        let stored = read_small(&*self.store, key, MAX_BYTES as u64).await?;
        if stored != document {
            let action = format!("cannot write {key}: it does not read back as it was written");
            return Err(StoreError::new(StoreErrorKind::Corrupt, action, self.store.describe()));
        }
        Ok(())
    }

    /// The identities of all backups, oldest first, whether their manifests can be read or not.
    pub async fn ids(&self) -> Result<Vec<String>, Error> {
        let keys = self.keys().await?;
        Ok(keys.iter().filter_map(|key| id_of(key).map(str::to_owned)).collect())
    }

    /// Everything that lies where manifests do.
    async fn keys(&self) -> Result<Vec<Key>, Error> {
        Ok(self.store.list(PREFIX).await?.into_iter().map(|info| info.key).collect())
    }

    /// The identity that `wanted` means: a whole one, the beginning of exactly one, or
    /// `latest`.
    pub async fn resolve(&self, wanted: &str) -> Result<String, Error> {
        let store = || self.store.describe();
        let mut ids = self.ids().await?;
        if wanted == "latest" {
            let latest = ids.pop().ok_or_else(|| Error::NoBackup { store: store() })?;
            let now = Manifest::new_id(chrono::Utc::now() + AHEAD, 0);
            if latest > now {
                tracing::warn!(
                    "{latest}, which counts as the latest, was begun in the future by this \
                     machine's clock; name another one by its id if a clock was wrong"
                );
            }
            return Ok(latest);
        }
        let matches: Vec<_> = ids.into_iter().filter(|id| id.starts_with(wanted)).collect();
        match <[String; 1]>::try_from(matches) {
            Ok([id]) if !wanted.is_empty() => Ok(id),
            Ok(_) => Err(Error::UnknownBackup { wanted: wanted.to_owned(), store: store() }),
            Err(none) if none.is_empty() => {
                Err(Error::UnknownBackup { wanted: wanted.to_owned(), store: store() })
            }
            Err(matches) => Err(Error::AmbiguousBackup { prefix: wanted.to_owned(), matches }),
        }
    }

    /// The manifest of the backup that `wanted` means (see [`resolve`](Self::resolve)). The
    /// latest is the latest: when its manifest is damaged, no older one is given instead.
    pub async fn load(&self, wanted: &str) -> Result<Manifest, Error> {
        let id = self.resolve(wanted).await?;
        let unknown =
            || Error::UnknownBackup { wanted: wanted.to_owned(), store: self.store.describe() };
        let key = Manifest::key(&id).ok_or_else(unknown)?;
        self.read(&key).await?.ok_or_else(unknown)
    }

    /// Every manifest, oldest first, a few at a time. One that vanishes meanwhile is left out.
    pub async fn each(
        &self,
    ) -> Result<impl Stream<Item = (Key, Result<Manifest, Error>)> + Send + '_, Error> {
        let keys = self.keys().await?;
        Ok(stream::iter(keys)
            .map(move |key| async move {
                let read = self.read(&key).await.transpose();
                read.map(|outcome| (key, outcome))
            })
            .buffered(READ_AHEAD)
            .filter_map(std::future::ready))
    }

    /// Every manifest at once. For many large backups [`each`](Self::each) needs less memory.
    pub async fn all(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let mut each = std::pin::pin!(self.each().await?);
        while let Some((key, outcome)) = each.next().await {
            match outcome {
                Ok(manifest) => listing.manifests.push(manifest),
                Err(error) => listing.damaged.push(Damaged { key, error }),
            }
        }
        Ok(listing)
    }

    /// The manifest at `key`; `None` when nothing is there.
    async fn read(&self, key: &Key) -> Result<Option<Manifest>, Error> {
        let document = match read_small(&*self.store, key, MAX_BYTES as u64).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            // Of no use, like one that does not decode: it must not hide the others.
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                return Err(self.unusable(key, ManifestError::unreadable(&error)));
            }
            other => other?,
        };
        let manifest = Manifest::decode(&document).map_err(|error| self.unusable(key, error))?;
        if id_of(key) != Some(manifest.id.as_str()) {
            let reason = format!("it is the manifest of {}", manifest.id);
            return Err(self.unusable(key, ManifestError::Contradiction { reason }));
        }
        Ok(Some(manifest))
    }

    fn unusable(&self, key: &Key, source: ManifestError) -> Error {
        Error::Manifest { key: key.to_string(), store: self.store.describe(), source }
    }
}

/// The identity in a manifest's key.
fn id_of(key: &Key) -> Option<&str> {
    let id = key.as_str().strip_prefix(PREFIX)?.strip_suffix(".json")?;
    crate::manifest::is_id(id).then_some(id)
}
