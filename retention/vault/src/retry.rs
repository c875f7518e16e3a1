//! Trying again what may succeed the second time.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::{
    ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, StoreErrorKind, Upload,
    read_small,
};

/// How often and for how long to try. Waits double from one to the next, and each is cut by
/// chance to between a half and the whole, so that many clients do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Attempts at most, the first included.
    pub attempts: u32,
    /// Before the second attempt.
    pub first_wait: Duration,
    /// Between any two attempts.
    pub longest_wait: Duration,
    /// No attempt begins later than this after the first.
    pub total: Duration,
}

impl Default for Policy {
    /// Bridges the restart of a server: eight attempts, a minute of waiting.
    fn default() -> Self {
        Self {
            attempts: 8,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(20),
            total: Duration::from_secs(300),
        }
    }
}

impl Policy {
    /// Runs `call` until it succeeds, fails for good, or was tried often enough.
    pub(crate) async fn run<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        let mut attempts = Attempts::new(*self);
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) => attempts.wait_after(error).await?,
            }
        }
    }
}

/// The attempts at one thing.
#[derive(Debug)]
struct Attempts {
    policy: Policy,
    made: u32,
    begun: Instant,
}

impl Attempts {
    fn new(policy: Policy) -> Self {
        Self { policy, made: 0, begun: Instant::now() }
    }

    /// Waits for the next attempt, or gives `error` back when there is to be none.
    async fn wait_after(&mut self, mut error: StoreError) -> Result<(), StoreError> {
        self.made += 1;
        if !error.is_transient() {
            return Err(error);
        }
        let doubled = self.policy.first_wait.saturating_mul(1 << (self.made - 1).min(16));
        let wait = doubled.min(self.policy.longest_wait).mul_f64(rand::random_range(0.5..=1.0));
        if self.made >= self.policy.attempts || self.begun.elapsed() + wait > self.policy.total {
            if self.made > 1 {
                error.action = format!("{} after {} attempts", error.action, self.made);
            }
            return Err(error);
        }
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            seconds = wait.as_secs_f32(),
            "trying again"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// A store whose calls are tried again after transient failures. A read that is cut goes on
/// where it was cut. The parts of an upload are the inner store's to send again: when one
/// fails, its bytes have long left this wrapper.
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn Store>,
    policy: Policy,
}

impl Retry {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, policy: Policy) -> Self {
        Self { inner, policy }
    }

    /// Whether the object at `key` is what we tried to put there: then our attempt that
    /// seemed to fail is the one that took the key.
    async fn holds(&self, key: &Key, content: &Bytes) -> Result<bool, StoreError> {
        match self.policy.run(|| read_small(&*self.inner, key, content.len() as u64)).await {
            Ok(stored) => Ok(stored == *content),
            Err(error) if error.kind == StoreErrorKind::Corrupt => Ok(false),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Store for Retry {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        self.policy.run(|| self.inner.capabilities()).await
    }

    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let mut attempts = Attempts::new(self.policy);
        loop {
            let Err(error) = self.inner.put(key, content.clone(), mode).await else {
                return Ok(());
            };
            let repeated = attempts.made > 0;
            if repeated
                && error.kind == StoreErrorKind::AlreadyExists
                && self.holds(key, &content).await?
            {
                return Ok(());
            }
            attempts.wait_after(error).await?;
        }
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        self.policy.run(|| self.inner.begin(key)).await
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        let first = self.policy.run(|| self.inner.read(key, range.clone())).await?;
        let wanted = range.unwrap_or(0..u64::MAX);
        let reader = Reader {
            inner: Arc::clone(&self.inner),
            policy: self.policy,
            attempts: Attempts::new(self.policy),
            key: key.clone(),
            wanted,
            pieces: Some(first),
        };
        let next = |mut reader: Reader| async move {
            match reader.next().await {
                Ok(Some(piece)) => Ok(Some((piece, reader))),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            }
        };
        Ok(stream::try_unfold(reader, next).boxed())
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.policy.run(|| self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.policy.run(|| self.inner.list(prefix)).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.policy.run(|| self.inner.delete(keys)).await
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.policy.run(|| self.inner.abort_uploads(before)).await
    }
}

/// A read that goes on after a cut.
struct Reader {
    inner: Arc<dyn Store>,
    policy: Policy,
    /// Since the last byte that arrived.
    attempts: Attempts,
    key: Key,
    /// What is still to come.
    wanted: Range<u64>,
    pieces: Option<ByteStream>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let pieces = match &mut self.pieces {
                Some(pieces) => pieces,
                None => match self.inner.read(&self.key, Some(self.wanted.clone())).await {
                    Ok(pieces) => self.pieces.insert(pieces),
                    Err(error) => {
                        self.attempts.wait_after(error).await?;
                        continue;
                    }
                },
            };
            match pieces.next().await {
                None => return Ok(None),
                Some(Ok(piece)) => {
                    self.wanted.start = self.wanted.start.saturating_add(piece.len() as u64);
                    self.attempts = Attempts::new(self.policy);
                    return Ok(Some(piece));
                }
                Some(Err(error)) => {
                    self.pieces = None;
                    self.attempts.wait_after(error).await?;
                }
            }
        }
    }
}
