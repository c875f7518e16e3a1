//! Which backups replace each other.
//!
//! A group is a source with a set of databases and a selection: `prod/temporal+temporal_visibility`,
//! or `prod/temporal (schema only)`. Exports that ask for something else form a group of their
//! own, so that none is ever expired by one that holds less.

use std::collections::BTreeSet;

use retention::{Candidate, Encoding};
use vault::manifest::{Manifest, Selection};

/// Name of the group of an export of `databases` from `source` with `selection`.
pub fn name(source: &str, databases: &[String], selection: &Selection) -> String {
    let databases: BTreeSet<&str> = databases.iter().map(String::as_str).collect();
    let databases: Vec<&str> = databases.into_iter().collect();
    let mut name = format!("{source}/{}", databases.join("+"));
    let mut notes = Vec::new();
    if selection.schema_only {
        notes.push("schema only".to_owned());
    }
    for (word, patterns) in [
        ("tables", &selection.tables),
        ("without", &selection.exclude_tables),
        ("without rows of", &selection.exclude_table_data),
    ] {
        if !patterns.is_empty() {
            let patterns: BTreeSet<&str> = patterns.iter().map(String::as_str).collect();
            notes.push(format!("{word} {}", patterns.into_iter().collect::<Vec<_>>().join(" ")));
        }
    }
    if !notes.is_empty() {
        name.push_str(&format!(" ({})", notes.join(", ")));
    }
    name
}

/// What retention is told of a backup.
pub fn candidate(manifest: &Manifest, accepted: bool, drilled: bool) -> Candidate {
    let tables = || manifest.databases.iter().flat_map(|database| &database.tables);
    let encoding = match (tables().any(|t| t.data == "text"), tables().any(|t| t.data == "binary"))
    {
        (true, false) => Encoding::Text,
        (false, true) => Encoding::Binary,
        _ => Encoding::Mixed,
    };
    Candidate {
        id: manifest.id.clone(),
        group: manifest.group.clone(),
        time: manifest.started,
        whole: manifest.failed.is_empty(),
        rows: manifest.rows(),
        bytes: manifest.databases.iter().map(|d| d.data_bytes).fold(0, u64::saturating_add),
        encoding,
        accepted,
        drilled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_order_of_databases_and_patterns_makes_no_difference() {
        let one = name("prod", &databases(&["b", "a"]), &Selection::default());
        let other = name("prod", &databases(&["a", "b", "a"]), &Selection::default());
        assert_eq!(one, "prod/a+b");
        assert_eq!(one, other);
    }

    #[test]
    fn every_selection_has_a_group_of_its_own() {
        let everything = Selection::default();
        let schema = Selection { schema_only: true, ..Selection::default() };
        let some = Selection { tables: databases(&["x*", "a"]), ..Selection::default() };
        let names: BTreeSet<String> =
            [&everything, &schema, &some].map(|s| name("s", &databases(&["d"]), s)).into();
        assert_eq!(names.len(), 3);
        assert!(names.contains("s/d (schema only)"));
        assert!(names.contains("s/d (tables a x*)"));
    }
}
