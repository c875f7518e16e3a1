//! An object being written to S3: in one request when it is small, in parts when it is not.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::types::CompletedPart;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::bucket::{Bucket, IN_FLIGHT_MIB};
use super::error::Failure;
use crate::{Key, StoreError, StoreErrorKind, Upload, Uploaded};

/// Parts of one upload in flight.
const PARTS_IN_FLIGHT: usize = 3;

/// Beyond this an object is taken to fill a part, and its buffer grows no more by and by.
const SMALL: usize = 512 << 10;

/// S3 takes parts up to this number.
const LAST_PART: i32 = 10_000;

/// Bytes of part `number`. All are of one size as long as that reaches (40 GiB), because some
/// servers demand it; then they grow, up to some 160 GiB of an object in all.
fn part_size(number: i32) -> usize {
    match number {
        ..=5_000 => 8 << 20,
        5_001..=7_500 => 16 << 20,
        _ => IN_FLIGHT_MIB << 20,
    }
}

pub(super) struct S3Upload {
    bucket: Arc<Bucket>,
    key: Key,
    /// Whether the size of an object sent in one request needs a look afterwards.
    look_after_put: bool,
    collected: BytesMut,
    digest: Sha256,
    size: u64,
    parts: Option<Parts>,
    failed: bool,
}

/// The upload once its first part is full. Dropped, it is given up in the background.
struct Parts {
    bucket: Arc<Bucket>,
    key: Key,
    id: String,
    next: i32,
    sending: JoinSet<Result<CompletedPart, StoreError>>,
    sent: Vec<CompletedPart>,
    over: bool,
}

impl S3Upload {
    pub(super) fn new(bucket: Arc<Bucket>, key: Key, look_after_put: bool) -> Self {
        Self {
            bucket,
            key,
            look_after_put,
            collected: BytesMut::new(),
            digest: Sha256::new(),
            size: 0,
            parts: None,
            failed: false,
        }
    }

