//! What is exported comes back, by this program and by stock tools.

mod stage;

use std::collections::BTreeSet;

use serde_json::Value;
use stage::{SHOP_ROWS, Stage};

#[test]
fn an_export_verifies_and_restores_to_an_equal_database() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    assert_eq!(stage.ids(), std::slice::from_ref(&id));

    let verified = stage.json(&["verify", &id]);
    assert_eq!(verified["backups"][0]["good"], true);
    assert_eq!(verified["backups"][0]["rows"], SHOP_ROWS);

    let restored = stage.json(&["restore", &id, "--into", &stage.url("copy"), "--create"]);
    assert_eq!(restored["databases"][0]["into"], "copy");
    assert_eq!(restored["databases"][0]["rows"], SHOP_ROWS);
    stage.assert_equal("shop", "copy");
}

#[test]
fn stock_pg_restore_reads_the_store_in_place() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    let folder = stage.store().join(format!("exports/{id}/shop"));
    let folder = folder.to_str().unwrap();
    for (copy, jobs) in [("serial", "1"), ("parallel", "4")] {
        stage.server.createdb(copy).unwrap();
        stage.stock("pg_restore", &["--exit-on-error", "-j", jobs, "-d", copy, folder]);
        stage.assert_equal("shop", copy);
    }
}

#[test]
fn fetched_files_are_what_stock_pg_restore_reads() {
    let stage = Stage::new();
    stage.export(&["--compress", "gzip:1", "--data", "text"]);
    let dir = stage.path("fetched");
    let fetched = stage.json(&["fetch", "latest", dir.to_str().unwrap()]);
    let folder = fetched["databases"][0]["path"].as_str().unwrap();
    stage.server.createdb("copy").unwrap();
    stage.stock("pg_restore", &["--exit-on-error", "-d", "copy", folder]);
    stage.assert_equal("shop", "copy");
    stage.run(&["fetch", "latest", dir.to_str().unwrap()]).assert_fails(2, &["is not empty"]);
}

#[test]
fn temporals_two_databases_are_the_default() {
    let stage = Stage::empty();
    stage.shop("temporal");
    stage.shop("temporal_visibility");
    let mut command = stage.command(&["now", "export", "--json"]);
    command.env_remove("PGDATABASE");
    let ran = stage::run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let databases = &document["backup"]["databases"];
    assert_eq!(*databases, serde_json::json!(["temporal", "temporal_visibility"]));

    // Both go back together, each under its own name.
    for name in ["temporal", "temporal_visibility"] {
        stage.stock(
            "psql",
            &["-d", "postgres", "-c", &format!("ALTER DATABASE {name} RENAME TO old_{name}")],
        );
    }
    // While one of them cannot go in, none does.
    stage.server.createdb("temporal_visibility").unwrap();
    stage
        .run(&["restore", "latest", "--into", &stage.url("postgres"), "--create"])
        .assert_fails(1, &["\"temporal_visibility\" exists already", "hint: "]);
    let there = "SELECT count(*) FROM pg_database WHERE datname = 'temporal'";
    assert_eq!(stage.server.psql("postgres", there).unwrap(), "0");
    stage.server.dropdb("temporal_visibility").unwrap();
    stage.json(&["restore", "latest", "--into", &stage.url("postgres"), "--create"]);
    stage.assert_equal("old_temporal", "temporal");
    stage.assert_equal("old_temporal_visibility", "temporal_visibility");
}

