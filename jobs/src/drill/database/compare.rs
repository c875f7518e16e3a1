//! A restored database against its backup: objects, rows, sequences, large objects.

use std::collections::BTreeMap;

use pgarchive::{Entry, Toc};
use vault::manifest::Database;

use super::super::{Check, CheckResult};
use super::digest::{Content, LargeObjects};

/// What is known beside the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The scratch server is of the major version that the backup comes from, so that it spells
    /// definitions the same way.
    pub same_major: bool,
    /// Owners and grants were restored too.
    pub owners: bool,
}

/// Classes that are no objects of the database: settings of the session that restores.
const SETTINGS: [&str; 4] = ["ENCODING", "STDSTRINGS", "SEARCHPATH", "<Init>"];

/// Classes that are compared by content.
const CONTENT: [&str; 4] = ["TABLE DATA", "BLOBS", "BLOB METADATA", "SEQUENCE SET"];

/// All comparisons with the archive.
pub(super) fn checks(
    archived: &Database,
    toc: &Toc,
    content: &Content,
    large_objects: &LargeObjects,
    terms: Terms,
) -> Vec<Check> {
    let mut checks = vec![
        counts(archived, toc, content, terms),
        objects(toc, content, terms),
        rows(archived, content),
        digests(archived, content),
        sequences(toc, content),
        self::large_objects(archived, content, large_objects),
    ];
    if !terms.owners {
        let why = "the roles of the backup are not on the scratch server, so that owners and \
                   grants were left out";
        checks.push(Check::not_run("owners and grants", why).optional());
    }
    checks.into_iter().map(|check| check.about(&archived.name)).collect()
}

/// Whether a class is left out of a restore without owners and grants.
fn is_grant(class: &str) -> bool {
    matches!(class, "ACL" | "DEFAULT ACL")
}

/// Entries of each class: the manifest's count against that of the restored database, or, where a
/// server of another version counts otherwise, against the archive's.
fn counts(archived: &Database, toc: &Toc, content: &Content, terms: Terms) -> Check {
    let mut stored: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in toc.entries.iter().filter(|entry| entry.desc != "TABLE DATA") {
        *stored.entry(&entry.desc).or_default() += 1;
    }
    let mut wrong = Vec::new();
    let mut total = 0;
    let wanted = |class: &str| terms.owners || !is_grant(class);
    let classes = archived.object_counts.keys().map(String::as_str);
    let more = stored.keys().copied().filter(|class| !archived.object_counts.contains_key(*class));
    for class in classes.chain(more).filter(|class| !SETTINGS.contains(class)) {
        let manifest = archived.object_counts.get(class).copied().unwrap_or(0);
        total += manifest;
        let held = stored.get(class).copied().unwrap_or(0);
        if class != "TABLE DATA" && held != manifest {
            wrong.push(format!("{class}: {manifest} in the manifest, {held} in the archive"));
        }
        let found = content.counts.get(class).copied().unwrap_or(0);
        if terms.same_major && wanted(class) && found != manifest {
            wrong.push(format!("{class}: {manifest} in the manifest, {found} restored"));
        }
    }
    let expected = format!("{total} entries as the manifest counts them, class by class");
    Check::of_differences("objects of every class", expected, wrong)
}

/// What an entry is called, without the name of the database itself, which is another one.
fn key(entry: &Entry, database: &str) -> String {
    let tag = match entry.desc.as_str() {
        "DATABASE" | "DATABASE PROPERTIES" => "",
        "ACL" | "COMMENT" | "SECURITY LABEL" if concerns(entry, database) => "DATABASE",
        _ => &entry.tag,
    };
    match entry.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{} {namespace}.{tag}", entry.desc),
        None => format!("{} {tag}", entry.desc).trim_end().to_owned(),
    }
}

/// Whether an entry is about the database itself.
fn concerns(entry: &Entry, database: &str) -> bool {
    entry
        .tag
        .strip_prefix("DATABASE ")
        .is_some_and(|name| name == database || name == pgarchive::quote::quote_ident(database))
}

/// Names and definitions of all objects.
fn objects(toc: &Toc, content: &Content, terms: Terms) -> Check {
    let list = |entries: &[Entry], database: &str| {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in entries {
            let class = entry.desc.as_str();
            if SETTINGS.contains(&class)
                || CONTENT.contains(&class)
                || is_grant(class) && !terms.owners
            {
                continue;
            }
            // The order of grants is of no importance, and that of the database is not its own.
            let of_database = class.starts_with("DATABASE") || concerns(entry, database);
            let mut lines: Vec<&str> = entry.defn.lines().collect();
            if is_grant(class) {
                lines.sort_unstable();
            }
            let owner = if terms.owners { entry.owner.as_deref().unwrap_or_default() } else { "" };
            let definition = match (terms.same_major, of_database) {
                (true, false) => format!("{owner}\n{}", lines.join("\n")),
                _ => String::new(),
            };
            found.entry(key(entry, database)).or_default().push(definition);
        }
        found.values_mut().for_each(|definitions| definitions.sort_unstable());
        found
    };
    let own = content.entries.iter().find(|entry| entry.desc == "DATABASE");
    let own = own.map(|entry| entry.tag.clone()).unwrap_or_default();
    let (wanted, found) = (list(&toc.entries, &toc.header.database), list(&content.entries, &own));
    let mut wrong = Vec::new();
    for (name, definitions) in &wanted {
        match found.get(name) {
            None => wrong.push(format!("{name}: missing")),
            Some(found) if found.len() < definitions.len() => {
                wrong.push(format!("{name}: {} of {}", found.len(), definitions.len()));
            }
            Some(found) if found != definitions => {
                wrong.push(format!("{name}: defined otherwise"));
            }
            Some(_) => {}
        }
    }
    // A newer server may make objects of what an older one kept inside others.
    if terms.same_major {
        let more = found.keys().filter(|name| !wanted.contains_key(*name));
        wrong.extend(more.map(|name| format!("{name}: not in the backup")));
    }
    let what = if terms.same_major { "names and definitions" } else { "names" };
    let expected = format!("{what} of {} objects as in the archive", wanted.len());
    Check::of_differences("definitions", expected, wrong)
}

