//! Whether a restored Temporal makes sense: what its two databases say of themselves and of each
//! other. Tables are those of Temporal's `schema/postgresql/v12`, messages those of
//! `temporal/server/api/persistence/v1`, of server 1.32.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{TemporalSchema, wire};
use crate::Error;
use crate::quote::{quote_literal, quote_qualified};
use crate::session::Session;

/// Runs that one look names; more are counted alone.
const NAMED: usize = 200;

/// How far the clocks of Temporal and of its databases may be apart.
const CLOCKS: TimeDelta = TimeDelta::seconds(2);

/// A run, as it is named to people: workflow id and run id.
fn run_name(workflow: &str, run: &str) -> String {
    format!("{workflow} / {run}")
}

/// Versions of a database's schema, by the name of the database that each row is for.
///
/// # Errors
/// [`Error::Query`].
pub async fn schema_versions(
    session: &mut Session,
    temporal: &TemporalSchema,
) -> Result<Vec<(String, String)>, Error> {
    let table = quote_qualified(&temporal.schema, super::VERSION);
    let sql = format!("SELECT db_name AS name, curr_version AS version FROM {table} ORDER BY 1");
    let rows = session.rows("reading Temporal's schema version", &sql).await?;
    rows.iter().map(|row| Ok((row.get("name")?, row.get("version")?))).collect()
}

/// What a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// History shards.
    pub shards: u64,
    /// Version increment of failovers; 0 where it is not stored.
    pub failover_increment: u64,
    /// First failover version.
    pub initial_failover: u64,
    /// Whether global namespaces are on.
    pub global: bool,
}

/// The clusters that are known; the first is the one that these databases belong to, as far as
/// can be told: the others are remote ones.
///
/// # Errors
/// [`Error::Query`].
pub async fn clusters(
    session: &mut Session,
    temporal: &TemporalSchema,
) -> Result<Vec<Cluster>, Error> {
    let table = quote_qualified(&temporal.schema, "cluster_metadata_info");
    let sql = format!("SELECT cluster_name AS name, data FROM {table} ORDER BY 1");
    let rows = session.rows("reading Temporal's cluster metadata", &sql).await?;
    let count = shards(session, temporal).await?.len() as u64;
    let mut clusters = Vec::new();
    for row in rows {
        let data: Vec<u8> = row.get("data")?;
        clusters.push(Cluster {
            name: row.get("name")?,
            shards: wire::number(&data, 2).unwrap_or(0),
            failover_increment: wire::number(&data, 7).unwrap_or(0),
            initial_failover: wire::number(&data, 8).unwrap_or(0),
            global: wire::number(&data, 9).unwrap_or(0) != 0,
        });
    }
    clusters.sort_by_key(|cluster| cluster.shards != count);
    Ok(clusters)
}

