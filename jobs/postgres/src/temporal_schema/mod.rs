//! Temporal's databases: known when seen, and made safe when copied.
//!
//! A Temporal server that starts on a careless copy finds the live cluster's members in it
//! and joins them, and refuses a copy whose name its schema version does not have. The tables
//! are those of Temporal's `schema/postgresql/v12`.

mod outlook;
pub mod sanity;
mod timer_task;
mod wire;

use std::collections::{BTreeSet, HashMap};

use pgarchive::Entry;

use crate::Error;
use crate::quote::{quote_literal, quote_qualified};
use crate::session::Session;

pub use outlook::{NamespaceOutlook, TemporalOutlook, outlook};

/// Which of Temporal's two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Executions, histories, shards, task queues.
    Main,
    /// The list of executions that queries search.
    Visibility,
}

/// One of Temporal's databases, and where in it the tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalSchema {
    /// Which one.
    pub role: Role,
    /// Schema of its tables, unquoted; usually `public`.
    pub schema: String,
}

/// Tables that only the main database has, in every version of its schema since 1.0.
const MAIN: [&str; 5] =
    ["cluster_membership", "current_executions", "executions", "history_node", "shards"];

/// The table that only the visibility database has.
const VISIBILITY: &str = "executions_visibility";

/// What a cluster still means to do.
const TASKS: [&str; 6] = [
    "history_immediate_tasks",
    "history_scheduled_tasks",
    "replication_tasks",
    "timer_tasks",
    "transfer_tasks",
    "visibility_tasks",
];

/// Both have this one.
const VERSION: &str = "schema_version";

/// Recognises Temporal's databases by the tables of an archive, or of a plan.
pub fn recognise(entries: &[Entry]) -> Option<TemporalSchema> {
    let mut schemas: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.desc == "TABLE") {
        let schema = entry.namespace.as_deref().unwrap_or_default();
        schemas.entry(schema).or_default().insert(&entry.tag);
    }
    let mut found: Vec<TemporalSchema> = schemas
        .into_iter()
        .filter(|(_, tables)| tables.contains(VERSION))
        .filter_map(|(schema, tables)| {
            let role = if MAIN.iter().all(|table| tables.contains(table)) {
                Role::Main
            } else if tables.contains(VISIBILITY) {
                Role::Visibility
            } else {
                return None;
            };
            Some(TemporalSchema { role, schema: schema.to_owned() })
        })
        .collect();
    // The main database wins, should one database hold both; then the name decides.
    found.sort_by(|a, b| (a.role != Role::Main, &a.schema).cmp(&(b.role != Role::Main, &b.schema)));
    found.into_iter().next()
}

/// What a restore did and found in one of Temporal's databases.
#[derive(Debug, Clone, PartialEq)]
pub struct TemporalCopy {
    /// Which database.
    pub schema: TemporalSchema,
    /// What was changed in the copy; `None` when it was told to leave all as it was.
    pub settled: Option<Settled>,
    /// What a server will do first; for the main database only.
    pub outlook: Option<TemporalOutlook>,
}

/// Changes made to a copy so that a server can start on it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Rows taken out of `cluster_membership`.
    pub members_removed: u64,
    /// Database name that the schema version had, if it was another one.
    pub renamed_from: Option<String>,
}

/// Takes everything out of a copy that a server would do by itself, so that it can be looked at:
/// no timer fires, nothing is deleted, no task is handed to anybody. Gives the tables emptied.
///
/// # Errors
/// [`Error::Query`].
pub async fn freeze(
    session: &mut Session,
    temporal: &TemporalSchema,
) -> Result<Vec<String>, Error> {
    let doing = "looking for Temporal's tables of tasks";
    let list = TASKS.map(quote_literal).join(", ");
    let sql = format!(
        "SELECT tablename::pg_catalog.text AS name FROM pg_catalog.pg_tables \
         WHERE schemaname = {} AND tablename IN ({list}) ORDER BY 1",
        quote_literal(&temporal.schema)
    );
    let rows = session.rows(doing, &sql).await?;
    let names: Vec<String> = rows.iter().map(|row| row.get("name")).collect::<Result<_, _>>()?;
    for name in &names {
        let table = quote_qualified(&temporal.schema, name);
        let doing = "emptying Temporal's tasks";
        session.execute(doing, &format!("TRUNCATE TABLE ONLY {table}")).await?;
    }
    Ok(names)
}

