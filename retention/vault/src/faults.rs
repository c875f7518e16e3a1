//! A store that misbehaves when told to, for tests of everything above it.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, StoreErrorKind, Upload,
    Uploaded,
};

/// The calls of a store and of its uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the call of that name")]
pub enum Call {
    Capabilities,
    Put,
    Begin,
    Write,
    Finish,
    Read,
    Head,
    List,
    Delete,
    AbortUploads,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and it fails.
    Fail(StoreErrorKind),
    /// It is done, but the answer says that it failed.
    FailAfter(StoreErrorKind),
    /// A read yields so many bytes, and then the connection is cut.
    Cut(u64),
    /// It never returns.
    Hang,
}

/// The wrapper; its clones are the same store with the same faults.
#[derive(Debug, Clone)]
pub struct Faults {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Plan>>,
    made: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<(Call, RangeInclusive<u64>, Fault)>,
    made: HashMap<Call, u64>,
    written: u64,
    full_after: Option<u64>,
    crash_after: Option<u64>,
    crashed: bool,
}

impl Faults {
    /// Wraps `inner`; nothing goes wrong yet.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Arc::default(), made: Arc::new(watch::Sender::new(())) }
    }

    /// Calls number `which` of this kind, counted from 1, meet `fault`.
    pub fn on(&self, call: Call, which: RangeInclusive<u64>, fault: Fault) {
        self.plan().rules.push((call, which, fault));
    }

    /// From now on every call of this kind meets `fault`.
    pub fn always(&self, call: Call, fault: Fault) {
        self.on(call, 0..=u64::MAX, fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.rules.clear();
        plan.full_after = None;
        plan.crash_after = None;
        plan.crashed = false;
    }

    /// After so many more bytes of content the store is full.
    pub fn full_after(&self, bytes: u64) {
        let mut plan = self.plan();
        plan.full_after = Some(plan.written + bytes);
    }

    /// After so many more bytes of content the process is as good as killed: every call fails,
    /// and uploads are neither finished nor tidied up.
    pub fn crash_after(&self, bytes: u64) {
        let mut plan = self.plan();
        plan.crash_after = Some(plan.written + bytes);
    }

    /// How many calls of this kind were made.
    pub fn made(&self, call: Call) -> u64 {
        self.plan().made.get(&call).copied().unwrap_or(0)
    }

    /// Waits until so many calls of this kind were made.
    pub async fn reached(&self, call: Call, number: u64) {
        let mut made = self.made.subscribe();
        while self.made(call) < number {
            if made.changed().await.is_err() {
                return;
            }
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, kind: StoreErrorKind, call: Call) -> StoreError {
        StoreError::new(kind, format!("cannot {call:?}, as the test wants it"), self.describe())
    }

    /// Counts a call and says what goes wrong with it.
    async fn meet(&self, call: Call, content: usize) -> Result<Option<Fault>, StoreError> {
        let fault = {
            let mut plan = self.plan();
            let made = plan.made.entry(call).or_default();
            *made += 1;
            let number = *made;
            plan.written += content as u64;
            plan.crashed |= plan.crash_after.is_some_and(|bytes| plan.written > bytes);
            if plan.crashed {
                Some(Fault::Fail(StoreErrorKind::Other))
            } else if content > 0 && plan.full_after.is_some_and(|bytes| plan.written > bytes) {
                Some(Fault::Fail(StoreErrorKind::Full))
            } else {
                let rule =
                    plan.rules.iter().find(|(at, which, _)| *at == call && which.contains(&number));
                rule.map(|(_, _, fault)| *fault)
            }
        };
        self.made.send_replace(());
        match fault {
            Some(Fault::Fail(kind)) => Err(self.error(kind, call)),
            Some(Fault::Hang) => std::future::pending().await,
            other => Ok(other),
        }
    }

    /// Makes the call, faults before and after it.
    async fn call<T>(
        &self,
        call: Call,
        content: usize,
        made: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = self.meet(call, content).await?;
        let outcome = made.await;
        match fault {
            Some(Fault::FailAfter(kind)) => Err(self.error(kind, call)),
            _ => outcome,
        }
    }
}

#[async_trait]
impl Store for Faults {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        self.call(Call::Capabilities, 0, self.inner.capabilities()).await
    }

    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.call(Call::Put, content.len(), self.inner.put(key, content, mode)).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        let inner = self.call(Call::Begin, 0, self.inner.begin(key)).await?;
        Ok(Box::new(FaultyUpload { faults: self.clone(), inner: Some(inner) }))
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        let fault = self.meet(Call::Read, 0).await?;
        let pieces = self.inner.read(key, range).await?;
        match fault {
            Some(Fault::Cut(after)) => {
                Ok(cut(pieces, after, self.error(StoreErrorKind::Unavailable, Call::Read)))
            }
            Some(Fault::FailAfter(kind)) => Err(self.error(kind, Call::Read)),
            _ => Ok(pieces),
        }
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.call(Call::Head, 0, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.call(Call::List, 0, self.inner.list(prefix)).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.call(Call::Delete, 0, self.inner.delete(keys)).await
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.call(Call::AbortUploads, 0, self.inner.abort_uploads(before)).await
    }
}

/// The first `after` bytes of `pieces`, then `error`.
fn cut(pieces: ByteStream, after: u64, error: StoreError) -> ByteStream {
    let head = pieces.scan(after, |left, piece| {
        let piece = piece.map(|mut bytes| {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
            bytes
        });
        let ended = matches!(&piece, Ok(bytes) if bytes.is_empty());
        std::future::ready((!ended).then_some(piece))
    });
    head.chain(stream::iter([Err(error)])).boxed()
}

struct FaultyUpload {
    faults: Faults,
    /// Always there before `finish`, `abort` or a drop.
    inner: Option<Box<dyn Upload>>,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, content: Bytes) -> Result<(), StoreError> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        self.faults.call(Call::Write, content.len(), inner.write(content)).await
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded, StoreError> {
        let fault = self.faults.meet(Call::Finish, 0).await?;
        let Some(inner) = self.inner.take() else {
            return Err(self.faults.error(StoreErrorKind::Other, Call::Finish));
        };
        let uploaded = inner.finish().await?;
        match fault {
            Some(Fault::FailAfter(kind)) => Err(self.faults.error(kind, Call::Finish)),
            _ => Ok(uploaded),
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StoreError> {
        match self.inner.take() {
            Some(inner) if !self.faults.plan().crashed => inner.abort().await,
            inner => {
                std::mem::forget(inner);
                Ok(())
            }
        }
    }
}

impl Drop for FaultyUpload {
    fn drop(&mut self) {
        if self.faults.plan().crashed {
            // A killed process runs no destructors.
            std::mem::forget(self.inner.take());
        }
    }
}
