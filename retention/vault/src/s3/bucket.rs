//! The calls of S3 that a store is made of, each one request.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream as Body, DateTime as SdkTime};
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use super::connect::Options;
use super::error::{Context, Failure};
use crate::{Key, ObjectInfo, StoreError, StoreErrorKind};

/// Buffers that are kept: as many as are in flight at once.
const SPARE: usize = 4;

/// Sizes worth keeping, from that of an ordinary part on.
const LEAST_SPARE: usize = 8 << 20;
const LARGEST_SPARE: usize = 9 << 20;

/// Part of an upload that is in flight, over all uploads of the store: what bounds its memory.
pub(super) const IN_FLIGHT_MIB: usize = 32;

/// Buffers of parts that were sent, to be filled again. An allocator that is given blocks of
/// megabytes back from many threads keeps a good part of them; these are few and always the
/// same.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<BytesMut>>);

impl Buffers {
    /// A buffer for `size` bytes.
    pub(super) fn take(&self, size: usize) -> BytesMut {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match spare.iter().position(|buffer| buffer.capacity() >= size) {
            Some(at) => spare.swap_remove(at),
            None => BytesMut::with_capacity(size),
        }
    }

    /// Keeps the buffer of `content`, unless somebody still holds it or there are enough.
    pub(super) fn give_back(&self, content: Bytes) {
        if let Ok(mut buffer) = content.try_into_mut() {
            buffer.clear();
            let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE && (LEAST_SPARE..=LARGEST_SPARE).contains(&buffer.capacity()) {
                spare.push(buffer);
            }
        }
    }
}

/// A bucket, or the part of it behind a prefix.
#[derive(Debug)]
pub(super) struct Bucket {
    pub client: Client,
    pub name: String,
    /// Empty, or ending with a slash.
    pub prefix: String,
    pub options: Options,
    pub context: Context,
    pub buffers: Buffers,
    /// One permit per MiB of parts in flight.
    pub in_flight: Arc<Semaphore>,
    /// Cleared for good when the server does not know checksum headers.
    checksums: AtomicBool,
    /// Cleared for good when the server cannot delete several objects at once.
    pub batches: AtomicBool,
}

