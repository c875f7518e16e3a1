//! What no healthy server does: a mock that refuses, breaks, cuts short and sends what is not known.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use support::mock::{Answer, Call, Mock};
use support::{CODEC, history, json, options, shown, text, with_limits};
use temporal::connect::Connection;
use temporal::{Error, Execution, Namespace};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::history::v1::{History, HistoryEvent};
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use temporalio_protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsResponse, GetWorkflowExecutionHistoryResponse,
};
use tonic::Code;

fn namespace() -> Namespace {
    Namespace {
        name: "aidp".into(),
        id: "id".into(),
        retention: chrono::TimeDelta::days(7),
        deleted: false,
        aliases: Default::default(),
        data: std::collections::BTreeMap::new(),
    }
}

fn info() -> WorkflowExecutionInfo {
    WorkflowExecutionInfo {
        execution: Some(WorkflowExecution { workflow_id: "w".into(), run_id: "r".into() }),
        status: 2,
        ..Default::default()
    }
}

fn run(events: i64, info: Vec<u8>) -> Execution {
    Execution {
        workflow_id: "w".into(),
        run_id: "r".into(),
        type_name: "t".into(),
        task_queue: "q".into(),
        status: 2,
        close_time: chrono::DateTime::UNIX_EPOCH,
        history_length: events,
        history_size_bytes: 1_000,
        info: info.into(),
    }
}

fn plain_run(events: i64) -> Execution {
    run(events, info().encode_to_vec())
}

/// Wire bytes of a history of these events, the last of which ends it or not.
fn events(ids: std::ops::RangeInclusive<i64>, closed: bool) -> Vec<u8> {
    let last = *ids.end();
    let events = ids.map(|event_id| HistoryEvent {
        event_id,
        event_type: if closed && event_id == last { 2 } else { 10 },
        ..Default::default()
    });
    History { events: events.collect() }.encode_to_vec()
}

/// An answer with these wire bytes of a history.
fn page(history: &[u8], next: &str) -> Answer {
    let mut answer = Vec::new();
    prost::encoding::encode_varint(1 << 3 | 2, &mut answer);
    prost::encoding::encode_varint(history.len() as u64, &mut answer);
    answer.extend_from_slice(history);
    let rest = GetWorkflowExecutionHistoryResponse {
        next_page_token: next.as_bytes().to_vec(),
        ..Default::default()
    };
    answer.extend(rest.encode_to_vec());
    Answer::Message(answer.into())
}

fn counted(count: i64) -> Answer {
    let answer = CountWorkflowExecutionsResponse { count, ..Default::default() };
    Answer::Message(answer.encode_to_vec().into())
}

