//! What a Temporal server does first when it is started on a copy.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row as _};

use super::timer_task::{ARCHIVAL, Kind, Message, TIMER, Task};
use super::{Role, TemporalSchema};
use crate::Error;
use crate::quote::{quote_literal, quote_qualified};
use crate::session::Session;

/// Namespaces that the text names; the others are added up.
const NAMED: usize = 5;

/// Task category of archival in `history_scheduled_tasks` (`service/history/tasks/category.go`).
const CATEGORY_ARCHIVAL: i32 = 5;

/// What is due in a copy of Temporal's main database. Tasks that the source had done but not
/// yet removed are counted too, so the server may do less than this, never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalOutlook {
    /// Database name.
    pub database: String,
    /// The moment that "due" refers to.
    pub now: DateTime<Utc>,
    /// Namespaces with anything due or open, the busiest first.
    pub namespaces: Vec<NamespaceOutlook>,
    /// Timers that become due later.
    pub later: u64,
    /// Tasks in queues: workflow and activity tasks that workers get as soon as they poll.
    pub queued: u64,
    /// Due tasks that could not be read.
    pub unreadable: u64,
}

/// What is due in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceOutlook {
    /// Its id: a UUID.
    pub id: String,
    /// Its name; `None` for tasks of a namespace that is gone.
    pub name: Option<String>,
    /// Workflows' own timers that fire.
    pub user_timers: u64,
    /// Activities, workflow tasks and workflows that time out.
    pub timeouts: u64,
    /// Activities tried again and workflows started after a delay.
    pub retries: u64,
    /// Closed workflows deleted because their retention is over.
    pub deletions: u64,
    /// Closed workflows archived by Temporal.
    pub archivals: u64,
    /// Timers of other kinds.
    pub other: u64,
    /// Workflows that are open and go on.
    pub open_workflows: u64,
}

impl NamespaceOutlook {
    /// Everything due, open workflows aside.
    pub fn due(&self) -> u64 {
        self.user_timers
            + self.timeouts
            + self.retries
            + self.deletions
            + self.archivals
            + self.other
    }

    fn add(&mut self, kind: Kind) {
        let count = match kind {
            Kind::UserTimer => &mut self.user_timers,
            Kind::Timeout => &mut self.timeouts,
            Kind::Retry => &mut self.retries,
            Kind::Deletion => &mut self.deletions,
            Kind::Archival => &mut self.archivals,
            Kind::Other => &mut self.other,
        };
        *count += 1;
    }

    fn add_all(&mut self, other: &Self) {
        self.user_timers += other.user_timers;
        self.timeouts += other.timeouts;
        self.retries += other.retries;
        self.deletions += other.deletions;
        self.archivals += other.archivals;
        self.other += other.other;
        self.open_workflows += other.open_workflows;
    }
}

/// Reads what is due at `now`; `None` for the visibility database, which drives nothing.
///
/// # Errors
/// [`Error::Query`].
pub async fn outlook(
    session: &mut Session,
    temporal: &TemporalSchema,
    now: DateTime<Utc>,
) -> Result<Option<TemporalOutlook>, Error> {
    if temporal.role != Role::Main {
        return Ok(None);
    }
    let mut reader = Reader { session, temporal, now, due: BTreeMap::new(), unreadable: 0 };
    reader.count_due("timer_tasks", "true", TIMER).await?;
    let archival = format!("category_id = {CATEGORY_ARCHIVAL}");
    reader.count_due("history_scheduled_tasks", &archival, ARCHIVAL).await?;
    reader.count_open().await?;
    reader.name_namespaces().await?;
    let after = format!("visibility_timestamp > {}", reader.moment());
    let later = reader.count("timer_tasks", &after).await?;
    let mut queued = 0;
    for table in ["transfer_tasks", "history_immediate_tasks", "tasks", "tasks_v2"] {
        queued += reader.count(table, "true").await?;
    }
    let Reader { due, unreadable, .. } = reader;
    let mut namespaces: Vec<NamespaceOutlook> = due.into_values().collect();
    namespaces
        .sort_by_key(|namespace| std::cmp::Reverse((namespace.due(), namespace.open_workflows)));
    Ok(Some(TemporalOutlook {
        database: session.database().to_owned(),
        now,
        namespaces,
        later,
        queued,
        unreadable,
    }))
}