/// A time of the SDK as ours.
pub(super) fn time(time: Option<&SdkTime>) -> Option<DateTime<Utc>> {
    let time = time?;
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

impl Bucket {
    pub(super) fn new(
        client: Client,
        name: String,
        prefix: String,
        options: Options,
        context: Context,
    ) -> Self {
        let (checksums, batches) = (AtomicBool::new(true), AtomicBool::new(true));
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MIB));
        let buffers = Buffers::default();
        Self { client, name, prefix, options, context, buffers, in_flight, checksums, batches }
    }

    /// The object's name in the bucket.
    pub(super) fn full(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key of an object in the bucket; `None` for what is not ours.
    fn key(&self, full: &str) -> Option<Key> {
        Key::new(full.strip_prefix(&self.prefix)?).ok()
    }

    /// The checksum to send. The body's SHA-256 is signed in any case; this one is kept by the
    /// server, and buckets with Object Lock demand it.
    pub(super) fn checksum(&self) -> Option<ChecksumAlgorithm> {
        self.checksums.load(Ordering::Relaxed).then_some(ChecksumAlgorithm::Crc32)
    }

    /// Settings of one call that sends `bytes` of content. With content in memory the SDK sends
    /// the checksum as a header, and where it is switched off none at all.
    pub(super) fn sending(&self, bytes: usize) -> Builder {
        let calculation = match self.checksum() {
            Some(_) => RequestChecksumCalculation::WhenSupported,
            None => RequestChecksumCalculation::WhenRequired,
        };
        Builder::new()
            .timeout_config(self.options.sending(bytes))
            .request_checksum_calculation(calculation)
    }

    /// Whether the call failed for its checksum header, which is then sent no more.
    pub(super) fn drops_checksums(&self, failure: &Failure) -> bool {
        (failure.status() == 501 || failure.is("NotImplemented"))
            && self.checksums.swap(false, Ordering::Relaxed)
    }

    /// Stores an object whole; gives its version where the bucket has versions.
    pub(super) async fn put(
        &self,
        key: &Key,
        content: Bytes,
        if_absent: bool,
    ) -> Result<Option<String>, Failure> {
        loop {
            let outcome = self
                .client
                .put_object()
                .bucket(&self.name)
                .key(self.full(key))
                .set_checksum_algorithm(self.checksum())
                .set_if_none_match(if_absent.then(|| "*".to_owned()))
                .body(Body::from(content.clone()))
                .customize()
                .config_override(self.sending(content.len()))
                .send()
                .await
                .map_err(|error| self.context.failure(format!("cannot write {key}"), error));
            match outcome {
                Err(failure) if self.drops_checksums(&failure) => {}
                other => return other.map(|output| output.version_id),
            }
        }
    }

    /// Sends content with a checksum that is not its own; a server that checks refuses it.
    pub(super) async fn put_wrong_checksum(&self, key: &Key) -> Result<Option<String>, Failure> {
        let outcome = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(self.full(key))
            // CRC-32 of nothing, in base64; the content has another.
            .checksum_crc32("AAAAAA==")
            .body(Body::from_static(b"not what the checksum says"))
            .send()
            .await;
        match outcome {
            Ok(output) => Ok(output.version_id),
            Err(error) => Err(self.context.failure("cannot try out checksums".into(), error)),
        }
    }

    pub(super) async fn head(&self, key: &Key) -> Result<ObjectInfo, Failure> {
        let request = self.client.head_object().bucket(&self.name).key(self.full(key));
        let output = request
            .send()
            .await
            .map_err(|error| self.context.failure(format!("cannot look at {key}"), error))?;
        Ok(ObjectInfo {
            key: key.clone(),
            size: output.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            modified: time(output.last_modified()).unwrap_or_default(),
        })
    }

    pub(super) async fn get(
        &self,
        key: &Key,
        range: Option<Range<u64>>,
    ) -> Result<GetObjectOutput, Failure> {
        let header = range.clone().map(|range| match range.end {
            u64::MAX => format!("bytes={}-", range.start),
            end => format!("bytes={}-{}", range.start, end.saturating_sub(1)),
        });
        let request = self.client.get_object().bucket(&self.name).key(self.full(key));
        let output = request
            .set_range(header)
            .send()
            .await
            .map_err(|error| self.context.failure(format!("cannot read {key}"), error))?;
        // A server or a cache that ignores the range sends the whole, as if it were the part.
        if let Some(range) = range {
            let begins = format!("bytes {}-", range.start);
            if !output.content_range().is_some_and(|answer| answer.starts_with(&begins)) {
                let action = format!("cannot read {key}: the server does not send the range");
                let error = self.context.error(StoreErrorKind::Invalid, action);
                return Err(Failure { answer: None, error });
            }
        }
        Ok(output)
    }

    /// Every object whose key begins with `prefix`, by key.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let action = || format!("cannot list {prefix:?}");
        let mut found = Vec::new();
        // Servers refuse to look for what no key begins with.
        if !Key::may_begin_with(prefix) {
            return Ok(found);
        }
        // They take dots for a way out of the folder, though they may begin a name.
        let asked = match prefix.rsplit_once('/') {
            Some((folder, "." | "..")) => format!("{folder}/"),
            None if prefix == "." || prefix == ".." => String::new(),
            _ => prefix.to_owned(),
        };
        let mut token = None::<String>;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.name);
            let page = request
                .prefix(format!("{}{asked}", self.prefix))
                .set_continuation_token(token.clone())
                .send()
                .await
                .map_err(|error| self.context.failure(action(), error))?;
            for object in page.contents() {
                let name = object.key().unwrap_or_default();
                match self.key(name) {
                    Some(key) => found.push(ObjectInfo {
                        key,
                        size: object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                        modified: time(object.last_modified()).unwrap_or_default(),
                    }),
                    None => tracing::warn!(name, "not an object of ours, passed over"),
                }
            }
            let next = page.next_continuation_token;
            if page.is_truncated != Some(true) {
                break;
            }
            if next.is_none() || next == token {
                let action = format!("{}: the server repeats a page of the list", action());
                return Err(self.context.error(StoreErrorKind::Other, action));
            }
            token = next;
        }
        // Directory buckets list in no order.
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        found.dedup_by(|a, b| a.key == b.key);
        found.retain(|info| info.key.as_str().starts_with(prefix));
        Ok(found)
    }
}
