//! Temporal's own databases, drilled while its workers are busy, and with something missing.

use harness::postgres::Server;
use harness::temporal;

use crate::stage::Stage;
use crate::{check, drill};

#[test]
fn drills_of_a_busy_temporal_pass_and_a_missing_visibility_row_is_named() {
    let stage = Stage::empty();
    let mut live = temporal::Server::start(&stage.server).unwrap();
    live.run_demo("default", 0, 8).unwrap();
    live.leave_open("default", 0, 2).unwrap();
    let scratch = Server::start(crate::stage::MAJOR).unwrap();
    let url = scratch.socket_url("postgres");
    std::thread::scope(|scope| {
        let workers = scope.spawn(|| live.run_demo("default", 100, 12));
        let mut drills = 0;
        while drills < 2 || !workers.is_finished() {
            stage.json(&["now", "export", "--no-prune"]);
            let found = drill(&stage, 0, &["--scratch", &url]);
            assert_eq!(found["verdict"], "PASS", "{found:#}");
            for name in [
                "Temporal: schema version",
                "Temporal: cluster and shards",
                "Temporal: current executions",
                "Temporal: beginnings of histories",
                "Temporal: executions and their list",
            ] {
                assert_eq!(check(&found, name).0, "PASS");
            }
            drills += 1;
        }
        workers.join().unwrap().unwrap();
    });
    live.stop().unwrap();

    // In the source, so that the backup is whole: what is wrong is what Temporal says of itself.
    let run = stage
        .server
        .psql(
            "temporal_visibility",
            "DELETE FROM executions_visibility WHERE run_id = (SELECT run_id FROM \
             executions_visibility WHERE close_time IS NOT NULL ORDER BY close_time LIMIT 1) \
             RETURNING btrim(run_id)",
        )
        .unwrap();
    // A task about it would explain that it is not listed yet.
    stage.server.psql("temporal", "DELETE FROM visibility_tasks").unwrap();
    stage.json(&["now", "export", "--no-prune"]);
    let found = drill(&stage, 4, &["--scratch", &url]);
    crate::assert_only(
        &found,
        "Temporal: executions and their list",
        "FAIL",
        &[&format!("{run}: is not listed")],
    );

    stage.server.psql("temporal", "DELETE FROM shards WHERE shard_id = 2").unwrap();
    let open = "DELETE FROM history_node WHERE node_id = 1 AND tree_id = (SELECT run_id FROM \
                current_executions WHERE status = 1 AND workflow_id NOT LIKE 'temporal-sys%' LIMIT 1)";
    stage.server.psql("temporal", open).unwrap();
    stage.json(&["now", "export", "--no-prune"]);
    let found = drill(&stage, 4, &["--scratch", &url]);
    let (_, text) = check(&found, "Temporal: cluster and shards");
    assert!(text.contains("shard 2: no row"), "{text}");
    assert_eq!(check(&found, "Temporal: beginnings of histories").0, "FAIL");
}

