//! The sidecar archives the histories of a real Temporal by a schedule of its own, tells how far the
//! archive reaches, and shows what is in it.

mod sidecar;
mod stage;

use std::collections::BTreeMap;

use harness::temporal::Server as Temporal;
use rustix::process::Signal;
use serde_json::Value;
use sidecar::{Listener, Sidecar, TOKEN};
use stage::Stage;

struct World {
    stage: Stage,
    temporal: Temporal,
}

impl World {
    fn new(changes: u32) -> Self {
        let mut stage = Stage::empty();
        let temporal = Temporal::start(&stage.server).unwrap();
        for (name, value) in temporal.env() {
            stage.set(name, value);
        }
        stage.set("AIDP_BACKUP_SETTLE", "1s");
        temporal.run_demo("default", 0, changes).unwrap();
        Self { stage, temporal }
    }

    /// A sidecar of the archive alone.
    fn sidecar(&self, arguments: &[&str]) -> Sidecar {
        let arguments = [&["serve", "--export-schedule", "off"], arguments].concat();
        let mut command = self.stage.command(&arguments);
        command.env("AIDP_BACKUP_TOKEN", TOKEN);
        Sidecar::start(command)
    }

    fn closed(&self) -> usize {
        self.temporal.cli().closed_runs("default").unwrap().len()
    }

