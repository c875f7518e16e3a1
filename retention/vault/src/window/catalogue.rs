//! The windows of a store: what is published, and its removal.
//!
//! The same order as for backups: a manifest is published when all its objects are stored, and
//! removed before them. While any manifest of a window cannot be read, nobody knows what it
//! needs, and no object is removed but those of windows that can be read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};

use super::{OBJECTS, PREFIX, Window, WindowId, WindowListing};
use crate::lease::Guard;
use crate::manifest::{MAX_BYTES, ManifestError};
use crate::{Damaged, Error, Key, PutMode, Store, StoreError, StoreErrorKind, read_small};

/// Manifests read at the same time.
const READ_AHEAD: usize = 8;

/// Objects removed between two looks at the lease.
const BATCH: usize = 1000;

/// The windows of a store.
#[derive(Debug, Clone)]
pub struct Windows {
    store: Arc<dyn Store>,
}

/// A manifest by its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it is.
    pub key: Key,
    /// The namespace's name as a segment of a key.
    pub namespace: String,
    /// The window.
    pub id: WindowId,
}

/// What a removal freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Windows that are no more.
    pub windows: u64,
    /// Objects removed, manifests not counted.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a sweep freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects no window named.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Windows {
    /// The windows of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store it looks into.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Every manifest by its name, of one namespace or of all, in the order of namespaces and
    /// times. Reads none of them.
    pub async fn references(&self, namespace: Option<&str>) -> Result<Vec<Reference>, Error> {
        let prefix = match namespace {
            Some(name) => format!("{PREFIX}{}/", Key::escape_segment(name)),
            None => PREFIX.to_owned(),
        };
        let listed = self.store.list(&prefix).await?;
        Ok(listed.into_iter().filter_map(|info| reference(info.key)).collect())
    }

    /// Reads manifests; what vanishes meanwhile is left out.
    pub async fn read(&self, references: Vec<Reference>) -> Result<WindowListing, Error> {
        let mut read = stream::iter(references)
            .map(|reference| async move { (self.load(&reference).await, reference.key) })
            .buffered(READ_AHEAD);
        let mut windows = Vec::new();
        let mut damaged = Vec::new();
        while let Some((outcome, key)) = read.next().await {
            match outcome {
                Ok(window) => windows.extend(window),
                Err(error @ Error::Manifest { .. }) => damaged.push(Damaged { key, error }),
                Err(error) => return Err(error),
            }
        }
        Ok(effective(windows, damaged))
    }

    /// Every window of a namespace, by name and id: another one may have had the name.
    pub async fn of_namespace(&self, name: &str, id: &str) -> Result<WindowListing, Error> {
        let mut listing = self.read(self.references(Some(name)).await?).await?;
        let own = |window: &Window| window.namespace.id == id;
        listing.windows.retain(own);
        listing.replaced.retain(own);
        Ok(listing)
    }

    /// The window of a manifest; `None` when nothing is there any more.
    pub async fn load(&self, reference: &Reference) -> Result<Option<Window>, Error> {
        let key = &reference.key;
        let document = match read_small(&*self.store, key, MAX_BYTES as u64).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            // Of no use, like one that does not decode: it must not hide the others.
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                return Err(self.unusable(key, ManifestError::unreadable(&error)));
            }
            other => other?,
        };
        let window = Window::decode(&document).map_err(|error| self.unusable(key, error))?;
        let own = Window::key(&window.namespace.name, &window.id);
        if own.as_ref().ok() != Some(key) {
            let reason = format!("it is the manifest of window {}", window.id);
            return Err(self.unusable(key, ManifestError::Contradiction { reason }));
        }
        Ok(Some(window))
    }

    /// Publishes a window: the commit. All its objects must be stored and read back before. The
    /// lease is checked before and after; when it was lost meanwhile, or the manifest does not
    /// read back as written, it is taken away again.
    pub async fn publish(&self, window: &Window, lease: &Guard) -> Result<(), Error> {
        let key = self.key(window)?;
        let document = Bytes::from(window.encode().map_err(|error| self.unusable(&key, error))?);
        lease.check().await?;
        let outcome = match self.put_and_read_back(&key, document).await {
            Ok(()) => lease.check().await,
            // Another window has the name; it is not ours to touch.
            Err(error) if error.kind == StoreErrorKind::AlreadyExists => return Err(error.into()),
            Err(error) => Err(error.into()),
        };
        if outcome.is_err()
            && let Err(error) = self.store.delete(std::slice::from_ref(&key)).await
        {
            tracing::warn!(
                %key,
                error = &error as &dyn std::error::Error,
                "the manifest of a failed window could not be removed"
            );
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

    /// Whether the manifest of a window is there.
    pub async fn is_published(&self, namespace: &str, id: &WindowId) -> Result<bool, Error> {
        let key = Window::key(namespace, id).map_err(|error| self.bad_key(error))?;
        match self.store.head(&key).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes windows: their manifests, then the objects that no other window names. Windows
    /// whose place they took and that are still there go before them: they would count again.
    pub async fn remove(&self, windows: &[Window], lease: &Guard) -> Result<Removed, Error> {
        if windows.is_empty() {
            return Ok(Removed::default());
        }
        // A window names objects in the folder of its namespace and nowhere else.
        let namespaces: BTreeSet<&str> =
            windows.iter().map(|window| window.namespace.name.as_str()).collect();
        let mut leaving: BTreeMap<Key, Window> = BTreeMap::new();
        for window in windows {
            leaving.insert(self.key(window)?, window.clone());
        }
        let mut staying: BTreeMap<Key, Window> = BTreeMap::new();
        let mut unreadable = false;
        for namespace in namespaces {
            let mut others = self.references(Some(namespace)).await?;
            others.retain(|other| !leaving.contains_key(&other.key));
            let others = self.read(others).await?;
            unreadable |= !others.damaged.is_empty();
            for window in others.windows.into_iter().chain(others.replaced) {
                staying.insert(self.key(&window)?, window);
            }
        }
        let mut looked_at: Vec<Key> = leaving.keys().cloned().collect();
        while let Some(key) = looked_at.pop() {
            for replaced in self.replaced_by(&leaving, &key)? {
                if let Some(window) = staying.remove(&replaced) {
                    leaving.insert(replaced.clone(), window);
                    looked_at.push(replaced);
                }
            }
        }
        let mut objects: BTreeMap<Key, u64> = leaving
            .values()
            .flat_map(Window::objects)
            .map(|object| (object.key.clone(), object.size))
            .collect();
        for object in staying.values().flat_map(Window::objects) {
            objects.remove(&object.key);
        }
        if unreadable {
            // Whatever they name stays; a later sweep finds the rest.
            objects.clear();
        }
        let mut removed = Removed { windows: leaving.len() as u64, ..Removed::default() };
        while !leaving.is_empty() {
            let mut first = Vec::new();
            for key in leaving.keys() {
                let replaced = self.replaced_by(&leaving, key)?;
                if !replaced.iter().any(|other| leaving.contains_key(other)) {
                    first.push(key.clone());
                }
            }
            if first.is_empty() {
                // Windows in each other's place, which nobody writes: any order is as good.
                first.extend(leaving.keys().cloned());
            }
            lease.check().await?;
            self.store.delete(&first).await?;
            first.iter().for_each(|key| _ = leaving.remove(key));
        }
        let objects: Vec<_> = objects.into_iter().collect();
        for batch in objects.chunks(BATCH) {
            lease.check().await?;
            let keys: Vec<_> = batch.iter().map(|(key, _)| key.clone()).collect();
            self.store.delete(&keys).await?;
            removed.objects += batch.len() as u64;
            removed.bytes += batch.iter().map(|(_, size)| size).sum::<u64>();
        }
        Ok(removed)
    }

    /// The manifests of the windows whose place one of these takes.
    fn replaced_by(&self, windows: &BTreeMap<Key, Window>, key: &Key) -> Result<Vec<Key>, Error> {
        let Some(window) = windows.get(key) else { return Ok(Vec::new()) };
        let name = &window.namespace.name;
        let keys = window.replaces.iter().map(|id| Window::key(name, id));
        keys.map(|key| key.map_err(|error| self.bad_key(error))).collect()
    }

    /// Removes objects that no window names and that are older than `grace`, by the store's clock;
    /// nothing while a manifest cannot be read.
    pub async fn sweep(
        &self,
        grace: TimeDelta,
        now: DateTime<Utc>,
        lease: &Guard,
    ) -> Result<Swept, Error> {
        // Objects first: what is published meanwhile is then found to be named.
        let mut objects = self.store.list(OBJECTS).await?;
        objects.retain(|object| now.signed_duration_since(object.modified) > grace);
        if objects.is_empty() {
            return Ok(Swept::default());
        }
        // An object lies in the folder of its namespace and of its window's name: one listing of
        // names tells most of what is needed.
        let manifests = self.store.list(PREFIX).await?;
        let mut references = Vec::with_capacity(manifests.len());
        for manifest in manifests {
            match reference(manifest.key.clone()) {
                Some(reference) => references.push(reference),
                // A manifest that somebody renamed, perhaps: nobody knows what it needs.
                None => return Err(self.need_unknown(manifest.key, None)),
            }
        }
        let published: HashSet<(&str, &str)> = references
            .iter()
            .map(|reference| (reference.namespace.as_str(), reference.id.as_str()))
            .collect();
        objects.retain(|object| !window_of(&object.key).is_some_and(|at| published.contains(&at)));
        if objects.is_empty() {
            return Ok(Swept::default());
        }
        let listing = self.read(references).await?;
        if let Some(first) = listing.damaged.into_iter().next() {
            return Err(self.need_unknown(first.key, Some(first.error)));
        }
        let named: HashSet<&Key> = listing
            .windows
            .iter()
            .chain(&listing.replaced)
            .flat_map(Window::objects)
            .map(|object| &object.key)
            .collect();
        objects.retain(|object| !named.contains(&object.key));
        let mut swept = Swept::default();
        for batch in objects.chunks(BATCH) {
            lease.check().await?;
            let keys: Vec<_> = batch.iter().map(|object| object.key.clone()).collect();
            self.store.delete(&keys).await?;
            swept.objects += batch.len() as u64;
            swept.bytes += batch.iter().map(|object| object.size).sum::<u64>();
        }
        Ok(swept)
    }

    fn key(&self, window: &Window) -> Result<Key, Error> {
        Window::key(&window.namespace.name, &window.id).map_err(|error| self.bad_key(error))
    }

    fn bad_key(&self, error: crate::KeyError) -> Error {
        let action = "cannot name the manifest of a window";
        StoreError::new(StoreErrorKind::Invalid, action, self.store.describe())
            .with_source(error)
            .into()
    }

    fn need_unknown(&self, key: Key, cause: Option<Error>) -> Error {
        let cause = cause.unwrap_or_else(|| {
            let reason = "its name is not that of a window's manifest".into();
            self.unusable(&key, ManifestError::Contradiction { reason })
        });
        Error::NeedUnknown { keys: vec![key.to_string()], source: Box::new(cause) }
    }

    fn unusable(&self, key: &Key, source: ManifestError) -> Error {
        Error::Manifest { key: key.to_string(), store: self.store.describe(), source }
    }
}

/// `manifests/histories/NAMESPACE/ID.json`.
fn reference(key: Key) -> Option<Reference> {
    let (namespace, file) = key.as_str().strip_prefix(PREFIX)?.split_once('/')?;
    let id = file.strip_suffix(".json")?.parse().ok()?;
    Some(Reference { namespace: namespace.to_owned(), id, key })
}

/// Namespace and identity in `histories/NAMESPACE/DAY/ID-NN.…`.
fn window_of(key: &Key) -> Option<(&str, &str)> {
    let (namespace, rest) = key.as_str().strip_prefix(OBJECTS)?.split_once('/')?;
    let file = rest.rsplit('/').next()?;
    let name = file.split('.').next()?;
    Some((namespace, name.rsplit_once('-')?.0))
}

/// Tells the windows that count from those that another takes the place of.
fn effective(windows: Vec<Window>, damaged: Vec<Damaged>) -> WindowListing {
    let replaced: BTreeSet<(String, WindowId)> = windows
        .iter()
        .flat_map(|by| by.replaces.iter().map(|id| (by.namespace.name.clone(), id.clone())))
        .collect();
    let (replaced, windows) = windows
        .into_iter()
        .partition(|window| replaced.contains(&(window.namespace.name.clone(), window.id.clone())));
    WindowListing { windows, replaced, damaged }
}
