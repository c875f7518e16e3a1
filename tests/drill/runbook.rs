//! The commands of `docs/restore.md`, as they stand, on real servers.

use std::path::Path;
use std::process::Command;

use harness::postgres::{PASSWORD, Server, client};
use harness::temporal;

use crate::stage::{MAJOR, Stage};

/// Headings and blocks of shell, in order.
enum Part {
    Heading(String),
    Shell(String),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match &mut block {
            Some(_) if line == "```" => parts.extend(block.take().map(Part::Shell)),
            Some(shell) => *shell += &format!("{line}\n"),
            None if line == "```sh" => block = Some(String::new()),
            None => {
                parts.extend(line.strip_prefix("## ").map(|text| Part::Heading(text.to_owned())));
            }
        }
    }
    parts
}

#[test]
fn every_command_of_the_restore_page_works_as_it_stands() {
    let mut stage = Stage::empty();
    let mut live = temporal::Server::start(&stage.server).unwrap();
    for (name, value) in live.env() {
        stage.set(name, value);
    }
    stage.set("AIDP_BACKUP_SETTLE", "1s");
    live.run_demo("default", 0, 4).unwrap();
    live.leave_open("default", 0, 2).unwrap();
    stage.json(&["now", "export"]);
    let closed = live.histories("default").unwrap();
    live.stop().unwrap();

    let target = Server::start(MAJOR).unwrap();
    let url =
        |database: &str| format!("postgresql://postgres@127.0.0.1:{}/{database}", target.port());
    // The programs that the page names, and no others of ours.
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_aidp-backup"));
    let stock = client(MAJOR).unwrap();
    for (program, name) in [
        (program.to_owned(), "aidp-backup"),
        (stock.bin_dir.join("pg_restore"), "pg_restore"),
        (stock.bin_dir.join("psql"), "psql"),
        (harness::temporal::install_cli().unwrap(), "temporal"),
    ] {
        std::os::unix::fs::symlink(program, folder.path().join(name)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/restore.md");
    let mut served: Option<temporal::Server> = None;
    let mut blocks = 0;
    for part in parts(&std::fs::read_to_string(page).unwrap()) {
        let shell = match part {
            Part::Heading(text) if text == "Start Temporal" => {
                served = Some(temporal::Server::options().existing().start(&target).unwrap());
                continue;
            }
            Part::Heading(_) => continue,
            Part::Shell(shell) => shell,
        };
        blocks += 1;
        // Everything that is left in a folder is gone with the test.
        let mut command = Command::new("sh");
        command.args(["-euc", &shell]).current_dir(folder.path()).env_clear();
        stage.server.env(&mut command);
        command
            .env("PATH", &path)
            .env("HOME", folder.path())
            .env("PGPASSWORD", PASSWORD)
            .env("AIDP_BACKUP_STORE", stage.store())
            .env("AIDP_BACKUP_SETTLE", "1s")
            .env("NEW_SERVER", url("postgres"))
            .env("NEW_TEMPORAL", url("temporal"))
            .env("NEW_VISIBILITY", url("temporal_visibility"));
        if let Some(served) = &served {
            command.env("TEMPORAL_ADDRESS", served.address());
        }
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        // What Temporal has and the archive has not is what this page warns of.
        let expected = if shell.contains("history gaps") { Some(1) } else { Some(0) };
        assert_eq!(code, expected, "{shell}\n{printed}");
        if shell.contains("drill report") {
            assert!(
                printed.contains("2 were open, and nothing is known of them since"),
                "{printed}"
            );
        }
    }
    assert!(blocks >= 7, "the page has lost its commands");
    let again = served.unwrap().histories("default").unwrap();
    for (run, digest) in &closed {
        assert_eq!(again.get(run), Some(digest), "{run}");
    }
    assert_eq!(target.psql("by_hand", "SELECT db_name FROM schema_version").unwrap(), "by_hand");
}
