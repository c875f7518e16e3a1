//! Archived histories replayed by the SDKs.

mod stage;

use std::path::Path;
use std::time::Duration;

use harness::replayers;
use harness::temporal::Server as Temporal;
use serde_json::Value;
use stage::Stage;

struct World {
    stage: Stage,
    _temporal: Temporal,
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
        temporal.run_demo("default", 0, changes).unwrap();
        let closed = temporal.cli().closed_runs("default").unwrap().len();
        for _ in 0..100 {
            stage.json(&["now", "archive"]);
            let found = stage.run(&["history", "search", "--limit", "0", "--json"]);
            if found.stdout.lines().count() >= closed {
                return Self { stage, _temporal: temporal, closed };
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("not all runs are archived");
    }

    fn replay(&self, filter: &[&str], replayer: &[&str]) -> (Option<i32>, Value) {
        let words = [["drill", "replay", "--json"].as_slice(), filter, &["--"], replayer].concat();
        let ran = self.stage.run(&words);
        let document: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        (ran.code, document["evidence"].clone())
    }
}

fn of<'a>(evidence: &'a Value, type_name: &str) -> &'a Value {
    let checks = evidence["checks"].as_array().unwrap();
    checks.iter().find(|check| check["of"] == type_name).unwrap_or_else(|| panic!("{evidence:#}"))
}

/// A replayer of the demo's workflows in Python, as another release has them.
fn python(folder: &Path, change: impl FnOnce(&str) -> String) -> Vec<String> {
    std::fs::create_dir(folder).unwrap();
    replayers::python(folder, change).unwrap()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

#[test]
fn same_release_replays_and_a_changed_one_is_caught_by_type() {
    let world = World::new(16);
    let same = python(&world.stage.path("same"), str::to_owned);
    let (code, evidence) = world.replay(&[], &words(&same));
    assert_eq!(code, Some(0), "{evidence:#}");
    assert_eq!(evidence["verdict"], "PASS", "{evidence:#}");
    assert_eq!(evidence["measures"]["counts"]["runs"], world.closed);
    for type_name in ["ChangePipeline", "ApplyPart", "WatchRepository"] {
        assert_eq!(of(&evidence, type_name)["result"], "PASS", "{evidence:#}");
    }

    // A release whose parts are applied after a timer that no history has.
    let call = "await workflow.execute_activity(snapshot";
    let changed = python(&world.stage.path("changed"), |text| {
        assert!(text.contains(call));
        text.replace(call, &format!("await asyncio.sleep(1)\n        {call}"))
    });
    let (code, evidence) = world.replay(&[], &words(&changed));
    assert_eq!(code, Some(4), "{evidence:#}");
    let part = of(&evidence, "ApplyPart");
    assert_eq!(part["result"], "FAIL", "{evidence:#}");
    assert!(part["names"][0].as_str().unwrap().contains("NondeterminismError"), "{part:#}");
    assert_eq!(of(&evidence, "WatchRepository")["result"], "PASS", "{evidence:#}");

    // A release that has lost a type: what it cannot look at is no pass.
    let lost = python(&world.stage.path("lost"), |text| {
        text.replace("@workflow.defn\nclass WatchRepository", "class WatchRepository")
    });
    let (code, evidence) = world.replay(&[], &words(&lost));
    assert_eq!(code, Some(1), "{evidence:#}");
    assert_eq!(of(&evidence, "WatchRepository")["result"], "NOT RUN", "{evidence:#}");
    assert_eq!(of(&evidence, "ApplyPart")["result"], "PASS", "{evidence:#}");
}

#[test]
fn replayer_in_go_tells_the_same_from_the_changed() {
    let world = World::new(8);
    let program = replayers::install_go().unwrap();
    let program = program.to_str().unwrap();
    let parts = ["--type", "ApplyPart"];
    let (code, evidence) = world.replay(&parts, &[program]);
    assert_eq!(code, Some(0), "{evidence:#}");
    let (code, evidence) = world.replay(&parts, &[program, "-changed"]);
    assert_eq!(code, Some(4), "{evidence:#}");
    let name = of(&evidence, "ApplyPart")["names"][0].as_str().unwrap().to_owned();
    assert!(name.contains("TMPRL1100"), "{name}");
    let (code, evidence) = world.replay(&["--type", "WatchRepository"], &[program]);
    assert_eq!(code, Some(1), "{evidence:#}");
    assert_eq!(of(&evidence, "WatchRepository")["result"], "NOT RUN", "{evidence:#}");
}

#[test]
fn exported_files_are_what_both_replayers_read() {
    let world = World::new(8);
    let folder = world.stage.path("files");
    let exported =
        world.stage.run(&["history", "export", folder.to_str().unwrap(), "--type", "ApplyPart"]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let mut lines = String::new();
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let history = std::fs::read_to_string(&path).unwrap();
        // A file's name is WORKFLOW_RUN.json.
        let (_, run) = path.file_stem().unwrap().to_str().unwrap().rsplit_once('_').unwrap();
        lines.push_str(&format!(
            "{{\"type\":\"ApplyPart\",\"workflowId\":\"w\",\"runId\":\"{run}\",\"history\":{}}}\n",
            history.trim_end()
        ));
        files += 1;
    }
    assert!(files > 0);
    let file = world.stage.path("lines");
    std::fs::write(&file, lines).unwrap();
    let same = python(&world.stage.path("same"), str::to_owned);
    let go = replayers::install_go().unwrap().to_str().unwrap().to_owned();
    for command in [same, vec![go]] {
        let (program, arguments) = command.split_first().unwrap();
        let output = std::process::Command::new(program)
            .args(arguments)
            .stdin(std::fs::File::open(&file).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        let fine = told.lines().filter(|line| line.contains("\"ok\"")).count();
        assert_eq!(fine, files, "{told}");
    }
}

#[test]
fn replayer_that_breaks_off_is_no_pass() {
    let world = World::new(4);
    for (replayer, says) in [
        (["sh", "-c", "exit 3"].as_slice(), "got no verdict"),
        (&["sh", "-c", "cat > /dev/null"], "the replayer passed them over"),
        (&["sh", "-c", "echo hello; cat > /dev/null"], "a line that is no verdict"),
        (&["/nonexistent/replayer"], "got no verdict"),
    ] {
        let (code, evidence) = world.replay(&[], replayer);
        assert_eq!(code, Some(1), "{evidence:#}");
        assert_eq!(evidence["verdict"], "NOT RUN", "{evidence:#}");
        assert!(evidence["checks"].to_string().contains(says), "{says}: {evidence:#}");
    }
    world.stage.run(&["drill", "replay"]).assert_fails(2, &["nobody said what replays"]);
}