/// Tables by schema and name.
fn tables(content: &Content) -> BTreeMap<(&str, &str), &postgres::export::ExportedTable> {
    let tables = content.exported.tables.iter();
    tables.map(|table| ((table.schema.as_str(), table.name.as_str()), table)).collect()
}

fn rows(archived: &Database, content: &Content) -> Check {
    let mut found = tables(content);
    let mut wrong = Vec::new();
    let mut total = 0;
    for table in &archived.tables {
        total += table.rows;
        let name = format!("{}.{}", table.schema, table.name);
        match found.remove(&(table.schema.as_str(), table.name.as_str())) {
            Some(restored) if restored.rows == table.rows => {}
            Some(restored) => {
                wrong.push(format!("{name}: {} rows instead of {}", restored.rows, table.rows));
            }
            None => wrong.push(format!("{name}: not there")),
        }
    }
    let more = found.keys().map(|(schema, name)| format!("{schema}.{name}: not in the backup"));
    wrong.extend(more);
    let expected = format!("{total} rows in {} tables", archived.tables.len());
    Check::of_differences("rows of every table", expected, wrong)
}

fn digests(archived: &Database, content: &Content) -> Check {
    const NAME: &str = "content of every table";
    let found = tables(content);
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for table in &archived.tables {
        let name = format!("{}.{}", table.schema, table.name);
        let Some(restored) = found.get(&(table.schema.as_str(), table.name.as_str())) else {
            wrong.push(format!("{name}: not there"));
            continue;
        };
        match &table.digest {
            None => unknown.push(format!("{name}: the backup holds no digest of it")),
            Some(_) if restored.format.to_string() != table.data => {
                unknown.push(format!("{name}: it was exported as {}", table.data));
            }
            Some(digest) if restored.digest.to_string() != *digest => {
                wrong.push(format!("{name}: its rows are not those that were exported"));
            }
            Some(_) => {}
        }
    }
    let expected = "the digest that was summed while it was exported";
    if wrong.is_empty() && !unknown.is_empty() {
        let why = format!("{} cannot be compared", unknown.len());
        return Check::not_run(NAME, why).expected(expected).names(unknown);
    }
    Check::of_differences(NAME, expected, wrong)
}

/// Values by sequence: `SELECT pg_catalog.setval('app.s', 7, true);`.
fn sequences(toc: &Toc, content: &Content) -> Check {
    let list = |entries: &[Entry]| {
        let sets = entries.iter().filter(|entry| entry.desc == "SEQUENCE SET");
        sets.map(|entry| {
            let schema = entry.namespace.as_deref().unwrap_or_default();
            (format!("{schema}.{}", entry.tag), value(&entry.defn))
        })
        .collect::<BTreeMap<String, String>>()
    };
    let (wanted, found) = (list(&toc.entries), list(&content.entries));
    let mut wrong = Vec::new();
    for (name, value) in &wanted {
        match found.get(name) {
            Some(found) if found == value => {}
            Some(found) => wrong.push(format!("{name}: at {found} instead of {value}")),
            None => wrong.push(format!("{name}: not there")),
        }
    }
    wrong.extend(
        found
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .map(|n| format!("{n}: not in the backup")),
    );
    let expected = format!("{} sequences, each at its value", wanted.len());
    Check::of_differences("sequences", expected, wrong)
}

/// `7, true` of `SELECT pg_catalog.setval('app.s', 7, true);`. Names may hold anything, so it
/// is found from the end.
fn value(statement: &str) -> String {
    let inner = statement.trim_end().trim_end_matches(';').trim_end_matches(')');
    inner.rsplit_once("', ").map_or(inner, |(_, value)| value).to_owned()
}

fn large_objects(archived: &Database, content: &Content, stored: &LargeObjects) -> Check {
    let mut wrong = Vec::new();
    if stored.len() as u64 != archived.large_objects {
        wrong.push(format!(
            "{} in the manifest, {} in the archive",
            archived.large_objects,
            stored.len()
        ));
    }
    for (oid, digest) in stored {
        match content.large_objects.get(oid) {
            Some(found) if found == digest => {}
            Some(_) => wrong.push(format!("large object {oid}: other content")),
            None => wrong.push(format!("large object {oid}: missing")),
        }
    }
    let more = content.large_objects.keys().filter(|oid| !stored.contains_key(*oid));
    wrong.extend(more.map(|oid| format!("large object {oid}: not in the backup")));
    let expected = format!("{} large objects with their content", archived.large_objects);
    Check::of_differences("large objects", expected, wrong)
}

/// A check that passed or failed by names alone.
pub(super) fn sound(name: &str, expected: &str, database: &str, wrong: Vec<String>) -> Check {
    Check::of_differences(name, expected, wrong).about(database)
}

/// A check that the database could not be asked for.
pub(super) fn broken(name: &str, database: &str, error: &postgres::Error) -> Check {
    Check::new(name, CheckResult::NotRun).found(crate::chain(error)).about(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_sequence_is_found_whatever_its_name() {
        for (statement, value) in [
            ("SELECT pg_catalog.setval('app.s', 7, true);\n", "7, true"),
            ("SELECT pg_catalog.setval('app.\"it''s, 1\"', -3, false);\n\n", "-3, false"),
        ] {
            assert_eq!(self::value(statement), value);
        }
    }
}
