//! Archives that others have written: a real server's, and files as Temporal Cloud exports them.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::minio;
use harness::s3::Bucket;
use harness::temporal::{Archival, Server};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use support::options;
use temporal::connect::Connection;
use temporal::foreign::{Archive, ForeignRun, Kind, open};

const EXPORT: &str = "temporal.api.export.v1.WorkflowExecution";

/// A namespace's closed runs as the command line lists them, by workflow id and run id.
fn closed(server: &Server, namespace: &str) -> BTreeMap<(String, String), serde_json::Value> {
    let listed = server.cli().closed_runs(namespace).unwrap();
    let ids = |run: &serde_json::Value| {
        let id = |name: &str| run["execution"][name].as_str().unwrap().to_owned();
        (id("workflowId"), id("runId"))
    };
    listed.into_iter().map(|run| (ids(&run), run)).collect()
}

async fn named(server: &Server, namespace: &str, archive: Archive) -> Archive {
    let connection = Connection::open(&options(&server.address())).await.unwrap();
    archive.with_aliases(connection.namespace(namespace).await.unwrap().aliases)
}

/// Every run of the archive is one that is listed, the other way round too, and each history is
/// what the command line prints.
fn assert_whole(server: &Server, namespace: &str, archive: &Archive) -> Vec<ForeignRun> {
    let mut closed = closed(server, namespace);
    let runs: Vec<_> = archive.runs().collect::<Result<_, _>>().unwrap();
    assert_eq!(runs.len(), closed.len());
    for run in &runs {
        let ids = (run.workflow_id.clone(), run.run_id.clone().unwrap());
        let listed = closed.remove(&ids).unwrap_or_else(|| panic!("{ids:?} is not listed"));
        assert_eq!(listed["status"], run.status.as_str());
        assert_eq!(listed["type"]["name"], run.type_name.as_str());
        let shown = server.cli().history(namespace, &ids.0, &ids.1).unwrap();
        assert_eq!(shown["events"].as_array().unwrap().len() as u64, run.events);
        let ours = String::from_utf8(archive.history_json(run).unwrap()).unwrap();
        assert_eq!(ours, shown.to_string(), "{ids:?}");
    }
    runs
}

/// Copies a bucket into a folder, once every closed run is in it.
fn copy_bucket(server: &Server, namespace: &str, s3: &minio::Server, folder: &Path) {
    let runs = closed(server, namespace).len();
    let started = Instant::now();
    let client = s3.client();
    let keys = loop {
        let keys = client.list("archive", "").unwrap();
        // None of these histories is so long that it has a second part.
        let histories = keys.iter().filter(|key| key.contains("/history/")).count();
        if histories == runs {
            break keys;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{histories} of {runs}: {keys:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    for key in keys {
        let path = folder.join(&key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, client.get("archive", &key).unwrap()).unwrap();
    }
}

/// One item of an export, from what the command line prints.
fn item(history: &serde_json::Value) -> Vec<u8> {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let pool = DescriptorPool::decode(bytes).unwrap();
    let message = pool.get_message_by_name("temporal.api.history.v1.History").unwrap();
    let history = DynamicMessage::deserialize(message, history).unwrap();
    match pool.get_message_by_name(EXPORT) {
        Some(message) => {
            let mut item = DynamicMessage::new(message);
            item.set_field_by_name("history", Value::Message(history));
            item.encode_to_vec()
        }
        None => field(&history.encode_to_vec()),
    }
}

/// Field 1 of a message, length-delimited.
fn field(bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![0x0a];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

#[tokio::test(flavor = "multi_thread")]
async fn every_history_that_a_real_server_archived_is_what_its_command_line_prints() {
    let (files, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let s3 = minio::Server::start().unwrap();
    s3.client().create_bucket("archive", Bucket::default()).unwrap();
    let postgres = harness::postgres::Server::start(16).unwrap();
    let archival = Archival::into_files(files.path()).and_s3(&s3.address());
    let server = Server::options().archival(archival.clone()).start(&postgres).unwrap();
    server.create_namespace_with("bucket", 7, &Archival::into_bucket("archive")).unwrap();
    server.run_demo("default", 0, 12).unwrap();
    server.run_demo("bucket", 0, 6).unwrap();
    // A run that was reset: the ids in its history are those of the run it comes from.
    let change = ["-n", "default", "-w", "change-1", "--reason", "test"];
    let reset = ["workflow", "reset", "--event-id", "4"];
    server.cli().run(&[reset.as_slice(), &change].concat()).unwrap();
    server.cli().run(&[["workflow", "terminate"].as_slice(), &change].concat()).unwrap();
    let started = Instant::now();
    let query = "WorkflowId = 'change-1' AND ExecutionStatus = 'Terminated'";
    while !server
        .cli()
        .run(&["workflow", "count", "-n", "default", "-q", query])
        .unwrap()
        .contains('1')
    {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }

    archival.wait_for_files(closed(&server, "default").len()).unwrap();
    let archive = named(&server, "default", open(files.path()).unwrap()).await;
    assert_eq!(archive.kind(), Kind::Filestore);
    for run in assert_whole(&server, "default", &archive) {
        assert_eq!(run.namespace.as_deref(), Some("default"));
        assert!(run.namespace_id.is_some());
    }
    // Without what was archived of visibility the histories must tell the ids themselves.
    let alone = tempfile::tempdir().unwrap();
    for file in fs::read_dir(files.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|end| end == "history") {
            fs::copy(&file, alone.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let archive = named(&server, "default", open(alone.path()).unwrap()).await;
    for run in assert_whole(&server, "default", &archive) {
        assert_eq!(run.namespace, None);
    }

    copy_bucket(&server, "bucket", &s3, copy.path());
    let archive = named(&server, "bucket", open(copy.path()).unwrap()).await;
    assert_eq!(archive.kind(), Kind::S3store);
    for run in assert_whole(&server, "bucket", &archive) {
        assert_eq!(run.namespace.as_deref(), Some("bucket"));
    }

    // An hour's export, and the next one with two of its runs once more.
    let exported = tempfile::tempdir().unwrap();
    let items: Vec<_> = closed(&server, "default")
        .keys()
        .map(|(workflow, run)| item(&server.cli().history("default", workflow, run).unwrap()))
        .map(|item| field(&item))
        .collect();
    fs::create_dir(exported.path().join("01")).unwrap();
    fs::write(exported.path().join("00.proto"), items.concat()).unwrap();
    fs::write(exported.path().join("01/00.proto"), items[..2].concat()).unwrap();
    let archive = open(exported.path()).unwrap();
    assert_eq!(archive.kind(), Kind::CloudExport);
    assert_whole(&server, "default", &archive);
}
