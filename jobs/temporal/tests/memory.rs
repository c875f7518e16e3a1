//! Many large pages at once, in a process of their own: its peak is what is measured.

mod support;

use bytes::Bytes;
use prost::Message as _;
use support::mock::{Answer, Mock};
use support::{CODEC, options};
use temporal::connect::Connection;
use temporal::{Execution, Namespace};
use temporalio_protos::temporal::api::common::v1::{Payload, Payloads};
use temporalio_protos::temporal::api::history::v1::{
    History, HistoryEvent, WorkflowExecutionCompletedEventAttributes,
    WorkflowExecutionSignaledEventAttributes, history_event::Attributes,
};
use temporalio_protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryResponse;

/// Twelve signals of 2 MB and an end.
fn page() -> Bytes {
    let data: Vec<u8> =
        (0..2_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let payload = Payload { data, ..Default::default() };
    let signal = Attributes::WorkflowExecutionSignaledEventAttributes(
        WorkflowExecutionSignaledEventAttributes {
            input: Some(Payloads { payloads: vec![payload] }),
            ..Default::default()
        },
    );
    let mut events: Vec<HistoryEvent> = (1..=12)
        .map(|event_id| HistoryEvent {
            event_id,
            event_type: 26,
            attributes: Some(signal.clone()),
            ..Default::default()
        })
        .collect();
    events.push(HistoryEvent {
        event_id: 13,
        event_type: 2,
        attributes: Some(Attributes::WorkflowExecutionCompletedEventAttributes(
            WorkflowExecutionCompletedEventAttributes::default(),
        )),
        ..Default::default()
    });
    let history = Some(History { events });
    GetWorkflowExecutionHistoryResponse { history, ..Default::default() }.encode_to_vec().into()
}

fn peak_in_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_pages_of_25_megabytes_at_once_are_never_all_in_memory() {
    let page = page();
    assert!(page.len() > 24_000_000);
    let served = page.clone();
    let mock = Mock::start(move |_| Answer::Message(served.clone())).await;
    let connection = Connection::open(&options(&mock.address())).await.unwrap();
    let namespace = Namespace {
        name: "aidp".into(),
        id: "id".into(),
        retention: chrono::TimeDelta::days(7),
        deleted: false,
        aliases: Default::default(),
        data: std::collections::BTreeMap::new(),
    };
    let run = Execution {
        workflow_id: "w".into(),
        run_id: "r".into(),
        type_name: "t".into(),
        task_queue: "q".into(),
        status: 2,
        close_time: chrono::DateTime::UNIX_EPOCH,
        history_length: 13,
        history_size_bytes: page.len() as i64,
        info: Bytes::new(),
    };
    let before = peak_in_megabytes();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (connection, namespace, run) = (connection.clone(), namespace.clone(), run.clone());
        // Thrown away at once: what is measured is what is in flight.
        tasks.spawn(async move { connection.fetch(&namespace, &run, CODEC).await.unwrap().events });
    }
    while let Some(events) = tasks.join_next().await {
        assert_eq!(events.unwrap(), 13);
    }
    let grown = peak_in_megabytes() - before;
    assert!(grown < 160, "{grown} MB for pages of 400 MB in all");
}
