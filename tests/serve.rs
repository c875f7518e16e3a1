//! The sidecar, whole: it runs what is due, shows how things stand, ends in time, and lets nobody
//! do what is not theirs.

mod sidecar;
mod stage;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use harness::proxy::{Direction, Proxy};
use rustix::process::Signal;
use sidecar::{LIMIT, Listener, Sidecar, TOKEN};
use stage::Stage;

/// A sidecar of `shop`.
fn start(stage: &Stage, arguments: &[&str]) -> Sidecar {
    start_with(stage, &[&["-d", "shop"], arguments].concat())
}

fn start_with(stage: &Stage, arguments: &[&str]) -> Sidecar {
    let arguments: Vec<&str> = ["serve"].into_iter().chain(arguments.iter().copied()).collect();
    let mut command = stage.command(&arguments);
    command.env("AIDP_BACKUP_TOKEN", TOKEN).env("AIDP_BACKUP_ARCHIVE_SCHEDULE", "off");
    Sidecar::start(command)
}

/// A sidecar that reads `shop` through a slow line, and has begun to.
fn start_slowly(stage: &Stage, proxy: &Proxy, arguments: &[&str]) -> Sidecar {
    proxy.throttle(400_000);
    let url = format!("postgresql://postgres@127.0.0.1:{}/shop", proxy.port());
    let sidecar = start_with(stage, &[&["-d", &url], arguments].concat());
    assert!(proxy.wait_passed(Direction::Down, 300_000, LIMIT));
    sidecar
}

fn proxy(stage: &Stage) -> Proxy {
    Proxy::start(&format!("127.0.0.1:{}", stage.server.port())).unwrap()
}

#[test]
fn a_store_without_backups_gets_one_at_once_and_a_restart_makes_no_second() {
    let stage = Stage::new();
    let mut sidecar = start(&stage, &[]);
    sidecar.says("export begins (a run was missed)");
    sidecar.says("export is done");
    let job = sidecar.export_when(|job| job["lastGood"].is_object());
    assert_eq!(job["lastGood"]["rows"], stage::SHOP_ROWS);
    assert_eq!(job["next"]["why"], "schedule");
    assert_eq!(sidecar.get("/healthz").status, 200);
    assert_eq!(sidecar.get("/readyz").status, 200);
    let page = sidecar.get("/");
    assert!(page.body.contains("You could restore the state of"), "{}", page.body);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(!page.body.contains("src=") && !page.body.contains("<link"), "{}", page.body);
    let metrics = sidecar.get("/metrics").body;
    for sample in [
        "aidp_backup_up 1",
        "aidp_backup_configured{task=\"export\",source=\"shop\"} 1",
        "aidp_backup_backups{task=\"export\",source=\"shop\"} 1",
        "aidp_backup_last_rows{task=\"export\",source=\"shop\"} 23000",
        "aidp_backup_last_attempt_success{task=\"export\",source=\"shop\"} 1",
        "aidp_backup_runs_total{task=\"export\",outcome=\"done\"} 1",
        "aidp_backup_lease_held{lease=\"exports\"} 0",
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample}\n{metrics}");
    }
    sidecar.stop();

    let again = start(&stage, &[]);
    let job = again.export_when(|job| job["lastGood"].is_object());
    assert_eq!((job["running"].is_null(), &job["next"]["why"]), (true, &"schedule".into()));
    assert_eq!(again.status()["jobs"][0]["last"], serde_json::Value::Null);
    again.stop();
    assert_eq!(stage.ids().len(), 1);
}

#[test]
fn a_job_is_started_by_the_bearer_of_the_token_alone() {
    let stage = Stage::new();
    let mut sidecar = start(&stage, &["--export-schedule", "off"]);
    let path = "/api/v1/jobs/export";
    assert_eq!(sidecar.post(path, None).status, 401);
    assert_eq!(sidecar.post(path, Some("a-token-of-some-lengtH")).status, 401);
    assert_eq!(sidecar.post("/api/v1/jobs/nothing", Some(TOKEN)).status, 404);
    assert_eq!(sidecar.get(path).status, 405);
    assert!(sidecar.export_when(|job| job["running"].is_null())["last"].is_null());
    assert_eq!(sidecar.post(path, Some(TOKEN)).status, 202);
    sidecar.says("export begins (somebody asked for it)");
    sidecar.says("export is done");
    assert_eq!(stage.ids().len(), 1);
    sidecar.signal(Signal::TERM);
    sidecar.ends();
    assert!(sidecar.said.iter().all(|line| !line.contains(TOKEN)));

    // Without a token nobody can.
    let off = ["--export-schedule", "off", "--archive-schedule", "off"];
    let command = stage.command(&[&["serve", "-d", "shop"], &off[..]].concat());
    let read_only = Sidecar::start(command);
    let refused = read_only.post(path, Some(TOKEN));
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("read-only"), "{}", refused.body);
    read_only.stop();
}

