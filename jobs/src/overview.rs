//! Everything a watcher shows of a store: what is kept, how the last runs ended, who is at work.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde::Serialize;
use vault::lease::{self, Held};
use vault::manifest::Manifest;

use crate::record::{self, Record};
use crate::runner::{Job, LEASE, Report, Shared};
use crate::{Context, Damage, Error, Summary, Verdict, archive};

/// Manifests that are read one by one; with more of them unknown all are read.
const FEW: usize = 4;

/// Looks at a store.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What was seen before: manifests never change, so these are not read again.
    pub known: Vec<Kept>,
    /// Whether to add up every object in the store, which lists all of them.
    pub measure: bool,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// When.
    pub now: DateTime<Utc>,
    /// Every backup, oldest first.
    pub backups: Vec<Kept>,
    /// How the last run of each job and source ended.
    pub runs: Vec<Record>,
    /// Manifests that cannot be used.
    pub unreadable: Vec<Damage>,
    /// Who is at work on backups.
    pub lease: Option<Held>,
    /// Who is at work on histories.
    pub histories_lease: Option<Held>,
    /// Bytes of all objects, when they were added up.
    pub store_bytes: Option<u64>,
}

/// A backup in a few figures, by database too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The whole.
    #[serde(flatten)]
    pub summary: Summary,
    /// Its databases.
    pub parts: Vec<Part>,
}

/// One database of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Name of the database.
    pub name: String,
    /// Rows of all its tables.
    pub rows: u64,
    /// Its bytes in the store.
    pub stored_bytes: u64,
}

impl From<&Manifest> for Kept {
    fn from(manifest: &Manifest) -> Self {
        let part = |database: &vault::manifest::Database| {
            let inside = |key: &vault::Key| key.as_str().starts_with(&database.location);
            let objects = manifest.objects.iter().filter(|object| inside(&object.key));
            Part {
                name: database.name.clone(),
                rows: database.tables.iter().map(|table| table.rows).sum(),
                stored_bytes: objects.map(|object| object.size).sum(),
            }
        };
        Self {
            summary: Summary::from(manifest),
            parts: manifest.databases.iter().map(part).collect(),
        }
    }
}

impl Report for Overview {
    fn verdict(&self) -> Verdict {
        if self.unreadable.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}

#[async_trait]
impl Job for Look {
    type Report = Overview;
    type Access = Shared;
    const NAME: &'static str = "overview";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Overview, Error> {
        let (backups, unreadable) = self.backups(context).await?;
        let store = context.catalogue.store();
        let mut store_bytes = None;
        if self.measure {
            let listed = store.list("").await.map_err(vault::Error::from)?;
            store_bytes = Some(listed.iter().map(|info| info.size).sum());
        }
        let held = |name| lease::held(store.clone(), name, context.holder.clone(), context.timing);
        Ok(Overview {
            now: context.clock.now(),
            backups,
            runs: record::all(store.as_ref()).await?,
            unreadable,
            lease: held(LEASE).await?,
            histories_lease: held(archive::LEASE).await?,
            store_bytes,
        })
    }
}

impl Look {
    async fn backups(&self, context: &Context) -> Result<(Vec<Kept>, Vec<Damage>), Error> {
        let catalogue = &context.catalogue;
        let ids: BTreeSet<String> = catalogue.ids().await?.into_iter().collect();
        let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for known in self.known.iter().filter(|known| ids.contains(&known.summary.id)) {
            kept.insert(known.summary.id.clone(), known.clone());
        }
        let unknown: Vec<&String> = ids.iter().filter(|id| !kept.contains_key(*id)).collect();
        let mut take = |key: &vault::Key, manifest| match manifest {
            Ok(manifest) => {
                let seen = Kept::from(&manifest);
                kept.insert(seen.summary.id.clone(), seen);
                Ok(())
            }
            Err(error @ vault::Error::Manifest { .. }) => {
                unreadable.push(Damage::unusable(key, &error));
                Ok(())
            }
            // It was removed since the names were listed.
            Err(vault::Error::UnknownBackup { .. }) => Ok(()),
            Err(error) => Err(Error::from(error)),
        };
        if unknown.len() <= FEW {
            for id in unknown {
                let Some(key) = Manifest::key(id) else { continue };
                take(&key, catalogue.load(id).await)?;
            }
        } else {
            let mut each = pin!(catalogue.each().await?);
            while let Some((key, manifest)) = each.next().await {
                take(&key, manifest)?;
            }
        }
        Ok((kept.into_values().collect(), unreadable))
    }
}
