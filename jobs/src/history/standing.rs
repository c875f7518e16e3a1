//! How the archive of each namespace stands: what is archived, and what expires unarchived.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use temporal::connect::{self, Connection};
use vault::window::{Window, Windows};

use super::gaps::Uncovered;
use crate::archive::{self, Archive, NamespaceRule, outlook};
use crate::record::Record;
use crate::runner::Job as _;
use crate::{Context, Damage, Error};

/// How long Temporal may take to say what expires.
const ASK_WITHIN: Duration = Duration::from_secs(15);

/// What should be archived, and from where.
#[derive(Debug, Clone)]
pub struct Histories {
    /// How Temporal is reached.
    pub temporal: connect::Options,
    /// Asks Temporal even when nothing says that histories are archived at all.
    pub ask: bool,
    /// What is archived.
    pub namespaces: Vec<NamespaceRule>,
    /// How far ahead expiring histories are looked for.
    pub expiry_warning: TimeDelta,
}

/// How archives stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoriesStanding {
    /// `HOST:PORT` of the Temporal that was asked what expires; `None` when none was.
    pub temporal: Option<String>,
    /// Why it could not be asked.
    pub temporal_error: Option<String>,
    /// Namespace by namespace.
    pub namespaces: Vec<NamespaceStanding>,
    /// Manifests that cannot be used; what they cover counts as not archived.
    pub unreadable: Vec<Damage>,
}

/// How the archive of a namespace stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceStanding {
    /// Its name.
    pub namespace: String,
    /// Its id; `None` while nothing of it is archived.
    pub namespace_id: Option<String>,
    /// Windows.
    pub windows: u64,
    /// Archived runs.
    pub runs: u64,
    /// Bytes of their segments and indexes.
    pub stored_bytes: u64,
    /// Everything that closed before this, and that the rules mean, is archived.
    pub archived_until: Option<DateTime<Utc>>,
    /// Age of that in seconds.
    pub age_seconds: Option<i64>,
    /// Intervals between windows that no window covers.
    pub holes: Vec<Uncovered>,
    /// Whether it goes on being archived: a rule names it, no namespace of the same name has come
    /// after it, and Temporal, if it was asked, has it.
    pub current: bool,
    /// Runs that are not archived and that Temporal deletes soon; `None` when it was not asked.
    pub expiring: Option<u64>,
    /// How soon, in seconds.
    pub expiring_within_seconds: Option<i64>,
    /// Why that is not known.
    pub error: Option<String>,
    /// Whether what is archived ends too long ago.
    pub overdue: bool,
}

impl HistoriesStanding {
    /// Whether somebody must look after it.
    pub fn is_overdue(&self) -> bool {
        self.namespaces.iter().any(|it| it.overdue || it.expiring.is_some_and(|runs| runs > 0))
    }
}