#[test]
fn a_run_in_progress_at_sigterm_is_finished_when_the_grace_time_allows_it() {
    let stage = Stage::new();
    let mut sidecar = start(&stage, &["--grace", "60s"]);
    sidecar.says("export begins");
    sidecar.signal(Signal::TERM);
    sidecar.says("stopping");
    let status = sidecar.ends();
    assert!(status.success(), "{:#?}", sidecar.said);
    assert_eq!(stage.ids().len(), 1);
}

#[test]
fn a_run_in_progress_at_sigterm_is_cleanly_abandoned_when_the_grace_time_is_over() {
    let stage = Stage::new();
    let proxy = proxy(&stage);
    let mut sidecar = start_slowly(&stage, &proxy, &["--grace", "1s"]);
    let begun = Instant::now();
    sidecar.signal(Signal::TERM);
    let status = sidecar.ends();
    assert!(status.success() && begun.elapsed() < Duration::from_secs(12), "{:#?}", sidecar.said);
    assert!(sidecar.said.iter().any(|line| line.contains("is abandoned")));
    assert!(stage.ids().is_empty());
    // The lease is free at once.
    stage.export(&[]);
}

#[test]
fn of_two_schedulers_and_an_operator_one_runs_and_the_others_say_who() {
    let stage = Stage::new();
    let proxy = proxy(&stage);
    let mut first = start_slowly(&stage, &proxy, &[]);
    let mut second = start(&stage, &[]);
    let waits = second.says("has to wait");
    assert!(waits.contains("is held by process"), "{waits}");
    let job = second.export_when(|job| job["last"]["verdict"] == "leaseHeld");
    assert_eq!(job["next"]["why"], "busy");
    assert!(second.get("/metrics").body.contains("outcome=\"busy\"} 1"));
    stage.run(&["now", "export", "-d", "shop"]).assert_fails(5, &["is held by process"]);
    // The page of the one that runs says how far it is.
    assert!(first.get("/").body.contains("running"));
    assert_eq!(first.post("/api/v1/jobs/export", Some(TOKEN)).status, 409);
    proxy.heal();
    first.says("export is done");
    assert_eq!(stage.ids().len(), 1);
    second.stop();
    first.stop();
}

#[test]
fn a_changed_file_counts_at_once_and_a_wrong_one_not_at_all() {
    let stage = Stage::new();
    let (config, data) = (stage.path("data").join("c.toml"), stage.path("data"));
    let publish = |version: &str, schedule: &str| {
        let folder = stage.path(version);
        std::fs::create_dir(&folder).unwrap();
        let text = format!("[serve.export]\nschedule = \"{schedule}\"\n");
        std::fs::write(folder.join("c.toml"), text).unwrap();
        std::os::unix::fs::symlink(&folder, stage.path("new")).unwrap();
        std::fs::rename(stage.path("new"), &data).unwrap();
    };
    publish("v1", "off");
    let mut sidecar = start(&stage, &["--config", config.to_str().unwrap()]);
    let reloaded = |sidecar: &Sidecar, good: u8| {
        let sample = format!("aidp_backup_config_last_reload_success {good}");
        let metrics = sidecar.get("/metrics").body;
        assert!(metrics.lines().any(|line| line == sample), "{metrics}");
    };
    assert!(sidecar.export_when(|_| true)["schedule"].is_null());

    // A swapped link, as Kubernetes publishes a ConfigMap.
    publish("v2", "61 2 * * *");
    let refused = sidecar.says("is refused");
    assert!(refused.contains("61 2 * * *"), "{refused}");
    let job = sidecar.export_when(|_| true);
    assert!(job["schedule"].is_null());
    reloaded(&sidecar, 0);
    publish("v3", "30 4 1 1 *");
    sidecar.says("was read again");
    assert_eq!(sidecar.export_when(|_| true)["schedule"], "30 4 1 1 *");
    reloaded(&sidecar, 1);
    sidecar.says("export is done");
    sidecar.signal(Signal::HUP);
    sidecar.says("was read again");
    sidecar.stop();
}

