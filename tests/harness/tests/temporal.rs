//! The Temporal part of the harness itself.

use harness::postgres::Server as Postgres;
use harness::temporal::{Server, freeze};

#[test]
fn demo_workflows_end_in_every_way_and_survive_restarts() {
    let postgres = Postgres::start(16).unwrap();
    let mut server = Server::options().namespace("second", 30).start(&postgres).unwrap();
    assert_eq!(server.ring_members().unwrap(), 1);
    let demo = server.run_demo("default", 0, 24).unwrap();
    for status in ["Completed", "Failed", "Canceled", "Terminated", "TimedOut", "ContinuedAsNew"] {
        assert!(demo.statuses[status] > 0, "{demo:?}");
    }
    assert_eq!(demo.statuses["Running"], 0);
    server.leave_open("second", 0, 2).unwrap();

    let address = server.address();
    let listed = server.cli().closed_runs("default").unwrap();
    assert_eq!(listed.len() as u64, demo.closed);
    server.restart().unwrap();
    server.kill9().unwrap();
    assert!(server.cli().closed_runs("default").is_err());
    server.restart().unwrap();
    assert_eq!(server.address(), address);
    assert_eq!(server.cli().closed_runs("default").unwrap(), listed);
    assert!(server.cli().closed_runs("second").unwrap().is_empty());
}

#[test]
fn second_server_on_a_copy_has_a_ring_of_its_own_and_the_same_histories() {
    let postgres = Postgres::start(16).unwrap();
    let server = Server::start(&postgres).unwrap();
    server.run_demo("default", 0, 6).unwrap();
    let listed = server.cli().closed_runs("default").unwrap();
    server.leave_open("default", 0, 2).unwrap();
    let histories = server.histories("default").unwrap();
    assert_eq!(histories.len(), listed.len());
    drop(server);
    for (from, to) in [("temporal", "main copy"), ("temporal_visibility", "visibility copy")] {
        postgres.psql("postgres", &format!("CREATE DATABASE \"{to}\" TEMPLATE {from}")).unwrap();
        postgres.psql(to, &format!("UPDATE schema_version SET db_name = '{to}'")).unwrap();
    }
    freeze(&postgres, "main copy").unwrap();
    let copy = Server::options()
        .databases("main copy", "visibility copy")
        .existing()
        .start(&postgres)
        .unwrap();
    assert_eq!(copy.ring_members().unwrap(), 1);
    assert_eq!(copy.cli().closed_runs("default").unwrap(), listed);
    assert_eq!(copy.histories("default").unwrap(), histories);
    // Frozen, it has no tasks left: a signal makes new ones, and the changes go on.
    let demo = copy.approve_open("default", 0, 2).unwrap();
    assert_eq!(demo.statuses["Running"], 0);
}