struct Reader<'s> {
    session: &'s mut Session,
    temporal: &'s TemporalSchema,
    now: DateTime<Utc>,
    /// By namespace id.
    due: BTreeMap<String, NamespaceOutlook>,
    unreadable: u64,
}

impl Reader<'_> {
    const DOING: &'static str = "reading what Temporal has to do";

    fn table(&self, name: &str) -> String {
        quote_qualified(&self.temporal.schema, name)
    }

    /// Now, as Temporal stores times: UTC without a zone.
    fn moment(&self) -> String {
        format!("TIMESTAMP '{}'", self.now.naive_utc().format("%Y-%m-%d %H:%M:%S%.6f"))
    }

    /// Tables come and go with the versions of Temporal's schema.
    async fn has(&mut self, name: &str) -> Result<bool, Error> {
        let table = quote_literal(&self.table(name));
        let sql = format!("SELECT pg_catalog.to_regclass({table}) IS NOT NULL AS found");
        self.session.row(Self::DOING, &sql).await?.get("found")
    }

    async fn count(&mut self, name: &str, condition: &str) -> Result<u64, Error> {
        if !self.has(name).await? {
            return Ok(0);
        }
        let table = self.table(name);
        let sql = format!("SELECT pg_catalog.count(*) AS rows FROM {table} WHERE {condition}");
        let rows: i64 = self.session.row(Self::DOING, &sql).await?.get("rows")?;
        Ok(rows.unsigned_abs())
    }

    /// Row by row: there may be millions of them.
    async fn count_due(
        &mut self,
        name: &str,
        condition: &str,
        message: Message,
    ) -> Result<(), Error> {
        if !self.has(name).await? {
            return Ok(());
        }
        let sql = format!(
            "SELECT data FROM {} WHERE {condition} AND visibility_timestamp <= {}",
            self.table(name),
            self.moment()
        );
        let Self { session, due, unreadable, .. } = self;
        let failed = session.database().to_owned();
        let failed = |source| Error::Query {
            database: failed.clone(),
            doing: Self::DOING.to_owned(),
            source,
        };
        let query = sqlx::query(AssertSqlSafe(sql));
        let mut rows = query.fetch(session.connection());
        while let Some(row) = rows.try_next().await.map_err(&failed)? {
            let data: &[u8] = row.try_get("data").map_err(&failed)?;
            match Task::decode(message, data) {
                Some(task) => due.entry(plain_id(&task.namespace_id)).or_default().add(task.kind),
                None => *unreadable += 1,
            }
        }
        Ok(())
    }

    /// Open are states 1 (created) and 2 (running) of `WorkflowExecutionState`.
    async fn count_open(&mut self) -> Result<(), Error> {
        let sql = format!(
            "SELECT pg_catalog.encode(namespace_id, 'hex') AS id, pg_catalog.count(*) AS open \
             FROM {} WHERE state IN (1, 2) GROUP BY 1",
            self.table("current_executions")
        );
        for row in self.session.rows(Self::DOING, &sql).await? {
            let open: i64 = row.get("open")?;
            self.due.entry(row.get("id")?).or_default().open_workflows = open.unsigned_abs();
        }
        Ok(())
    }

    async fn name_namespaces(&mut self) -> Result<(), Error> {
        let sql = format!(
            "SELECT pg_catalog.encode(id, 'hex') AS id, name FROM {}",
            self.table("namespaces")
        );
        for row in self.session.rows(Self::DOING, &sql).await? {
            if let Some(namespace) = self.due.get_mut(&row.get::<String>("id")?) {
                namespace.name = Some(row.get("name")?);
            }
        }
        for (id, namespace) in &mut self.due {
            namespace.id = uuid(id);
        }
        Ok(())
    }
}

