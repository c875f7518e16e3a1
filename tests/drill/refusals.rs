//! What cannot be looked at is never a pass, and says why.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use harness::postgres::Server;

use crate::good::left;
use crate::stage::Stage;
use crate::{assert_only, check, drill};

#[test]
fn a_server_that_is_too_old_is_no_scratch() {
    let stage = Stage::on(Server::start(18).unwrap());
    stage.shop("shop");
    stage.export(&[]);
    let older = Server::start(15).unwrap();
    let found = drill(&stage, 1, &["--scratch", &older.socket_url("postgres")]);
    assert_only(&found, "restore", "NOT RUN", &["older 15", "newer major version"]);
    assert_eq!(found["verdict"], "NOT RUN");
}

#[test]
fn an_extension_that_the_scratch_lacks_is_named() {
    let stage = Stage::new();
    stage.server.psql("shop", "CREATE EXTENSION hstore; CREATE TABLE app.h (h hstore)").unwrap();
    stage.export(&[]);
    // The same programs, but for one extension.
    let bin = stage.server.bin_dir();
    let copy = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let native = bin.parent().unwrap();
    let copied = Command::new("cp").arg("-a").arg(native).arg(copy.path().join("native")).status();
    assert!(copied.unwrap().success());
    let share =
        Command::new("find").arg(copy.path()).args(["-name", "hstore.control", "-delete"]).status();
    assert!(share.unwrap().success());
    let bin = copy.path().join("native/bin");
    let found = drill(&stage, 1, &["--postgres-bin", bin.to_str().unwrap()]);
    assert_only(&found, "restore", "NOT RUN", &["lacks extension \\\"hstore\\\""]);
}

#[test]
fn a_scratch_without_room_says_nothing_about_the_backup() {
    let stage = Stage::new();
    stage
        .server
        .psql("shop", "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 8) AS t FROM generate_series(1, 120000) i")
        .unwrap();
    stage.export(&[]);
    let small = Server::start(crate::stage::MAJOR).unwrap();
    // No file may grow beyond 18 MB: log segments fit, the table does not.
    let pid = small.pid().unwrap().to_string();
    // Whoever runs the server may limit it, and nobody else.
    let facts = std::fs::metadata(format!("/proc/{pid}")).unwrap();
    let mut limit = Command::new("setpriv");
    if facts.uid() != rustix::process::geteuid().as_raw() {
        let (uid, gid) = (facts.uid().to_string(), facts.gid().to_string());
        limit.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]);
    }
    let limited = limit.args(["--", "prlimit", "--pid", &pid, "--fsize=18000000"]).status();
    assert!(limited.unwrap().success());
    let found = drill(&stage, 1, &["--scratch", &small.socket_url("postgres")]);
    assert_only(&found, "restore", "NOT RUN", &["big", "could not"]);
    assert_eq!(found["scratch"]["gone"], true);
}

#[test]
fn a_scratch_that_is_away_and_one_that_is_none_are_named() {
    let stage = Stage::new();
    stage.export(&[]);
    let found = drill(&stage, 1, &["--scratch", "postgresql://postgres@127.0.0.1:1/postgres"]);
    assert_only(&found, "scratch", "NOT RUN", &["127.0.0.1:1"]);
    let found = drill(&stage, 1, &["--postgres-bin", "/nowhere"]);
    assert_only(&found, "scratch", "NOT RUN", &["/nowhere holds no initdb"]);
    let ran = stage.run(&["drill", "database"]);
    ran.assert_fails(2, &["nobody said what to restore into", "hint: give --scratch"]);
    let ran = stage.run(&["drill"]);
    ran.assert_fails(2, &["no drill is configured"]);
    let ran = stage.run(&["drill", "database", "--scratch", "postgresql://u:secret@h/d"]);
    ran.assert_fails(2, &["--scratch holds a password"]);
}

#[test]
fn a_script_and_a_part_done_backup_are_no_pass() {
    let stage = Stage::new();
    let id = stage.export(&["--format", "plain"]);
    let found = drill(&stage, 1, &[&id, "--scratch", &stage.url("postgres")]);
    assert_eq!(check(&found, "restore").0, "NOT RUN");
    let ran = stage.run(&["now", "export", "-d", "shop", "-d", "absent", "--json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let found = drill(&stage, 1, &["--scratch", &stage.url("postgres")]);
    let (result, text) = check(&found, "restore");
    assert_eq!(result, "NOT RUN");
    assert!(text.contains("absent"), "{text}");
}

#[test]
fn nothing_is_written_but_the_report_where_all_else_is_read_only() {
    let stage = Stage::new();
    stage.export(&[]);
    // Names, sizes and times: a file that was written again would differ.
    let facts = |stage: &Stage| {
        let mut objects = stage.objects("");
        objects.retain(|path| !path.starts_with(stage.store().join("drills")));
        let facts = |path: std::path::PathBuf| {
            let facts = path.metadata().unwrap();
            (path, facts.len(), facts.modified().unwrap())
        };
        objects.into_iter().map(facts).collect::<Vec<_>>()
    };
    let before = (stage.content("shop"), facts(&stage));
    stage.server.psql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'harness'; GRANT pg_read_all_data TO reader; CREATE ROLE drill LOGIN CREATEDB PASSWORD 'harness'; GRANT pg_read_all_data TO drill").unwrap();
    let scratch = stage.url("postgres").replace("postgres@", "drill@");
    let ran = crate::stage::run({
        let mut command = stage.command(&["drill", "database", "--json", "--scratch", &scratch]);
        command.env("PGUSER", "reader");
        command
    });
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = crate::evidence(&ran);
    // The drill's role is none of the owners: that is shown, and is no failure.
    assert_eq!(check(&found, "owners and grants").0, "NOT RUN");
    assert_eq!((stage.content("shop"), facts(&stage)), before);
    assert_eq!(left(&stage), "");
}
