//! Histories of one real server imported into another.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use harness::temporal::Server;
use support::{CODEC, fetch_all, list, options, text};
use temporal::connect::Connection;
use temporal::import::{Archived, Facts, Translator};
use temporal::segment::{self, Sink, Writer};
use temporal::{Error, Namespace};

/// Two clusters with the same demo's workflows in the first.
struct Worlds {
    from: Connection,
    into: Connection,
    _servers: [(Server, harness::postgres::Server); 2],
}

async fn worlds(changes: u32) -> Worlds {
    let start = || {
        let postgres = harness::postgres::Server::start(16).unwrap();
        (Server::start(&postgres).unwrap(), postgres)
    };
    let servers = [start(), start()];
    servers[0].0.run_demo("default", 0, changes).unwrap();
    Worlds {
        from: Connection::open(&options(&servers[0].0.address())).await.unwrap(),
        into: Connection::open(&options(&servers[1].0.address())).await.unwrap(),
        _servers: servers,
    }
}

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

#[async_trait::async_trait]
impl Sink for Kept {
    async fn write(&mut self, bytes: bytes::Bytes) -> Result<(), temporal::BoxError> {
        self.0.lock().unwrap().extend_from_slice(&bytes);
        Ok(())
    }
}

/// Every closed run of a namespace, as a segment would hold it.
async fn archived(connection: &Connection, namespace: &Namespace) -> Vec<Archived> {
    let runs = list(connection, namespace, "").await.unwrap();
    let mut archived = Vec::new();
    for fetched in fetch_all(connection, namespace, &runs).await {
        let fetched = fetched.unwrap();
        let line = text(&fetched).await;
        let mut writer = Writer::new(CODEC, Box::new(Kept::default()));
        writer.push(fetched.summary, fetched.events, fetched.line).await.unwrap();
        let (_, finished) = writer.finish().await.unwrap();
        let entry = segment::entries(&finished.index).unwrap().next().unwrap().unwrap();
        archived.push(Archived::new(&entry, line.into_bytes()).unwrap());
    }
    archived
}

/// A namespace to import into, once the server knows it.
async fn namespace(connection: &Connection, name: &str, days: i64) -> Namespace {
    connection.register(name, TimeDelta::days(days), &[]).await.unwrap();
    let mut tries = 0;
    loop {
        match connection.namespace(name).await {
            Ok(namespace) => return namespace,
            Err(error) if tries == 300 => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        tries += 1;
    }
}

/// Imports; the server's caches take a moment to know namespaces and search attributes.
async fn import(
    connection: &Connection,
    namespace: &Namespace,
    run: &Archived,
    translator: &Translator,
) -> Result<(), Error> {
    let facts = Facts::read(run).unwrap();
    let mut tries = 0;
    loop {
        match connection.import(namespace, run, &facts, translator).await {
            Err(Error::Refused { .. }) if tries < 300 => {
                let wanted = translator.search_attributes(run).unwrap();
                connection.ensure_search_attributes(&namespace.name, &wanted).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            outcome => return outcome,
        }
        tries += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_runs_read_back_byte_for_byte_and_are_listed_as_they_were() {
    let worlds = worlds(24).await;
    let source = worlds.from.namespace("default").await.unwrap();
    let runs = archived(&worlds.from, &source).await;
    let translator = Translator::built_in().unwrap();
    // Another retention than the source's seven days.
    let target = namespace(&worlds.into, "drill", 30).await;
    for run in &runs {
        let facts = Facts::read(run).unwrap();
        assert_eq!(facts.misfits(run), Vec::<String>::new(), "{}", run.summary.workflow_id);
        import(&worlds.into, &target, run, &translator).await.unwrap();
    }
    let target = worlds.into.namespace("drill").await.unwrap();
    let mut reset_points = 0;
    for run in &runs {
        let found = worlds.into.read_back(&target, run).await.unwrap();
        assert!(found.is_same(), "{}: {found:?}", run.summary.workflow_id);
        assert_eq!(found.events, run.events);
        reset_points += usize::from(found.reset_points);
    }
    // Only runs that continue another one can have times that retention decides.
    let continued = |run: &&Archived| Facts::read(run).unwrap().link().before.is_some();
    let continued = runs.iter().filter(continued).count();
    assert!((1..=continued).contains(&reset_points), "{reset_points} of {continued}");

    let by_run: BTreeMap<&str, &Archived> =
        runs.iter().map(|run| (run.summary.run_id.as_str(), run)).collect();
    let mut listed = Vec::new();
    for _ in 0..300 {
        listed = list(&worlds.into, &target, "").await.unwrap();
        if listed.len() == runs.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(listed.len(), runs.len());
    for run in &listed {
        let archived = by_run[run.run_id.as_str()];
        let unlike = worlds.into.unlike(&target, run, &archived.summary).unwrap();
        assert!(unlike.is_empty(), "{}: {unlike:?}", run.workflow_id);
    }
}