/// Id and type of an activity (`ActivityInfo` of `temporal/server/api/persistence/v1`); `None` when
/// the message is none.
pub fn activity(data: &[u8]) -> Option<(String, String)> {
    let kind = wire::bytes(data, 34).and_then(|kind| wire::text(kind, 1)).unwrap_or_default();
    Some((wire::text(data, 8)?.to_owned(), kind.to_owned()))
}

/// Makes the copy in `session` one that a server can start on: no members of the live
/// cluster, and its own name in the schema version. `archived` is the name of the database
/// that the archive was made from.
///
/// # Errors
/// [`Error::Query`]; [`Error::Refused`] when the schema version names several databases and
/// none of them is the archive's.
pub async fn settle(
    session: &mut Session,
    temporal: &TemporalSchema,
    archived: &str,
) -> Result<Settled, Error> {
    let members_removed = match temporal.role {
        Role::Main => empty_membership(session, temporal).await?,
        Role::Visibility => 0,
    };
    let renamed_from = rename(session, temporal, archived).await?;
    Ok(Settled { members_removed, renamed_from })
}

async fn empty_membership(session: &mut Session, temporal: &TemporalSchema) -> Result<u64, Error> {
    let table = quote_qualified(&temporal.schema, "cluster_membership");
    let doing = "emptying Temporal's cluster membership";
    let sql = format!("SELECT pg_catalog.count(*) AS members FROM {table}");
    let members: i64 = session.row(doing, &sql).await?.get("members")?;
    session.execute(doing, &format!("TRUNCATE TABLE ONLY {table}")).await?;
    Ok(members.unsigned_abs())
}

async fn rename(
    session: &mut Session,
    temporal: &TemporalSchema,
    archived: &str,
) -> Result<Option<String>, Error> {
    let table = quote_qualified(&temporal.schema, VERSION);
    let doing = "naming the database in Temporal's schema version";
    let rows =
        session.rows(doing, &format!("SELECT DISTINCT db_name AS name FROM {table}")).await?;
    let names: Vec<String> = rows.iter().map(|row| row.get("name")).collect::<Result<_, _>>()?;
    let own = session.database().to_owned();
    if names.is_empty() || names.contains(&own) {
        return Ok(None);
    }
    let old = match names.as_slice() {
        [only] => only,
        several if several.iter().any(|name| name == archived) => archived,
        several => {
            return Err(Error::Refused {
                what: format!(
                    "Temporal's schema version names the databases {}, and none is {archived:?}, which the archive comes from",
                    several.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
                ),
                hint: format!(
                    "the rows are restored; set db_name to {own:?} in {table} in the row that counts, or restore with --keep-temporal-state"
                ),
            });
        }
    };
    let sql = format!(
        "UPDATE {table} SET db_name = {} WHERE db_name = {}",
        quote_literal(&own),
        quote_literal(old)
    );
    session.execute(doing, &sql).await?;
    Ok(Some(old.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgarchive::Section;

    fn tables(schema: &str, names: &[&str]) -> Vec<Entry> {
        names
            .iter()
            .map(|name| Entry {
                namespace: Some(schema.to_owned()),
                ..Entry::new(1, "TABLE", *name, Section::PreData)
            })
            .collect()
    }

    #[test]
    fn both_databases_are_recognised_in_any_schema() {
        let mut main = tables("t", &MAIN);
        assert_eq!(recognise(&main), None, "without a schema version it is not Temporal's");
        main.extend(tables("t", &[VERSION, "namespaces"]));
        let found = recognise(&main).unwrap();
        assert_eq!(found, TemporalSchema { role: Role::Main, schema: "t".into() });
        let visibility = tables("public", &[VISIBILITY, VERSION]);
        assert_eq!(recognise(&visibility).unwrap().role, Role::Visibility);
    }

    #[test]
    fn an_application_with_tables_of_such_names_is_not_temporal() {
        assert_eq!(recognise(&tables("public", &[VERSION, "executions", "shards"])), None);
        let mut spread = tables("a", &MAIN);
        spread.extend(tables("b", &[VERSION]));
        assert_eq!(recognise(&spread), None);
    }
}
