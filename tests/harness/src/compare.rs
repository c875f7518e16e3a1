//! Whether two databases are the same: by the definitions that stock pg_dump prints, and by a
//! count and a digest of every table's rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::command::output;
use crate::error::Error;
use crate::postgres::{Client, Server};

/// How many tables are asked for in one query.
const BATCH: usize = 50;

/// Tables and materialized views that were filled, sequences and large objects, each with a query
/// whose one row stands for all it holds. The digest does not depend on the order of rows.
///
/// Columns: a name, and that query, both in hexadecimal: names may hold line feeds.
const PARTS: &str = "
SELECT encode(convert_to(name, 'UTF8'), 'hex'), encode(convert_to(query, 'UTF8'), 'hex') FROM (
SELECT format('%I.%I', n.nspname, c.relname),
       CASE c.relkind
       WHEN 'S' THEN format('SELECT last_value::text || '' '' || is_called FROM %I.%I',
                            n.nspname, c.relname)
       ELSE format('SELECT count(*) || '' rows '' || coalesce(sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint::numeric), 0) FROM ONLY %I.%I t',
                   n.nspname, c.relname)
       END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't' AND c.relispopulated
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'large object ' || oid, format('SELECT md5(lo_get(%s))', oid) FROM pg_largeobject_metadata
) AS parts (name, query) ORDER BY name";

/// What a database holds: by name of a table, sequence or large object, a count and a digest.
pub type Contents = BTreeMap<String, String>;

/// Reads a whole database and digests it.
///
/// # Errors
/// When a query fails.
pub fn contents(server: &Server, database: &str) -> Result<Contents, Error> {
    let listed = server.psql_separated(database, PARTS, '\u{1f}')?;
    let parts: Vec<(&str, String)> = listed
        .lines()
        .filter_map(|line| line.split_once('\u{1f}'))
        .map(|(name, query)| (name, unhex(query)))
        .collect();
    let mut contents = Contents::new();
    for batch in parts.chunks(BATCH) {
        let mut sql = String::new();
        for (name, query) in batch {
            if !sql.is_empty() {
                sql.push_str(" UNION ALL ");
            }
            let _ = write!(sql, "SELECT '{name}', ({query})");
        }
        let digests = server.psql_separated(database, &sql, '\u{1f}')?;
        contents.extend(
            digests
                .lines()
                .filter_map(|line| line.split_once('\u{1f}'))
                .map(|(name, digest)| (unhex(name), digest.to_owned())),
        );
    }
    Ok(contents)
}

/// The text behind hexadecimal digits.
fn unhex(digits: &str) -> String {
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).filter_map(byte).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The definitions in a database as `pg_dump --schema-only` of this client prints them, without
/// what differs from call to call.
///
/// # Errors
/// When pg_dump fails.
pub fn schema(client: &Client, server: &Server, database: &str) -> Result<String, Error> {
    let mut command = client.command("pg_dump");
    command.args(["--schema-only", "--dbname", database]);
    let printed = output("pg_dump --schema-only", server.env(&mut command))?;
    // \restrict and \unrestrict carry a random word since the minor releases of August 2025.
    let kept = printed
        .lines()
        .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "));
    Ok(kept.fold(String::with_capacity(printed.len()), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    }))
}

/// The definitions as [`schema`] gives them, in an order of their own: pg_dump breaks some ties by
/// OID, and a copy has other OIDs.
///
/// # Errors
/// When pg_dump fails.
pub fn sorted_schema(client: &Client, server: &Server, database: &str) -> Result<String, Error> {
    let printed = schema(client, server, database)?;
    // They stand where pg_dump's order needs them, between entries.
    let kept: Vec<&str> =
        printed.lines().filter(|line| !line.starts_with("SET default_")).collect();
    let text = kept.join("\n");
    let mut entries: Vec<&str> = text.split("\n--\n-- ").map(str::trim_end).collect();
    entries.sort_unstable();
    Ok(entries.join("\n--\n-- "))
}

/// The first lines in which two texts differ, or nothing when they are equal.
#[must_use]
pub fn first_difference(left: &str, right: &str) -> Option<String> {
    let (mut left, mut right) = (left.lines(), right.lines());
    for number in 1_u64.. {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (left, right) if left == right => {}
            (left, right) => {
                let show = |line: Option<&str>| line.unwrap_or("(end)").to_owned();
                return Some(format!("line {number}: {:?} against {:?}", show(left), show(right)));
            }
        }
    }
    None
}

/// The names under which two databases differ, with what each holds there.
#[must_use]
pub fn differences(left: &Contents, right: &Contents) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let show = |contents: &Contents, name: &String| {
        contents.get(name).cloned().unwrap_or_else(|| "nothing".to_owned())
    };
    names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| format!("{name}: {} against {}", show(left, name), show(right, name)))
        .collect()
}
