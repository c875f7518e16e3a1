//! What moved since a restore point.

use harness::temporal;
use serde_json::Value;

use crate::stage::Stage;

fn ids(document: &Value, list: &str) -> Vec<String> {
    let runs = document[list].as_array().unwrap();
    runs.iter().map(|run| run["workflowId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_report_names_what_finished_progressed_and_started_since_a_backup() {
    let mut stage = Stage::empty();
    let mut live = temporal::Server::start(&stage.server).unwrap();
    for (name, value) in live.env() {
        stage.set(name, value);
    }
    stage.set("AIDP_BACKUP_SETTLE", "1s");
    live.run_demo("default", 0, 4).unwrap();
    live.leave_open("default", 0, 3).unwrap();
    // Both forms of COPY are read.
    for form in ["binary", "text"] {
        stage.json(&[
            "now",
            "export",
            "--no-prune",
            "--data",
            if form == "text" { "text" } else { "auto" },
        ]);
    }
    let backup = stage.ids().pop().unwrap();
    let report = |stage: &Stage, id: &str, more: &[&str]| {
        let arguments = [&["drill", "report", "--since-backup", id], more].concat();
        stage.json(&arguments)
    };
    let open = ids(&report(&stage, &backup, &["--offline"]), "unknown");
    assert_eq!(open.len(), 3, "{open:?}");
    let first = stage.ids().remove(0);
    assert_eq!(ids(&report(&stage, &first, &["--offline"]), "unknown"), open);
    let at_rest = report(&stage, &backup, &[]);
    assert_eq!(ids(&at_rest, "unknown"), Vec::<String>::new(), "{at_rest:#}");
    assert_eq!(ids(&at_rest, "progressed"), Vec::<String>::new(), "{at_rest:#}");

    // One finishes, one is signalled, one stays as it is, and a new one is run.
    live.approve_open("default", 0, 1).unwrap();
    let signalled = ids(&report(&stage, &backup, &[]), "finished");
    assert_eq!(signalled.len(), 1);
    let rest: Vec<&String> = open.iter().filter(|id| !signalled.contains(id)).collect();
    live.cli().run(&["workflow", "signal", "-w", rest[0], "--name", "nobody-listens"]).unwrap();
    live.run_demo("default", 100, 1).unwrap();
    let moved = report(&stage, &backup, &[]);
    assert_eq!(ids(&moved, "finished"), signalled, "{moved:#}");
    assert_eq!(ids(&moved, "progressed"), [rest[0].clone()], "{moved:#}");
    assert!(!ids(&moved, "started").is_empty(), "{moved:#}");
    let progressed = &moved["progressed"][0];
    assert!(
        progressed["eventsNow"].as_u64() > progressed["eventsBefore"].as_u64(),
        "{progressed:#}"
    );
    // The live server is lost: the archive alone says what has finished.
    for _ in 0..200 {
        stage.json(&["now", "archive"]);
        if !ids(&report(&stage, &backup, &["--offline"]), "finished").is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    live.stop().unwrap();
    let moved = report(&stage, &backup, &[]);
    assert!(moved["live"]["error"].is_string(), "{moved:#}");
    assert_eq!(ids(&moved, "finished"), signalled);
    assert_eq!(moved["finished"][0]["archived"], true);
    let ran = stage.run(&["drill", "report", "--since-backup", "nothing"]);
    ran.assert_fails(2, &["nothing"]);
}