/// Archives until every run that is closed now is in the archive.
fn archive(stage: &Stage, live: &temporal::Server) {
    let closed = live.cli().closed_runs("default").unwrap().len();
    for _ in 0..200 {
        stage.json(&["now", "archive"]);
        let ran = stage.run(&["history", "search", "--limit", "0", "--json"]);
        if ran.stdout.lines().count() >= closed {
            return;
        }
        // What has just closed has not settled yet; there is nothing else to wait on.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    panic!("not everything is archived");
}

fn names(evidence: &serde_json::Value, name: &str) -> String {
    check(evidence, name).1
}

#[test]
fn a_temporal_booted_on_the_copy_serves_what_is_archived_and_names_what_it_does_not() {
    const CONTENT: &str = "Temporal: histories as archived";
    const BOTH: &str = "Temporal: runs in the database and in the archive";
    let mut stage = Stage::empty();
    let mut live = temporal::Server::start(&stage.server).unwrap();
    for (name, value) in live.env() {
        stage.set(name, value);
    }
    stage.set("AIDP_BACKUP_SETTLE", "1s");
    live.run_demo("default", 0, 10).unwrap();
    live.leave_open("default", 0, 2).unwrap();
    archive(&stage, &live);
    // These are in the database and not archived yet: that is no damage.
    live.run_demo("default", 50, 2).unwrap();
    stage.json(&["now", "export", "--no-prune"]);
    let server = live.programs().join("server").to_str().unwrap().to_owned();
    let bin = stage.server.bin_dir().to_str().unwrap().to_owned();
    let scratch = Server::start(crate::stage::MAJOR).unwrap();
    let url = scratch.socket_url("postgres");

    // On a server of the drill's own, and on one that is named, beside the live Temporal.
    for place in [["--postgres-bin", &bin], ["--scratch", &url]] {
        let arguments = [&place[..], &["--temporal-server", &server, "--sample", "all"]].concat();
        let found = drill(&stage, 0, &arguments);
        assert_eq!(found["verdict"], "PASS", "{found:#}");
        for name in ["Temporal: serves the copy", "Temporal: a ring of its own", CONTENT, BOTH] {
            assert_eq!(check(&found, name).0, "PASS");
        }
        assert!(found["measures"]["counts"]["histories"].as_u64().unwrap() >= 10, "{found:#}");
        let isolation = found["scratch"]["isolation"].to_string();
        assert!(isolation.contains("one member per ring"), "{isolation}");
        assert!(isolation.contains("timer_tasks"), "{isolation}");
        assert_eq!(found["scratch"]["gone"], true);
    }
    assert_eq!(live.ring_members().unwrap(), 1, "the live server has seen nobody");
    live.stop().unwrap();

    // One history loses its last batch, one run is gone from both databases, and one is archived
    // nowhere although windows cover its time.
    let runs = "SELECT btrim(run_id) FROM executions_visibility WHERE close_time IS NOT NULL AND \
                workflow_type_name NOT LIKE 'temporal%' ORDER BY close_time LIMIT 2";
    let runs = stage.server.psql("temporal_visibility", runs).unwrap();
    let [short, gone] = runs.lines().collect::<Vec<_>>()[..] else { panic!("{runs}") };
    let tree = |run: &str| format!("decode('{}', 'hex')", run.replace('-', ""));
    let cut = format!(
        "DELETE FROM history_node WHERE (tree_id, node_id) IN (SELECT tree_id, max(node_id) FROM \
         history_node WHERE tree_id = {} GROUP BY 1)",
        tree(short)
    );
    stage.server.psql("temporal", &cut).unwrap();
    let remove = format!(
        "DELETE FROM executions WHERE run_id = {id}; DELETE FROM current_executions WHERE run_id = {id}",
        id = tree(gone)
    );
    stage.server.psql("temporal", &remove).unwrap();
    let list = format!("DELETE FROM executions_visibility WHERE run_id = '{gone}'");
    stage.server.psql("temporal_visibility", &list).unwrap();
    stage.json(&["now", "export", "--no-prune"]);
    let arguments = ["--scratch", &url, "--temporal-server", &server, "--sample", "all"];
    let found = drill(&stage, 4, &arguments);
    let text = names(&found, CONTENT);
    assert!(text.contains(short), "{text}");
    let text = names(&found, BOTH);
    assert!(text.contains(&format!("{gone}: is archived and not in the database")), "{text}");

    // A schema that this server is too new or too old for.
    stage.server.psql("temporal", "UPDATE schema_version SET curr_version = '1.2'").unwrap();
    stage.json(&["now", "export", "--no-prune"]);
    let found = drill(&stage, 1, &arguments);
    crate::assert_only(&found, "Temporal: serves the copy", "NOT RUN", &["version"]);
    // A program that is none.
    let arguments = ["--scratch", &url, "--temporal-server", "/bin/false"];
    let found = drill(&stage, 1, &arguments);
    crate::assert_only(&found, "Temporal: serves the copy", "NOT RUN", &["ended with"]);
}