#[test]
fn clients_that_say_nothing_or_too_much_keep_nobody_else_out() {
    let stage = Stage::empty();
    let sidecar = start(&stage, &["--export-schedule", "off"]);
    let idle: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect(&sidecar.address).unwrap()).collect();
    let begun = Instant::now();
    assert_eq!(sidecar.get("/healthz").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop(idle);
    let mut large = TcpStream::connect(&sidecar.address).unwrap();
    large.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!("GET / HTTP/1.1\r\nHost: here\r\nX: {}\r\n", "x".repeat(64 * 1024));
    // It may hang up before it has read everything.
    let _ = large.write_all(head.as_bytes());
    let mut answer = String::new();
    let _ = large.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(sidecar.get("/nothing").status, 404);
    sidecar.stop();
}

#[test]
fn people_are_told_once_when_it_breaks_and_once_when_it_heals() {
    let stage = Stage::empty();
    let people = Listener::start();
    let config = stage.path("c.toml");
    let address = &people.address;
    let text = format!(
        "[notify]\nping_url = \"http://{address}/ping\"\nslack_url = \"http://{address}/slack\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut sidecar = start(&stage, &["--config", config.to_str().unwrap()]);
    let hears = |count: usize| {
        let mut heard: Vec<_> = (0..count).map(|_| people.hears()).collect();
        heard.sort();
        heard
    };
    let broke = hears(3);
    let paths: Vec<&str> = broke.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(paths, ["POST /ping/fail", "POST /ping/start", "POST /slack"]);
    assert!(broke[0].1.contains("\"shop\" does not exist"), "{broke:?}");
    assert!(broke[2].1.contains("export failed"), "{broke:?}");
    // Still broken: no second message.
    sidecar.says("export failed");
    assert_eq!(sidecar.post("/api/v1/jobs/export", Some(TOKEN)).status, 202);
    sidecar.says("export failed");
    assert_eq!(hears(2).last().unwrap().0, "POST /ping/start");
    stage.shop("shop");
    assert_eq!(sidecar.post("/api/v1/jobs/export", Some(TOKEN)).status, 202);
    let healed = hears(3);
    assert!(healed[2].1.contains("works again"), "{healed:?}");
    assert_eq!(healed[0].0, "POST /ping");
    sidecar.stop();
}

#[test]
fn a_command_leaves_metrics_in_a_file_and_at_a_pushgateway() {
    let stage = Stage::new();
    let gateway = Listener::start();
    let (file, url) = (stage.path("aidp.prom"), format!("http://{}", gateway.address));
    stage.export(&["--metrics-textfile", file.to_str().unwrap(), "--pushgateway", &url]);
    let written = std::fs::read_to_string(&file).unwrap();
    let (what, pushed) = gateway.hears();
    assert_eq!(what, "PUT /metrics/job/aidp-backup/task/export");
    assert_eq!(written, pushed);
    assert!(written.contains("last_success_timestamp_seconds{task=\"export\",source=\"shop\"} "));
    assert!(written.contains("aidp_backup_last_attempt_exit_code{task=\"export\"} 0\n"));
    assert!(!written.contains("aidp_backup_up"), "a push outlives its process");

    // A failure is told too, and a gateway that is away fails nothing.
    let unwritable = stage.path("no-such-folder").join("x.prom");
    let arguments = ["now", "export", "-d", "nowhere", "--metrics-textfile"];
    let failed = stage.run(&[&arguments[..], &[file.to_str().unwrap()]].concat());
    assert_eq!(failed.code, Some(1));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("last_attempt_success{task=\"export\",source=\"nowhere\"} 0\n"),
        "{written}"
    );
    let arguments =
        ["--metrics-textfile", unwritable.to_str().unwrap(), "--pushgateway", "http://127.0.0.1:1"];
    stage.export(&arguments);
}
