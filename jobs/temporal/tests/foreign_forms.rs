//! Forms of old archives that no server of today writes, and damage of all kinds.

use std::fs;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use temporal::foreign::{Error, ForeignRun, Kind, open};

const STARTED: &str = r#"{"eventId":"1","eventTime":"2021-03-04T05:06:07.123456789Z","eventType":"WorkflowExecutionStarted","version":"7","taskId":"10","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"Merge"},"taskQueue":{"name":"q","kind":"Normal"},"workflowRunTimeout":"10s","originalExecutionRunId":"r-1","attempt":1}}"#;
const RESET: &str = r#"{"eventId":"2","eventTime":"2021-03-04T05:06:08Z","eventType":"WorkflowTaskFailed","workflowTaskFailedEventAttributes":{"cause":"ResetWorkflow","baseRunId":"r-1","newRunId":"r-2"}}"#;
const COMPLETED: &str = r#"{"eventId":"2","eventTime":"2021-03-04T05:06:09Z","eventType":"WorkflowExecutionCompleted","workflowExecutionCompletedEventAttributes":{}}"#;

fn third(event: &str) -> String {
    event.replacen("\"2\"", "\"3\"", 1)
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn runs(folder: &Path) -> Vec<Result<ForeignRun, Error>> {
    open(folder).unwrap().runs().collect()
}

fn only(folder: &Path) -> Result<ForeignRun, Error> {
    let mut runs = runs(folder);
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

fn shown(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

#[test]
fn spellings_of_old_servers_come_out_as_todays() {
    let folder = tempfile::tempdir().unwrap();
    let batches = format!("[{{\"events\":[{STARTED}]}}, {{\"events\":[{COMPLETED}]}}]");
    write(&folder.path().join("123_7.history"), batches);
    let archive = open(folder.path()).unwrap();
    let run = archive.runs().next().unwrap().unwrap();
    let json = String::from_utf8(archive.history_json(&run).unwrap()).unwrap();
    assert_eq!(
        json,
        r#"{"events":[{"eventId":"1","eventTime":"2021-03-04T05:06:07.123456789Z","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED","version":"7","taskId":"10","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"Merge"},"taskQueue":{"name":"q","kind":"TASK_QUEUE_KIND_NORMAL"},"workflowRunTimeout":"10s","originalExecutionRunId":"r-1","attempt":1}},{"eventId":"2","eventTime":"2021-03-04T05:06:09Z","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED","workflowExecutionCompletedEventAttributes":{}}]}"#
    );
    assert_eq!((run.run_id.as_deref(), run.workflow_id.as_str()), (Some("r-1"), ""));
    assert_eq!(run.status, "WORKFLOW_EXECUTION_STATUS_COMPLETED");
    assert_eq!((run.type_name.as_str(), run.task_queue.as_str(), run.events), ("Merge", "q", 2));
}

#[test]
fn of_several_versions_the_highest_counts_and_a_reset_run_is_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let history = |events: &[&str]| format!("[{{\"events\":[{}]}}]", events.join(","));
    write(&folder.path().join("99_9.history"), history(&[STARTED, COMPLETED]));
    write(&folder.path().join("99_10.history"), history(&[STARTED, RESET, &third(COMPLETED)]));
    write(&folder.path().join("notes.history"), "not one");
    let run = only(folder.path()).unwrap();
    assert_eq!((run.run_id.as_deref(), run.events), (Some("r-2"), 3));
    assert_eq!(open(folder.path()).unwrap().strangers(), [folder.path().join("notes.history")]);
}

#[test]
fn a_run_is_known_by_what_was_archived_of_its_visibility() {
    let folder = tempfile::tempdir().unwrap();
    let history = format!("[{{\"events\":[{STARTED},{COMPLETED}]}}]");
    write(&folder.path().join("111222333_0.history"), history);
    let record = r#"{"namespaceId":"n","namespace":"default","workflowId":"w","runId":"r-1","status":"Completed","searchAttributes":{"A":"1"}}"#;
    write(&folder.path().join("n/1614834369000000000_333.visibility"), record);
    write(&folder.path().join("n/1614834369000000001_444.visibility"), "{");
    let run = only(folder.path()).unwrap();
    assert_eq!(run.workflow_id, "w");
    assert_eq!(
        (run.namespace.as_deref(), run.namespace_id.as_deref()),
        (Some("default"), Some("n"))
    );
}

#[test]
fn parts_of_a_bucket_are_joined_until_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let part = |event: &str, last: &str| {
        format!(
            "{{\"header\":{{\"namespace\":\"default\",\"namespaceId\":\"n\",\"workflowId\":\"a/b\",\"runId\":\"r\"{last}}},\"body\":[{{\"events\":[{event}]}}]}}"
        )
    };
    let at = folder.path().join("some/prefix/n/history/a/b/r/7");
    write(&at.join("0"), part(STARTED, ""));
    let error = only(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("lacks its last part"), "{error}");
    assert!(error.hint().is_some());
    write(&at.join("1"), part(COMPLETED, ",\"isLast\":true"));
    // An older version, and what is no part.
    write(&folder.path().join("some/prefix/n/history/a/b/r/6/0"), "{");
    write(&folder.path().join("some/prefix/n/visibility/closeTimeout/2021"), "{");
    let run = only(folder.path()).unwrap();
    assert_eq!(open(folder.path()).unwrap().kind(), Kind::S3store);
    assert_eq!(
        (run.workflow_id.as_str(), run.run_id.as_deref(), run.events),
        ("a/b", Some("r"), 2)
    );
}

#[test]
fn a_history_with_something_missing_is_refused_by_name() {
    let unknown = STARTED.replacen("{\"eventId\"", "{\"colour\":1,\"eventId\"", 1);
    let late = third(COMPLETED);
    for (events, message) in [
        (vec![], "has no events"),
        (vec![STARTED], "does not end with the end of a workflow"),
        (vec![COMPLETED], "has events missing or out of order"),
        (vec![STARTED, &late], "has events missing or out of order"),
        (vec![&unknown, COMPLETED], "colour"),
        (vec!["1"], "an event is no object"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let history = format!("[{{\"events\":[{}]}}]", events.join(","));
        write(&folder.path().join("1_1.history"), history);
        let error = shown(&only(folder.path()).unwrap_err());
        assert!(error.contains(message) && error.contains("1_1.history"), "{error}");
    }
}

/// Field 1 of a message, of less than 16 KiB.
fn field(bytes: &[u8]) -> Vec<u8> {
    let head = [0x0a, (bytes.len() & 0x7f) as u8 | 0x80, (bytes.len() >> 7) as u8];
    [&head, bytes].concat()
}

/// Two runs as Temporal Cloud exports them, from bytes put together by hand.
fn export() -> Vec<u8> {
    let run = |id: &str| {
        let bytes =
            |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
        let time = |seconds: u8| bytes(2, &[8, seconds]);
        // WorkflowExecutionStartedEventAttributes.original_execution_run_id is number 14.
        let started =
            [&[8, 1][..], &time(1), &[24, 1], &bytes(6, &bytes(14, id.as_bytes()))].concat();
        let completed = [&[8, 2][..], &time(2), &[24, 2], &bytes(7, &[])].concat();
        field(&field(&[field(&started), field(&completed)].concat()))
    };
    [run("r-1"), run("r-2"), run("r-1")].concat()
}

#[test]
fn an_export_tells_each_run_once_and_names_what_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("00.proto");
    write(&file, export());
    let found: Vec<_> =
        runs(folder.path()).into_iter().map(|run| run.unwrap().run_id.unwrap()).collect();
    assert_eq!(found, ["r-1", "r-2"]);
    // One file is enough to name.
    assert_eq!(runs(&file).len(), 2);
    let third = export().len() / 3;
    for length in 1..export().len() {
        write(&file, &export()[..length]);
        if let Ok(archive) = open(folder.path()) {
            let whole = archive.runs().filter(|run| run.is_ok()).count();
            assert_eq!(whole, (length / third).min(2));
            let errors = archive.runs().filter(|run| run.is_err()).count();
            assert_eq!(errors, usize::from(length % third != 0), "{length} bytes");
        } else {
            assert!(length < third, "{length} bytes");
        }
    }
}

#[test]
fn what_is_of_no_known_kind_is_named_and_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // A history under a name that no server gives it, an export beside it.
    write(&at("renamed.json"), format!("[ {{\"events\": [{STARTED},{COMPLETED}]}}]"));
    write(&at("hour/00"), export());
    write(&at("hour/README"), "exported by nobody in particular");
    write(&at("hour/empty"), "");
    write(&at(".DS_Store"), "hidden files are nobody's histories");
    std::os::unix::fs::symlink(at("hour/00"), at("link")).unwrap();
    let archive = open(folder.path()).unwrap();
    assert_eq!(archive.strangers(), [at("link"), at("hour/README"), at("hour/empty")]);
    let runs: Vec<_> = archive.runs().map(|run| run.unwrap().run_id.unwrap()).collect();
    assert_eq!(runs, ["r-1", "r-2"], "the run that both of them hold counts once");
}

