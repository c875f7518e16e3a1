//! Removing backups, and what dead runs have left.
//!
//! Manifests go first, objects second: what a kill leaves is objects without a manifest,
//! which the next sweep finds, and never a manifest without its objects. While any manifest
//! cannot be read, nobody knows what it needs, and nothing is removed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;

use super::Catalogue;
use crate::lease::Guard;
use crate::manifest::{Manifest, is_id};
use crate::{Error, Key, ObjectInfo, StoreErrorKind};

/// Where the objects of exports are.
const OBJECTS: &str = "exports/";

/// Objects removed between two looks at the lease.
const BATCH: usize = 1000;

/// What a removal freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Backups that are no more, oldest first.
    pub ids: Vec<String>,
    /// Objects removed, manifests not counted.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a sweep freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects no manifest named.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Uploads that were never finished.
    pub uploads: u64,
}

impl Catalogue {
    /// Removes backups, by whole identity: their manifests, then the objects that no other
    /// manifest names.
    pub async fn remove(&self, ids: &[String], lease: &Guard) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let mut keys = Vec::new();
        // Objects of the backups to be removed, by size.
        let mut objects = BTreeMap::new();
        for id in ids {
            let unknown =
                || Error::UnknownBackup { wanted: id.clone(), store: self.store.describe() };
            let key = Manifest::key(id).ok_or_else(unknown)?;
            let manifest = self.read(&key).await?.ok_or_else(unknown)?;
            objects.extend(manifest.objects.into_iter().map(|object| (object.key, object.size)));
            removed.ids.push(manifest.id);
            keys.push(key);
        }
        removed.ids.sort();
        removed.ids.dedup();
        self.for_each_needed(&keys, |key| _ = objects.remove(key)).await?;

        lease.check().await?;
        self.store.delete(&keys).await?;
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

    /// Removes what a run that failed has stored, so that a full disk does not stay full. Where
    /// a manifest has the run's identity nothing is removed: the backup is listed, so it must
    /// stay whole, however the run ended.
    pub async fn discard(&self, id: &str, lease: &Guard) -> Result<(), Error> {
        let unknown =
            || Error::UnknownBackup { wanted: id.to_owned(), store: self.store.describe() };
        let manifest = Manifest::key(id).ok_or_else(unknown)?;
        lease.check().await?;
        match self.store.head(&manifest).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                tracing::warn!("{manifest} is there, so the objects that it names stay");
                return Ok(());
            }
        }
        let listed = self.store.list(&format!("{OBJECTS}{id}/")).await?;
        let keys: Vec<_> = listed.into_iter().map(|info| info.key).collect();
        Ok(self.store.delete(&keys).await?)
    }

    /// Removes a manifest that cannot be read; its objects are swept when their time comes.
    /// The backup is lost by this: nothing but an explicit order of the operator justifies it.
    pub async fn remove_unreadable(&self, id: &str, lease: &Guard) -> Result<(), Error> {
        let unknown =
            || Error::UnknownBackup { wanted: id.to_owned(), store: self.store.describe() };
        let key = Manifest::key(id).ok_or_else(unknown)?;
        match self.read(&key).await {
            Err(Error::Manifest { .. }) => {
                lease.check().await?;
                Ok(self.store.delete(&[key]).await?)
            }
            Err(error) => Err(error),
            Ok(None) => Err(unknown()),
            Ok(Some(_)) => self.remove(&[id.to_owned()], lease).await.map(drop),
        }
    }

    /// Objects of backups under `exports/` that no manifest names and that are older than `grace`, by the
    /// store's clock.
    pub async fn orphans(
        &self,
        grace: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Vec<ObjectInfo>, Error> {
        // Objects first: what is published meanwhile is then found to be named.
        let mut objects = self.store.list(OBJECTS).await?;
        objects.retain(|object| is_of_a_backup(&object.key));
        objects.retain(|object| now.signed_duration_since(object.modified) > grace);
        let mut named = vec![false; objects.len()];
        self.for_each_needed(&[], |key| {
            if let Ok(at) = objects.binary_search_by(|object| object.key.cmp(key))
                && let Some(named) = named.get_mut(at)
            {
                *named = true;
            }
        })
        .await?;
        let mut named = named.into_iter();
        objects.retain(|_| named.next() == Some(false));
        Ok(objects)
    }

    /// Removes [`orphans`](Self::orphans) and gives up uploads begun before the grace time.
    pub async fn sweep(
        &self,
        grace: TimeDelta,
        now: DateTime<Utc>,
        lease: &Guard,
    ) -> Result<Swept, Error> {
        let orphans = self.orphans(grace, now).await?;
        let mut swept = Swept::default();
        for batch in orphans.chunks(BATCH) {
            lease.check().await?;
            let keys: Vec<_> = batch.iter().map(|object| object.key.clone()).collect();
            self.store.delete(&keys).await?;
            swept.objects += batch.len() as u64;
            swept.bytes += batch.iter().map(|object| object.size).sum::<u64>();
        }
        lease.check().await?;
        swept.uploads = self.store.abort_uploads(now - grace).await?;
        Ok(swept)
    }

    /// Calls `see` with every object that a manifest other than those at `besides` names.
    async fn for_each_needed(
        &self,
        besides: &[Key],
        mut see: impl FnMut(&Key),
    ) -> Result<(), Error> {
        let mut unreadable = Vec::new();
        let mut cause = None;
        let mut each = std::pin::pin!(self.each().await?);
        while let Some((key, outcome)) = each.next().await {
            match outcome {
                _ if besides.contains(&key) => {}
                Ok(manifest) => manifest.objects.iter().for_each(|object| see(&object.key)),
                Err(error) => {
                    unreadable.push(key.to_string());
                    cause.get_or_insert(error);
                }
            }
        }
        match cause {
            Some(source) => Err(Error::NeedUnknown { keys: unreadable, source: Box::new(source) }),
            None => Ok(()),
        }
    }
}

/// Whether it lies in the folder of a backup. Other things below `exports/` are somebody else's: a
/// store may have been put there.
fn is_of_a_backup(key: &Key) -> bool {
    let folder = key.as_str().strip_prefix(OBJECTS).and_then(|rest| rest.split_once('/'));
    folder.is_some_and(|(id, _)| is_id(id))
}