#[tokio::test]
async fn renewed_token_is_used_at_once_when_the_old_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let mock = Mock::start(|call: &Call| match call.header("authorization") {
        "Bearer second" => counted(7),
        _ => Answer::Status(Code::Unauthenticated, "token is expired"),
    })
    .await;
    let mut options = options(&mock.address());
    options.api_key_file = Some(file.clone());
    options.environment.insert("TEMPORAL_TLS".into(), "false".into());
    options.environment.insert("TEMPORAL_GRPC_META_X_TENANT".into(), "blue".into());
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.count(&namespace(), "").await.unwrap_err();
    let Error::Unauthorized { namespace: Some(name), right, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((name.as_str(), *right), ("aidp", "CountWorkflowExecutions"));
    assert!(shown(&error).contains("token is expired") && shown(&error).contains("token file"));
    std::fs::write(&file, "second\n").unwrap();
    assert_eq!(connection.count(&namespace(), "").await.unwrap(), 7);
    let calls = mock.calls();
    let headers =
        |name: &str| calls.iter().map(|call| call.header(name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        headers("authorization"),
        ["Bearer first", "Bearer first", "Bearer first", "Bearer second"]
    );
    assert!(headers("x-tenant").iter().all(|value| value == "blue"));
    assert!(headers("caller-type").iter().all(|value| value == "preemptable"));
    assert!(calls[1..].iter().all(|call| call.header("temporal-namespace") == "aidp"));
    assert!(!format!("{connection:?} {options:?}").contains("second"));
}

#[tokio::test]
async fn denied_call_names_the_namespace_and_the_right_that_is_missing() {
    let mock =
        Mock::start(|_| Answer::Status(Code::PermissionDenied, "Request unauthorized.")).await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    let error = connection.fetch(&namespace(), &plain_run(1), CODEC).await.unwrap_err();
    assert_eq!(
        shown(&error),
        "not allowed to call GetWorkflowExecutionHistory in namespace \"aidp\": Request unauthorized.\n\
         hint: grant the read role on namespace \"aidp\", or whatever your authorizer calls the right to \
         GetWorkflowExecutionHistory"
    );
    let error = connection.namespaces().await.unwrap_err();
    assert!(shown(&error).contains("name namespaces one by one"), "{}", shown(&error));
}

#[tokio::test]
async fn page_too_large_is_asked_for_in_fewer_batches_and_is_no_throttling() {
    let mock = Mock::start(|call: &Call| match call.history().maximum_page_size {
        5.. => Answer::Status(
            Code::ResourceExhausted,
            "grpc: received message larger than max (30000000 vs. 4194304)",
        ),
        _ => page(&events(1..=3, true), ""),
    })
    .await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    let fetched = connection.fetch(&namespace(), &plain_run(3), CODEC).await.unwrap();
    assert_eq!(fetched.events, 3);
    let requests: Vec<_> = mock.calls()[1..].iter().map(Call::history).collect();
    let sizes: Vec<i32> = requests.iter().map(|request| request.maximum_page_size).collect();
    assert_eq!(sizes, [256, 64, 16, 4]);
    assert!(requests.iter().all(|request| request.skip_archival));
    assert_eq!(connection.calls()["GetWorkflowExecutionHistory"].throttled, 0);
}

#[tokio::test]
async fn page_beyond_the_decode_limit_is_asked_for_in_fewer_batches_and_one_batch_is_an_error() {
    let huge = Bytes::from(vec![0; 129 << 20]);
    let mock = Mock::start(move |_| Answer::Message(huge.clone())).await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    let error = connection.fetch(&namespace(), &plain_run(3), CODEC).await.unwrap_err();
    assert!(matches!(error, Error::PageTooLarge { .. }), "{error:?}");
    assert_eq!(mock.calls().last().unwrap().history().maximum_page_size, 1);
}

#[tokio::test]
async fn throttled_call_is_tried_again_later_and_counted() {
    let calls = AtomicUsize::new(0);
    let mock = Mock::start(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0..3 => Answer::Status(Code::ResourceExhausted, "namespace rate limit exceeded"),
        _ => page(&events(1..=3, true), ""),
    })
    .await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    connection.fetch(&namespace(), &plain_run(3), CODEC).await.unwrap();
    let count = connection.calls()["GetWorkflowExecutionHistory"];
    assert_eq!((count.sent, count.throttled, count.failed), (4, 3, 0));
    let limits = with_limits(&mock.address(), |limits| limits.throttle_patience = Duration::ZERO);
    let mock =
        Mock::start(|_| Answer::Status(Code::ResourceExhausted, "namespace rate limit exceeded"))
            .await;
    let mut limits = limits;
    limits.environment.insert("TEMPORAL_ADDRESS".into(), mock.address());
    let connection = Connection::open(&limits).await.unwrap();
    let error = connection.count(&namespace(), "").await.unwrap_err();
    assert!(matches!(error, Error::Throttled { .. }) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn connection_that_breaks_is_made_anew_and_the_call_repeated() {
    let calls = AtomicUsize::new(0);
    let mock = Mock::start(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Answer::Break,
        _ => page(&events(1..=3, true), ""),
    })
    .await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    assert_eq!(connection.fetch(&namespace(), &plain_run(3), CODEC).await.unwrap().events, 3);
}

#[tokio::test]
async fn server_that_stays_away_is_an_error_that_names_it_when_patience_ends() {
    let mock = Mock::start(|_| counted(1)).await;
    let limits =
        with_limits(&mock.address(), |limits| limits.patience = Duration::from_millis(300));
    let connection = Connection::open(&limits).await.unwrap();
    let address = mock.address();
    drop(mock);
    let started = Instant::now();
    let error = connection.count(&namespace(), "").await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { address: a, .. } if *a == address), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(shown(&error).contains("refused"), "{}", shown(&error));
}

#[tokio::test]
async fn nothing_listening_and_something_else_listening_are_connect_errors_at_once() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let error = Connection::open(&options(&free.to_string())).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(shown(&error).contains("TEMPORAL_ADDRESS"), "{}", shown(&error));
    // A server that speaks, but not gRPC.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let web = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = Connection::open(&options(&address)).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    web.abort();
}