    /// Sends what was collected as the next part.
    async fn send_part(&mut self) -> Result<(), StoreError> {
        let content = std::mem::take(&mut self.collected).freeze();
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let parts = Parts::begin(Arc::clone(&self.bucket), self.key.clone()).await?;
                self.parts.insert(parts)
            }
        };
        parts.send(content).await
    }

    async fn append(&mut self, content: Bytes) -> Result<(), StoreError> {
        self.digest.update(&content);
        self.size += content.len() as u64;
        let mut rest = content;
        while !rest.is_empty() {
            let size = part_size(self.parts.as_ref().map_or(1, |parts| parts.next));
            let room = size.saturating_sub(self.collected.len());
            if self.collected.capacity() < size && self.collected.len() + rest.len() > SMALL {
                let small = std::mem::replace(&mut self.collected, self.bucket.buffers.take(size));
                self.collected.extend_from_slice(&small);
            }
            self.collected.extend_from_slice(&rest.split_to(rest.len().min(room)));
            if self.collected.len() >= size {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Makes the object; its size is then looked up wherever an answer alone does not prove
    /// it.
    async fn complete(&mut self) -> Result<(), StoreError> {
        let retry = self.bucket.options.retry;
        if self.parts.is_none() {
            let content = std::mem::take(&mut self.collected).freeze();
            retry
                .run(|| async {
                    let put = self.bucket.put(&self.key, content.clone(), false).await;
                    put.map(drop).map_err(StoreError::from)
                })
                .await?;
            self.bucket.buffers.give_back(content);
            return if self.look_after_put { self.require_size().await } else { Ok(()) };
        }
        if !self.collected.is_empty() {
            self.send_part().await?;
        }
        if let Some(parts) = self.parts.take() {
            parts.join(self.size).await?;
        }
        self.require_size().await
    }

    async fn require_size(&self) -> Result<(), StoreError> {
        let found = self.bucket.options.retry.run(|| stored_size(&self.bucket, &self.key)).await?;
        if found == self.size {
            return Ok(());
        }
        let action = format!(
            "cannot write {}: {} bytes were sent and {found} are stored",
            self.key, self.size
        );
        Err(self.bucket.context.error(StoreErrorKind::Corrupt, action))
    }
}

async fn stored_size(bucket: &Bucket, key: &Key) -> Result<u64, StoreError> {
    Ok(bucket.head(key).await?.size)
}

impl Parts {
    async fn begin(bucket: Arc<Bucket>, key: Key) -> Result<Self, StoreError> {
        let begin = || async { bucket.begin_parts(&key).await.map_err(StoreError::from) };
        let id = bucket.options.retry.run(begin).await?;
        let (sending, sent) = (JoinSet::new(), Vec::new());
        Ok(Self { bucket, key, id, next: 1, sending, sent, over: false })
    }

    /// Sends a part in the background, once there is room for it.
    async fn send(&mut self, content: Bytes) -> Result<(), StoreError> {
        while self.sending.len() >= PARTS_IN_FLIGHT {
            self.settle_one().await?;
        }
        let number = self.next;
        if number > LAST_PART {
            let action = format!("cannot write {}: S3 takes no object so large", self.key);
            let error = self.bucket.context.error(StoreErrorKind::Invalid, action);
            return Err(error.with_hint("--format directory makes many smaller objects"));
        }
        self.next += 1;
        let (bucket, key, id) = (Arc::clone(&self.bucket), self.key.clone(), self.id.clone());
        let mib = content.len().div_ceil(1 << 20).clamp(1, IN_FLIGHT_MIB);
        let in_flight = Arc::clone(&bucket.in_flight);
        let room = in_flight.acquire_many_owned(u32::try_from(mib).unwrap_or(1)).await;
        self.sending.spawn(async move {
            let send = || async {
                let part = bucket.put_part(&key, &id, number, content.clone()).await;
                part.map_err(StoreError::from)
            };
            let sent = bucket.options.retry.run(send).await;
            bucket.buffers.give_back(content);
            drop(room);
            sent
        });
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), StoreError> {
        match self.sending.join_next().await {
            None => Ok(()),
            Some(Ok(part)) => {
                self.sent.push(part?);
                Ok(())
            }
            Some(Err(error)) => {
                let action = format!("cannot write {}", self.key);
                Err(self.bucket.context.error(StoreErrorKind::Other, action).with_source(error))
            }
        }
    }

    /// Makes the object of all parts, `size` bytes.
    async fn join(mut self, size: u64) -> Result<(), StoreError> {
        while !self.sending.is_empty() {
            self.settle_one().await?;
        }
        self.sent.sort_unstable_by_key(CompletedPart::part_number);
        let mut repeated = false;
        let retry = self.bucket.options.retry;
        let outcome = retry
            .run(|| {
                let again = std::mem::replace(&mut repeated, true);
                let (bucket, key) = (&self.bucket, &self.key);
                let joined = bucket.join_parts(key, &self.id, self.sent.clone());
                async move {
                    match joined.await {
                        Ok(()) => Ok(()),
                        // The attempt before, whose answer was lost, has done it.
                        Err(failure) if again && is_gone(&failure) => {
                            match stored_size(bucket, key).await {
                                Ok(found) if found == size => Ok(()),
                                Ok(_) => Err(failure.error),
                                Err(error) if error.kind == StoreErrorKind::NotFound => {
                                    Err(failure.error)
                                }
                                Err(error) => Err(error),
                            }
                        }
                        Err(failure) => Err(failure.error),
                    }
                }
            })
            .await;
        self.over = outcome.is_ok();
        outcome
    }

    async fn abort(mut self) -> Result<(), StoreError> {
        // A part that arrives after the abort would stay, and be paid for.
        self.sending.shutdown().await;
        let full = self.bucket.full(&self.key);
        self.over = true;
        let (bucket, id) = (&self.bucket, &self.id);
        bucket.options.retry.run(|| bucket.abort_parts(&full, id)).await
    }
}

fn is_gone(failure: &Failure) -> bool {
    failure.is("NoSuchUpload") || failure.error.kind == StoreErrorKind::NotFound
}

impl Drop for Parts {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.sending.abort_all();
        // Best effort; what it misses is found by `abort_uploads`.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (bucket, id) = (Arc::clone(&self.bucket), std::mem::take(&mut self.id));
            let full = bucket.full(&self.key);
            runtime.spawn(async move {
                if let Err(error) = bucket.abort_parts(&full, &id).await {
                    tracing::warn!(
                        object = full,
                        error = &error as &dyn std::error::Error,
                        "an upload that failed could not be given up"
                    );
                }
            });
        }
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, content: Bytes) -> Result<(), StoreError> {
        if self.failed {
            let action = format!("cannot go on writing {} after a failure", self.key);
            return Err(self.bucket.context.error(StoreErrorKind::Other, action));
        }
        // Also when this call is given up half way.
        self.failed = true;
        self.append(content).await?;
        self.failed = false;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded, StoreError> {
        if self.failed {
            let action = format!("cannot finish {} after a failure", self.key);
            return Err(self.bucket.context.error(StoreErrorKind::Other, action));
        }
        self.complete().await?;
        Ok(Uploaded { size: self.size, sha256: self.digest.finalize().into() })
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StoreError> {
        match self.parts.take() {
            Some(parts) => parts.abort().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_what_the_documentation_says() {
        let total: usize = (1..=LAST_PART).map(part_size).sum();
        assert!(total >= 155 << 30, "{total}");
        let uniform = (1..=LAST_PART).take_while(|number| part_size(*number) == part_size(1));
        assert!(uniform.map(part_size).sum::<usize>() >= 39 << 30);
        assert!((1..=LAST_PART).all(|number| part_size(number) >> 20 <= IN_FLIGHT_MIB));
    }
}
