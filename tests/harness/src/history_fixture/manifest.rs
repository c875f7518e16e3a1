//! The manifest of a window.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::calendar::{Day, time};
use super::segment::{EVENTS, Written, hex};
use super::{NAMESPACE, NAMESPACE_ID};

/// One stored file.
pub(super) struct File {
    pub(super) key: String,
    size: usize,
    sha256: String,
}

/// A segment with its index.
pub(super) struct Part {
    pub(super) data: File,
    pub(super) index: File,
    runs: u64,
    bytes: u64,
    first: String,
    last: String,
    bloom: String,
    statuses: Vec<(String, u64)>,
}

impl Part {
    pub(super) fn new(stem: &str, written: &Written, first: String, last: String) -> Self {
        let file = |end: &str, content: &[u8]| File {
            key: format!("{stem}{end}"),
            size: content.len(),
            sha256: hex(&Sha256::digest(content)),
        };
        Self {
            data: file(".jsonl.zst", &written.data),
            index: file(".index.jsonl.zst", &written.index),
            runs: written.runs,
            bytes: written.bytes,
            first,
            last,
            bloom: written.bloom.clone(),
            statuses: written.statuses.clone(),
        }
    }

    fn json(&self) -> String {
        let file = |File { key, size, sha256 }: &File| {
            format!("{{\"key\":\"{key}\",\"size\":{size},\"sha256\":\"{sha256}\"}}")
        };
        format!(
            "{{\"data\":{},\"index\":{},\"runs\":{},\"firstClose\":\"{}\",\"lastClose\":\"{}\",\
             \"bloom\":\"{}\"}}",
            file(&self.data),
            file(&self.index),
            self.runs,
            self.first,
            self.last,
            self.bloom
        )
    }
}

/// The document of one day's window.
pub(super) fn document(id: &str, day: &Day, parts: &[Part]) -> Vec<u8> {
    let runs: u64 = parts.iter().map(|part| part.runs).sum();
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let mut statuses = BTreeMap::new();
    for (status, runs) in parts.iter().flat_map(|part| &part.statuses) {
        *statuses.entry(status).or_insert(0) += runs;
    }
    let statuses: Vec<_> =
        statuses.into_iter().map(|(status, runs)| format!("\"{status}\":{runs}")).collect();
    let segments: Vec<_> = parts.iter().map(Part::json).collect();
    let (from, to) = (time(day.micros()), time(day.next().micros()));
    let manifest = format!(
        "{{\"formatVersion\":1,\"id\":\"{id}\",\"kind\":\"histories\",\
         \"namespace\":{{\"name\":\"{NAMESPACE}\",\"id\":\"{NAMESPACE_ID}\"}},\"filter\":\"\",\
         \"day\":\"{day}\",\"covers\":[{{\"from\":\"{from}\",\"to\":\"{to}\"}}],\
         \"programVersion\":\"0.1.0\",\"host\":\"harness\",\"started\":\"{to}\",\"finished\":\"{to}\",\
         \"runs\":{runs},\"events\":{},\"historyBytes\":{bytes},\"statuses\":{{{}}},\"vanished\":[],\
         \"replaces\":[],\"segments\":[{}]}}",
        runs * EVENTS,
        statuses.join(","),
        segments.join(",")
    );
    let digest = hex(&Sha256::digest(&manifest));
    format!("{{\"manifest\":{manifest},\"sha256\":\"{digest}\"}}\n").into_bytes()
}