/// Numbers of the history shards.
///
/// # Errors
/// [`Error::Query`].
pub async fn shards(session: &mut Session, temporal: &TemporalSchema) -> Result<Vec<i32>, Error> {
    let table = quote_qualified(&temporal.schema, "shards");
    let sql = format!("SELECT shard_id AS id FROM {table} ORDER BY 1");
    let rows = session.rows("reading Temporal's shards", &sql).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Current executions without their row in `executions`, by workflow and run id.
///
/// # Errors
/// [`Error::Query`].
pub async fn current_without_execution(
    session: &mut Session,
    temporal: &TemporalSchema,
) -> Result<Vec<String>, Error> {
    let [current, executions] =
        ["current_executions", "executions"].map(|name| quote_qualified(&temporal.schema, name));
    let sql = format!(
        "SELECT c.workflow_id AS workflow, pg_catalog.encode(c.run_id, 'hex') AS run FROM {current} AS c \
         WHERE NOT EXISTS (SELECT FROM {executions} AS e WHERE e.shard_id = c.shard_id AND \
         e.namespace_id = c.namespace_id AND e.workflow_id = c.workflow_id AND e.run_id = c.run_id) \
         ORDER BY 1 LIMIT {NAMED}"
    );
    let rows = session.rows("looking for current executions", &sql).await?;
    rows.iter()
        .map(|row| {
            Ok(run_name(&row.get::<String>("workflow")?, &dashed(&row.get::<String>("run")?)))
        })
        .collect()
}

/// Current executions whose history does not begin with event 1, by workflow and run id.
///
/// # Errors
/// [`Error::Query`].
pub async fn without_history(
    session: &mut Session,
    temporal: &TemporalSchema,
) -> Result<Vec<String>, Error> {
    let [current, executions, nodes] = ["current_executions", "executions", "history_node"]
        .map(|name| quote_qualified(&temporal.schema, name));
    // Most runs have a tree of their own name; a reset one is a branch of another run's.
    let sql = format!(
        "SELECT e.shard_id AS shard, e.workflow_id AS workflow, pg_catalog.encode(e.run_id, 'hex') AS run, e.data \
         FROM {current} AS c JOIN {executions} AS e ON e.shard_id = c.shard_id AND \
         e.namespace_id = c.namespace_id AND e.workflow_id = c.workflow_id AND e.run_id = c.run_id \
         WHERE NOT EXISTS (SELECT FROM {nodes} AS n WHERE n.shard_id = e.shard_id AND \
         n.tree_id = e.run_id AND n.node_id = 1)"
    );
    let mut suspects = Vec::new();
    session
        .each("looking for the beginnings of histories", &sql, |row| {
            let data: Vec<u8> = row.get("data")?;
            let name =
                run_name(&row.get::<String>("workflow")?, &dashed(&row.get::<String>("run")?));
            suspects.push((row.get::<i32>("shard")?, name, root(&data)));
            Ok(())
        })
        .await?;
    let mut missing = Vec::new();
    for (shard, name, root) in suspects {
        let there = match root {
            Some((tree, branch)) => {
                let sql = format!(
                    "SELECT EXISTS (SELECT FROM {nodes} WHERE shard_id = {shard} AND tree_id = {} \
                     AND branch_id = {} AND node_id = 1) AS there",
                    bytea(&tree),
                    bytea(&branch)
                );
                session.row("looking for the beginning of a history", &sql).await?.get("there")?
            }
            None => false,
        };
        if !there {
            missing.push(name);
        }
    }
    missing.sort_unstable();
    Ok(missing)
}

/// Tree and branch that hold event 1 of an execution (`WorkflowExecutionInfo`): the current
/// branch, or the one that it was first forked from.
fn root(data: &[u8]) -> Option<(String, String)> {
    let histories = wire::bytes(data, 54)?;
    let current = usize::try_from(wire::number(histories, 1).unwrap_or(0)).ok()?;
    let history = wire::all(histories, 2).nth(current)?;
    let token = wire::bytes(history, 1)?;
    let first = wire::all(token, 3).find_map(|range| wire::text(range, 1));
    let branch = first.or_else(|| wire::text(token, 2))?;
    Some((wire::text(token, 1)?.to_owned(), branch.to_owned()))
}

/// A UUID as a literal of type `bytea`.
fn bytea(uuid: &str) -> String {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    format!("pg_catalog.decode({}, 'hex')", quote_literal(&digits))
}

/// 32 hexadecimal digits as a UUID is written.
fn dashed(hex: &str) -> String {
    let part = |range| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Executions against the list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Runs in the main database.
    pub runs: u64,
    /// Runs that differ without an excuse, each with how.
    pub damaged: Vec<String>,
    /// Runs that differ because the two snapshots are not one moment, each with why.
    pub skewed: Vec<String>,
}

/// One of the databases of a pair.
pub struct Side<'a> {
    /// A session in it.
    pub session: &'a mut Session,
    /// Where its tables are.
    pub temporal: &'a TemporalSchema,
    /// When its snapshot was taken.
    pub time: DateTime<Utc>,
}