#[test]
fn a_database_that_is_missing_leaves_the_others_kept() {
    let stage = Stage::new();
    let ran = stage.run(&["now", "export", "-d", "shop", "-d", "nowhere", "--json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let failed = &document["backup"]["failed"][0];
    assert_eq!(failed["name"], "nowhere");
    let error = failed["error"].as_str().unwrap();
    assert!(error.ends_with("database \"nowhere\" does not exist"), "{error}");
    stage.json(&["verify"]);

    // Whole and part-done exports of one set of databases are one group.
    stage.shop("nowhere");
    let whole = stage.json(&["now", "export", "-d", "shop", "-d", "nowhere"]);
    assert_eq!(whole["backup"]["group"], document["backup"]["group"]);
}

#[test]
fn a_selection_forms_a_group_of_its_own() {
    let stage = Stage::new();
    stage.export(&[]);
    stage.export(&["-t", "app.customer"]);
    stage.export(&["--schema-only"]);
    let list = stage.run(&["list", "--json"]);
    let groups: BTreeSet<String> = list
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["group"].to_string())
        .collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert_eq!(stage.json(&["verify", "latest"])["backups"][0]["rows"], 0);
}

#[test]
fn servers_that_hide_their_identifier_are_told_apart_by_their_address() {
    let stage = Stage::new();
    stage
        .server
        .psql(
            "shop",
            "CREATE ROLE reader; GRANT pg_read_all_data TO reader;
             GRANT SELECT ON LARGE OBJECT 4242 TO reader;
             REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        )
        .unwrap();
    let document = stage.json(&["now", "export", "-d", &stage.url("shop"), "--role", "reader"]);
    let group = format!("127.0.0.1:{}/shop", stage.server.port());
    assert_eq!(document["backup"]["group"], group.as_str());
}

#[test]
fn a_restore_into_a_database_that_is_not_empty_is_refused() {
    let stage = Stage::new();
    stage.export(&[]);
    let ran = stage.run(&["restore", "latest", "--into", &stage.url("shop")]);
    ran.assert_fails(1, &["is not empty", "hint: "]);
    stage.server.createdb("copy").unwrap();
    stage.server.psql("copy", "CREATE SCHEMA app").unwrap();
    stage
        .run(&["restore", "latest", "--into", &stage.url("copy")])
        .assert_fails(1, &["is not empty"]);
    stage.json(&["restore", "latest", "--into", &stage.url("copy"), "--clean"]);
    stage.assert_equal("shop", "copy");
}

#[test]
fn the_source_is_overwritten_only_when_told_and_never_while_it_is_in_use() {
    let stage = Stage::new();
    stage.export(&[]);
    stage.server.psql("shop", "CREATE TABLE app.since (a int)").unwrap();
    let url = stage.url("shop");
    let before = stage.content("shop");
    for more in [&["--clean"][..], &["--clean", "--create"]] {
        let over = [&["restore", "latest", "--into", &url][..], more].concat();
        stage.run(&over).assert_fails(1, &["is the very one", "--over-source"]);
        let user = stage.holding("shop", "SET statement_timeout = 0;");
        let told = [&over[..], &["--over-source"]].concat();
        stage.run(&told).assert_fails(1, &["in use by 1 session,", "hint: stop what uses it"]);
        user.finish("");
    }
    assert_eq!(stage.content("shop"), before);
    // A copy is nobody's source, and is not dropped from under its users either.
    stage.json(&["restore", "latest", "--into", &stage.url("copy"), "--create"]);
    let user = stage.holding("copy", "SET statement_timeout = 0;");
    let again = ["restore", "latest", "--into", &stage.url("copy"), "--clean"];
    stage.run(&again).assert_fails(1, &["\"copy\" is in use by 1 session"]);
    user.finish("");
    stage.json(&again);

    stage.json(&["restore", "latest", "--into", &url, "--clean", "--create", "--over-source"]);
    stage.assert_equal("shop", "copy");
    let alone = stage.run(&["restore", "latest", "--into", &url, "--over-source"]);
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert!(alone.stderr.contains("  --clean"), "{alone:?}");
}

#[test]
fn a_target_that_does_not_exist_or_is_the_servers_own_is_told_how_to_name() {
    let stage = Stage::new();
    stage.export(&[]);
    stage
        .run(&["restore", "latest", "--into", &stage.url("nowhere")])
        .assert_fails(1, &["there is no database \"nowhere\" there: add --create"]);
    for more in [&["--create"][..], &["--clean", "--create"]] {
        let url = stage.url("postgres");
        let into = ["restore", "latest", "--database", "shop", "--into", &url];
        let ran = stage.run(&[&into[..], more].concat());
        ran.assert_fails(1, &["\"postgres\" is the server's own", "--into names the database"]);
    }
}

#[test]
fn every_compression_and_form_of_data_comes_back() {
    let stage = Stage::new();
    for (number, (compress, data)) in
        [("none", "binary"), ("lz4", "auto"), ("gzip:6", "binary"), ("zstd:3", "text")]
            .into_iter()
            .enumerate()
    {
        let id = stage.export(&["--compress", compress, "--data", data, "--keep-last", "9"]);
        let copy = format!("copy{number}");
        stage.json(&["restore", &id, "--into", &stage.url(&copy), "--create"]);
        stage.assert_equal("shop", &copy);
    }
    assert_eq!(stage.json(&["verify", "--all"])["backups"].as_array().unwrap().len(), 4);
}

#[test]
fn retention_runs_after_an_export_and_leaves_what_it_keeps() {
    let stage = Stage::new();
    let first = stage.export(&["--keep-last", "2"]);
    let second = stage.export(&["--keep-last", "2"]);
    let third = stage.export(&["--keep-last", "2"]);
    assert_eq!(stage.ids(), [second.clone(), third.clone()]);
    assert!(stage.objects(&format!("exports/{first}")).is_empty());

    let fourth = stage.export(&["--keep-last", "1", "--no-prune"]);
    assert_eq!(stage.ids().len(), 3);
    let plan = stage.json(&["prune", "--keep-last", "1"]);
    assert!(plan["applied"].is_null());
    assert_eq!(stage.ids().len(), 3);
    stage.json(&["prune", "--keep-last", "1", "--apply"]);
    assert_eq!(stage.ids(), [fourth]);
}

#[test]
fn an_export_of_an_emptied_database_freezes_retention() {
    let stage = Stage::new();
    let good = stage.export(&["--keep-last", "1"]);
    stage.server.psql("shop", "TRUNCATE app.customer, app.purchase").unwrap();
    stage.export(&["--keep-last", "1"]);
    let last = stage.export(&["--keep-last", "1"]);
    assert_eq!(stage.ids().len(), 3);
    assert!(stage.ids().contains(&good));
    stage.json(&["prune", "--keep-last", "1", "--apply", "--accept-smaller", &last]);
    assert_eq!(stage.ids(), [last]);
}

#[test]
fn show_and_status_say_what_there_is() {
    let stage = Stage::new();
    let empty = stage.run(&["status"]);
    assert_eq!(empty.code, Some(1));
    assert!(empty.stderr.contains("there is no export yet"), "{empty:?}");
    assert!(empty.stderr.contains("hint: `aidp-backup now export`"), "{empty:?}");

    let id = stage.export(&[]);
    let shown = stage.json(&["show", &id[..12]]);
    assert_eq!(shown["backup"]["id"], id.as_str());
    let tables = shown["backup"]["databases"][0]["tables"].as_array().unwrap();
    assert!(tables.iter().any(|t| t["name"] == "purchase" && t["rows"] == 20_000));
    assert!(stage.run(&["show", "latest"]).stdout.contains("app.purchase"));

    assert_eq!(stage.json(&["status"])["groups"][0]["overdue"], false);
    let overdue = stage.run(&["status", "--overdue-after", "1s"]);
    // An export takes longer than it takes to ask: by now it is a second old, or we ask again.
    let overdue = if overdue.code == Some(0) {
        std::thread::sleep(std::time::Duration::from_secs(1));
        stage.run(&["status", "--overdue-after", "1s"])
    } else {
        overdue
    };
    assert_eq!(overdue.code, Some(1));
    assert!(overdue.stderr.contains("is overdue"), "{overdue:?}");
}

#[test]
fn standard_output_is_data_only() {
    let stage = Stage::new();
    let ran = stage.run(&["-v", "--json", "now", "export", "-d", "shop"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stdout.lines().count(), 1);
    serde_json::from_str::<Value>(&ran.stdout).unwrap();
    let ran = stage.run(&["--log-format", "json", "now", "export", "-d", "shop"]);
    for line in ran.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn settings_of_a_database_do_not_change_what_is_restored() {
    let stage = Stage::empty();
    stage.server.createdb("odd").unwrap();
    let run = |database: &str, sql: &str| stage.server.psql(database, sql).unwrap();
    run("odd", "CREATE TABLE g AS SELECT ARRAY['x', NULL] AS a");
    run("odd", "ALTER DATABASE odd SET array_nulls = off");
    run("odd", "ALTER DATABASE odd SET default_transaction_read_only = on");
    stage.json(&["now", "export", "-d", &stage.url("odd")]);
    run("postgres", "DROP DATABASE odd");
    stage.json(&[
        "restore",
        "latest",
        "--database",
        "odd",
        "--create",
        "--into",
        &stage.url("odd"),
    ]);
    assert_eq!(run("odd", "SELECT a[2] IS NULL FROM g").trim(), "t");
}

#[test]
fn text_without_an_encoding_does_not_go_into_a_database_with_one() {
    let stage = Stage::empty();
    let run = |database: &str, sql: &str| stage.server.psql(database, sql).unwrap();
    run(
        "postgres",
        "CREATE DATABASE raw ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    run("raw", "CREATE TABLE g AS SELECT 1 AS id, 'caf' || chr(233) AS a");
    run("postgres", "CREATE DATABASE encoded ENCODING 'UTF8' TEMPLATE template0");
    stage.json(&["now", "export", "-d", &stage.url("raw"), "--data", "text"]);
    let refused = stage.run(&["restore", "latest", "--into", &stage.url("encoded")]);
    refused.assert_fails(1, &["SQL_ASCII", "UTF8", "--create"]);
    let tables = "SELECT count(*) FROM pg_class WHERE relname = 'g'";
    assert_eq!(run("encoded", tables).trim(), "0");
    stage.json(&["restore", "latest", "--create", "--into", &stage.url("raw_copy")]);
    assert_eq!(run("raw_copy", "SELECT octet_length(a) FROM g").trim(), "4");
}
