//! Archives that others have written, read by the command: a real server's own, and files as
//! Temporal Cloud exports them.

mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::minio;
use harness::s3::Bucket;
use harness::temporal::{Archival, Server as Temporal, python};
use serde_json::Value;
use stage::Stage;

/// Histories of closed runs as the stock command line prints them: by workflow id and run id.
type Stock = BTreeMap<(String, String), String>;

fn stock(temporal: &Temporal, namespace: &str) -> Stock {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let runs = temporal.cli().closed_runs(namespace).unwrap();
    let ids = runs
        .iter()
        .map(|run| (text(&run["execution"]["workflowId"]), text(&run["execution"]["runId"])));
    ids.map(|(workflow, run)| {
        let history = temporal.cli().history(namespace, &workflow, &run).unwrap().to_string();
        ((workflow, run), history)
    })
    .collect()
}

/// Flags that name search attributes as the namespace's users do.
fn aliases(temporal: &Temporal, namespace: &str) -> Vec<String> {
    let described = temporal.cli().json(&["operator", "namespace", "describe", "-n", namespace]);
    let described = described.unwrap();
    let names = described["config"]["customSearchAttributeAliases"].as_object().unwrap();
    assert!(!names.is_empty(), "{described}");
    names
        .iter()
        .map(|(column, name)| format!("--attribute-alias={column}={}", name.as_str().unwrap()))
        .collect()
}

/// An old archive as the command is told of it.
struct Old<'a> {
    stage: &'a Stage,
    path: PathBuf,
    aliases: Vec<String>,
}

