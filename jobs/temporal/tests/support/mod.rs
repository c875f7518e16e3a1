//! What the tests of fetching share.
#![allow(dead_code, missing_docs, reason = "each test binary uses a part of it")]

pub mod mock;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use temporal::connect::{Connection, Options};
use temporal::limit::Limits;
use temporal::segment::{Codec, Sink, Writer};
use temporal::{Error, Execution, Fetched, Namespace, query};

pub const CODEC: Codec = Codec::Zstd(1);

/// Options for a server without TLS, free of the caller's profiles.
pub fn options(address: &str) -> Options {
    let environment = BTreeMap::from([
        ("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned()),
        ("TEMPORAL_ADDRESS".to_owned(), address.to_owned()),
    ]);
    Options { environment, identity: "test".into(), ..Options::default() }
}

pub fn with_limits(address: &str, change: impl FnOnce(&mut Limits)) -> Options {
    let mut options = options(address);
    change(&mut options.limits);
    options
}

/// Every closed run that a filter matches.
pub async fn list(
    connection: &Connection,
    namespace: &Namespace,
    filter: &str,
) -> Result<Vec<Execution>, Error> {
    let query = query::closed(filter, None, None);
    let (mut runs, mut token) = (Vec::new(), Vec::new());
    loop {
        let page = connection.list(namespace, &query, token).await?;
        runs.extend(page.executions);
        if page.next.is_empty() {
            return Ok(runs);
        }
        token = page.next;
    }
}

/// Fetches runs at the same time, in the order given.
pub async fn fetch_all(
    connection: &Connection,
    namespace: &Namespace,
    runs: &[Execution],
) -> Vec<Result<Fetched, Error>> {
    let tasks: Vec<_> = runs
        .iter()
        .map(|run| {
            let (connection, namespace, run) = (connection.clone(), namespace.clone(), run.clone());
            tokio::spawn(async move { connection.fetch(&namespace, &run, CODEC).await })
        })
        .collect();
    let mut fetched = Vec::new();
    for task in tasks {
        fetched.push(task.await.unwrap());
    }
    fetched
}

/// The line as text, by way of a segment that holds nothing else.
pub async fn text(fetched: &Fetched) -> String {
    let kept = Kept::default();
    let mut writer = Writer::new(CODEC, Box::new(kept.clone()));
    let (summary, line) = (fetched.summary.clone(), fetched.line.clone());
    writer.push(summary, fetched.events, line).await.unwrap();
    drop(writer.finish().await.unwrap());
    let segment = kept.0.lock().unwrap();
    let mut text = String::from_utf8(zstd::decode_all(segment.as_slice()).unwrap()).unwrap();
    assert_eq!(text.pop(), Some('\n'));
    text
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

/// The history at the end of a line, as it stands there.
pub fn history(line: &str) -> &str {
    let (_, history) = line.rsplit_once(",\"history\":").unwrap();
    history.strip_suffix('}').unwrap()
}

pub fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// An error with its causes and its hint, as the program prints it.
pub fn shown(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    format!("{text}\nhint: {}", error.hint().unwrap_or_default())
}

/// Base64 the way that the crate itself never needs.
pub fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0u32, |all, digit| all << 6 | u32::from(*digit));
        let word = bits << (6 * (4 - group.len()) + 8);
        bytes.extend_from_slice(&word.to_be_bytes()[..group.len() - 1]);
    }
    bytes
}
