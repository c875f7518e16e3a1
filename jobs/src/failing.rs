//! Which failed runs still count.
//!
//! A source has the name that was typed: with a mistyped host or port it is another one, whose
//! last run stays failed for ever though every run since was good. What counts in the end is
//! whether its databases were exported.

use vault::manifest::Selection;

use crate::record::Record;
use crate::{Summary, group};

/// Whether everything that a failed run was to export is in a newer whole backup. When its source
/// is known to fill a group, only that group's backups count: another cluster's databases have the
/// same names.
pub(crate) fn is_settled(record: &Record, whole: &[&Summary]) -> bool {
    let databases = databases(record);
    let mut newer = whole.iter().filter(|backup| backup.started > record.started);
    if databases.is_empty() {
        return false;
    }
    match &record.group {
        Some(group) => newer.any(|backup| backup.group == *group),
        None => newer.any(|backup| {
            let (source, _) = backup.group.split_once('/').unwrap_or_default();
            // What was left out by a selection is not exported.
            let complete = group::name(source, &backup.databases, &Selection::default());
            is_of(record, source)
                && backup.group == complete
                && databases.iter().all(|name| backup.databases.contains(name))
        }),
    }
}

/// Whether the backups of a record's source would join a group of this name.
pub(crate) fn may_fill(record: &Record, name: &str) -> bool {
    let (source, rest) = name.split_once('/').unwrap_or_default();
    let bare = group::name("", &databases(record), &Selection::default());
    is_of(record, source) && bare.strip_prefix('/').is_some_and(|bare| rest.starts_with(bare))
}

/// Whether a record can be of this source: without a label that is not known before a connection
/// is made.
fn is_of(record: &Record, source: &str) -> bool {
    record.source.contains(" at ") || record.source == source
}

/// Records of older versions have the databases in their names alone.
fn databases(record: &Record) -> Vec<String> {
    if !record.databases.is_empty() {
        return record.databases.clone();
    }
    let names = record.source.rsplit_once(" at ").map(|(names, _)| names);
    names.into_iter().flat_map(|names| names.split('+')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(source: &str, databases: &[&str], group: Option<&str>) -> Record {
        let time = "2026-11-23T02:00:00Z";
        let mut record: Record = serde_json::from_value(serde_json::json!({
            "formatVersion": 1, "job": "export", "source": source, "host": "h", "started": time,
            "finished": time, "done": false, "backup": null, "error": "x", "hint": null,
        }))
        .unwrap();
        record.databases = databases.iter().map(|&name| name.to_owned()).collect();
        record.group = group.map(str::to_owned);
        record
    }

    fn backup(group: &str, databases: &[&str], hour: u32) -> Summary {
        let started = format!("2026-11-23T{hour:02}:00:00Z").parse().unwrap();
        Summary {
            id: "x".into(),
            group: group.into(),
            started,
            finished: started,
            databases: databases.iter().map(|&name| name.to_owned()).collect(),
            failed: vec![],
            rows: 1,
            data_bytes: 1,
            stored_bytes: 1,
            objects: 1,
        }
    }

    #[test]
    fn a_newer_whole_backup_with_the_same_databases_settles_a_mistyped_run() {
        let failed = record("a+b at nohost:2", &["a", "b"], None);
        let settled = |backup: Summary| is_settled(&failed, &[&backup]);
        assert!(settled(backup("17/a+b", &["a", "b"], 3)));
        assert!(settled(backup("17/a+b+c", &["a", "b", "c"], 3)));
        assert!(!settled(backup("17/a+b", &["a", "b"], 1)), "it is older");
        assert!(!settled(backup("17/a", &["a"], 3)), "b is missing");
        assert!(!settled(backup("17/a+b (schema only)", &["a", "b"], 3)), "it has no rows");
        let old = record("a+b at nohost:2", &[], None);
        assert!(is_settled(&old, &[&backup("17/a+b", &["a", "b"], 3)]), "of an older version");
    }

    #[test]
    fn another_cluster_settles_nothing_for_one_that_has_backups_or_a_label() {
        let other = backup("18/a", &["a"], 3);
        let own = backup("17/a", &["a"], 3);
        let known = record("a at h:1", &["a"], Some("17/a"));
        assert!(!is_settled(&known, &[&other]) && is_settled(&known, &[&own]));
        let labelled = record("prod", &["a"], None);
        assert!(!is_settled(&labelled, &[&other]));
        assert!(is_settled(&labelled, &[&backup("prod/a", &["a"], 3)]));
    }
}
