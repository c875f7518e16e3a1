//! Histories of a real Temporal, archived and read back.

mod stage;

use std::collections::{BTreeMap, BTreeSet};

use harness::temporal::Server as Temporal;
use serde_json::Value;
use stage::{Ran, Stage};

/// A Temporal server on the stage's PostgreSQL, with finished workflows in it.
struct World {
    stage: Stage,
    temporal: Temporal,
}

impl World {
    fn new(changes: u32) -> Self {
        let mut stage = Stage::empty();
        let temporal = Temporal::start(&stage.server).unwrap();
        for (name, value) in temporal.env() {
            stage.set(name, value);
        }
        stage.set("AIDP_BACKUP_SETTLE", "1s");
        let world = Self { stage, temporal };
        if changes > 0 {
            world.temporal.run_demo("default", 0, changes).unwrap();
        }
        world
    }

    /// Archives until everything that is closed now is in the archive.
    fn archive(&self) {
        let closed = self.closed("default").len();
        self.until(&["now", "archive"], |runs| runs.len() >= closed);
    }

    /// Runs a command until the archive is as it should be: what has just closed has not settled
    /// yet, and is left for later.
    fn until(&self, command: &[&str], mut is: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        for _ in 0..100 {
            self.stage.json(command);
            let runs = self.archived();
            if is(&runs) {
                return runs;
            }
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        panic!(
            "{command:?} does not come to what it should; archived: {:?}",
            self.archived().len()
        );
    }

    /// Closed runs as the stock command line lists them: workflow id by run id.
    fn closed(&self, namespace: &str) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let runs = self.temporal.cli().closed_runs(namespace).unwrap();
        runs.iter()
            .map(|run| (text(&run["execution"]["runId"]), text(&run["execution"]["workflowId"])))
            .collect()
    }

