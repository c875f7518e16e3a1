//! Everything that can go wrong with the database side: a clear message, the right exit code,
//! and nothing lost.

mod stage;

use std::process::{Command, Stdio};
use std::time::Duration;

use harness::postgres::{Server, Tls};
use harness::proxy::{Direction, Proxy};
use stage::{MAJOR, Ran, Stage, run};

/// A first good export, then a failing one: the good one must still be all there is.
fn assert_nothing_lost(stage: &Stage, good: &str) {
    assert_eq!(stage.ids(), [good]);
    stage.json(&["verify", "--all"]);
    let stray = stage.objects("exports");
    assert!(stray.iter().all(|path| path.to_str().unwrap().contains(good)), "{stray:?}");
    stage.export(&["--keep-last", "9"]);
}

fn export_through(stage: &Stage, port: u16) -> Ran {
    let url = format!("postgresql://postgres@127.0.0.1:{port}/shop");
    stage.run(&["now", "export", "-d", &url])
}

#[test]
fn a_wrong_password_is_named_as_such() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    let mut command = stage.command(&["now", "export", "-d", &stage.url("shop")]);
    command.env("PGPASSWORD", "wrong-secret");
    let ran = run(command);
    ran.assert_fails(1, &["password authentication failed for user \"postgres\"", "hint: "]);
    assert!(!ran.stderr.contains("wrong-secret"));
    assert_nothing_lost(&stage, &good);
}

