//! Asked to stop: ends within seconds, publishes nothing, gives the lease back.

mod stage;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use harness::proxy::{Direction, Proxy};
use rustix::process::{Pid, Signal, kill_process};
use stage::Stage;

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// An export over a slow line that has begun to copy.
fn slow_export(stage: &Stage, proxy: &Proxy) -> Child {
    proxy.throttle(400_000);
    let url = format!("postgresql://postgres@127.0.0.1:{}/shop", proxy.port());
    let mut command = stage.command(&["now", "export", "-d", &url]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(proxy.wait_passed(Direction::Down, 300_000, Duration::from_secs(30)));
    child
}

fn assert_stops(how: Signal) {
    let stage = Stage::new();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    let child = slow_export(&stage, &proxy);
    let begun = Instant::now();
    signal(&child, how);
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: stopped on request"), "{stderr}");
    assert!(stage.ids().is_empty());
    // The lease is free at once.
    let begun = Instant::now();
    stage.export(&[]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(stage.ids().len(), 1);
}

#[test]
fn an_export_stopped_by_sigterm_ends_within_seconds_and_leaves_nothing() {
    assert_stops(Signal::TERM);
}

#[test]
fn an_export_stopped_by_sigint_ends_within_seconds_and_leaves_nothing() {
    assert_stops(Signal::INT);
}

#[test]
fn a_stopped_restore_says_what_state_the_target_is_in() {
    let stage = Stage::new();
    stage.export(&[]);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    proxy.throttle(200_000);
    let url = format!("postgresql://postgres@127.0.0.1:{}/copy", proxy.port());
    let mut command = stage.command(&["restore", "latest", "--into", &url, "--create"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(proxy.wait_passed(Direction::Up, 100_000, Duration::from_secs(30)));
    let begun = Instant::now();
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("\"copy\" is left partly restored"), "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
}