#[test]
fn a_newer_servers_fields_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut item = export()[3..export().len() / 3].to_vec();
    item.extend_from_slice(&[0x12, 1, b'x']);
    write(&folder.path().join("00.proto"), field(&item));
    let error = only(folder.path()).unwrap_err();
    assert!(matches!(error, Error::UnknownFields { .. }), "{error}");
    assert!(
        error.to_string().ends_with("2 of temporal.api.export.v1.WorkflowExecution"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn a_folder_of_something_else_is_not_taken_for_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }) && error.hint().is_some(), "{error}");
    write(&folder.path().join("a.txt"), "some text");
    write(&folder.path().join("b"), "");
    assert!(matches!(open(folder.path()), Err(Error::Unknown { .. })));
    assert!(matches!(open(&folder.path().join("a.txt")), Err(Error::History { .. })));
    assert!(matches!(open(&folder.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn damaged_archives_are_refused_without_panic() {
    let mut random = SmallRng::seed_from_u64(0xf0e);
    let json = format!("[{{\"events\":[{STARTED},{RESET},{}]}}]", third(COMPLETED));
    let seeds = [("00.proto", export()), ("1_1.history", json.into_bytes())];
    let folder = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for (name, seed) in seeds {
        let file = folder.path().join(name);
        for _ in 0..1_000 {
            let mut bytes = seed.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                match random.random_range(0..3) {
                    0 => bytes[at] = random.random(),
                    1 => bytes[at] ^= 1 << random.random_range(0..8),
                    _ => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            write(&file, bytes);
            refused += match open(&file) {
                Ok(archive) => archive.runs().filter(Result::is_err).count(),
                Err(_) => 1,
            };
        }
    }
    assert!(refused > 500, "{refused}");
}
