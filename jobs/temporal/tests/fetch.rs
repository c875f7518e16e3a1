//! Histories of a real server against what Temporal's own command line shows of them.

mod support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use harness::temporal::Server;
use serde_json::{Value, json};
use support::{fetch_all, history, json, list, options, text, with_limits};
use temporal::connect::Connection;
use temporal::{ClockSource, Error, Namespace, query};
use tokio::sync::RwLock;

/// Tests that restart the server have it alone.
static SERVER: LazyLock<RwLock<Served>> = LazyLock::new(|| RwLock::new(Served::start()));

struct Served {
    server: Server,
    _postgres: harness::postgres::Server,
}

impl Served {
    fn start() -> Self {
        let postgres = harness::postgres::Server::start(16).unwrap();
        let server = Server::options().namespace("second", 30).start(&postgres).unwrap();
        server.run_demo("default", 0, 24).unwrap();
        let served = Self { server, _postgres: postgres };
        served.reset_and_terminate();
        served.grow("large", 13);
        served
    }

    fn cli(&self, arguments: &[&str]) -> String {
        self.server.cli().run(arguments).unwrap()
    }

    /// A run that was reset, and closed again.
    fn reset_and_terminate(&self) {
        let change = ["-n", "default", "-w", "change-1"];
        self.cli(
            &[
                ["workflow", "reset"].as_slice(),
                &change,
                &["--event-id", "4"],
                &["--reason", "test"],
            ]
            .concat(),
        );
        self.cli(&[["workflow", "terminate"].as_slice(), &change, &["--reason", "test"]].concat());
        self.wait_listed("WorkflowId = 'change-1' AND ExecutionStatus != 'Running'", 2);
    }

