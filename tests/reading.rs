//! Archived histories as an operator reads, watches and expires them.

mod stage;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use harness::history_fixture::{Histories, upload};
use harness::minio;
use harness::temporal::Server as Temporal;
use jobs::archive::{NamespaceRule, Pattern};
use jobs::history::standing;
use jobs::status::{Standing, Status};
use jobs::{Clock, Context, Progress, Verdict};
use serde_json::{Value, json};
use stage::Stage;
use tokio_util::sync::CancellationToken;
use vault::Catalogue;
use vault::lease::{Holder, Timing};

/// The stage's command, with a Temporal beside it.
fn with_temporal() -> (Stage, Temporal) {
    let mut stage = Stage::empty();
    let temporal = Temporal::start(&stage.server).unwrap();
    for (name, value) in temporal.env() {
        stage.set(name, value);
    }
    stage.set("AIDP_BACKUP_SETTLE", "1s");
    (stage, temporal)
}

/// Archives until so many runs are there: what has just closed has not settled yet.
fn archive(stage: &Stage, runs: usize) {
    for _ in 0..200 {
        stage.json(&["now", "archive"]);
        let ran = stage.run(&["history", "search", "--limit", "0", "--json"]);
        if ran.stdout.lines().count() == runs {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    panic!("{runs} runs are never archived");
}

/// Passes connections on, and counts the GET requests in them.
fn counting(target: String) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let counted = Arc::new(AtomicU64::new(0));
    let counter = counted.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&target).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let counter = counter.clone();
            std::thread::spawn(move || {
                let (mut piece, mut last) = (vec![0; 64 << 10], Vec::new());
                while let Ok(length @ 1..) = from.read(&mut piece) {
                    // A line may be cut in two.
                    last.extend_from_slice(&piece[..length]);
                    let gets = last.windows(5).filter(|at| *at == b"GET /").count();
                    counter.fetch_add(gets as u64, Ordering::SeqCst);
                    last.drain(..last.len().saturating_sub(4));
                    if to.write_all(&piece[..length]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    (address, counted)
}

#[test]
fn one_run_is_read_from_a_bucket_with_one_listing_and_few_reads() {
    let folder = tempfile::tempdir().unwrap();
    let histories = Histories::new(3_000, 3);
    histories.write(folder.path()).unwrap();
    let server = minio::Server::start().unwrap();
    server.create_bucket("archive").unwrap();
    upload(folder.path(), &server.client(), "archive").unwrap();
    let (address, counted) = counting(server.address());
    let mut told = Vec::new();
    let one = histories.run(1_500);
    let [day, end] = [one.day.clone(), format!("{}T23:59:59.999999Z", one.day)];
    for arguments in [
        // The list of manifests, all three of them, the index of one, and the run's frame.
        vec!["history", "show", &one.workflow_id, "-r", &one.run_id],
        vec!["history", "show", &one.workflow_id],
        // Names tell which manifest can know of a day; then its index.
        vec!["history", "list", "--since", &day, "--until", &end],
    ] {
        let mut command = stage::bare(&arguments);
        command.arg("-v").envs(server.env()).env("AIDP_BACKUP_STORE", "s3://archive");
        command.env("AWS_ENDPOINT_URL_S3", format!("http://{address}"));
        counted.store(0, Ordering::SeqCst);
        let ran = stage::run(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let line = ran.stderr.lines().find_map(|line| line.split_once("requests to the store: "));
        let said: Vec<(String, u64)> = line
            .unwrap()
            .1
            .split(' ')
            .map(|count| count.split_once('=').unwrap())
            .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
            .filter(|(name, count)| name != "read_bytes" && *count > 0)
            .collect();
        let sent: u64 = said.iter().map(|(_, count)| count).sum();
        assert_eq!(counted.load(Ordering::SeqCst), sent, "{ran:?}");
        told.push(said);
    }
    let [run, workflow, list] = &told[..] else { panic!("{told:?}") };
    let expected = |reads: u64| [("lists".to_owned(), 1), ("reads".to_owned(), reads)];
    assert_eq!(run[..], expected(5));
    assert_eq!(workflow[..], expected(5));
    assert_eq!(list[..], expected(2));
}

#[test]
fn a_list_is_in_order_and_whole_whatever_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let histories = Histories::new(2_500, 5);
    histories.write(folder.path()).unwrap();
    let list = |arguments: &[&str]| -> Vec<Value> {
        let mut command = stage::bare(&[&["history", "search", "--json"], arguments].concat());
        command.env("AIDP_BACKUP_STORE", folder.path());
        let ran = stage::run(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = list(&["--limit", "0"]);
    let expected: Vec<String> = (0..2_500).rev().map(|n| histories.run(n).run_id).collect();
    let ids: Vec<&str> = all.iter().map(|run| run["runId"].as_str().unwrap()).collect();
    assert_eq!(ids, expected);
    assert!(all.iter().all(|run| run["version"] == 1 && run["formatVersion"] == 1));
    for limit in [1, 499, 500, 501, 2_499, 2_500, 2_501] {
        assert_eq!(list(&["--limit", &limit.to_string()])[..], all[..limit.min(2_500)]);
    }
    let middle = all[1_234]["closeTime"].as_str().unwrap();
    assert_eq!(list(&["--limit", "0", "--since", middle])[..], all[..=1_234]);
    assert_eq!(list(&["--limit", "0", "--until", middle])[..], all[1_235..]);
    let failed = list(&["--limit", "7", "--status", "failed"]);
    let is_failed = |run: &&Value| run["status"] == "WORKFLOW_EXECUTION_STATUS_FAILED";
    let expected: Vec<&Value> = all.iter().filter(is_failed).take(7).collect();
    assert_eq!(failed.iter().collect::<Vec<_>>(), expected);
}

/// A clock that is ahead of the system's.
#[derive(Debug)]
struct Ahead(TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.0
    }
}

/// Looks at a store at another time.
fn status(stage: &Stage, temporal: &str, ahead: TimeDelta) -> (Standing, Verdict) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (folder, environment) = (stage.store(), vault::Environment::default());
        let store = vault::open(folder.to_str().unwrap(), &environment).await.unwrap();
        let context = Context {
            catalogue: Catalogue::new(store),
            clock: Arc::new(Ahead(ahead)),
            cancel: CancellationToken::new(),
            progress: Arc::new(Progress::default()),
            holder: Holder::this_process(),
            timing: Timing::default(),
        };
        let address = Some(temporal.to_owned());
        let rule = NamespaceRule {
            pattern: Pattern::new("*").unwrap(),
            query: String::new(),
            statuses: vec![],
            scheduler_runs: false,
            keep: None,
        };
        let job = Status {
            overdue_after: TimeDelta::hours(26),
            groups: vec![],
            histories: Some(standing::Histories {
                temporal: temporal::connect::Options { address, ..Default::default() },
                ask: true,
                namespaces: vec![rule],
                expiry_warning: TimeDelta::hours(48),
            }),
        };
        let outcome = jobs::run(&job, &context).await;
        let verdict = outcome.verdict();
        (outcome.result.unwrap(), verdict)
    })
}

#[test]
fn status_says_how_far_histories_are_archived_and_what_expires() {
    let (stage, mut temporal) = with_temporal();
    temporal.create_namespace("short", 1).unwrap();
    stage.shop("shop");
    stage.export(&[]);
    temporal.run_demo("short", 0, 3).unwrap();
    let closed = temporal.cli().closed_runs("short").unwrap().len();
    let address = temporal.address();
    let of = |standing: &Standing, name: &str| {
        let namespaces = &standing.histories.as_ref().unwrap().namespaces;
        namespaces.iter().find(|it| it.namespace == name).unwrap().clone()
    };

    // Nothing is archived: half a day of the one that Temporal keeps them is left by noon.
    let (now, verdict) = status(&stage, &address, TimeDelta::zero());
    assert_eq!((of(&now, "short").expiring, verdict), (Some(0), Verdict::Done));
    let (later, verdict) = status(&stage, &address, TimeDelta::hours(13));
    let short = of(&later, "short");
    assert_eq!(
        (short.expiring, short.expiring_within_seconds),
        (Some(closed as u64), Some(43_200))
    );
    assert_eq!((short.windows, short.archived_until, short.overdue), (0, None, false));
    assert_eq!(verdict, Verdict::Overdue);

    archive(&stage, closed);
    let standing = stage.json(&["status"]);
    let histories = &standing["histories"];
    assert_eq!(histories["temporal"], address.as_str());
    let short = histories["namespaces"].as_array().unwrap();
    let short = short.iter().find(|it| it["namespace"] == "short").unwrap();
    assert_eq!((&short["runs"], &short["expiring"]), (&json!(closed), &json!(0)));
    assert_eq!((&short["holes"], &short["overdue"]), (&json!([]), &json!(false)));
    assert_eq!(short["current"], true);
    let until: DateTime<Utc> = short["archivedUntil"].as_str().unwrap().parse().unwrap();
    assert!(until < Utc::now() && Utc::now() - until < TimeDelta::minutes(10), "{until}");
    let table = stage.run(&["status"]);
    assert!(table.stdout.contains("archived until"), "{table:?}");
    // The archive ends too long ago, whatever Temporal says.
    let (late, verdict) = status(&stage, &address, TimeDelta::hours(27));
    assert!(of(&late, "short").overdue);
    assert_eq!(verdict, Verdict::Overdue);

    // Without Temporal what the store knows is as good as before.
    temporal.stop().unwrap();
    let ran = stage.run(&["status", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let table = stage.run(&["status"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stderr.contains("Temporal cannot be asked"), "{table:?}");
    let standing: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(standing["histories"]["temporalError"].is_string(), "{standing}");
    let namespaces = standing["histories"]["namespaces"].as_array().unwrap();
    let short = namespaces.iter().find(|it| it["namespace"] == "short").unwrap();
    assert_eq!((&short["runs"], &short["expiring"]), (&json!(closed), &Value::Null));
}

#[test]
fn prune_shows_what_becomes_of_histories_and_does_it() {
    let folder = tempfile::tempdir().unwrap();
    Histories::new(2_000, 4).write(folder.path()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = stage::bare(&[&["prune", "--json"], arguments].concat());
        command.env("AIDP_BACKUP_STORE", folder.path());
        let ran = stage::run(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["histories"].take()
    };
    let reasons = |pruned: &Value, fate: &str| -> Vec<String> {
        let fates = pruned["namespaces"][0][fate].as_array().unwrap();
        fates.iter().map(|it| it["reason"]["rule"].as_str().unwrap().to_owned()).collect()
    };
    let kept = run(&["--apply"]);
    assert_eq!(
        (&reasons(&kept, "keep")[..], &kept["applied"]),
        (&["forever"; 4].map(String::from)[..], &Value::Null)
    );
    assert_eq!(reasons(&run(&["--keep-histories", "1d", "-n", "other"]), "keep"), ["unnamed"; 4]);

    // The four days are the first of 2026; two of them are to stay.
    // This clock is far beyond them, and may be wrong: the archive reaches to the end of the fourth.
    let keep = "60h".to_owned();
    let planned = run(&["--keep-histories", &keep]);
    assert_eq!(reasons(&planned, "remove"), ["expired"]);
    assert_eq!(reasons(&planned, "keep"), ["within"; 3]);
    assert_eq!(planned["applied"], Value::Null);
    let mut command = stage::bare(&["prune", "--keep-histories", &keep]);
    command.env("AIDP_BACKUP_STORE", folder.path());
    let table = stage::run(command).stdout;
    assert!(table.contains("histories of default") && table.contains("older than"), "{table}");
    let applied = run(&["--keep-histories", &keep, "--apply"]);
    assert_eq!(applied["applied"]["windows"], 1);
    assert_eq!(applied["applied"]["objects"], 2);
    let mut command = stage::bare(&["history", "search", "--limit", "0", "--json"]);
    command.env("AIDP_BACKUP_STORE", folder.path());
    assert_eq!(stage::run(command).stdout.lines().count(), 1_500);
}

/// What a codec server was asked: path, `Authorization`, `X-Namespace`, data of the payloads.
type Asked = BTreeSet<(String, String, String, String)>;

/// A codec server as Temporal documents it: it decodes what has the encoding `test/reversed`.
fn codec_server() -> (String, Arc<Mutex<Asked>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Asked::new()));
    let seen = asked.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let seen = seen.clone();
            std::thread::spawn(move || answer_all(connection, &seen));
        }
    });
    (format!("http://{address}"), asked)
}

fn answer_all(mut connection: TcpStream, seen: &Mutex<Asked>) {
    let mut input = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let head = input.windows(4).position(|at| at == b"\r\n\r\n");
        if let Some(end) = head {
            let text = String::from_utf8(input[..end].to_vec()).unwrap();
            let header = |name: &str| {
                let mut lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
                let found = lines.find(|(it, _)| it.eq_ignore_ascii_case(name));
                found.map_or(String::new(), |(_, value)| value.trim().to_owned())
            };
            let length: usize = header("Content-Length").parse().unwrap_or(0);
            if input.len() >= end + 4 + length {
                let mut body: Value =
                    serde_json::from_slice(&input[end + 4..end + 4 + length]).unwrap();
                let path = text.split(' ').nth(1).unwrap().to_owned();
                for payload in body["payloads"].as_array_mut().unwrap() {
                    let data = payload["data"].as_str().unwrap_or_default().to_owned();
                    let (auth, namespace) = (header("Authorization"), header("X-Namespace"));
                    seen.lock().unwrap().insert((path.clone(), auth, namespace, data.clone()));
                    if payload["metadata"]["encoding"] == STANDARD.encode("test/reversed") {
                        let mut bytes = STANDARD.decode(data).unwrap();
                        bytes.reverse();
                        payload["metadata"]["encoding"] = STANDARD.encode("json/plain").into();
                        payload["data"] = STANDARD.encode(bytes).into();
                    }
                }
                let body = body.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                connection.write_all(answer.as_bytes()).unwrap();
                input.drain(..end + 4 + length);
                continue;
            }
        }
        match connection.read(&mut piece) {
            Ok(length @ 1..) => input.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
}

#[test]
fn a_codec_server_decodes_as_it_does_for_the_stock_command_line() {
    let (stage, temporal) = with_temporal();
    let (address, asked) = codec_server();
    let endpoint = format!("{address}/codec/{{namespace}}");
    // `{"secret":42}` the other way round, as a worker with a codec would have stored it.
    let encoded: String = r#"{"secret":42}"#.chars().rev().collect();
    let start = ["workflow", "start", "--type", "Secret", "--task-queue", "nobody", "-w", "secret"];
    let input = ["-n", "default", "--input", &encoded, "--input-meta", "encoding=test/reversed"];
    temporal.cli().run(&[&start[..], &input].concat()).unwrap();
    let terminate = ["workflow", "terminate", "-n", "default", "-w", "secret", "--reason", "test"];
    temporal.cli().run(&terminate).unwrap();
    archive(&stage, 1);

    let plain = stage.run(&["history", "show", "secret"]);
    assert!(plain.stdout.contains("<test/reversed, 13 bytes>"), "{plain:?}");
    let flags = ["--codec-endpoint", &endpoint];
    let shown = stage.run(&[&["history", "show", "secret"], &flags[..]].concat());
    assert!(shown.stdout.contains(r#"input={"secret":42}"#), "{shown:?}");

    // The same questions, and the same answer, as from Temporal's own command line.
    let taken = || std::mem::take(&mut *asked.lock().unwrap());
    taken();
    let mut command =
        stage.command(&[&["history", "show", "secret", "--json"], &flags[..]].concat());
    let ours = stage::run({
        command.env("TEMPORAL_CODEC_AUTH", "Bearer token");
        command
    });
    assert_eq!(ours.code, Some(0), "{ours:?}");
    let ours_asked = taken();
    let show = ["workflow", "show", "-n", "default", "-w", "secret"];
    let theirs =
        temporal.cli().json(&[&show[..], &flags, &["--codec-auth", "Bearer token"]].concat());
    assert_eq!(ours.stdout.trim_end(), theirs.unwrap().to_string());
    assert_eq!(ours_asked, taken());
    assert!(ours_asked.iter().all(|(path, auth, namespace, _)| {
        (path.as_str(), auth.as_str(), namespace.as_str())
            == ("/codec/default/decode", "Bearer token", "default")
    }));

    // One that is not there is named, and nothing is shown half decoded.
    let gone = ["--codec-endpoint", "http://127.0.0.1:9"];
    let ran = stage.run(&[&["history", "show", "secret"], &gone[..]].concat());
    ran.assert_fails(1, &["the codec server at http://127.0.0.1:9/decode", "hint: "]);
    assert_eq!(ran.stdout, "");
}