    fn archived(&self) -> Vec<Value> {
        let ran = self.stage.run(&["history", "search", "--limit", "0", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Asks for runs until everything that is closed is archived: what has just closed has not
/// settled yet.
fn archive_all(world: &World, sidecar: &Sidecar) {
    let closed = world.closed();
    while world.archived().len() < closed {
        let before = sidecar.job_when("archive", |job| job["running"].is_null());
        let answer = sidecar.post("/api/v1/jobs/archive", Some(TOKEN));
        assert_eq!(answer.status, 202, "{answer:?}");
        sidecar.job_when("archive", |job| {
            job["running"].is_null() && job["last"]["run"] != before["last"]["run"]
        });
    }
}

/// Samples of a page of metrics: name and labels, value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn histories_are_archived_by_their_own_schedule_and_everything_says_how_far() {
    let mut world = World::new(12);
    let mut sidecar = world.sidecar(&["--archive-schedule", "30 4 1 1 *"]);
    sidecar.says("archive begins (a run was missed)");
    sidecar.says("archive is done");
    archive_all(&world, &sidecar);

    let job = sidecar.job_when("archive", |job| {
        job["running"].is_null() && job["record"]["finished"] == job["last"]["finished"]
    });
    let namespace = &job["namespaces"][0];
    assert_eq!(namespace["namespace"], "default");
    assert_eq!((&namespace["gaps"], &namespace["expiring"]), (&0.into(), &0.into()), "{job:#}");
    assert!(namespace["coveredUntil"].is_string() && namespace["lastSuccess"].is_string());
    assert_eq!(job["next"]["why"], "schedule");

    let metrics = samples(&sidecar.get("/metrics").body);
    let of =
        |name: &str| metrics.get(name).copied().unwrap_or_else(|| panic!("{name} {metrics:#?}"));
    let by_namespace = |name: &str| of(&format!("{name}{{temporal_namespace=\"default\"}}"));
    let watermark = by_namespace("aidp_backup_archive_watermark_timestamp_seconds");
    let now = chrono::Utc::now().timestamp() as f64;
    assert!(watermark > now - 4000.0 && watermark <= now, "{watermark}");
    assert!(by_namespace("aidp_backup_temporal_retention_seconds") >= 86_400.0);
    assert_eq!(by_namespace("aidp_backup_archive_gaps"), 0.0);
    assert_eq!(by_namespace("aidp_backup_archive_expiring_runs"), 0.0);
    assert_eq!(by_namespace("aidp_backup_archived_runs_total"), world.closed() as f64);
    let of_source = |name: &str| of(&format!("{name}{{task=\"archive\",source=\"default\"}}"));
    assert_eq!(of_source("aidp_backup_last_attempt_success"), 1.0);
    assert!(of_source("aidp_backup_last_success_timestamp_seconds") > now - 600.0);
    assert!(of_source("aidp_backup_last_duration_seconds") > 0.0);
    assert_eq!(of_source("aidp_backup_configured"), 1.0);
    assert_eq!(of("aidp_backup_lease_held{lease=\"histories\"}"), 0.0);
    let page = sidecar.get("/").body;
    assert!(page.contains("Archive of histories") && page.contains("Archived up to"), "{page}");
    sidecar.stop();

    // A restart asks the store, and archives nothing that need not be.
    let mut again = world.sidecar(&["--archive-schedule", "30 4 1 1 *"]);
    let job = again.job_when("archive", |job| job["record"].is_object());
    assert_eq!((job["last"].is_null(), job["running"].is_null()), (true, true), "{job:#}");
    assert_eq!(job["next"]["why"], "schedule");

    // A server that is away is an error of the run; what is known of the namespaces stays.
    world.temporal.stop().unwrap();
    assert_eq!(again.post("/api/v1/jobs/archive", Some(TOKEN)).status, 202);
    again.says("archive failed");
    let job = again.job_when("archive", |job| job["record"]["done"] == false);
    // The year's slot is done; somebody only asked for more.
    assert_eq!(job["next"]["why"], "schedule", "{job:#}");
    assert_eq!(job["namespaces"][0]["done"], false);
    assert_eq!(job["namespaces"][0]["expiring"], Value::Null);
    assert!(job["namespaces"][0]["coveredUntil"].is_string());
    let metrics = samples(&again.get("/metrics").body);
    let failed = "aidp_backup_last_attempt_success{task=\"archive\",source=\"default\"}";
    assert_eq!(metrics[failed], 0.0);
    again.signal(Signal::TERM);
    assert!(again.ends().success());
}

#[test]
fn archived_histories_are_searched_shown_and_downloaded_in_a_browser() {
    let world = World::new(24);
    let sidecar = world.sidecar(&["--archive-schedule", "off"]);
    let empty = sidecar.get("/histories");
    assert_eq!(empty.status, 200);
    assert!(empty.body.contains("No archived run is like this"), "{}", empty.body);
    archive_all(&world, &sidecar);
    let archived = world.archived();

    // Page by page every run comes once.
    let mut found = Vec::new();
    let mut path = "/histories".to_owned();
    loop {
        let page = sidecar.get(&path);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(!page.body.contains("<script") && !page.body.contains("src="), "{}", page.body);
        assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
        found.extend(links(&page.body, "/histories/run?"));
        match links(&page.body, "/histories?").into_iter().find(|link| link.contains("after=")) {
            Some(next) => path = next,
            None => break,
        }
    }
    let mut once = found.clone();
    once.sort();
    once.dedup();
    assert_eq!((found.len(), once.len()), (archived.len(), archived.len()));
    assert!(archived.len() > 50, "two pages at least");

    let of =
        |query: &str| links(&sidecar.get(&format!("/histories?{query}")).body, "/histories/run?");
    let failed = "WORKFLOW_EXECUTION_STATUS_FAILED";
    let count = |is: &dyn Fn(&Value) -> bool| archived.iter().filter(|run| is(run)).count();
    assert_eq!(of("status=FAILED").len(), count(&|run| run["status"] == failed));
    let prefix = |run: &Value| run["workflowId"].as_str().unwrap().starts_with("change-1/");
    assert_eq!(of("workflow=change-1%2F").len(), count(&prefix));
    assert_eq!(of("type=ApplyPart&status=FAILED&until=2020-01-01T00:00").len(), 0);
    assert_eq!(of("namespace=def*&since=2020-01-01&type=Nothing").len(), 0);
    for (wrong, says) in [("status=BORED", "BORED"), ("since=soon", "soon"), ("after=x", "page")] {
        let refused = sidecar.get(&format!("/histories?{wrong}"));
        assert_eq!(refused.status, 400, "{wrong}");
        assert!(refused.body.contains(says), "{}", refused.body);
    }

    // One run: its events with what their payloads say, and the same as a file.
    let one = of("workflow=change-0&type=ChangePipeline").remove(0);
    let shown = sidecar.get(&one);
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("WorkflowExecutionStarted"), "{}", shown.body);
    assert!(
        shown.body.contains("aidp/core") || shown.body.contains("repository"),
        "{}",
        shown.body
    );
    let file = links(&shown.body, "/histories/run.json?").remove(0);
    let file = sidecar.get(&file);
    assert!(file.head.contains("content-disposition: attachment; filename="), "{}", file.head);
    let run_id = one.split("run=").nth(1).unwrap();
    let stock = world.temporal.cli().history("default", "change-0", run_id).unwrap();
    assert_eq!(unchunked(&file.body), stock.to_string());

    let unknown = sidecar.get("/histories/run?namespace=default&workflow=%3Cb%3E&run=x");
    assert_eq!(unknown.status, 404);
    assert!(!unknown.body.contains("<b>"), "{}", unknown.body);
    sidecar.stop();

    // Whoever does not want them shown turns them off.
    let closed = world.sidecar(&["--archive-schedule", "off", "--browse", "false"]);
    for path in ["/histories", one.as_str()] {
        assert_eq!(closed.get(path).status, 404);
    }
    assert!(!closed.get("/").body.contains("/histories"));
    closed.stop();
}

#[test]
fn a_command_tells_the_same_of_archiving_as_of_an_export() {
    let world = World::new(2);
    let people = Listener::start();
    let (file, config) = (world.stage.path("aidp.prom"), world.stage.path("c.toml"));
    let text = format!(
        "[notify]\narchive_ping_url = \"http://{0}/ping\"\nslack_url = \"http://{0}/slack\"\n",
        people.address
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["now", "archive", "--config", config.to_str().unwrap(), "--metrics-textfile"];
    let arguments = [&arguments[..], &[file.to_str().unwrap()]].concat();
    let gateway = format!("http://{}", people.address);
    let hears = |count: usize| {
        let mut heard: Vec<_> = (0..count).map(|_| people.hears()).collect();
        heard.sort();
        heard.into_iter().map(|(what, _)| what).collect::<Vec<_>>()
    };
    world.stage.json(&[&arguments[..], &["--pushgateway", &gateway]].concat());
    assert_eq!(
        hears(3),
        ["POST /ping", "POST /ping/start", "PUT /metrics/job/aidp-backup/task/archive"]
    );
    let written = samples(&std::fs::read_to_string(&file).unwrap());
    let good = "aidp_backup_last_attempt_success{task=\"archive\",source=\"default\"}";
    assert_eq!(written[good], 1.0);
    assert_eq!(written["aidp_backup_archive_gaps{temporal_namespace=\"default\"}"], 0.0);
    assert_eq!(written["aidp_backup_last_attempt_exit_code{task=\"archive\"}"], 0.0);

    // What breaks is told once, by whatever process, and once when it works again.
    let away = [&arguments[..], &["--temporal-address", "127.0.0.1:1"]].concat();
    assert_eq!(world.stage.run(&away).code, Some(1));
    assert_eq!(hears(3), ["POST /ping/fail", "POST /ping/start", "POST /slack"]);
    assert_eq!(samples(&std::fs::read_to_string(&file).unwrap())[good], 0.0);
    assert_eq!(world.stage.run(&away).code, Some(1));
    assert_eq!(hears(2), ["POST /ping/fail", "POST /ping/start"]);
    world.stage.json(&arguments);
    assert_eq!(hears(3), ["POST /ping", "POST /ping/start", "POST /slack"]);
}

/// Addresses in a page that begin so, each as often as it is there.
fn links(page: &str, begin: &str) -> Vec<String> {
    let hrefs = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    hrefs
        .filter(|href| href.starts_with(begin))
        .map(|href| href.replace("&amp;", "&").replace("%2F", "/").replace("%3A", ":"))
        .collect()
}

/// A body that came in chunks.
fn unchunked(body: &str) -> String {
    let mut text = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        text.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    text
}
