//! What goes wrong around the archive: a clear message with a hint, the right exit code, nothing
//! lost, and a next run that completes.

mod stage;

use std::process::Command;
use std::sync::{LazyLock, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use harness::clock::wrong_clock;
use harness::minio;
use harness::postgres::Tls;
use harness::proxy::{Direction, Proxy};
use harness::temporal::{Server as Temporal, Tokens};
use serde_json::{Value, json};
use stage::served::{Archive, Served, wait};
use stage::{Ran, run};

/// Changes that are in `default`.
const CHANGES: u32 = 12;

/// Tests that restart the server have it alone.
static SERVED: LazyLock<RwLock<Served>> = LazyLock::new(|| {
    let served = Served::start(Temporal::options().namespace("brief", 7).namespace("clock", 7));
    served.temporal.run_demo("default", 0, CHANGES).unwrap();
    served.terminated("brief", 6);
    RwLock::new(served)
});

const DEFAULT: [&str; 4] = ["now", "archive", "-n", "default"];

/// Nothing is published or left, and the next run completes.
fn assert_nothing_lost(archive: &Archive, served: &Served) {
    assert_eq!(archive.archived().len(), 0);
    assert_eq!(archive.objects("histories"), Vec::<std::path::PathBuf>::new());
    archive.until_whole(served, "default", &[]);
}

#[test]
fn server_restarted_while_histories_are_fetched_is_waited_for() {
    let mut served = SERVED.write().unwrap();
    let archive = Archive::of(&served);
    let archived = archive.begin_slowly("brief", &["-n", "brief"]);
    served.temporal.kill9().unwrap();
    served.temporal.restart().unwrap();
    let ran = archived.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(
        report["calls"]["GetWorkflowExecutionHistory"]["failed"].as_u64() > Some(0),
        "{report}"
    );
    archive.assert_whole(&served, "brief");
}

#[test]
fn server_that_stays_away_fails_the_run_and_loses_nothing() {
    let served = SERVED.read().unwrap();
    let mut archive = Archive::of(&served);
    let proxy = Proxy::start(&served.temporal.address()).unwrap();
    archive.set("TEMPORAL_ADDRESS", proxy.address());
    proxy.refuse();
    let ran = archive.run(&DEFAULT);
    ran.assert_fails(
        1,
        &["cannot connect to Temporal at", &proxy.address(), "hint: check TEMPORAL_ADDRESS"],
    );
    proxy.heal();
    assert_nothing_lost(&archive, &served);
}

#[test]
fn server_that_allows_ten_calls_a_second_gives_everything() {
    let mut served = SERVED.write().unwrap();
    let archive = Archive::of(&served);
    let limits = |calls: u32| {
        ["frontend.namespaceRPS", "frontend.namespaceRPS.visibility"].map(|key| (key, json!(calls)))
    };
    served.temporal.reconfigure(&limits(10)).unwrap();
    let report = archive.json(&DEFAULT);
    served.temporal.reconfigure(&limits(100_000)).unwrap();
    let calls = &report["calls"]["GetWorkflowExecutionHistory"];
    assert!(calls["throttled"].as_u64() > Some(0), "{report}");
    assert_eq!(calls["failed"], 0, "{report}");
    archive.assert_whole(&served, "default");
}

/// A server of its own, on the PostgreSQL of the others.
fn another(served: &Served, name: &str, options: harness::temporal::Options) -> Temporal {
    let main = format!("{name}_main");
    options.databases(&main, &format!("{name}_visibility")).start(&served.postgres).unwrap()
}

#[test]
fn client_certificate_that_has_expired_is_named_as_such() {
    let served = SERVED.read().unwrap();
    let mutual = Tls { expired: false, required: true, client_certificate: true };
    let temporal = another(&served, "tls", Temporal::options().tls(mutual));
    let mut archive = Archive::of(&served);
    let certificates = temporal.certificates().unwrap();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    archive.set("TEMPORAL_ADDRESS", temporal.address());
    archive.set("TEMPORAL_TLS_SERVER_CA_CERT_PATH", text(&certificates.ca));
    let (certificate, key) = certificates.expired_client().unwrap();
    archive.set("TEMPORAL_TLS_CLIENT_CERT_PATH", text(&certificate));
    archive.set("TEMPORAL_TLS_CLIENT_KEY_PATH", text(&key));
    let ran = archive.run(&DEFAULT);
    let says = [
        "no TLS connection to Temporal at",
        &temporal.address(),
        "hint: the client certificate has expired",
    ];
    ran.assert_fails(1, &says);
    // With a renewed one the same command goes well.
    archive.set("TEMPORAL_TLS_CLIENT_CERT_PATH", text(&certificates.client_certificate));
    archive.set("TEMPORAL_TLS_CLIENT_KEY_PATH", text(&certificates.client_key));
    archive.json(&DEFAULT);
}

#[test]
fn token_that_is_refused_or_may_not_read_is_named_as_such_and_a_renewed_file_helps() {
    let served = SERVED.read().unwrap();
    let tokens = Tokens::make().unwrap();
    let options = Temporal::options().namespace("other", 7).guarded(&tokens).unwrap();
    let temporal = another(&served, "guarded", options);
    temporal.cli().run(&["workflow", "start", "-w", "one", "--type", "T", "-t", "nobody"]).unwrap();
    temporal.cli().run(&["workflow", "terminate", "-w", "one"]).unwrap();
    wait("it is listed", || temporal.cli().closed_runs("default").unwrap().len() == 1);

    let mut archive = Archive::of(&served);
    let file = archive.path("token");
    archive.set("TEMPORAL_ADDRESS", temporal.address());
    archive.set("TEMPORAL_TLS", "false");
    archive.set("AIDP_BACKUP_TEMPORAL_API_KEY_FILE", file.to_str().unwrap());
    let now = u64::try_from(Utc::now().timestamp()).unwrap();
    let with = |rights: &[&str], expires: u64| {
        let token = tokens.sign(rights, expires).unwrap();
        std::fs::write(&file, format!("{token}\n")).unwrap();
        token
    };

    let expired = with(&["default:read"], now - 60);
    let ran = archive.run(&DEFAULT);
    ran.assert_fails(1, &["not allowed to call", "hint: ", "token file", "expired"]);
    assert!(!ran.stderr.contains(&expired), "{ran:?}");
    with(&["other:read"], now + 3_600);
    let ran = archive.run(&DEFAULT);
    ran.assert_fails(
        1,
        &["not allowed to call", "in namespace \"default\"", "hint: grant the read role"],
    );
    with(&["default:read"], now + 3_600);
    // Those rights do not tell which namespaces there are.
    let ran = archive.run(&["now", "archive"]);
    ran.assert_fails(
        1,
        &["not allowed to call ListNamespaces", "hint: name namespaces one by one"],
    );
    assert_eq!(archive.archived().len(), 0);
    wait("it is archived", || {
        archive.json(&DEFAULT);
        archive.archived().len() == 1
    });
}

/// Archives a namespace by a clock that is ahead by so many seconds.
fn archive_at(archive: &Archive, namespace: &str, ahead: i64) -> Value {
    let mut command = archive.command(&["now", "archive", "--json", "-n", namespace]);
    wrong_clock(&mut command, ahead).unwrap();
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// When a report says that everything is covered until.
fn covered_until(report: &Value) -> Option<DateTime<Utc>> {
    report["namespaces"][0]["coveredUntil"].as_str().map(|text| text.parse().unwrap())
}

#[test]
fn clock_that_is_an_hour_ahead_covers_nothing_that_has_not_come() {
    let served = SERVED.read().unwrap();
    let archive = Archive::of(&served);
    served.temporal.run_demo("clock", 0, 2).unwrap();
    let report = archive_at(&archive, "clock", 3_600);
    let ahead = covered_until(&report).unwrap() - Utc::now();
    assert!(ahead < TimeDelta::minutes(10), "{report}");
    // The clock was really wrong: the manifests say so.
    let finished = archive.objects("manifests/histories").into_iter().map(|path| {
        let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        manifest["manifest"]["finished"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap()
    });
    assert!(finished.max().unwrap() > Utc::now() + TimeDelta::minutes(50));
    // What closes from now on is archived all the same, by that clock and by a right one.
    served.temporal.run_demo("clock", 1_000, 2).unwrap();
    let closed = served.closed("clock").len();
    wait("it is archived", || {
        archive_at(&archive, "clock", 3_600);
        archive.archived().len() >= closed
    });
    served.temporal.run_demo("clock", 1_100, 2).unwrap();
    archive.until_whole(&served, "clock", &[]);
}

#[test]
fn clock_that_is_more_than_a_year_ahead_expires_nothing() {
    let served = SERVED.read().unwrap();
    let archive = Archive::of(&served);
    archive.until_whole(&served, "default", &[]);
    let runs = archive.archived().len();
    assert!(runs > 0);
    let commands: [&[&str]; 2] = [
        &["now", "archive", "-n", "default", "--keep-histories", "365d"],
        &["prune", "--keep-histories", "365d", "--apply"],
    ];
    for arguments in commands {
        let mut command = archive.command(arguments);
        wrong_clock(&mut command, 400 * 86_400).unwrap();
        let ran = run(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(archive.archived().len(), runs, "{ran:?}");
    }
}

#[test]
fn clock_that_is_an_hour_back_archives_later_and_loses_nothing() {
    let served = SERVED.read().unwrap();
    let archive = Archive::of(&served);
    let report = archive_at(&archive, "default", -3_600);
    assert!(covered_until(&report).is_none_or(|until| until < Utc::now() - TimeDelta::minutes(59)));
    assert_nothing_lost(&archive, &served);
    // Back again once more, after a right one.
    let report = archive_at(&archive, "default", -3_600);
    assert_eq!(report["namespaces"][0]["runs"], 0, "{report}");
    archive.until_whole(&served, "default", &[]);
}

#[test]
fn full_disk_publishes_nothing_leaves_room_and_the_next_run_completes() {
    let served = SERVED.read().unwrap();
    let archive = Archive::of(&served);
    // A file system of its own, seen by this command alone.
    let script = r#"
        mount -t tmpfs -o size=100k tmpfs "$AIDP_BACKUP_STORE" || exit 99
        "$AIDP" now archive -n default; echo "code $?"
        find "$AIDP_BACKUP_STORE/histories" "$AIDP_BACKUP_STORE/.tmp" -type f | sed 's/^/left /'
        mount -o remount,size=50m "$AIDP_BACKUP_STORE" || exit 99
        "$AIDP" now archive -n default > /dev/null; echo "code $?"
        "$AIDP" verify --all > /dev/null; echo "code $?"
        "$AIDP" history search --limit 0 --json | sed 's/.*/run/'
    "#;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]);
    command.envs(archive.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("AIDP", env!("CARGO_BIN_EXE_aidp-backup"));
    let ran: Ran = run(command);
    let lines = |begin: &str| ran.stdout.lines().filter(|line| line.starts_with(begin)).count();
    assert_eq!((lines("code 1"), lines("code 0"), lines("left")), (1, 2, 0), "{ran:?}");
    assert_eq!(lines("run"), served.closed("default").len());
    assert!(ran.complaint().iter().any(|line| line.contains("No space left on device")), "{ran:?}");
    assert!(ran.complaint().iter().any(|line| line.starts_with("hint: ")), "{ran:?}");
}

#[test]
fn s3_that_goes_away_fails_the_run_and_the_next_one_completes() {
    const BUCKET: &str = "histories";
    let served = SERVED.read().unwrap();
    let server = minio::Server::start().unwrap();
    server.create_bucket(BUCKET).unwrap();
    let proxy = Proxy::start(&server.address()).unwrap();
    let mut archive = Archive::of(&served);
    for (name, value) in server.env() {
        archive.set(name, value);
    }
    archive.set("AWS_ENDPOINT_URL_S3", format!("http://{}", proxy.address()));
    archive.set("AIDP_BACKUP_STORE", format!("s3://{BUCKET}/some/prefix"));
    let archived = archive.begin_slowly("brief", &["-n", "brief"]);
    proxy.refuse();
    proxy.cut();
    let ran = archived.end();
    ran.assert_fails(1, &["s3://histories/some/prefix", "hint: "]);
    assert!(proxy.wait_cuts(1, Duration::ZERO));
    let sent = proxy.passed(Direction::Up);
    proxy.heal();
    assert_eq!(archive.archived().len(), 0);
    archive.until_whole(&served, "brief", &[]);
    assert!(proxy.passed(Direction::Up) > sent);
}