/// Compares runs and their status. What a pending task or the time between the snapshots explains
/// is skew.
///
/// # Errors
/// [`Error::Query`].
pub async fn listed(main: Side<'_>, visibility: Side<'_>) -> Result<Listed, Error> {
    let executions = quote_qualified(&main.temporal.schema, "executions");
    let mut runs: Vec<(u128, u8)> = Vec::new();
    let sql = format!("SELECT run_id, state FROM {executions}");
    let doing = "reading executions";
    main.session
        .each(doing, &sql, |row| {
            let (run, state): (Vec<u8>, Vec<u8>) = (row.get("run_id")?, row.get("state")?);
            // A run that another cluster owns, or that is being made, is not listed.
            if matches!(wire::number(&state, 3), Some(2 | 3)) {
                let status = wire::number(&state, 4).and_then(|status| u8::try_from(status).ok());
                runs.push((number(&run), status.unwrap_or(0)));
            }
            Ok(())
        })
        .await?;
    runs.sort_unstable();
    let list = quote_qualified(&visibility.temporal.schema, super::VISIBILITY);
    let mut seen = vec![false; runs.len()];
    let (mut other_status, mut unknown) = (Vec::new(), Vec::new());
    let sql = format!("SELECT pg_catalog.btrim(run_id) AS run, status FROM {list}");
    visibility
        .session
        .each("reading the list of executions", &sql, |row| {
            let run: String = row.get("run")?;
            let status: i32 = row.get("status")?;
            let id = parse(&run);
            match runs.binary_search_by_key(&id, |(run, _)| *run) {
                Ok(at) => {
                    if let Some(seen) = seen.get_mut(at) {
                        *seen = true;
                    }
                    let known = runs.get(at).map_or(0, |(_, status)| *status);
                    if i32::from(known) != status {
                        other_status.push((id, known, status));
                    }
                }
                Err(_) => unknown.push(run),
            }
            Ok(())
        })
        .await?;
    let unlisted: Vec<u128> =
        runs.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|((run, _), _)| *run).collect();
    let mut found = Listed { runs: runs.len() as u64, ..Listed::default() };
    if unlisted.is_empty() && other_status.is_empty() && unknown.is_empty() {
        return Ok(found);
    }
    let since = main.time.min(visibility.time) - CLOCKS;
    let until = main.time.max(visibility.time) + CLOCKS;
    let pending = pending(main.session, main.temporal, until).await?;
    for run in unlisted {
        explain(&mut found, main.session, &executions, run, since, &pending, "is not listed")
            .await?;
    }
    for (run, known, status) in other_status {
        let how = format!("has status {known} and is listed with {status}");
        explain(&mut found, main.session, &executions, run, since, &pending, &how).await?;
    }
    // A run of the scheduler's newer kind is listed and has no row of this form; its own table
    // says that it is there.
    for run in unknown {
        let sql = format!(
            "SELECT workflow_id AS workflow, (extract(epoch FROM start_time) * 1000000)::pg_catalog.int8 AS started, \
             (extract(epoch FROM close_time) * 1000000)::pg_catalog.int8 AS closed FROM {list} \
             WHERE run_id = {} LIMIT 1",
            quote_literal(&run)
        );
        let row = visibility.session.row("reading a listed execution", &sql).await?;
        let exists = exists(main.session, &executions, &run).await?;
        if exists {
            continue;
        }
        let name = run_name(&row.get::<String>("workflow")?, &run);
        let moved = [row.get::<Option<i64>>("started")?, row.get::<Option<i64>>("closed")?];
        let moved = moved.into_iter().flatten().filter_map(DateTime::from_timestamp_micros).max();
        if pending.contains(&parse(&run)) {
            found
                .skewed
                .push(format!("{name}: is listed and not there; a task about it is pending"));
        } else if moved.is_some_and(|time| time >= since) {
            found
                .skewed
                .push(format!("{name}: is listed and not there; it moved between the snapshots"));
        } else {
            found.damaged.push(format!("{name}: is listed and not there"));
        }
    }
    Ok(found)
}