/// A UUID in hex without its dashes, as a stored `bytea` gives it.
fn plain_id(id: &str) -> String {
    id.replace('-', "").to_ascii_lowercase()
}

/// The usual form again.
fn uuid(hex: &str) -> String {
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range));
    match parts {
        [Some(a), Some(b), Some(c), Some(d), Some(e)] if hex.len() == 32 => {
            format!("{a}-{b}-{c}-{d}-{e}")
        }
        _ => hex.to_owned(),
    }
}

impl fmt::Display for TemporalOutlook {
    /// A few lines for a person, without a final line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a Temporal server started on database {:?} finds, due by {}:",
            self.database,
            self.now.to_rfc3339_opts(SecondsFormat::Secs, true)
        )?;
        for namespace in self.namespaces.iter().take(NAMED) {
            let name = namespace.name.as_deref().unwrap_or(&namespace.id);
            write!(f, "\n  namespace {name:?}: {namespace}")?;
        }
        if let Some(rest) = self.namespaces.get(NAMED..).filter(|rest| !rest.is_empty()) {
            let mut sum = NamespaceOutlook::default();
            rest.iter().for_each(|namespace| sum.add_all(namespace));
            write!(f, "\n  {} more namespaces: {sum}", rest.len())?;
        }
        if self.namespaces.is_empty() {
            write!(f, "\n  nothing: no timer, no deletion, no open workflow")?;
        }
        write!(
            f,
            "\n  {} tasks in queues for workers, {} timers for later",
            self.queued, self.later
        )?;
        if self.unreadable > 0 {
            write!(f, "; {} due tasks could not be read", self.unreadable)?;
        }
        Ok(())
    }
}

impl fmt::Display for NamespaceOutlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.deletions, "closed workflows to delete, their retention being over"),
            (self.user_timers, "user timers to fire"),
            (self.timeouts, "timeouts"),
            (self.retries, "retries and delayed starts"),
            (self.archivals, "histories to archive"),
            (self.other, "other timers"),
            (self.open_workflows, "open workflows"),
        ];
        let mut first = true;
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let comma = if first { "" } else { ", " };
            write!(f, "{comma}{count} {what}")?;
            first = false;
        }
        if first {
            write!(f, "nothing")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, deletions: u64) -> NamespaceOutlook {
        NamespaceOutlook { name: Some(name.into()), deletions, ..NamespaceOutlook::default() }
    }

    #[test]
    fn the_text_has_few_lines_and_names_the_busiest() {
        let outlook = TemporalOutlook {
            database: "copy".into(),
            now: DateTime::from_timestamp(1_795_399_200, 0).unwrap(),
            namespaces: vec![
                NamespaceOutlook {
                    user_timers: 2,
                    open_workflows: 3,
                    ..namespace("default", 2961)
                },
                NamespaceOutlook { id: "6e9d".into(), timeouts: 4, ..NamespaceOutlook::default() },
            ],
            later: 7,
            queued: 5,
            unreadable: 1,
        };
        assert_eq!(
            outlook.to_string(),
            "a Temporal server started on database \"copy\" finds, due by 2026-11-23T02:00:00Z:\n  \
             namespace \"default\": 2961 closed workflows to delete, their retention being over, 2 user timers to fire, 3 open workflows\n  \
             namespace \"6e9d\": 4 timeouts\n  \
             5 tasks in queues for workers, 7 timers for later; 1 due tasks could not be read"
        );
        let many = TemporalOutlook {
            namespaces: (0..20).map(|n| namespace(&format!("n{n}"), 1)).collect(),
            ..outlook
        };
        assert!(many.to_string().contains("15 more namespaces: 15 closed workflows"));
        assert_eq!(many.to_string().lines().count(), 8);
    }

    #[test]
    fn ids_lose_and_regain_their_dashes() {
        let id = "6e9d1c0a-1b2c-3d4e-5f60-718293a4b5c6";
        assert_eq!(uuid(&plain_id(id)), id);
        assert_eq!(uuid("odd"), "odd");
    }
}
