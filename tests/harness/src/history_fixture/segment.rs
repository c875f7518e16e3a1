//! A segment and its index.

use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::calendar::time;
use super::{NAMESPACE, NAMESPACE_ID, run_id, workflow_id};
use crate::error::Error;

/// JSON in one frame.
const FRAME: usize = 1 << 20;

const STATUSES: [&str; 8] = [
    "COMPLETED",
    "COMPLETED",
    "COMPLETED",
    "COMPLETED",
    "FAILED",
    "CONTINUED_AS_NEW",
    "TERMINATED",
    "TIMED_OUT",
];
const TYPES: [&str; 4] = ["ChangePipeline", "ReviewChange", "DeployChange", "Cleanup"];

/// Events of every history.
pub(super) const EVENTS: u64 = 3;

/// Both files, and what a manifest says of them.
pub(super) struct Written {
    pub(super) data: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) runs: u64,
    pub(super) bytes: u64,
    pub(super) bloom: String,
    /// Runs by status, in order of name.
    pub(super) statuses: Vec<(String, u64)>,
}

/// Frames put one behind the other.
struct Frames {
    compressor: zstd::bulk::Compressor<'static>,
    open: Vec<u8>,
    done: Vec<u8>,
}

impl Frames {
    fn new() -> Result<Self, Error> {
        let mut compressor = zstd::bulk::Compressor::new(1).map_err(failed())?;
        compressor.include_checksum(true).map_err(failed())?;
        Ok(Self { compressor, open: Vec::with_capacity(FRAME), done: Vec::new() })
    }

    fn fits(&self, length: usize) -> bool {
        self.open.is_empty() || self.open.len() + length <= FRAME
    }

    /// Ends a frame; gives its offset and length.
    fn end(&mut self) -> Result<(usize, usize), Error> {
        let offset = self.done.len();
        self.done.extend_from_slice(&self.compressor.compress(&self.open).map_err(failed())?);
        self.open.clear();
        Ok((offset, self.done.len() - offset))
    }
}

fn failed() -> impl FnOnce(std::io::Error) -> Error {
    Error::io("cannot compress".to_owned())
}

/// The runs of these numbers, which closed when `close` says.
pub(super) fn segment(runs: Range<u64>, close: impl Fn(u64) -> u64) -> Result<Written, Error> {
    let (mut data, mut index) = (Frames::new()?, Frames::new()?);
    let mut waiting: Vec<(String, usize, usize, String)> = Vec::new();
    let mut ids = Vec::new();
    let (mut bytes, mut statuses) = (0, std::collections::BTreeMap::new());
    // Newest first, as the index wants it.
    for n in runs.clone().rev() {
        let status = STATUSES[usize::try_from(super::mix(n) % 8).unwrap_or(0)];
        *statuses.entry(short(status)).or_insert(0) += 1;
        let head = head(n, status, close(n));
        let line = line(&head, n, status, close(n));
        ids.extend([hash(&workflow_id(n)), hash(&run_id(n))]);
        bytes += line.len() as u64;
        if !data.fits(line.len() + 1) {
            flush(&mut data, &mut index, &mut waiting)?;
        }
        let digest = hex(&Sha256::digest(line.as_bytes()));
        waiting.push((head, data.open.len(), line.len(), digest));
        data.open.extend_from_slice(line.as_bytes());
        data.open.push(b'\n');
    }
    flush(&mut data, &mut index, &mut waiting)?;
    index.end()?;
    Ok(Written {
        data: data.done,
        index: index.done,
        runs: runs.end - runs.start,
        bytes,
        bloom: bloom(&ids),
        statuses: statuses.into_iter().collect(),
    })
}

/// Ends a frame of lines and writes the index lines of the runs in it.
fn flush(
    data: &mut Frames,
    index: &mut Frames,
    waiting: &mut Vec<(String, usize, usize, String)>,
) -> Result<(), Error> {
    let (offset, length) = data.end()?;
    for (head, skip, size, digest) in waiting.drain(..) {
        let line = format!(
            "{head},\"at\":{{\"offset\":{offset},\"length\":{length},\"skip\":{skip},\"size\":{size},\
             \"events\":{EVENTS},\"sha256\":\"{digest}\"}}}}\n"
        );
        if !index.fits(line.len()) {
            index.end()?;
        }
        index.open.extend_from_slice(line.as_bytes());
    }
    Ok(())
}