/// Whether a run has a row, in whatever state.
async fn exists(session: &mut Session, executions: &str, run: &str) -> Result<bool, Error> {
    let sql =
        format!("SELECT EXISTS (SELECT FROM {executions} WHERE run_id = {}) AS there", bytea(run));
    session.row("looking for an execution", &sql).await?.get("there")
}

async fn explain(
    found: &mut Listed,
    session: &mut Session,
    executions: &str,
    run: u128,
    since: DateTime<Utc>,
    pending: &HashSet<u128>,
    how: &str,
) -> Result<(), Error> {
    let id = dashed(&format!("{run:032x}"));
    if found.damaged.len() >= NAMED {
        found.damaged.push(format!("{id}: {how}"));
        return Ok(());
    }
    let sql = format!(
        "SELECT workflow_id AS workflow, data FROM {executions} WHERE run_id = {} LIMIT 1",
        bytea(&id)
    );
    let row = session.row("reading an execution", &sql).await?;
    let data: Vec<u8> = row.get("data")?;
    let name = run_name(&row.get::<String>("workflow")?, &id);
    if wire::bytes(&data, 54).is_none() {
        // No workflow: executions of other kinds need not be listed.
        return Ok(());
    }
    let moved = [20, 21, 66].into_iter().filter_map(|field| wire::time(&data, field)).max();
    if pending.contains(&run) {
        found.skewed.push(format!("{name}: {how}; a task about it is pending"));
    } else if moved.is_some_and(|time| time >= since) {
        found.skewed.push(format!("{name}: {how}; it moved between the snapshots"));
    } else {
        found.damaged.push(format!("{name}: {how}"));
    }
    Ok(())
}

/// Runs about which the list is still to be told, or which are to be deleted by `until`.
async fn pending(
    session: &mut Session,
    temporal: &TemporalSchema,
    until: DateTime<Utc>,
) -> Result<HashSet<u128>, Error> {
    let [visibility, timers] =
        ["visibility_tasks", "timer_tasks"].map(|name| quote_qualified(&temporal.schema, name));
    let until = until.format("%Y-%m-%d %H:%M:%S%.6f");
    let mut runs = HashSet::new();
    for sql in [
        format!("SELECT data FROM {visibility}"),
        format!("SELECT data FROM {timers} WHERE visibility_timestamp <= '{until}'"),
    ] {
        session
            .each("reading Temporal's pending tasks", &sql, |row| {
                let data: Vec<u8> = row.get("data")?;
                if let Some(run) = wire::text(&data, 3) {
                    runs.insert(parse(run));
                }
                Ok(())
            })
            .await?;
    }
    Ok(runs)
}

/// A run id of 16 bytes.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// A run id as text; anything else is no run's.
fn parse(uuid: &str) -> u128 {
    let digits: String = uuid.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_one_number_however_it_is_written() {
        let text = "01978f3e-1a2b-7c3d-8e4f-0123456789ab";
        assert_eq!(dashed(&format!("{:032x}", parse(text))), text);
        assert_eq!(number(&parse(text).to_be_bytes()), parse(text));
        assert_eq!(bytea(text), "pg_catalog.decode('01978f3e1a2b7c3d8e4f0123456789ab', 'hex')");
    }

    #[test]
    fn event_1_of_a_forked_branch_is_on_the_branch_it_was_forked_from() {
        // tree "t", branch "b", ancestor "a" with events 1 to 5.
        let token = b"\x0a\x01t\x12\x01b\x1a\x07\x0a\x01a\x10\x01\x18\x05";
        let history = [&[0x0a, token.len() as u8][..], token].concat();
        let histories = [&[0x12, history.len() as u8][..], &history].concat();
        let info = [&[0xb2, 0x03, histories.len() as u8][..], &histories].concat();
        assert_eq!(root(&info), Some(("t".into(), "a".into())));
        assert_eq!(root(b""), None);
    }
}