impl Old<'_> {
    fn run(&self, arguments: &[&str]) -> stage::Ran {
        let mut all = arguments.to_vec();
        all.extend(["--from", self.path.to_str().unwrap()]);
        all.extend(self.aliases.iter().map(String::as_str));
        let mut command = self.stage.command(&all);
        // Nobody needs a store to read an old archive.
        command.env_remove("AIDP_BACKUP_STORE");
        stage::run(command)
    }

    fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let ran = self.run(&[&["history", "list", "--limit", "0", "--json"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every run is listed once, and each history is exported as the stock command line prints it.
    fn assert_is(&self, stock: &Stock, export_to: &str) {
        let listed = self.list(&[]);
        let ids: Vec<(String, String)> = listed
            .iter()
            .map(|run| {
                let text = |name: &str| run[name].as_str().unwrap().to_owned();
                (text("workflowId"), text("runId"))
            })
            .collect();
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(sorted, stock.keys().cloned().collect::<Vec<_>>());
        let closed: Vec<&str> =
            listed.iter().map(|run| run["closeTime"].as_str().unwrap()).collect();
        assert!(closed.iter().zip(&closed[1..]).all(|(a, b)| moment(a) >= moment(b)));

        let out = self.stage.path(export_to);
        let ran = self.run(&["history", "export", out.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let mut files = 0;
        for ((workflow, run), history) in stock {
            let file = fs::read_dir(&out)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.to_str().unwrap().ends_with(&format!("_{run}.json")))
                .unwrap_or_else(|| panic!("{workflow} {run} is not in {}", out.display()));
            assert_eq!(fs::read_to_string(file).unwrap().trim_end(), history, "{workflow}");
            files += 1;
        }
        assert_eq!(fs::read_dir(&out).unwrap().count(), files);
    }
}

fn moment(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}

/// Copies a bucket into a folder, once so many histories are in it.
fn copy_bucket(s3: &minio::Server, runs: usize, folder: &Path) {
    let (client, started) = (s3.client(), Instant::now());
    let keys = loop {
        let keys = client.list("archive", "").unwrap();
        if keys.iter().filter(|key| key.contains("/history/")).count() == runs {
            break keys;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{keys:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    for key in keys {
        let path = folder.join(&key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, client.get("archive", &key).unwrap()).unwrap();
    }
}

/// What Temporal Cloud would export, written by Temporal's own classes in Python.
const EXPORT: &str = r#"
import json, sys
from google.protobuf.json_format import Parse
from temporalio.api.export.v1 import WorkflowExecution, WorkflowExecutions
from temporalio.api.history.v1 import History

histories = [Parse(line, History()) for line in open(sys.argv[1], encoding="utf-8")]
items = [WorkflowExecution(history=history) for history in histories]
# An hour's export, and the next one, which brings two of its runs once more.
for path, part in zip(sys.argv[2:], (items, items[:2])):
    open(path, "wb").write(WorkflowExecutions(items=part).SerializeToString())
"#;

fn write_export(stage: &Stage, stock: &Stock, folder: &Path) {
    let lines: Vec<&str> = stock.values().map(String::as_str).collect();
    let histories = stage.path("histories.jsonl");
    fs::write(&histories, lines.join("\n")).unwrap();
    fs::create_dir_all(folder.join("01")).unwrap();
    let mut command = python().unwrap();
    command.args(["-c", EXPORT]).arg(histories);
    command.args([folder.join("00.proto"), folder.join("01/00.proto")]);
    let ran = stage::run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn old_archives_of_every_kind_are_listed_shown_and_exported_as_the_stock_command_line_does() {
    let stage = Stage::empty();
    let (files, copy) = (stage.path("files"), stage.path("copy"));
    fs::create_dir(&files).unwrap();
    let s3 = minio::Server::start().unwrap();
    s3.client().create_bucket("archive", Bucket::default()).unwrap();
    let archival = Archival::into_files(&files).and_s3(&s3.address());
    let options = Temporal::options().archival(archival.clone());
    let temporal = options.start(&stage.server).unwrap();
    temporal.create_namespace_with("bucket", 7, &Archival::into_bucket("archive")).unwrap();
    temporal.run_demo("default", 0, 8).unwrap();
    temporal.run_demo("bucket", 0, 3).unwrap();
    let runs = stock(&temporal, "default");
    archival.wait_for_files(runs.len()).unwrap();
    let names = aliases(&temporal, "default");
    let old = |path: &Path, aliases: &[String]| Old {
        stage: &stage,
        path: path.to_owned(),
        aliases: aliases.to_vec(),
    };

    // The server's archival into files.
    let filestore = old(&files, &names);
    filestore.assert_is(&runs, "of-files");
    let ((workflow, run), history) = runs.iter().find(|((id, _), _)| id == "change-1").unwrap();
    let shown = filestore.run(&["history", "show", workflow, "-r", run, "--json"]);
    assert_eq!((shown.code, shown.stdout.trim_end()), (Some(0), history.as_str()));
    let table = filestore.run(&["history", "show", workflow]);
    assert!(table.stdout.contains("WorkflowExecutionStarted"), "{table:?}");
    let failed = filestore.list(&["--status", "failed"]);
    assert!(!failed.is_empty() && failed.len() < runs.len());
    assert!(failed.iter().all(|run| run["status"] == "WORKFLOW_EXECUTION_STATUS_FAILED"));
    assert_eq!(filestore.list(&["-n", "default"]).len(), runs.len());
    assert!(filestore.list(&["-n", "other"]).is_empty());
    assert!(filestore.list(&["--until", "2020-01-01"]).is_empty());
    filestore.run(&["history", "show", "nothing"]).assert_fails(2, &["no history", "hint: "]);
    let limited = filestore.run(&["history", "search", "-w", "change-1", "--limit", "1"]);
    assert!(limited.stderr.contains("there are more"), "{limited:?}");

    // Its archival into a bucket, copied.
    let in_bucket = stock(&temporal, "bucket");
    copy_bucket(&s3, in_bucket.len(), &copy);
    old(&copy, &aliases(&temporal, "bucket")).assert_is(&in_bucket, "of-bucket");

    // Temporal Cloud's export, which tells no namespace.
    let exported = stage.path("exported");
    write_export(&stage, &runs, &exported);
    let cloud = old(&exported, &[]);
    cloud.assert_is(&runs, "of-cloud");
    assert_eq!(cloud.list(&[])[0]["namespace"], Value::Null);
    let ran = cloud.run(&["history", "list", "-n", "default"]);
    ran.assert_fails(2, &["does not say of which namespace", "hint: "]);

    // A history that is cut and a file of no known kind hide nothing else, and both are named.
    let cut = fs::read_dir(&files)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "history"))
        .unwrap();
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    fs::write(files.join("README"), "where this comes from").unwrap();
    let ran = filestore.run(&["history", "list", "--limit", "0", "--json"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(4), runs.len() - 1), "{ran:?}");
    let cut_name = cut.file_name().unwrap().to_str().unwrap();
    assert!(
        ran.stderr.contains(cut_name) && ran.stderr.contains("README is of no kind"),
        "{ran:?}"
    );
    let ran = filestore.run(&["history", "show", "nothing"]);
    ran.assert_fails(4, &["cannot be read whole", "README", "hint: "]);
    let out = stage.path("out");
    let ran = filestore.run(&["history", "export", out.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let done: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(done["files"], runs.len() - 1);
    assert_eq!(done["damaged"].as_array().unwrap().len(), 2);
}
