//! Reading everything back: digests, sizes, archive structure, every frame, rows per table.

pub(crate) mod archive;
mod object;
mod script;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use vault::Store;
use vault::manifest::Manifest;

use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Meter, Verdict};
use object::{Check, Found};

/// Which backups to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest of each group.
    Newest,
    /// Every one.
    All,
    /// These, by identity, its beginning, or `latest`.
    Named(Vec<String>),
}

/// Verifies backups.
#[derive(Debug, Clone)]
pub struct Verify {
    /// Which.
    pub which: Which,
    /// Objects read at the same time.
    pub jobs: usize,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Backup by backup, oldest first.
    pub backups: Vec<VerifiedBackup>,
    /// Manifests that cannot be used.
    pub unreadable: Vec<Damage>,
}

/// What verification found in one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBackup {
    /// The backup.
    pub id: String,
    /// Its group.
    pub group: String,
    /// When it was begun.
    pub started: DateTime<Utc>,
    /// Whether nothing is damaged.
    pub good: bool,
    /// Objects read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows counted.
    pub rows: u64,
    /// Everything that is wrong, by object.
    pub damage: Vec<Damage>,
}

impl Report for Verified {
    fn verdict(&self) -> Verdict {
        if self.unreadable.is_empty() && self.backups.iter().all(|backup| backup.good) {
            Verdict::Done
        } else {
            Verdict::Damaged
        }
    }
}

#[async_trait]
impl Job for Verify {
    type Report = Verified;
    type Access = Shared;
    const NAME: &'static str = "verify";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Verified, Error> {
        let mut verified = Verified { backups: Vec::new(), unreadable: Vec::new() };
        let ids = self.ids(context, &mut verified.unreadable).await?;
        let store = context.catalogue.store();
        for id in ids {
            context.go_on()?;
            let manifest = match context.catalogue.load(&id).await {
                Ok(manifest) => manifest,
                // Removed by retention since it was listed; this needs no lease.
                Err(vault::Error::UnknownBackup { .. }) => continue,
                Err(error @ vault::Error::Manifest { .. }) => {
                    if let Some(key) = Manifest::key(&id) {
                        verified.unreadable.push(Damage::unusable(&key, &error));
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let meter = context.progress.begin("verifying");
            let found = check(store, &manifest, self.jobs, &meter, &context.cancel).await?;
            if !found.damage.is_empty() && !context.catalogue.ids().await?.contains(&id) {
                tracing::info!("{id} was removed while it was verified");
                continue;
            }
            verified.backups.push(VerifiedBackup {
                id: manifest.id.clone(),
                group: manifest.group.clone(),
                started: manifest.started,
                good: found.damage.is_empty(),
                objects: manifest.objects.len() as u64,
                bytes: manifest.stored_bytes(),
                rows: found.rows,
                damage: found.damage,
            });
        }
        if verified.backups.is_empty() && verified.unreadable.is_empty() {
            // Whoever verifies wants to know that there is something to restore.
            return Err(vault::Error::NoBackup { store: store.describe() }.into());
        }
        verified.unreadable.sort_by(|a, b| a.key.cmp(&b.key));
        verified.unreadable.dedup();
        Ok(verified)
    }
}

impl Verify {
    /// The identities that are meant, oldest first.
    async fn ids(
        &self,
        context: &Context,
        unreadable: &mut Vec<Damage>,
    ) -> Result<Vec<String>, Error> {
        let catalogue = &context.catalogue;
        match &self.which {
            Which::All => Ok(catalogue.ids().await?),
            Which::Named(wanted) => {
                let mut ids = Vec::with_capacity(wanted.len());
                for wanted in wanted {
                    ids.push(catalogue.resolve(wanted).await?);
                }
                ids.sort();
                ids.dedup();
                Ok(ids)
            }
            Which::Newest => {
                let mut newest = BTreeMap::new();
                let mut each = pin!(catalogue.each().await?);
                while let Some((key, manifest)) = each.next().await {
                    match manifest {
                        Ok(manifest) => {
                            newest.insert(manifest.group, manifest.id);
                        }
                        Err(error @ vault::Error::Manifest { .. }) => {
                            unreadable.push(Damage::unusable(&key, &error));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                let mut ids: Vec<String> = newest.into_values().collect();
                ids.sort();
                Ok(ids)
            }
        }
    }
}

/// What reading back a backup found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Everything that is wrong, by object.
    pub damage: Vec<Damage>,
    /// Rows counted.
    pub rows: u64,
}

/// Reads back every object that `manifest` names, `jobs` at a time.
///
/// # Errors
/// When the store does not answer or `cancel` fires; whatever is wrong with the objects
/// themselves is among the findings.
pub(crate) async fn check(
    store: &Arc<dyn Store>,
    manifest: &Manifest,
    jobs: usize,
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
) -> Result<Findings, Error> {
    meter.expect(manifest.stored_bytes());
    let mut findings = Findings::default();
    let mut checks: BTreeMap<String, Check> = manifest
        .objects
        .iter()
        .map(|object| (object.key.to_string(), Check::bytes(object.clone())))
        .collect();
    for database in &manifest.databases {
        if database.format == "plain" {
            script::plan(database, &mut checks);
        } else {
            let damage = archive::plan(store, database, &mut checks).await?;
            findings.damage.extend(damage);
        }
    }
    let results = stream::iter(checks.into_values())
        .map(|check| object::check(store.as_ref(), check, meter, cancel))
        .buffer_unordered(jobs)
        .try_for_each(|found: Found| {
            findings.rows += found.rows;
            findings.damage.extend(found.damage);
            std::future::ready(Ok(()))
        });
    results.await?;
    findings.damage.sort_by(|a, b| a.key.cmp(&b.key));
    findings.damage.dedup();
    Ok(findings)
}