#[tokio::test]
async fn silent_server_is_given_up_after_a_few_deadlines() {
    let mock = Mock::start(|_| Answer::Silence).await;
    let limits =
        with_limits(&mock.address(), |limits| limits.deadline = Duration::from_millis(100));
    let connection = Connection::open(&limits).await.unwrap();
    let error = connection.count(&namespace(), "").await.unwrap_err();
    assert!(matches!(error, Error::Deadline { tries: 3, .. }), "{error:?}");
    assert!(mock.calls()[1..].iter().all(|call| call.header("grpc-timeout") == "100000u"));
}

#[tokio::test]
async fn history_with_a_hole_or_without_an_end_is_never_taken_for_whole() {
    for (pages, expected) in [
        (vec![events(1..=3, false), events(5..=6, true)], "event 5 follows event 3"),
        (vec![events(2..=6, true)], "event 2 follows event 0"),
        (vec![events(1..=3, false)], "ends with event 3 of 6"),
        (vec![vec![]], "ends with event 0 of 6"),
    ] {
        let mock = Mock::start(move |call: &Call| {
            let token = String::from_utf8(call.history().next_page_token).unwrap();
            let number: usize = token.parse().unwrap_or(0);
            let next = if number + 1 < pages.len() { "1" } else { "" };
            page(&pages[number], next)
        })
        .await;
        let connection = Connection::open(&options(&mock.address())).await.unwrap();
        let error = connection.fetch(&namespace(), &plain_run(6), CODEC).await.unwrap_err();
        assert!(matches!(error, Error::Incomplete { .. }) && error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A field that no descriptor has, as a newer server would send it.
fn unknown(message: &mut Vec<u8>) {
    prost::encoding::encode_varint(4_000 << 3, message);
    message.push(1);
}

#[tokio::test]
async fn fields_of_a_newer_server_are_named_and_kept_as_wire_bytes() {
    // The last event has one.
    let mut event =
        HistoryEvent { event_id: 3, event_type: 2, ..Default::default() }.encode_to_vec();
    unknown(&mut event);
    let mut last = Vec::new();
    prost::encoding::encode_varint(1 << 3 | 2, &mut last);
    prost::encoding::encode_varint(event.len() as u64, &mut last);
    last.extend_from_slice(&event);
    let first = events(1..=2, false);
    let whole = [first.clone(), last.clone()].concat();
    let mut strange = info().encode_to_vec();
    unknown(&mut strange);
    let known = [
        json!({"message": "temporal.api.history.v1.HistoryEvent", "number": 4000}),
        json!({"message": "temporal.api.workflow.v1.WorkflowExecutionInfo", "number": 4000}),
    ];

    for pages in [1, 2] {
        let (first, last, whole_page) = (first.clone(), last.clone(), whole.clone());
        let mock =
            Mock::start(move |call: &Call| match (pages, call.history().next_page_token.len()) {
                (1, _) => page(&whole_page, ""),
                (_, 0) => page(&first, "next"),
                _ => page(&last, ""),
            })
            .await;
        let connection = Connection::open(&options(&mock.address())).await.unwrap();
        let strange = run(3, strange.clone());
        let fetched = connection.fetch(&namespace(), &strange, CODEC).await.unwrap();
        let line = text(&fetched).await;
        let object = json(&line);
        assert_eq!(object["unknownFields"], json!(known));
        assert_eq!(support::base64(object["infoProto"].as_str().unwrap()), strange.info);
        assert_eq!(support::base64(object["historyProto"].as_str().unwrap()), whole);
        assert_eq!(object["history"]["events"][2]["eventId"], "3");
        assert!(history(&line).starts_with("{\"events\":["));
        let asked = connection.calls()["GetWorkflowExecutionHistory"].sent;
        assert_eq!(asked, if pages == 1 { 1 } else { 6 }, "what is at hand is not fetched again");
    }
}

#[tokio::test]
async fn nothing_unknown_leaves_no_trace_in_the_line() {
    let mock = Mock::start(|_| page(&events(1..=3, true), "")).await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    let line = text(&connection.fetch(&namespace(), &plain_run(3), CODEC).await.unwrap()).await;
    for absent in ["unknownFields", "infoProto", "historyProto"] {
        assert!(!line.contains(absent), "{line}");
    }
}