impl Histories {
    /// Looks at the store, and asks Temporal. That Temporal cannot be asked is part of the answer.
    pub(crate) async fn look(
        &self,
        context: &Context,
        records: &[Record],
        overdue_after: TimeDelta,
    ) -> Result<HistoriesStanding, Error> {
        let windows = Windows::new(context.catalogue.store().clone());
        let listing = windows.read(windows.references(None).await?).await?;
        let unusable = |damaged: &vault::Damaged| Damage::unusable(&damaged.key, &damaged.error);
        let mut standing = HistoriesStanding {
            unreadable: listing.damaged.iter().map(unusable).collect(),
            ..HistoriesStanding::default()
        };
        let mut archives: BTreeMap<String, BTreeMap<String, Vec<Window>>> = BTreeMap::new();
        for window in listing.windows {
            let (name, id) = (window.namespace.name.clone(), window.namespace.id.clone());
            archives.entry(name).or_default().entry(id).or_default().push(window);
        }
        let now = context.clock.now();
        for (name, ids) in &archives {
            let newest = ids.iter().max_by_key(|(_, windows)| windows.iter().map(end).max());
            for (id, windows) in ids {
                let newest = newest.is_some_and(|(newest, _)| newest == id);
                standing.namespaces.push(self.of_store(name, id, windows, newest, now)?);
            }
        }
        let was_archived = records.iter().any(|record| record.job == Archive::NAME);
        if self.ask || was_archived || !archives.is_empty() {
            let asked = tokio::time::timeout(ASK_WITHIN, self.ask(&mut standing, &archives, now));
            match asked.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => standing.temporal_error = Some(crate::chain(&error)),
                Err(_) => {
                    let seconds = ASK_WITHIN.as_secs();
                    standing.temporal_error = Some(format!("no answer within {seconds} s"));
                }
            }
        }
        for namespace in standing.namespaces.iter_mut().filter(|it| it.current && it.windows > 0) {
            namespace.overdue =
                namespace.age_seconds.is_none_or(|age| age > overdue_after.num_seconds());
        }
        Ok(standing)
    }

    /// What the store alone says.
    fn of_store(
        &self,
        name: &str,
        id: &str,
        windows: &[Window],
        newest: bool,
        now: DateTime<Utc>,
    ) -> Result<NamespaceStanding, Error> {
        let rule = self.namespaces.iter().find(|rule| rule.pattern.matches(name));
        let (archived_until, holes) = match rule {
            Some(rule) => outlook::coverage(windows, rule)?,
            None => (None, Vec::new()),
        };
        Ok(NamespaceStanding {
            namespace: name.to_owned(),
            namespace_id: Some(id.to_owned()),
            windows: windows.len() as u64,
            runs: windows.iter().map(|window| window.runs).sum(),
            stored_bytes: windows.iter().map(Window::stored_bytes).sum(),
            archived_until,
            age_seconds: archived_until.map(|until| (now - until).num_seconds()),
            holes,
            current: newest && rule.is_some(),
            ..NamespaceStanding::default()
        })
    }

    /// What Temporal says besides.
    async fn ask(
        &self,
        standing: &mut HistoriesStanding,
        archives: &BTreeMap<String, BTreeMap<String, Vec<Window>>>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let connection = Connection::open(&self.temporal).await.map_err(Error::temporal)?;
        standing.temporal = Some(connection.address().to_owned());
        let chosen = archive::choose(&connection, &self.namespaces).await?;
        let has = |name: &str, id: &str| {
            chosen.namespaces.iter().any(|(it, _)| it.name == name && it.id == id)
        };
        for namespace in &mut standing.namespaces {
            let id = namespace.namespace_id.as_deref().unwrap_or_default();
            namespace.current = namespace.current && has(&namespace.namespace, id);
        }
        for (name, error) in &chosen.missing {
            let error = Some(crate::chain(error));
            match standing.namespaces.iter_mut().find(|it| it.namespace == *name) {
                Some(known) => known.error = error,
                None => standing.namespaces.push(NamespaceStanding {
                    namespace: name.clone(),
                    error,
                    ..NamespaceStanding::default()
                }),
            }
        }
        for (namespace, rule) in chosen.namespaces {
            let (name, id) = (namespace.name.clone(), namespace.id.clone());
            let windows = archives.get(&name).and_then(|ids| ids.get(&id));
            let windows = windows.map(Vec::as_slice).unwrap_or_default();
            let warning = self.expiry_warning;
            let asked =
                outlook::of_namespace(&connection, namespace, &rule, windows, now, warning).await;
            let own = |it: &NamespaceStanding| {
                it.namespace == name && it.namespace_id.as_deref().is_none_or(|known| known == id)
            };
            let at = match standing.namespaces.iter().position(own) {
                Some(at) => at,
                None => {
                    let current = true;
                    let namespace = name.clone();
                    standing.namespaces.push(NamespaceStanding {
                        namespace,
                        current,
                        ..NamespaceStanding::default()
                    });
                    standing.namespaces.len() - 1
                }
            };
            let Some(known) = standing.namespaces.get_mut(at) else { continue };
            match asked {
                Ok(expiring) => {
                    known.expiring = Some(expiring.histories);
                    known.expiring_within_seconds = Some(expiring.within_seconds);
                }
                Err(error) => known.error = Some(crate::chain(&error)),
            }
        }
        Ok(())
    }
}

/// The end of what a window covers.
fn end(window: &Window) -> Option<DateTime<Utc>> {
    window.covers.last().map(|cover| cover.to)
}
