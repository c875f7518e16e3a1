//! Archived histories brought back into Temporals that are thrown away.

mod stage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::history_edit::{edited, rewrite};
use harness::postgres::Server as Postgres;
use harness::temporal::{Server as Temporal, install_server};
use serde_json::Value;
use stage::{Ran, Stage};

const MARKER: &str = "aidp-backup-throwaway";

/// A Temporal with finished workflows, all of which are archived in the stage's store.
struct World {
    stage: Stage,
    temporal: Temporal,
    closed: usize,
}

impl World {
    fn new(changes: u32) -> Self {
        let mut stage = Stage::empty();
        let temporal = Temporal::start(&stage.server).unwrap();
        for (name, value) in temporal.env() {
            stage.set(name, value);
        }
        stage.set("AIDP_BACKUP_SETTLE", "1s");
        stage.set("TMPDIR", stage.path("tmp").to_str().unwrap());
        std::fs::create_dir(stage.path("tmp")).unwrap();
        temporal.run_demo("default", 0, changes).unwrap();
        let closed = temporal.cli().closed_runs("default").unwrap().len();
        let world = Self { stage, temporal, closed };
        for _ in 0..100 {
            world.stage.json(&["now", "archive"]);
            if world.archived().len() >= closed {
                return world;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("{} of {closed} runs are archived", world.archived().len());
    }

    fn archived(&self) -> Vec<Value> {
        let ran = self.stage.run(&["history", "search", "--limit", "0", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A drill with a server of its own.
    fn drill(&self, more: &[&str]) -> Drilled {
        let server = install_server().unwrap().join("server");
        let first = ["drill", "histories", "--temporal-server", server.to_str().unwrap()];
        Drilled::of(self.stage.run(&[first.as_slice(), more, &["--json"]].concat()))
    }

    /// A drill into a Temporal that runs.
    fn drill_into(&self, temporal: &Temporal) -> Drilled {
        let address = temporal.address();
        let words = ["drill", "histories", "--scratch-temporal", &address, "--json"];
        Drilled::of(self.stage.run(&words))
    }

    /// The number of a run of this type in the archive, and its ids.
    fn one(&self, type_name: &str) -> (String, String) {
        let runs = self.archived();
        let run = runs.iter().find(|run| run["type"] == type_name).unwrap();
        let text = |name: &str| run[name].as_str().unwrap().to_owned();
        (text("workflowId"), text("runId"))
    }
}

/// What a drill said.
#[derive(Debug)]
struct Drilled {
    code: Option<i32>,
    evidence: Value,
}

impl Drilled {
    fn of(ran: Ran) -> Self {
        let document: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        Self { code: ran.code, evidence: document["evidence"].clone() }
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.evidence["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no {name:?} in {checks:?}"))
    }

    #[track_caller]
    fn assert_passed(&self, runs: usize) {
        assert_eq!(self.code, Some(0), "{:#}", self.evidence);
        assert_eq!(self.evidence["verdict"], "PASS", "{:#}", self.evidence);
        assert_eq!(self.evidence["measures"]["counts"]["runs"], runs, "{:#}", self.evidence);
        assert_eq!(self.evidence["scratch"]["gone"], true, "{:#}", self.evidence);
    }

    /// A check failed, and names a run with a reason.
    #[track_caller]
    fn assert_names(&self, check: &str, run: &str, reason: &str) {
        assert_eq!(self.code, Some(4), "{:#}", self.evidence);
        let check = self.check(check);
        assert_eq!(check["result"], "FAIL", "{:#}", self.evidence);
        let names = check["names"].as_array().unwrap();
        let named = |name: &Value| {
            let name = name.as_str().unwrap();
            name.contains(run) && name.contains(reason)
        };
        assert!(names.iter().any(named), "{run}, {reason}: {names:#?}");
    }

    /// Nothing could be looked at, for a reason that says this.
    #[track_caller]
    fn assert_not_run(&self, says: &str) {
        assert_eq!(self.code, Some(1), "{:#}", self.evidence);
        assert_eq!(self.evidence["verdict"], "NOT RUN", "{:#}", self.evidence);
        let text = self.evidence["checks"].to_string();
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
}

/// Another Temporal, on a PostgreSQL of its own.
fn other(without_imports: bool) -> (Temporal, Postgres) {
    let postgres = Postgres::start(16).unwrap();
    let options = Temporal::options();
    let options = if without_imports { options.without_imports() } else { options };
    (options.start(&postgres).unwrap(), postgres)
}

#[test]
fn all_histories_come_back_into_a_server_of_the_drills_own_and_leave_only_evidence() {
    let world = World::new(24);
    let before = world.stage.objects("");
    let drilled = world.drill(&[]);
    drilled.assert_passed(world.closed);
    assert!(drilled.evidence["versions"]["scratch Temporal"].is_string());
    assert!(drilled.evidence["measures"]["rtoSeconds"].as_f64().unwrap() > 0.0);
    let after = world.stage.objects("");
    let new: Vec<&PathBuf> = after.iter().filter(|path| !before.contains(path)).collect();
    assert!(
        new.iter().all(|path| path.to_str().unwrap().contains("/drills/histories/")),
        "{new:?}"
    );
    assert_eq!(new.len(), 2);
    assert!(before.iter().all(|path| after.contains(path)));

    let sample = world.drill(&["--sample", "5", "--type", "ChangePipeline"]);
    sample.assert_passed(5);
    // A choice of nothing proves nothing.
    world.drill(&["--type", "Unheard"]).assert_not_run("no archived history was chosen");
}

#[test]
fn clusters_that_somebody_may_need_get_nothing() {
    let world = World::new(6);
    // The very cluster that they come from, however it is marked.
    world.temporal.create_namespace(MARKER, 1).unwrap();
    world.drill_into(&world.temporal).assert_not_run("the one that the histories come from");
    let id = world.one("ChangePipeline").0;
    let ran = world.stage.run(&["history", "import", &id]);
    ran.assert_fails(2, &["the one that the histories come from"]);

    let (throwaway, _postgres) = other(false);
    world.drill_into(&throwaway).assert_not_run("nothing says that the Temporal at");
    throwaway.create_namespace(MARKER, 1).unwrap();
    world.drill_into(&throwaway).assert_passed(world.closed);
    let left = throwaway.cli().run(&["operator", "namespace", "list"]).unwrap();
    assert!(!left.contains("-drill-") || left.contains("Deleted"), "{left}");
    throwaway.leave_open("default", 0, 1).unwrap();
    world.drill_into(&throwaway).assert_not_run("1 workflows run in namespace");

    let (unable, _postgres) = other(true);
    unable.create_namespace(MARKER, 1).unwrap();
    world.drill_into(&unable).assert_not_run("enableGlobalNamespace");
}

#[test]
fn imported_runs_are_compared_even_when_they_are_there_already() {
    let world = World::new(12);
    let (throwaway, _postgres) = other(false);
    throwaway.create_namespace(MARKER, 1).unwrap();
    let address = throwaway.address();
    let import = |more: &[&str]| {
        let words = ["history", "import", "--temporal-address", &address, "--into", "back"];
        world.stage.run(&[words.as_slice(), more, &["--json"]].concat())
    };
    let done = import(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["runs"], world.closed, "{report}");
    assert_eq!(import(&[]).code, Some(0));

    // The archive says something else now, in a form that nothing but the server can tell.
    let (workflow_id, run_id) = world.one("ApplyPart");
    rewrite(&world.stage.store(), |line| {
        line.contains(&format!("\"runId\":\"{run_id}\",\"type\"")).then(|| {
            edited(line, |run| {
                let events = run["history"]["events"].as_array_mut().unwrap();
                let last = events.last_mut().unwrap();
                last["workflowExecutionCompletedEventAttributes"]["result"]["payloads"][0]["data"] =
                    "ImZvcmdlZCI=".into();
            })
            .unwrap()
        })
    })
    .unwrap();
    let verified = world.stage.run(&["verify", "--all"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let again = import(&["--run-id", &run_id]);
    assert_eq!(again.code, Some(4), "{again:?}");
    let report: Value = serde_json::from_str(&again.stdout).unwrap();
    let failed = &report["failed"][0];
    assert_eq!(failed["workflowId"], workflow_id, "{report}");
    assert_eq!(failed["outcome"], "different", "{report}");
    let reason = failed["reasons"][0].as_str().unwrap();
    assert!(reason.ends_with("result.payloads[0].data"), "{reason}");
    // Nothing of the content is told.
    assert!(!report.to_string().contains("ImZvcmdlZCI="), "{report}");
}

#[test]
fn each_seeded_corruption_is_named() {
    let world = World::new(12);
    let store = world.stage.store();
    let whole: BTreeMap<PathBuf, Vec<u8>> = world
        .stage
        .objects("")
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let restore = || {
        for (path, content) in &whole {
            std::fs::write(path, content).unwrap();
        }
    };
    let (workflow_id, run_id) = world.one("ChangePipeline");
    let of_run = format!("\"runId\":\"{run_id}\",\"type\"");
    let change = |change: &dyn Fn(&mut Value)| {
        rewrite(&store, |line| {
            line.contains(&of_run).then(|| edited(line, |run| change(run)).unwrap())
        })
        .unwrap();
    };
    let fit = "each history is that of its run";

    // One event edited, and nothing made to fit: the digests tell.
    let segment = whole.keys().find(|path| path.to_str().unwrap().ends_with("-00.jsonl.zst"));
    let mut bytes = whole[segment.unwrap()].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(segment.unwrap(), bytes).unwrap();
    let drilled = world.drill(&[]);
    assert_eq!(drilled.code, Some(4), "{drilled:?}");
    assert_eq!(drilled.check("chosen histories are whole in the archive")["result"], "FAIL");
    restore();

    // From here on all digests and sums are right.
    change(&|run| {
        run["history"]["events"].as_array_mut().unwrap().remove(6);
    });
    world.drill(&[]).assert_names(fit, &workflow_id, "event 8 follows event 6");
    restore();

    change(&|run| {
        let events = run["history"]["events"].as_array_mut().unwrap();
        events.truncate(events.len() - 2);
    });
    world.drill(&[]).assert_names(fit, &workflow_id, "it has no end");
    restore();

    // The history of another run of the same type and length of ids.
    let runs = world.archived();
    let other = runs.iter().find(|run| run["type"] == "ChangePipeline" && run["runId"] != run_id);
    let other = other.unwrap()["runId"].as_str().unwrap().to_owned();
    let taken: std::cell::RefCell<Option<Value>> = std::cell::RefCell::default();
    rewrite(&store, |line| {
        let run: Value = serde_json::from_str(line).unwrap();
        if run["runId"] == other.as_str() {
            *taken.borrow_mut() = Some(run["history"].clone());
        }
        None
    })
    .unwrap();
    let taken = taken.into_inner().unwrap();
    change(&|run| run["history"] = taken.clone());
    world.drill(&[]).assert_names(fit, &run_id, "the run id");
    restore();

    // An event of another type in the place of one: the server cannot replay such a history.
    change(&|run| run["history"]["events"][2]["eventType"] = "EVENT_TYPE_EVAPORATED".into());
    let drilled = world.drill(&[]);
    assert_ne!(drilled.code, Some(0), "{drilled:?}");
    assert!(drilled.evidence["checks"].to_string().contains(&run_id), "{drilled:?}");
    restore();
    world.drill(&[]).assert_passed(world.closed);
}

#[test]
fn killed_drill_leaves_no_server_and_the_next_one_cleans_up() {
    let world = World::new(6);
    let server = install_server().unwrap().join("server");
    let words = ["drill", "histories", "--temporal-server", server.to_str().unwrap()];
    let mut drill = world.stage.command(&words).spawn().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let root = world.stage.path("tmp").join(format!("aidp-drill-{uid}"));
    let serving = || {
        let marks = root.to_str().unwrap().to_owned();
        processes().into_iter().filter(|line| line.contains(&marks)).count()
    };
    wait(|| serving() > 0);
    drill.kill().unwrap();
    drill.wait().unwrap();
    wait(|| serving() == 0);
    let folders = || std::fs::read_dir(&root).unwrap().count();
    assert!(folders() > 0);
    world.drill(&[]).assert_passed(world.closed);
    assert_eq!(folders(), 0);
    assert_eq!(serving(), 0);
}

/// Waits for something that nothing announces.
fn wait(mut is: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to be");
}

/// Command lines of all processes.
fn processes() -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(str::to_owned);
    lines
        .filter(|line| line.contains("--config-file") && !line.contains("drill histories"))
        .collect()
}