/// The line up to its history, an object that is not closed.
fn head(n: u64, status: &str, close: u64) -> String {
    let (workflow, run, kind) =
        (workflow_id(n), run_id(n), TYPES[usize::try_from(n % 4).unwrap_or(0)]);
    let (start, close) = (time(close - 1_500_000), time(close));
    format!(
        "{{\"formatVersion\":1,\"namespace\":\"{NAMESPACE}\",\"namespaceId\":\"{NAMESPACE_ID}\",\
         \"workflowId\":\"{workflow}\",\"runId\":\"{run}\",\"type\":\"{kind}\",\"taskQueue\":\"aidp\",\
         \"status\":\"WORKFLOW_EXECUTION_STATUS_{status}\",\"startTime\":\"{start}\",\
         \"executionTime\":\"{start}\",\"closeTime\":\"{close}\",\"firstRunId\":\"{run}\",\
         \"memo\":{{\"requestedBy\":{{\"metadata\":{{\"encoding\":\"anNvbi9wbGFpbg==\"}},\
         \"data\":\"InVzZXIi\"}}}},\"searchAttributes\":{{\"AidpRepository\":{{\"type\":\"Keyword\",\
         \"value\":\"repository-{}\"}}}},\"historyLength\":{EVENTS},\"historySizeBytes\":{},\
         \"stateTransitionCount\":5",
        n % 50,
        900 + n % 100,
    )
}

fn line(head: &str, n: u64, status: &str, close: u64) -> String {
    let (start, end, run) = (time(close - 1_500_000), time(close), run_id(n));
    let event =
        if status == "CONTINUED_AS_NEW" { "ContinuedAsNew".to_owned() } else { short(status) };
    format!(
        "{head},\"history\":{{\"events\":[{{\"eventId\":\"1\",\"eventTime\":\"{start}\",\
         \"eventType\":\"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED\",\"taskId\":\"{n}\",\
         \"workflowExecutionStartedEventAttributes\":{{\"workflowType\":{{\"name\":\"ChangePipeline\"}},\
         \"taskQueue\":{{\"name\":\"aidp\",\"kind\":\"TASK_QUEUE_KIND_NORMAL\"}},\
         \"originalExecutionRunId\":\"{run}\",\"firstExecutionRunId\":\"{run}\",\"attempt\":1,\
         \"workflowId\":\"{}\"}}}},{{\"eventId\":\"2\",\"eventTime\":\"{start}\",\
         \"eventType\":\"EVENT_TYPE_WORKFLOW_TASK_SCHEDULED\",\
         \"workflowTaskScheduledEventAttributes\":{{\"taskQueue\":{{\"name\":\"aidp\"}},\"attempt\":1}}}},\
         {{\"eventId\":\"3\",\"eventTime\":\"{end}\",\
         \"eventType\":\"EVENT_TYPE_WORKFLOW_EXECUTION_{status}\",\
         \"workflowExecution{event}EventAttributes\":{{}}}}]}}}}",
        workflow_id(n),
    )
}

/// `CONTINUED_AS_NEW` to `ContinuedAsNew`.
pub(super) fn short(status: &str) -> String {
    let word = |word: &str| {
        word.get(..1).unwrap_or_default().to_owned()
            + &word.get(1..).unwrap_or_default().to_lowercase()
    };
    status.split('_').map(word).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the filter keeps of an id: two numbers from its SHA-256.
fn hash(id: &str) -> (u64, u64) {
    let digest: [u8; 32] = Sha256::digest(id).into();
    let number = |at: usize| {
        digest.iter().skip(at).take(8).rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
    };
    (number(0), number(8))
}

/// Seven probes in ten bits an id, behind one byte that says how many probes.
fn bloom(ids: &[(u64, u64)]) -> String {
    let mut bytes = vec![0_u8; (ids.len() * 10).div_ceil(8).max(1)];
    let bits = bytes.len() as u64 * 8;
    for (a, b) in ids {
        for probe in 0..7_u64 {
            let bit = a.wrapping_add(probe.wrapping_mul(b | 1)) % bits;
            if let Some(byte) = bytes.get_mut(usize::try_from(bit / 8).unwrap_or(usize::MAX)) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    bytes.insert(0, 7);
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte))
            << (8 * (3 - group.len()));
        for digit in 0..4 {
            let digit =
                if digit <= group.len() { DIGITS[number >> (18 - 6 * digit) & 63] } else { b'=' };
            text.push(char::from(digit));
        }
    }
    text
}
