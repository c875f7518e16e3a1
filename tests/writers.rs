//! An export taken while others write shows one moment: nothing half done, lost or twice.

mod stage;

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::postgres::client;
use stage::{MAJOR, Stage};

const ACCOUNTS: u64 = 24_000;

/// Large enough to be copied in parts by several connections.
const BANK: &str = "
    CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, note text NOT NULL);
    ALTER TABLE account ALTER note SET STORAGE PLAIN;
    INSERT INTO account SELECT i, 0, repeat(md5(i::text), 56) FROM generate_series(1, 24000) i;
    CREATE TABLE transfer (id bigserial PRIMARY KEY, amount bigint NOT NULL);
    CREATE TABLE counter (transfers bigint NOT NULL);
    INSERT INTO counter VALUES (0);
";

/// Each of these moves money and writes it down, in three tables and one transaction.
fn transfer(number: u64) -> String {
    let [from, to] = [number * 7919 % ACCOUNTS + 1, number * 104_729 % ACCOUNTS + 1];
    format!(
        "BEGIN; UPDATE account SET balance = balance - {number} WHERE id = {from}; \
         UPDATE account SET balance = balance + {number} WHERE id = {to}; \
         INSERT INTO transfer (amount) VALUES ({number}); \
         UPDATE counter SET transfers = transfers + 1; COMMIT;"
    )
}

/// Writes until told to stop; gives the number of transfers.
fn write(stage: &Stage, stop: &AtomicBool, begun: &AtomicBool) -> u64 {
    let mut psql = client(MAJOR).unwrap().command("psql");
    stage.server.env(&mut psql);
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "bank"]);
    let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut typed = psql.stdin.take().unwrap();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        writeln!(typed, "{}", transfer(number)).unwrap();
        begun.store(number > 100, Ordering::Relaxed);
    }
    drop(typed);
    assert!(psql.wait().unwrap().success());
    number
}

#[test]
fn an_export_beside_a_writer_is_one_moment_in_every_restore() {
    let stage = Stage::empty();
    stage.server.createdb("bank").unwrap();
    stage.server.psql("bank", BANK).unwrap();
    let (stop, begun) = (AtomicBool::new(false), AtomicBool::new(false));
    let (id, written) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&stage, &stop, &begun));
        while !begun.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let ran = stage.run(&["now", "export", "-d", "bank", "--jobs", "2", "--json"]);
        // First of all, so that a failure does not leave the writer writing for ever.
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().unwrap();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let exported: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        (exported["backup"]["id"].as_str().unwrap().to_owned(), written)
    });
    let shown = stage.json(&["show", &id]);
    let tables = shown["backup"]["databases"][0]["tables"].as_array().unwrap();
    let account = tables.iter().find(|table| table["name"] == "account").unwrap();
    assert!(account["chunks"].as_array().unwrap().len() > 1, "{account}");

    stage.json(&["restore", &id, "--into", &stage.url("ours"), "--create"]);
    let archive = stage.store().join(format!("exports/{id}/bank"));
    stage.server.createdb("stock").unwrap();
    let archive = archive.to_str().unwrap();
    stage.stock("pg_restore", &["--exit-on-error", "-j", "4", "-d", "stock", archive]);
    for copy in ["ours", "stock"] {
        let accounts = "SELECT count(*), count(DISTINCT id), sum(balance) FROM account";
        let expected = format!("{ACCOUNTS}|{ACCOUNTS}|0");
        assert_eq!(stage.server.psql(copy, accounts).unwrap(), expected, "{copy}");
        let transfers = "SELECT transfers, (SELECT count(*) FROM transfer), \
                         (SELECT max(id) FROM transfer) FROM counter";
        let transfers = stage.server.psql(copy, transfers).unwrap();
        let counts: Vec<u64> = transfers.split('|').map(|n| n.parse().unwrap()).collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{copy}: {transfers}");
        assert!((1..=written).contains(&counts[0]), "{copy}: {transfers} of {written}");
    }
    stage.assert_equal("ours", "stock");
}
