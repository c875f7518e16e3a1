//! What is kept.

use std::pin::pin;

use async_trait::async_trait;
use futures::StreamExt;

use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Summary, Verdict};

/// Lists backups, oldest first.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Only groups whose name begins so.
    pub group: Option<String>,
}

/// The backups of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Oldest first.
    pub backups: Vec<Summary>,
    /// Manifests that cannot be used.
    pub unreadable: Vec<Damage>,
}

#[async_trait]
impl Job for List {
    type Report = Listed;
    type Access = Shared;
    const NAME: &'static str = "list";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Listed, Error> {
        let mut listed = Listed { backups: Vec::new(), unreadable: Vec::new() };
        let mut each = pin!(context.catalogue.each().await?);
        while let Some((key, manifest)) = each.next().await {
            match manifest {
                Ok(manifest) => listed.backups.push(Summary::from(&manifest)),
                Err(error @ vault::Error::Manifest { .. }) => {
                    listed.unreadable.push(Damage::unusable(&key, &error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let wanted = self.group.as_deref().unwrap_or_default();
        listed.backups.retain(|backup| backup.group.starts_with(wanted));
        Ok(listed)
    }
}

impl Report for Listed {
    fn verdict(&self) -> Verdict {
        if self.unreadable.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}
