//! Windows of a made-up namespace, and a store that fails when told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use vault::faults::Faults;
use vault::lease::{self, Guard, Holder, Timing};
use vault::manifest::Object;
use vault::window::{
    Cover, FORMAT_VERSION, Gone, Kind, Namespace, Segment, Window, WindowId, Windows,
};
use vault::{Error, Key, MemoryStore, PutMode, Store, hex};

pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn object(name: &str) -> Object {
    let content = name.as_bytes();
    Object {
        key: key(name),
        size: content.len() as u64,
        sha256: hex::encode(&Sha256::digest(content)),
    }
}

/// The hour `hour` of a day, with ten runs in one segment.
pub fn window(hour: u32, random: u32) -> Window {
    window_of("default", hour, random)
}

pub fn window_of(namespace: &str, hour: u32, random: u32) -> Window {
    let first = time(&format!("2026-11-23T{hour:02}:10:00.000001Z"));
    let last = time(&format!("2026-11-23T{hour:02}:50:00Z"));
    let id = WindowId::new(first, last, random);
    let folder = Key::escape_segment(namespace);
    let stem = format!("histories/{folder}/2026-11-23/{id}-00");
    Window {
        format_version: FORMAT_VERSION,
        kind: Kind::Histories,
        namespace: Namespace {
            name: namespace.into(),
            id: "11111111-2222-4333-8444-555555555555".into(),
        },
        filter: String::new(),
        day: Some(first.date_naive()),
        covers: vec![Cover {
            from: time(&format!("2026-11-23T{hour:02}:00:00Z")),
            to: time(&format!("2026-11-23T{hour:02}:59:59.999999Z")),
        }],
        program_version: "0.1.0".into(),
        host: "worker-0".into(),
        started: time("2026-11-24T02:00:00Z"),
        finished: time("2026-11-24T02:00:03.5Z"),
        runs: 10,
        events: 70,
        history_bytes: 9_000,
        statuses: BTreeMap::from([("Completed".into(), 8), ("Failed".into(), 2)]),
        vanished: vec![],
        replaces: vec![],
        segments: vec![Segment {
            data: object(&format!("{stem}.jsonl.zst")),
            index: object(&format!("{stem}.index.jsonl.zst")),
            runs: 10,
            first_close: first,
            last_close: last,
            bloom: "B/89fg==".into(),
        }],
        id,
    }
}

/// A window without runs.
pub fn empty_window(hour: u32, random: u32) -> Window {
    let mut window = window(hour, random);
    let end = window.covers[0].to;
    window.id = WindowId::new(end, end, random);
    (window.day, window.runs, window.events, window.history_bytes) = (None, 0, 0, 0);
    window.statuses.clear();
    window.segments.clear();
    window
}

/// The window that takes the place of two of the same day.
pub fn joined(a: &Window, b: &Window, random: u32) -> Window {
    let mut window = window(0, random);
    window.id = WindowId::new(a.id.closes().0, b.id.closes().1, random);
    window.covers = [a.covers.clone(), b.covers.clone()].concat();
    window.replaces = vec![a.id.clone(), b.id.clone()];
    let stem = format!("histories/default/2026-11-23/{}-00", window.id);
    window.runs = a.runs + b.runs;
    window.statuses = BTreeMap::from([("Completed".into(), window.runs)]);
    let segment = &mut window.segments[0];
    segment.data = object(&format!("{stem}.jsonl.zst"));
    segment.index = object(&format!("{stem}.index.jsonl.zst"));
    segment.runs = a.runs + b.runs;
    (segment.first_close, segment.last_close) = window.id.closes();
    window
}

pub fn gone(run_id: &str, close_time: &str) -> Gone {
    Gone { workflow_id: "w".into(), run_id: run_id.into(), close_time: time(close_time) }
}

pub struct Fixture {
    pub memory: MemoryStore,
    pub faults: Faults,
    pub windows: Windows,
    pub lease: Guard,
}

pub async fn take_lease(store: Arc<dyn Store>, holder: Holder) -> Result<Guard, Error> {
    lease::acquire(store, "histories", holder, Timing::default(), &CancellationToken::new()).await
}

pub async fn fixture() -> Fixture {
    let memory = MemoryStore::new();
    let lease = take_lease(Arc::new(memory.clone()), Holder::this_process()).await.unwrap();
    let faults = Faults::new(Arc::new(memory.clone()));
    let windows = Windows::new(Arc::new(faults.clone()));
    Fixture { memory, faults, windows, lease }
}

impl Fixture {
    pub async fn store_objects(&self, window: &Window) {
        for object in window.objects() {
            let content = object.key.to_string();
            self.memory.put(&object.key, content.into(), PutMode::Overwrite).await.unwrap();
        }
    }

    pub async fn publish(&self, window: &Window) {
        self.store_objects(window).await;
        self.windows.publish(window, &self.lease).await.unwrap();
    }

    /// The identities of the windows that count.
    pub async fn ids(&self) -> Vec<WindowId> {
        let references = self.windows.references(None).await.unwrap();
        let listing = self.windows.read(references).await.unwrap();
        listing.windows.into_iter().map(|window| window.id).collect()
    }

    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.memory.list(prefix).await.unwrap();
        listed.into_iter().map(|info| info.key.to_string()).collect()
    }
}

pub fn manifest_key(window: &Window) -> Key {
    Window::key(&window.namespace.name, &window.id).unwrap()
}
