//! A drill that is killed leaves nothing running, and nothing that the next one does not remove.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::drill;
use crate::good::left;
use crate::stage::Stage;

/// Drills that are killed; the harness kills hundreds.
const KILLS: u32 = 4;

/// Processes whose command line holds `text`.
fn processes(text: &str) -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    })
    .collect()
}

/// Folders of drills by this user.
fn folders() -> BTreeSet<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let root = std::env::temp_dir().join(format!("aidp-drill-{uid}"));
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Kills a drill at a random moment of the time that a whole one takes.
fn kill_one(stage: &Stage, arguments: &[&str], whole: Duration) {
    let arguments: Vec<&str> = ["drill", "database"].iter().chain(arguments).copied().collect();
    let mut command = stage.command(&arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The moment is the point here, so this is a wait and no hope for something to happen.
    std::thread::sleep(whole.mul_f64(rand::rng().random_range(0.0..1.0)));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_drills_leave_nothing_on_a_named_server_after_the_next_one() {
    let stage = Stage::new();
    stage.export(&[]);
    let scratch = stage.url("postgres");
    let began = Instant::now();
    drill(&stage, 0, &["--scratch", &scratch]);
    let whole = began.elapsed();
    for _ in 0..KILLS {
        kill_one(&stage, &["--scratch", &scratch], whole);
    }
    drill(&stage, 0, &["--scratch", &scratch]);
    assert_eq!(left(&stage), "");
}

#[test]
fn killed_drills_leave_no_server_running_and_their_folders_go_with_the_next_one() {
    let stage = Stage::new();
    stage.export(&[]);
    let bin = stage.server.bin_dir().to_str().unwrap().to_owned();
    let began = Instant::now();
    drill(&stage, 0, &["--postgres-bin", &bin]);
    let whole = began.elapsed();
    let mut left_over = BTreeSet::new();
    for _ in 0..KILLS {
        let before = folders();
        kill_one(&stage, &["--postgres-bin", &bin], whole);
        // Folders of other tests that run at the same time are not ours to judge: they are gone
        // when those have ended.
        left_over.extend(folders().difference(&before).cloned());
    }
    drill(&stage, 0, &["--postgres-bin", &bin]);
    for folder in left_over {
        let text = folder.to_str().unwrap().to_owned();
        // The kernel ends the server with the drill; that takes a moment.
        let ended = Instant::now();
        while !processes(&text).is_empty() && ended.elapsed() < Duration::from_secs(30) {
            std::thread::yield_now();
        }
        let running = processes(&text);
        assert!(!folder.exists() || !running.is_empty(), "{text} is left, and nobody uses it");
    }
}
