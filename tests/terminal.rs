//! What a person sees who watches.

mod stage;

use std::process::{Command, Stdio};

use harness::proxy::Proxy;
use stage::Stage;

#[test]
fn on_a_terminal_a_bar_says_bytes_rows_rate_and_time_left() {
    let stage = Stage::new();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap();
    proxy.throttle(2_000_000);
    let url = format!("postgresql://postgres@127.0.0.1:{}/shop", proxy.port());
    let program = env!("CARGO_BIN_EXE_aidp-backup");
    // `script` gives its command a terminal.
    let typed = format!("stty cols 200 rows 40; exec '{program}' now export -d '{url}'");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &typed, "/dev/null"]);
    let like = stage.command(&[]);
    command.env_clear().stdin(Stdio::null());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "xterm");
    let ran = stage::run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let bars: Vec<&str> = ran.stdout.split(['\r', '\n']).collect();
    for word in ["copying  ", " %  ", " rows  ", "/s  ", " left"] {
        assert!(bars.iter().any(|bar| bar.contains(word)), "no {word:?} in {bars:?}");
    }
    let last = ran.stdout.trim_end().lines().next_back().unwrap_or_default();
    assert!(last.contains("exported "), "{last:?}");
}

#[test]
fn elsewhere_there_are_plain_lines_and_no_bar() {
    let stage = Stage::new();
    let ran = stage.run(&["now", "export", "-d", "shop"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains(['\r', '\u{1b}']), "{ran:?}");
    assert!(ran.stderr.lines().all(|line| line.contains(": ")), "{ran:?}");
    assert!(stage.run(&["-q", "now", "export", "-d", "shop"]).stderr.is_empty());
}