    /// Archived runs, each as often as it is listed.
    fn archived(&self) -> Vec<Value> {
        let ran = self.stage.run(&["history", "search", "--limit", "0", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn run_ids(runs: &[Value]) -> BTreeSet<String> {
    runs.iter().map(|run| run["runId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_closed_run_is_archived_once_as_the_stock_command_line_shows_it() {
    let world = World::new(24);
    world.archive();
    let closed = world.closed("default");
    let archived = world.archived();
    assert_eq!(archived.len(), closed.len());
    assert_eq!(run_ids(&archived), closed.keys().cloned().collect());
    for (run_id, workflow_id) in &closed {
        let shown = world.stage.run(&["history", "show", workflow_id, "-r", run_id, "--json"]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        let stock = world.temporal.cli().history("default", workflow_id, run_id).unwrap();
        assert_eq!(shown.stdout.trim_end(), stock.to_string(), "{workflow_id}");
    }
    // Once more finds nothing new, and asks little.
    let again = world.stage.json(&["now", "archive"]);
    assert_eq!(again["namespaces"][0]["runs"], 0, "{again}");
    assert_eq!(world.archived().len(), closed.len());
    let verified = world.stage.json(&["verify", "--all"]);
    assert_eq!(verified["histories"]["runs"], closed.len());

    let table: Ran = world.stage.run(&["history", "show", "change-0"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stdout.contains("WorkflowExecutionStarted"), "{}", table.stdout);
    let gaps = world.stage.json(&["history", "gaps"]);
    assert_eq!(gaps["namespaces"][0]["missing"], 0, "{gaps}");
}

#[test]
fn namespaces_statuses_and_queries_choose_what_is_archived() {
    let world = World::new(0);
    world.temporal.create_namespace("second", 30).unwrap();
    world.temporal.run_demo("default", 0, 6).unwrap();
    world.temporal.run_demo("second", 0, 12).unwrap();
    let both = world.closed("default").len() + world.closed("second").len();

    // Only failed ones of one namespace first; then everything, each run once.
    let failed = world.until(&["now", "archive", "-n", "sec*", "--status", "failed"], |runs| {
        runs.iter().all(|run| run["status"] == "WORKFLOW_EXECUTION_STATUS_FAILED")
            && !runs.is_empty()
    });
    assert!(failed.iter().all(|run| run["namespace"] == "second"), "{failed:?}");
    let query = "WorkflowType = 'WatchRepository'";
    world.until(&["now", "archive", "--query", query], |runs| runs.len() > failed.len());
    let all = world.until(&["now", "archive"], |runs| runs.len() >= both);
    assert_eq!(all.len(), both);
    assert_eq!(run_ids(&all).len(), both);

    let search = |arguments: &[&str]| -> Vec<Value> {
        let arguments = [&["history", "search", "--json"], arguments].concat();
        let ran = world.stage.run(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let terminated = search(&["--status", "terminated"]);
    assert!(terminated.iter().all(|run| run["status"] == "WORKFLOW_EXECUTION_STATUS_TERMINATED"));
    assert_eq!(
        search(&["-w", "change-1/"]).len(),
        search(&["-w", "change-1/", "-t", "ApplyPart"]).len()
    );
    let core = search(&["--search-attribute", "AidpRepository=aidp/core", "-n", "second"]);
    assert!(!core.is_empty());
    assert!(
        core.iter().all(|run| run["searchAttributes"]["AidpRepository"]["value"] == "aidp/core")
    );
    assert_eq!(search(&["--until", "2020-01-01"]), Vec::<Value>::new());
    assert_eq!(search(&["--limit", "3"]).len(), 3);

    // A workflow of both namespaces must be told apart.
    let shown = world.stage.run(&["history", "show", "change-0"]);
    shown.assert_fails(2, &["several namespaces", "--namespace"]);
    let shown = world.stage.run(&["history", "show", "change-0", "-n", "second"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    world.stage.run(&["history", "show", "nothing"]).assert_fails(2, &["no history", "hint: "]);

    let dir = world.stage.path("out");
    let out = dir.to_str().unwrap();
    let exported = world.stage.json(&["history", "export", out, "-n", "default"]);
    assert_eq!(exported["files"], world.closed("default").len());

    // What cannot be had is named, and the rest is archived all the same.
    let ran = world.stage.run(&["now", "archive", "-n", "default,nowhere"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("namespace \"nowhere\""), "{ran:?}");
    world.stage.run(&["now", "archive", "-n", "nothing*"]).assert_fails(2, &["nothing*", "hint: "]);
    let ran = world.stage.run(&["now", "archive", "-n", "default", "--query", "No = Sense AND"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn damage_and_losses_in_the_archive_are_named_and_repaired_by_a_rerun() {
    let mut world = World::new(6);
    world.archive();
    let runs = world.closed("default").len();
    let path = |objects: Vec<std::path::PathBuf>, end: &str| {
        let is = |path: &std::path::PathBuf| path.to_str().unwrap().ends_with(end);
        objects.into_iter().find(is).unwrap()
    };
    let listed = || {
        let ran = world.stage.run(&["history", "search", "--limit", "0", "--json"]);
        (ran.code, ran.stdout.lines().count())
    };

    // A flipped byte anywhere is found, and the object is named.
    for end in [".index.jsonl.zst", "-00.jsonl.zst", ".json"] {
        let below = if end == ".json" { "manifests/histories" } else { "histories" };
        let path = path(world.stage.objects(below), end);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let ran = world.stage.run(&["verify", "--all"]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(ran.stdout.contains(name), "{name}: {ran:?}");
        std::fs::write(&path, good).unwrap();
    }
    assert_eq!(world.stage.run(&["verify", "--all"]).code, Some(0));

    // Lost manifests are a gap; archiving once more fills it.
    for path in world.stage.objects("manifests/histories") {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(listed(), (Some(0), 0));
    let gaps = world.stage.run(&["history", "gaps", "--json"]);
    assert_eq!(gaps.code, Some(1), "{gaps:?}");
    let gaps: Value = serde_json::from_str(&gaps.stdout).unwrap();
    assert_eq!(gaps["namespaces"][0]["missing"], runs);
    world.archive();
    assert_eq!(listed(), (Some(0), runs));

    // So does a damaged index, and then each run is listed once all the same.
    let manifest = path(world.stage.objects("manifests/histories"), ".json");
    let id = manifest.file_stem().unwrap().to_str().unwrap();
    let index = path(world.stage.objects("histories"), &format!("{id}-00.index.jsonl.zst"));
    std::fs::write(&index, b"not an index").unwrap();
    let (code, left) = listed();
    assert_eq!(code, Some(4));
    assert!(left < runs);
    world.stage.json(&["now", "archive", "--full"]);
    assert_eq!(listed().1, runs);

    // A server that is away is an error that names it, and costs nothing.
    world.temporal.stop().unwrap();
    let ran = world.stage.run(&["now", "archive"]);
    ran.assert_fails(1, &["cannot connect to Temporal at", "hint: "]);
    assert_eq!(listed().1, runs);
}

#[test]
fn small_windows_are_joined_and_outlived_ones_removed() {
    let world = World::new(0);
    let config = world.stage.path("config.toml");
    std::fs::write(&config, "[archive]\njoin_windows = 3\n").unwrap();
    let config = config.to_str().unwrap();
    for first in 0..3 {
        world.temporal.run_demo("default", first * 10, 2).unwrap();
        let closed = world.closed("default").len();
        world.until(&["now", "archive", "--config", config], |runs| runs.len() >= closed);
    }
    let manifests = world.stage.objects("manifests/histories");
    assert!(manifests.len() <= 3, "{manifests:?}");
    let closed = world.closed("default");
    assert_eq!(run_ids(&world.archived()), closed.keys().cloned().collect());
    let verified = world.stage.json(&["verify", "--all"]);
    assert_eq!(verified["histories"]["runs"], closed.len());
    let (run_id, workflow_id) = closed.iter().next().unwrap();
    let shown = world.stage.run(&["history", "show", workflow_id, "-r", run_id, "--json"]);
    let stock = world.temporal.cli().history("default", workflow_id, run_id).unwrap();
    assert_eq!(shown.stdout.trim_end(), stock.to_string());

    // Whatever closed longer ago than is kept goes, and is not archived again.
    // That it is so long ago is told by what closes later.
    world.temporal.run_demo("default", 100, 1).unwrap();
    let keep = ["now", "archive", "--keep-histories", "1s", "--overlap", "1s"];
    let is_gone = |runs: &[Value]| run_ids(runs).iter().all(|run| !closed.contains_key(run));
    world.until(&keep, is_gone);
    world.stage.json(&keep);
    assert!(is_gone(&world.archived()));
    let objects = world.stage.objects("histories");
    assert!(manifests.iter().all(|manifest| {
        let window = manifest.file_stem().unwrap().to_str().unwrap();
        !objects.iter().any(|object| object.to_str().unwrap().contains(window))
    }));
}
