//! Temporal's own databases: exported while its workers are busy, restored as a pair, and served
//! by another Temporal server.

mod stage;

use harness::compare::{contents, differences, first_difference, sorted_schema};
use harness::postgres::{Server, clients};
use harness::temporal;
use stage::Stage;

const DATABASES: [&str; 2] = ["temporal", "temporal_visibility"];

/// Workflows that wait for an approval.
const OPEN: u32 = 2;

fn export(stage: &Stage, more: &[&str]) -> String {
    let arguments: Vec<&str> =
        ["now", "export", "--no-prune"].iter().chain(more).copied().collect();
    stage.json(&arguments)["backup"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_on_the_restored_pair_serves_every_closed_history_unchanged() {
    let stage = Stage::empty();
    let mut live = temporal::Server::start(&stage.server).unwrap();
    live.run_demo("default", 0, 8).unwrap();
    live.leave_open("default", 0, OPEN).unwrap();
    let histories = live.histories("default").unwrap();

    let busy = std::thread::scope(|scope| {
        let workers = scope.spawn(|| live.run_demo("default", 100, 6));
        let mut last = export(&stage, &[]);
        while !workers.is_finished() {
            last = export(&stage, &[]);
        }
        workers.join().unwrap().unwrap();
        last
    });
    live.stop().unwrap();
    every_stock_pg_restore_gives_equal_databases(&stage);

    let target = Server::start(stage::MAJOR).unwrap();
    let into = target.socket_url("postgres");
    let restored = stage.json(&["restore", &busy, "--create", "--into", &into]);
    let main = &restored["databases"][0]["temporal"];
    assert!(main["settled"]["membersRemoved"].as_u64().unwrap() > 0, "{main}");
    let namespaces = main["outlook"]["namespaces"].as_array().unwrap();
    let default = namespaces.iter().find(|namespace| namespace["name"] == "default").unwrap();
    assert!(default["openWorkflows"].as_u64().unwrap() >= u64::from(OPEN), "{default}");

    let copy = temporal::Server::options().existing().start(&target).unwrap();
    assert_eq!(copy.ring_members().unwrap(), 1);
    let served = copy.histories("default").unwrap();
    for (run, digest) in &histories {
        assert_eq!(served.get(run), Some(digest), "{run}");
    }
}

/// At rest, so that every row can be compared.
fn every_stock_pg_restore_gives_equal_databases(stage: &Stage) {
    let server = &stage.server;
    let id = export(stage, &["--compress", "gzip"]);
    for (number, stock) in clients().unwrap().iter().enumerate() {
        for database in DATABASES {
            let archive = stage.store().join(format!("exports/{id}/{database}"));
            server.createdb("copy").unwrap();
            let mut command = stock.command("pg_restore");
            // Serial and parallel by turns: the whole matrix is a command of the harness.
            command.args(["-d", "copy", "-j", if number % 2 == 0 { "1" } else { "4" }]);
            if stock.major <= stage::MAJOR {
                command.arg("--exit-on-error");
            }
            let output = server.env(command.arg(&archive)).output().unwrap();
            let messages = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {messages}", stock.version);
            let judge = harness::postgres::client(stage::MAJOR).unwrap();
            let schema = |name| sorted_schema(&judge, server, name).unwrap();
            assert_eq!(first_difference(&schema(database), &schema("copy")), None);
            let [original, copy] = [database, "copy"].map(|name| contents(server, name).unwrap());
            assert_eq!(differences(&original, &copy), Vec::<String>::new(), "{}", stock.version);
            server.dropdb("copy").unwrap();
        }
    }
}
