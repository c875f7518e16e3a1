//! Servers live no longer than the process that started them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest end of everything on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// `harness up`, once it has said that everything runs, and its run folder.
fn up() -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["up", "--changes", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut folder = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(rest) = line.strip_prefix("export PGHOST=") {
            // …/PID-XXXX/pg17-0/socket
            folder = rest.rsplitn(3, '/').nth(2).unwrap().to_owned();
            assert!(fs::exists(&folder).unwrap());
        }
        if line.contains("Ctrl-C") {
            return (child, folder);
        }
    }
    panic!("harness up ended with {:?}", child.wait());
}

/// All processes below one.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().map(|text| text.parse().unwrap()) {
                found.insert(child);
                open.push(child);
            }
        }
    }
    found
}

fn wait_until_gone(pids: &BTreeSet<u32>) {
    let started = Instant::now();
    // A killed process that nobody has waited for yet is gone all the same.
    let lives = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
    };
    while let Some(pid) = pids.iter().find(|pid| lives(pid)) {
        assert!(started.elapsed() < LIMIT, "process {pid} outlives its owner");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn servers_die_with_a_killed_owner_and_the_next_one_sweeps_up() {
    let (mut owner, folder) = up();
    let servers = descendants(owner.id());
    assert!(servers.len() > 10, "{servers:?}");
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until_gone(&servers);
    // This one sweeps, or another process that has started meanwhile.
    let (mut next, _) = up();
    assert!(!fs::exists(&folder).unwrap());
    next.kill().unwrap();
    next.wait().unwrap();
}

#[test]
fn sigterm_stops_the_servers_in_order() {
    let (mut owner, folder) = up();
    let servers = descendants(owner.id());
    kill_process(Pid::from_child(&owner), Signal::TERM).unwrap();
    assert!(owner.wait().unwrap().success());
    wait_until_gone(&servers);
    // The folder itself goes with the next sweep, which may have been.
    assert_eq!(fs::read_dir(&folder).map_or(0, Iterator::count), 0);
}
