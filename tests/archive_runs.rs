//! Every kind of run, archived byte for byte as the stock command line shows it; and what happens
//! to runs and namespaces while they are archived.

mod stage;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use harness::proxy::Proxy;
use harness::temporal::Server as Temporal;
use serde_json::Value;
use stage::served::{Archive, Served, wait};

/// Namespaces of one test each.
static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let options = Temporal::options().dynamic("history.retentionTimerJitterDuration", "1ms");
    let options = ["kinds", "busy", "doomed"]
        .iter()
        .fold(options, |options, name| options.namespace(name, 7));
    let mut served = Served::start(options.namespace("brief", 1));
    // The command line takes whole days; the server's own timers take any time. One day, and
    // twenty seconds in as many bytes, as the server stores them.
    let shorten = r"UPDATE namespaces SET data = overlay(data PLACING '\x948000'::bytea
        FROM position('\x80a305'::bytea IN data)) WHERE name = 'brief'";
    let database = served.temporal.main_database().to_owned();
    served.postgres.psql(&database, shorten).unwrap();
    served.temporal.restart().unwrap();
    served
});

/// Types of all events in an exported history.
fn events(archive: &Archive, run: &Value) -> Vec<String> {
    let text = |name: &str| run[name].as_str().unwrap();
    let arguments = ["history", "show", text("workflowId"), "-r", text("runId")];
    let shown = archive.json(&arguments);
    let events = shown["events"].as_array().unwrap();
    events.iter().map(|event| event["eventType"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_kind_of_run_is_archived_as_the_stock_command_line_shows_it() {
    let (served, archive) = (&*SERVED, Archive::of(&SERVED));
    let of = ["-n", "kinds"];
    let cli = |arguments: &[&str]| served.cli(&[arguments, &of].concat());
    served.temporal.run_demo("kinds", 0, 24).unwrap();
    // A run that was reset and then terminated; the one that it was reset from is closed too.
    let reset = ["workflow", "reset", "-w", "change-1", "--event-id", "4", "--reason", "test"];
    cli(&reset);
    cli(&["workflow", "terminate", "-w", "change-1", "--reason", "test"]);
    // Each run of these times out, and the next one is due a second later.
    let idle = ["--type", "Idle", "--task-queue", "nobody", "--run-timeout", "1s"];
    let cron = ["workflow", "start", "-w", "cron", "--cron", "@every 1s"];
    cli(&[cron.as_slice(), &idle].concat());
    let schedule = ["schedule", "create", "--schedule-id", "hourly", "--interval", "1h"];
    let schedule = [schedule.as_slice(), &idle, &["-w", "scheduled"]].concat();
    cli(&schedule);
    cli(&["schedule", "trigger", "--schedule-id", "hourly"]);
    let closed = |id: &str| served.closed("kinds").values().filter(|of| of.starts_with(id)).count();
    wait("cron and schedule have run", || closed("cron") >= 2 && closed("scheduled") >= 1);
    cli(&["workflow", "terminate", "-w", "cron"]);
    cli(&["schedule", "delete", "--schedule-id", "hourly"]);
    let open = || cli(&["workflow", "count", "-q", "ExecutionStatus = 'Running'"]);
    wait("nothing runs any more", || open().contains('0'));

    archive.until_whole(served, "kinds", &[]);
    let runs = archive.archived();
    let values = |name: &str| -> BTreeSet<&str> {
        runs.iter().map(|run| run[name].as_str().unwrap()).collect()
    };
    let statuses = values("status");
    assert_eq!(statuses.len(), 6, "{statuses:?}");
    let of_id = |id: &str| runs.iter().filter(|run| run["workflowId"] == id).collect::<Vec<_>>();

    // The history of a reset run names the run that it was reset from: only the line tells them
    // apart.
    let [one, other] = of_id("change-1").try_into().unwrap();
    assert_ne!(one["runId"], other["runId"]);
    assert_eq!(one["firstRunId"], other["firstRunId"]);
    // A chain has as many runs as the workflow was continued, all of one beginning.
    let chain = of_id("watch-5");
    assert_eq!(chain.len(), 4);
    assert!(chain.iter().all(|run| run["firstRunId"] == chain[0]["firstRunId"]));
    assert!(of_id("cron").len() >= 3);
    let scheduled =
        runs.iter().find(|run| run["workflowId"].as_str().unwrap().starts_with("scheduled"));
    let by = &scheduled.unwrap()["searchAttributes"]["TemporalScheduledById"];
    assert_eq!(by["value"], "hourly");
    // Children name their parents.
    let child = &of_id("change-1/0")[0];
    assert_eq!(child["parent"]["workflowId"], "change-1");

    // Signals, updates that were accepted and refused, timers, markers, retries: all are there.
    let mut kinds = BTreeSet::new();
    for run in runs.iter().filter(|run| run["workflowId"].as_str().unwrap().len() < 10) {
        kinds.extend(events(&archive, run));
    }
    for kind in [
        "ACTIVITY_TASK_FAILED",
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        "MARKER_RECORDED",
        "TIMER_FIRED",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "WORKFLOW_EXECUTION_CANCEL_REQUESTED",
        "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
        "WORKFLOW_PROPERTIES_MODIFIED",
        "WORKFLOW_TASK_FAILED",
    ] {
        assert!(kinds.contains(&format!("EVENT_TYPE_{kind}")), "{kind} is not among {kinds:?}");
    }
}

#[test]
fn runs_that_close_while_others_are_archived_are_archived_once() {
    let (served, archive) = (&*SERVED, Archive::of(&SERVED));
    std::thread::scope(|scope| {
        let working = scope.spawn(|| served.temporal.run_demo("busy", 0, 16).unwrap());
        let mut rounds = 0;
        while !working.is_finished() {
            archive.json(&["now", "archive", "-n", "busy"]);
            rounds += 1;
        }
        assert!(rounds > 1);
        assert!(working.join().unwrap().closed > 16);
    });
    archive.until_whole(served, "busy", &[]);
    let again = archive.json(&["now", "archive", "-n", "busy"]);
    assert_eq!(again["namespaces"][0]["runs"], 0, "{again}");
}

#[test]
fn runs_that_retention_deletes_before_they_are_read_are_counted_and_named() {
    const RUNS: usize = 5;
    let (served, mut archive) = (&*SERVED, Archive::of(&SERVED));
    let proxy = Proxy::start(&served.temporal.address()).unwrap();
    archive.set("TEMPORAL_ADDRESS", proxy.address());
    served.terminated("brief", RUNS);
    let archived = archive.begin_slowly("brief", &["-n", "brief"]);
    // Nothing passes until the server has deleted them all.
    proxy.stall();
    let of = ["workflow", "show", "-n", "brief", "-w", &format!("brief-{}", RUNS - 1)];
    wait("retention has deleted", || {
        served.closed("brief").is_empty() && served.temporal.cli().run(&of).is_err()
    });
    proxy.heal();
    let ran = archived.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let report = &report["namespaces"][0];
    assert_eq!(report["windows"], 1, "{report}");
    let vanished = report["vanished"].as_array().unwrap();
    assert!(vanished.len() >= RUNS - 1, "{report}");
    for gone in vanished {
        let id = gone["workflowId"].as_str().unwrap();
        assert!(ran.stderr.contains(&format!("workflow {id:?}")), "{ran:?}");
        assert!(ran.stderr.contains(gone["runId"].as_str().unwrap()), "{ran:?}");
    }
    let archived = archive.archived().len();
    assert_eq!(report["runs"], archived);
    assert_eq!(archived + vanished.len(), RUNS);
    // They are not looked for again.
    let again = archive.json(&["now", "archive", "-n", "brief"]);
    assert_eq!(again["namespaces"][0]["vanished"].as_array().unwrap().len(), 0, "{again}");
    archive.json(&["verify", "--all"]);
}

#[test]
fn what_was_read_of_a_namespace_before_it_was_deleted_is_kept_and_the_loss_is_named() {
    const RUNS: usize = 6;
    let (served, archive) = (&*SERVED, Archive::of(&SERVED));
    served.terminated("doomed", RUNS);
    served.terminated("default", 2);
    let archived = archive.begin_slowly("doomed", &["-n", "doomed,default"]);
    served.cli(&["operator", "namespace", "delete", "-n", "doomed", "--yes"]);
    let ran = archived.end();
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("namespace \"doomed\""), "{ran:?}");
    assert!(ran.stderr.contains("hint: "), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let namespaces = report["namespaces"].as_array().unwrap();
    let doomed = namespaces.iter().find(|one| one["namespace"] == "doomed").unwrap();
    let (runs, gone) = (&doomed["runs"], doomed["vanished"].as_array().unwrap().len());
    assert!(runs.as_u64().unwrap() > 0 && gone > 0, "{report}");
    assert_eq!(runs.as_u64().unwrap() + gone as u64, RUNS as u64, "{report}");
    let archived = archive.archived();
    let of = |name: &str| archived.iter().filter(|run| run["namespace"] == name).count();
    assert_eq!((of("doomed") as u64, of("default")), (runs.as_u64().unwrap(), 2));
    // The next run does without it.
    archive.json(&["now", "archive", "-n", "default"]);
    archive.json(&["verify", "--all"]);
}