    /// A run without a worker, whose signals are nearly 2 MB each.
    fn grow(&self, id: &str, signals: usize) {
        let start = ["workflow", "start", "-n", "default", "-w", id, "--type", "Large"];
        self.cli(&[start.as_slice(), &["--task-queue", "nobody"]].concat());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("\"{}\"", "0123456789abcdef".repeat(120_000))).unwrap();
        let path = file.path().to_str().unwrap();
        let signal = ["workflow", "signal", "-n", "default", "-w", id, "--name", "grow"];
        for _ in 0..signals {
            self.cli(&[signal.as_slice(), &["--input-file", path]].concat());
        }
        self.cli(&["workflow", "terminate", "-n", "default", "-w", id, "--reason", "large enough"]);
        self.wait_listed(&format!("WorkflowId = '{id}' AND ExecutionStatus = 'Terminated'"), 1);
    }

    fn wait_listed(&self, query: &str, runs: usize) {
        let started = Instant::now();
        loop {
            let counted = self.server.cli().json(&["workflow", "count", "-q", query]).unwrap();
            if counted["count"] == json!(runs.to_string()) || counted["count"] == json!(runs) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{query}: {counted}");
        }
    }

    async fn connect(&self) -> (Connection, Namespace) {
        let connection = Connection::open(&options(&self.server.address())).await.unwrap();
        let namespace = connection.namespace("default").await.unwrap();
        (connection, namespace)
    }

    /// What the command line shows of a run, as one line.
    fn shown(&self, workflow_id: &str, run_id: &str) -> String {
        self.server.cli().history("default", workflow_id, run_id).unwrap().to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_history_is_byte_for_byte_what_the_command_line_shows() {
    let served = SERVER.read().await;
    let (connection, namespace) = served.connect().await;
    let runs = list(&connection, &namespace, "WorkflowId != 'large'").await.unwrap();
    let fetched = fetch_all(&connection, &namespace, &runs).await;
    let mut statuses = std::collections::BTreeSet::new();
    for (run, fetched) in runs.iter().zip(&fetched) {
        let fetched = fetched.as_ref().unwrap();
        let line = text(fetched).await;
        assert_eq!(history(&line), served.shown(&run.workflow_id, &run.run_id), "{run:?}");
        assert_eq!(fetched.events, run.history_length as u64, "{run:?}");
        assert!(fetched.summary.unknown_fields.is_empty(), "{:?}", fetched.summary);
        statuses.insert(fetched.summary.status.clone());
    }
    assert_eq!(statuses.len(), 6, "{statuses:?}");
    let calls = connection.calls()["GetWorkflowExecutionHistory"];
    assert_eq!((calls.sent, calls.throttled), (runs.len() as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_says_of_its_run_what_the_command_line_lists() {
    let served = SERVER.read().await;
    let (connection, namespace) = served.connect().await;
    let listed = served.server.cli().closed_runs("default").unwrap();
    let runs = list(&connection, &namespace, "").await.unwrap();
    assert_eq!(runs.len(), listed.len());
    assert_eq!(
        connection.count(&namespace, &query::closed("", None, None)).await.unwrap(),
        runs.len() as u64
    );
    let small: Vec<_> = runs.iter().filter(|run| run.workflow_id != "large").cloned().collect();
    let mut parents = 0;
    for fetched in fetch_all(&connection, &namespace, &small).await {
        let line = json(&text(&fetched.unwrap()).await);
        let expected =
            listed.iter().find(|row| row["execution"]["runId"] == line["runId"]).unwrap();
        assert_eq!(line["namespaceId"], json!(namespace.id));
        assert_eq!(line["workflowId"], expected["execution"]["workflowId"]);
        assert_eq!(line["type"], expected["type"]["name"]);
        for same in ["taskQueue", "status"] {
            assert_eq!(line[same], expected[same], "{same}");
        }
        for time in ["startTime", "closeTime", "executionTime"] {
            let time =
                |row: &Value| row[time].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>();
            assert_eq!(time(&line), time(expected));
        }
        for number in ["historyLength", "historySizeBytes", "stateTransitionCount"] {
            assert_eq!(json!(line[number].to_string()), expected[number], "{number}");
        }
        // The command line decodes payloads here, as it does not in histories.
        let memo = line["memo"].as_object().unwrap();
        let fields = expected["memo"]["fields"].as_object().cloned().unwrap_or_default();
        assert_eq!(memo.len(), fields.len());
        for (name, payload) in memo {
            let data = support::base64(payload["data"].as_str().unwrap());
            assert_eq!(serde_json::from_slice::<Value>(&data).unwrap(), fields[name], "{name}");
        }
        assert_eq!(line["root"]["runId"], expected["rootExecution"]["runId"]);
        if let Some(parent) = expected.get("parentExecution").filter(|parent| !parent.is_null()) {
            assert_eq!(line["parent"]["runId"], parent["runId"]);
            // Visibility does not keep the parent's namespace; the first event of the history does.
            assert_eq!(line["parent"]["workflowId"], parent["workflowId"]);
            parents += 1;
        }
        let fields = &expected["searchAttributes"]["indexedFields"];
        let attributes = line["searchAttributes"].as_object().unwrap();
        assert_eq!(attributes.len(), fields.as_object().map_or(0, serde_json::Map::len));
        for (name, attribute) in attributes {
            assert!(attribute.get("type").is_some(), "{name}: {attribute}");
            let data = support::base64(fields[name]["data"].as_str().unwrap());
            let value: Value = serde_json::from_slice(&data).unwrap();
            assert_eq!(attribute["value"], value, "{name}");
        }
        if line["type"] == "ChangePipeline" {
            assert_eq!(attributes["AidpRepository"]["type"], "Keyword");
            assert!(attributes["AidpLabels"]["value"].is_array());
        }
    }
    assert!(parents > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_25_megabytes_gives_the_line_that_small_pages_give() {
    let served = SERVER.read().await;
    let whole = with_limits(&served.server.address(), |limits| limits.page = 64 << 20);
    let whole = Connection::open(&whole).await.unwrap();
    let (parts, namespace) = served.connect().await;
    let runs = list(&parts, &namespace, "WorkflowId = 'large'").await.unwrap();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert!(run.history_size_bytes > 24_000_000, "{run:?}");
    let one = whole.fetch(&namespace, run, support::CODEC).await.unwrap();
    assert_eq!(whole.calls()["GetWorkflowExecutionHistory"].sent, 1);
    let many = parts.fetch(&namespace, run, support::CODEC).await.unwrap();
    assert!(parts.calls()["GetWorkflowExecutionHistory"].sent > 2);
    assert_eq!(one.line.sha256(), many.line.sha256());
    assert!(one.line.stored_len() < 2 << 20, "it is compressed while it is fetched");
    let drained = whole.drain(&namespace, run).await.unwrap();
    assert_eq!(drained.pages, 1);
    assert!(drained.bytes > 24_000_000);
    assert_eq!(history(&text(&one).await), served.shown(&run.workflow_id, &run.run_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_come_with_retention_and_names_and_without_the_servers_own() {
    let served = SERVER.read().await;
    let (connection, namespace) = served.connect().await;
    let all = connection.namespaces().await.unwrap();
    let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["default", "second"]);
    let second = connection.namespace("second").await.unwrap();
    assert_eq!(second.retention, chrono::TimeDelta::days(30));
    assert!(namespace.aliases.values().any(|alias| alias == "AidpStage"), "{namespace:?}");
    let error = connection.namespace("third").await.unwrap_err();
    assert!(
        matches!(&error, Error::NamespaceGone { namespace, .. } if namespace == "third"),
        "{error:?}"
    );
    let mut gone = namespace.clone();
    gone.name = "third".into();
    let error = connection.count(&gone, "").await.unwrap_err();
    assert!(matches!(error, Error::NamespaceGone { .. }), "{error:?}");
    let run = list(&connection, &namespace, "WorkflowId = 'change-2'").await.unwrap().remove(0);
    let error = connection.fetch(&gone, &run, support::CODEC).await.unwrap_err();
    assert!(matches!(error, Error::NamespaceGone { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_is_gone_and_query_that_is_wrong_are_told_apart() {
    let served = SERVER.read().await;
    let (connection, namespace) = served.connect().await;
    let mut run = list(&connection, &namespace, "WorkflowId = 'change-2'").await.unwrap().remove(0);
    run.run_id = "01234567-89ab-cdef-0123-456789abcdef".into();
    let error = connection.fetch(&namespace, &run, support::CODEC).await.unwrap_err();
    assert!(matches!(&error, Error::Vanished { run_id, .. } if *run_id == run.run_id), "{error:?}");
    let error = connection.count(&namespace, "Nonsense = 1").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_retryable(), "{error:?}");
    assert!(error.hint().unwrap().contains("query filter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_clock_is_known_within_its_pollers_minute_and_never_ahead() {
    let served = SERVER.read().await;
    let (connection, _) = served.connect().await;
    for name in ["default", "second"] {
        let namespace = connection.namespace(name).await.unwrap();
        let started = Instant::now();
        // The server's own worker takes some seconds after a start to poll for the first time.
        let time = loop {
            let time = connection.server_now(&namespace).await.unwrap();
            if let Some(time) = time {
                assert!(time.at_least <= chrono::Utc::now(), "{time:?}");
                if time.source == ClockSource::Poll {
                    break time;
                }
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: {time:?}");
        };
        let age = chrono::Utc::now() - time.at_least;
        assert!(age < chrono::TimeDelta::seconds(75), "{age}");
    }
}

async fn lines(fetched: Vec<Result<temporal::Fetched, Error>>) -> Vec<String> {
    let mut lines = Vec::new();
    for one in fetched {
        lines.push(text(&one.unwrap()).await);
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_blobs_and_events_give_the_same_lines() {
    let mut served = SERVER.write().await;
    let (connection, namespace) = served.connect().await;
    let runs = list(&connection, &namespace, "").await.unwrap();
    let events = lines(fetch_all(&connection, &namespace, &runs).await).await;
    let raw = ("frontend.sendRawWorkflowHistory", json!(true));
    served.server.reconfigure(&[raw]).unwrap();
    let (again, namespace) = served.connect().await;
    let blobs = lines(fetch_all(&again, &namespace, &runs).await).await;
    let bytes = |connection: &Connection| connection.calls()["GetWorkflowExecutionHistory"].bytes;
    let (as_events, as_blobs) = (bytes(&connection), bytes(&again));
    served.server.reconfigure(&[("frontend.sendRawWorkflowHistory", json!(false))]).unwrap();
    assert_ne!(as_events, as_blobs, "the server sent the same form twice");
    for (run, (events, blobs)) in runs.iter().zip(events.iter().zip(&blobs)) {
        assert!(events == blobs, "{run:?}\n{}\n{}", &events[..2_000], &blobs[..2_000]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_allows_ten_calls_a_second_gives_everything_in_its_time() {
    let mut served = SERVER.write().await;
    let slow = |calls: u32| [("frontend.namespaceRPS", json!(calls))];
    served.server.reconfigure(&slow(10)).unwrap();
    let (connection, namespace) = served.connect().await;
    let runs = list(&connection, &namespace, "WorkflowId != 'large'").await.unwrap();
    let runs: Vec<_> = runs.into_iter().cycle().take(80).collect();
    let started = Instant::now();
    let fetched = fetch_all(&connection, &namespace, &runs).await;
    let took = started.elapsed().as_secs_f64();
    served.server.reconfigure(&slow(100_000)).unwrap();
    for one in fetched {
        one.unwrap();
    }
    let calls = connection.calls()["GetWorkflowExecutionHistory"];
    assert!(calls.throttled > 0 && calls.failed == 0, "{calls:?}");
    assert!(calls.throttled < 100, "it keeps asking: {calls:?}");
    assert!(took < 30.0, "{took}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_killed_in_mid_fetch_loses_nothing() {
    let mut served = SERVER.write().await;
    let slowly = with_limits(&served.server.address(), |limits| limits.history_rate = 40.0);
    let connection = Connection::open(&slowly).await.unwrap();
    let namespace = connection.namespace("default").await.unwrap();
    let runs = list(&connection, &namespace, "WorkflowId != 'large'").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for run in &runs {
        let (connection, namespace, run) = (connection.clone(), namespace.clone(), run.clone());
        tasks.spawn(async move {
            let fetched = connection.fetch(&namespace, &run, support::CODEC).await;
            fetched.map(|fetched| (run.run_id, fetched.events))
        });
    }
    for _ in 0..5 {
        tasks.join_next().await.unwrap().unwrap().unwrap();
    }
    served.server.kill9().unwrap();
    served.server.restart().unwrap();
    let mut rest = 0;
    while let Some(fetched) = tasks.join_next().await {
        let (run_id, events) = fetched.unwrap().unwrap();
        let run = runs.iter().find(|run| run.run_id == run_id).unwrap();
        assert_eq!(events, run.history_length as u64);
        rest += 1;
    }
    assert_eq!(rest, runs.len() - 5);
    let calls = connection.calls()["GetWorkflowExecutionHistory"];
    assert!(calls.failed > 0, "nothing was under way: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_of_the_servers_own_scheduler_are_listed_only_when_asked_for() {
    let served = SERVER.read().await;
    let (connection, _) = served.connect().await;
    let namespace = connection.namespace("second").await.unwrap();
    let schedule = ["schedule", "create", "-n", "second", "-s", "nightly", "--interval", "1h"];
    let action = ["--workflow-id", "scheduled", "--type", "None", "--task-queue", "nobody"];
    served.cli(&[schedule.as_slice(), &action].concat());
    let own = query::restriction("", &[], true).unwrap();
    let count = |filter: String| {
        let (connection, namespace) = (connection.clone(), namespace.clone());
        async move { connection.count(&namespace, &filter).await.unwrap() }
    };
    // Of either kind: with a workflow behind a schedule, or without.
    let started = Instant::now();
    while count(own.clone()).await == 0 {
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(count(String::new()).await, 0);
}