#[test]
fn an_unknown_host_is_named_as_such() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    let ran = stage.run(&["now", "export", "-d", "postgresql://no-such-host.invalid/shop"]);
    ran.assert_fails(1, &["no-such-host.invalid", "hint: "]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_server_that_does_not_listen_is_named_as_such() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    let port = proxy.port();
    drop(proxy);
    export_through(&stage, port).assert_fails(1, &[&port.to_string(), "hint: "]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_missing_database_alone_is_a_failure() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    stage
        .run(&["now", "export", "-d", "nowhere"])
        .assert_fails(1, &["\"nowhere\" does not exist", "hint: "]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_mistyped_host_is_settled_by_a_good_run() {
    let stage = Stage::new();
    export_through(&stage, 2).assert_fails(1, &["127.0.0.1"]);
    let failing = stage.run(&["status"]);
    assert!(
        failing.stderr.contains("the last export of shop at 127.0.0.1:2 failed"),
        "{failing:?}"
    );
    assert!(failing.stderr.contains("prune --forget"), "{failing:?}");
    let none = stage.run(&["status", "--group", "nosuch"]);
    assert!(!none.stderr.contains("127.0.0.1:2"), "{none:?}");

    stage.export(&[]);
    let good = stage.json(&["status"]);
    assert_eq!(good["failing"], serde_json::json!([]));
    assert_eq!(good["settled"][0]["source"], "shop at 127.0.0.1:2");
    let good = stage.run(&["status"]);
    assert!(good.code == Some(0) && !good.stderr.contains("error: "), "{good:?}");
}

#[test]
fn what_was_mistyped_can_be_forgotten_and_nothing_else() {
    let stage = Stage::new();
    let part = stage.run(&["now", "export", "-d", "shop", "-d", "shpo"]);
    assert_eq!(part.code, Some(3), "{part:?}");
    let group = stage.json_of(&["status"])["groups"][0]["group"].as_str().unwrap().to_owned();
    assert!(group.ends_with("/shop+shpo"), "{group}");
    // So far that part is the only copy.
    stage
        .run(&["prune", "--forget", &group, "--apply"])
        .assert_fails(2, &["no whole backup holds database \"shop\"", "hint: "]);
    let good = stage.export(&[]);
    assert_eq!(stage.run(&["status"]).code, Some(1));

    let planned = stage.run(&["prune", "--forget", &group]);
    assert!(planned.code == Some(0) && planned.stdout.contains("--apply"), "{planned:?}");
    assert_eq!(stage.ids().len(), 2);
    let done = stage.json(&["prune", "--forget", &group, "--apply"]);
    assert_eq!((done["records"].as_array().unwrap().len(), &done["applied"]), (1, &true.into()));
    assert_eq!(stage.ids(), [good]);
    let after = stage.run(&["status"]);
    assert!(after.code == Some(0) && !after.stderr.contains("error: "), "{after:?}");

    let whole = stage.json(&["status"])["groups"][0]["group"].as_str().unwrap().to_owned();
    stage
        .run(&["prune", "--forget", &whole, "--apply"])
        .assert_fails(2, &["has whole backups", "hint: "]);
    stage.run(&["prune", "--forget", "nosuch"]).assert_fails(2, &["\"nosuch\"", "hint: "]);
    assert_eq!(stage.ids().len(), 1);
}

#[test]
fn a_table_locked_by_ddl_stops_the_export_after_the_lock_timeout() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    let holder = stage.holding("shop", "BEGIN; LOCK TABLE app.purchase IN ACCESS EXCLUSIVE MODE;");
    let ran = stage.run(&["now", "export", "-d", "shop", "--lock-timeout", "1s"]);
    ran.assert_fails(1, &["could not lock", "purchase", "hint: ", "--lock-timeout"]);
    holder.finish("COMMIT;");
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_table_dropped_while_the_export_waits_for_it_is_named() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    // The export's snapshot still sees the table, and then has to wait for the one who drops it.
    let holder = stage.holding("shop", "BEGIN; DROP TABLE app.purchase CASCADE;");
    let mut command = stage.command(&["now", "export", "-d", "shop"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'";
    while stage.server.psql("postgres", waits).unwrap() != "1" {}
    holder.finish("COMMIT;");
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.assert_fails(1, &["table app.purchase", "was dropped or renamed", "hint: ", "run again"]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn an_expired_certificate_is_named_as_such() {
    let tls = Tls { expired: true, ..Tls::default() };
    let stage = Stage::on(Server::options(MAJOR).tls(tls).start().unwrap());
    stage.shop("shop");
    let good = stage.export(&[]);
    let authority = stage.server.certificates().unwrap().ca.display().to_string();
    let url = format!("{}?sslmode=verify-full&sslrootcert={authority}", stage.url("shop"));
    stage
        .run(&["now", "export", "-d", &url])
        .assert_fails(1, &["certificate", "hint: ", "has expired"]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_role_that_may_not_read_a_table_is_an_error_by_name() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    stage.server.psql("shop", "CREATE ROLE weak; GRANT CONNECT ON DATABASE shop TO weak").unwrap();
    let ran = stage.run(&["now", "export", "-d", "shop", "--role", "weak"]);
    ran.assert_fails(1, &["role \"weak\" may not read", "app.", "hint: GRANT pg_read_all_data"]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_connection_cut_in_the_middle_of_a_copy_fails_the_export() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    proxy.cut_after(Direction::Down, 1_500_000);
    let ran = export_through(&stage, proxy.port());
    assert!(proxy.cuts() > 0, "{ran:?}");
    ran.assert_fails(1, &["database \"shop\"", "hint: ", "server"]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_server_restarted_in_the_middle_of_a_copy_fails_the_export() {
    let mut stage = Stage::new();
    let good = stage.export(&[]);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    proxy.throttle(2_000_000);
    let url = format!("postgresql://postgres@127.0.0.1:{}/shop", proxy.port());
    let mut command = stage.command(&["now", "export", "-d", &url]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(proxy.wait_passed(Direction::Down, 500_000, Duration::from_secs(30)));
    stage.server.restart().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.assert_fails(1, &["database \"shop\"", "hint: ", "server"]);
    assert_nothing_lost(&stage, &good);
}

#[test]
fn a_second_run_while_one_holds_the_lease_ends_with_its_own_code() {
    let stage = Stage::new();
    let good = stage.export(&[]);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    proxy.throttle(500_000);
    let url = format!("postgresql://postgres@127.0.0.1:{}/shop", proxy.port());
    let mut command = stage.command(&["now", "export", "-d", &url, "--keep-last", "9"]);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(proxy.wait_passed(Direction::Down, 200_000, Duration::from_secs(30)));
    let second = stage.run(&["now", "export", "-d", "shop"]);
    second.assert_fails(5, &["is held by process", "hint: "]);
    stage.run(&["prune", "--apply"]).assert_fails(5, &["is held by"]);
    assert_eq!(stage.ids(), [good.as_str()]);
    proxy.heal();
    assert!(first.wait().unwrap().success());
    assert_eq!(stage.ids().len(), 2);
}

#[test]
fn a_full_disk_publishes_nothing_and_leaves_room() {
    let stage = Stage::new();
    let store = stage.path("small");
    std::fs::create_dir(&store).unwrap();
    // A file system of its own, seen by this command alone.
    let script = r#"
        mount -t tmpfs -o size=1m tmpfs "$SMALL" || exit 99
        "$AIDP" now export -d shop --compress none; echo "code $?"
        find "$SMALL/exports" -type f | sed 's/^/left /'
        "$AIDP" now export -d shop --schema-only --no-prune >/dev/null; echo "code $?"
        "$AIDP" verify --all; echo "code $?"
    "#;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]);
    stage.server.env(&mut command);
    command.env("SMALL", &store).env("AIDP_BACKUP_STORE", &store);
    command.env("AIDP", env!("CARGO_BIN_EXE_aidp-backup"));
    let ran = run(command);
    let codes: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("code")).collect();
    assert_eq!(codes, ["code 1", "code 0", "code 0"], "{ran:?}");
    assert!(!ran.stdout.contains("left "), "{ran:?}");
    assert!(ran.complaint().iter().any(|line| line.contains("No space left on device")), "{ran:?}");
    assert!(ran.complaint().iter().any(|line| line.starts_with("hint: ")), "{ran:?}");
}

#[test]
fn the_oldest_server_that_is_understood_is_read() {
    // PostgreSQL 13 is the oldest that is understood; a server of that age is still read.
    let old = Server::start(13).unwrap();
    let stage = Stage::empty();
    old.createdb("shop").unwrap();
    old.psql("shop", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)").unwrap();
    let mut command = stage.command(&["now", "export", "-d", "shop"]);
    old.env(&mut command);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
