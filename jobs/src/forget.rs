//! Forgetting what will never run again: a group without a whole backup, or a source whose last
//! run failed. Neither heals by itself when its name was mistyped or it is gone for good.

use std::pin::pin;

use async_trait::async_trait;
use futures::StreamExt;
use serde::Serialize;

use crate::record::{self, Record};
use crate::runner::{Exclusive, Job, Report, Shared};
use crate::{Context, Error, Summary, Verdict, accept};

/// Says what forgetting a name would remove; changes nothing.
#[derive(Debug, Clone)]
pub struct PlanForget {
    /// A group or a source, as `status` names it.
    pub name: String,
}

/// Forgets a group or a source.
#[derive(Debug, Clone)]
pub struct Forget {
    /// A group or a source, as `status` names it.
    pub name: String,
}

/// What is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forgotten {
    /// The group or source.
    pub name: String,
    /// Records of its last runs.
    pub records: Vec<Record>,
    /// Its backups, all part-done.
    pub backups: Vec<Summary>,
    /// Whether it was done, not only planned.
    pub applied: bool,
}

impl Report for Forgotten {
    fn verdict(&self) -> Verdict {
        Verdict::Done
    }
}

#[async_trait]
impl Job for PlanForget {
    type Report = Forgotten;
    type Access = Shared;
    const NAME: &'static str = "prune";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Forgotten, Error> {
        plan(&self.name, context).await
    }
}

#[async_trait]
impl Job for Forget {
    type Report = Forgotten;
    type Access = Exclusive;
    const NAME: &'static str = "prune";

    async fn run(&self, context: &Context, access: &Exclusive) -> Result<Forgotten, Error> {
        let mut forgotten = plan(&self.name, context).await?;
        context.go_on()?;
        let ids: Vec<String> = forgotten.backups.iter().map(|backup| backup.id.clone()).collect();
        context.catalogue.remove(&ids, access.guard()).await?;
        let store = context.catalogue.store().as_ref();
        accept::forget(store, &ids).await?;
        record::forget(store, &forgotten.records).await?;
        forgotten.applied = true;
        Ok(forgotten)
    }
}

/// Refuses whatever would lose the last copy of anything.
async fn plan(name: &str, context: &Context) -> Result<Forgotten, Error> {
    let (mut backups, mut whole) = (Vec::new(), Vec::new());
    let mut each = pin!(context.catalogue.each().await?);
    while let Some((_, manifest)) = each.next().await {
        match manifest {
            Ok(manifest) => {
                let backup = Summary::from(&manifest);
                if backup.failed.is_empty() {
                    whole.push(backup);
                } else if backup.group == name {
                    backups.push(backup);
                }
            }
            // What nobody can read is no other copy, and is not removed here.
            Err(vault::Error::Manifest { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if whole.iter().any(|backup| backup.group == name) {
        return Err(Error::Refused {
            what: format!("{name} has whole backups, which are not forgotten"),
            hint: "leave it out of what is judged: `status --group` or groups of [status] in the \
                   configuration file name the others"
                .into(),
        });
    }
    let source = |group: &str| group.split_once('/').map(|(source, _)| source.to_owned());
    for backup in &backups {
        let elsewhere = |database: &String| {
            whole.iter().any(|other| {
                source(&other.group) == source(name) && other.databases.contains(database)
            })
        };
        if let Some(only) = backup.databases.iter().find(|database| !elsewhere(database)) {
            return Err(Error::Refused {
                what: format!("no whole backup holds database {only:?} of {name}"),
                hint: "export that database first, so that its only copy is not removed".into(),
            });
        }
    }
    let mut records = record::all(context.catalogue.store().as_ref()).await?;
    records.retain(|record| {
        !record.done && (record.source == name || record.group.as_deref() == Some(name))
    });
    if backups.is_empty() && records.is_empty() {
        return Err(Error::Refused {
            what: format!("no failed source and no group without a whole backup is named {name:?}"),
            hint: "`aidp-backup status` names them; a name with blanks needs quotes".into(),
        });
    }
    Ok(Forgotten { name: name.to_owned(), records, backups, applied: false })
}
