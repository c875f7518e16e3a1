//! A segment and its index as objects of a store: written, and read back.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::NaiveDate;
use futures::TryStreamExt;
use temporal::segment::{
    BoxError, Checked, Checker, Codec, EncodedLine, Finished, Sink, Summary, Writer,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use vault::manifest::Object;
use vault::window::{Segment, Window, WindowId};
use vault::{Key, Store, StoreErrorKind, Upload, hex};

use super::index;
use crate::{Damage, Error, source};

/// A segment being written.
pub(crate) struct Part {
    store: Arc<dyn Store>,
    data: Key,
    index: Key,
    writer: Writer,
    upload: Shared,
}

/// The upload of a segment's lines, which the writer writes and this module ends.
type Shared = Arc<Mutex<Option<Box<dyn Upload>>>>;

struct UploadSink(Shared);

#[async_trait]
impl Sink for UploadSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BoxError> {
        match self.0.lock().await.as_mut() {
            Some(upload) => Ok(upload.write(bytes).await?),
            None => Err("the upload has ended".into()),
        }
    }
}

/// What of a segment goes into the manifest of its window.
#[derive(Debug)]
pub(crate) struct Written {
    pub segment: Segment,
    pub finished: Finished,
}

/// `histories/NAMESPACE/DAY/WINDOW-NN`, to which the suffixes of a segment and its index are added.
pub(crate) fn prefix(namespace: &str, day: NaiveDate, window: &WindowId, number: usize) -> String {
    format!("histories/{}/{day}/{window}-{number:02}", Key::escape_segment(namespace))
}

impl Part {
    /// Begins a segment; its keys are added to `keys`, for whoever must clean up.
    pub(crate) async fn begin(
        store: &Arc<dyn Store>,
        prefix: &str,
        codec: Codec,
        keys: &mut Vec<Key>,
    ) -> Result<Self, Error> {
        let data = key(format!("{prefix}.jsonl{}", codec.compression().suffix()), store)?;
        let index = key(format!("{prefix}.index.jsonl{}", codec.compression().suffix()), store)?;
        keys.extend([data.clone(), index.clone()]);
        let upload = store.begin(&data).await.map_err(vault::Error::from)?;
        let upload = Arc::new(Mutex::new(Some(upload)));
        let writer = Writer::new(codec, Box::new(UploadSink(upload.clone())));
        Ok(Self { store: store.clone(), data, index, writer, upload })
    }

    /// Adds a run.
    pub(crate) async fn push(
        &mut self,
        summary: Summary,
        events: u64,
        line: EncodedLine,
    ) -> Result<(), Error> {
        let pushed = self.writer.push(summary, events, line).await;
        pushed.map_err(|error| Error::segment(&self.data, error))
    }

    /// Whether it should end and another one begin.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Stores what is left, and the index; `None`, and nothing stored, when no run came.
    pub(crate) async fn finish(self) -> Result<Option<Written>, Error> {
        let (_, finished) =
            self.writer.finish().await.map_err(|error| Error::segment(&self.data, error))?;
        let Some(upload) = self.upload.lock().await.take() else { return Ok(None) };
        let (Some(first_close), Some(last_close)) = (finished.first_close, finished.last_close)
        else {
            upload.abort().await.map_err(vault::Error::from)?;
            return Ok(None);
        };
        let uploaded = upload.finish().await.map_err(vault::Error::from)?;
        let mut index = self.store.begin(&self.index).await.map_err(vault::Error::from)?;
        index.write(Bytes::from(finished.index.clone())).await.map_err(vault::Error::from)?;
        let index = index.finish().await.map_err(vault::Error::from)?;
        let object = |key: Key, uploaded: &vault::Uploaded| Object {
            key,
            size: uploaded.size,
            sha256: hex::encode(&uploaded.sha256),
        };
        let segment = Segment {
            data: object(self.data, &uploaded),
            index: object(self.index, &index),
            runs: finished.runs,
            first_close,
            last_close,
            bloom: finished.bloom.encode(),
        };
        Ok(Some(Written { segment, finished }))
    }
}

fn key(text: String, store: &Arc<dyn Store>) -> Result<Key, Error> {
    Key::new(text).map_err(|source| {
        let action = "cannot name a segment";
        let error = vault::StoreError::new(StoreErrorKind::Invalid, action, store.describe());
        vault::Error::from(error.with_source(source)).into()
    })
}

/// What a look at a window's objects has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Runs that are whole.
    pub runs: u64,
    /// Their events.
    pub events: u64,
    /// Compressed bytes that were read.
    pub bytes: u64,
    /// What is wrong.
    pub damage: Vec<Damage>,
}

/// Reads every object of a window: digests, structure, every line where the index says it is, runs
/// and events as the manifest has them.
pub(crate) async fn check(
    store: &Arc<dyn Store>,
    window: &Window,
    cancel: &CancellationToken,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut bytes = 0;
    for part in &window.segments {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match check_part(store, part).await? {
            Ok(checked) => {
                found.runs += checked.runs;
                found.events += checked.events;
                bytes += checked.bytes;
            }
            Err(damage) => found.damage.push(damage),
        }
        found.bytes += part.data.size + part.index.size;
    }
    let sums = (found.events, bytes);
    if found.damage.is_empty() && sums != (window.events, window.history_bytes) {
        let what = format!(
            "says {} events in {} bytes, and its segments hold {} in {}",
            window.events, window.history_bytes, sums.0, sums.1
        );
        if let Ok(key) = Window::key(&window.namespace.name, &window.id) {
            found.damage.push(Damage::new(&key, what));
        }
    }
    Ok(found)
}

/// A segment with its index: what they hold, or the object that is damaged.
async fn check_part(
    store: &Arc<dyn Store>,
    part: &Segment,
) -> Result<Result<Checked, Damage>, Error> {
    let index = match index::read(store.as_ref(), &part.index).await {
        Ok(index) => index,
        Err(error) => return Ok(Err(error.into_damage()?)),
    };
    let checker = match Checker::new(&index) {
        Ok(checker) => checker,
        Err(error) => return Ok(Err(Error::segment(&part.index.key, error).into_damage()?)),
    };
    let content = match source::open(store.as_ref(), &part.data).await {
        Ok(content) => content,
        Err(error) => return Ok(Err(source::error(&part.data, error).into_damage()?)),
    };
    read_through(part, checker, content).await
}

async fn read_through(
    part: &Segment,
    mut checker: Checker,
    mut content: pgarchive::ByteStream,
) -> Result<Result<Checked, Damage>, Error> {
    loop {
        let next = content.try_next().await;
        let bytes = match next {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(error) => return Ok(Err(source::error(&part.data, error).into_damage()?)),
        };
        // Decompressing is work: it must not hold up what waits for the network.
        let fed = tokio::task::spawn_blocking(move || {
            let fed = checker.feed(&bytes);
            (checker, fed)
        });
        let (back, fed) =
            fed.await.map_err(|source| Error::Task { doing: "checking a segment", source })?;
        checker = back;
        if let Err(error) = fed {
            return Ok(Err(Error::segment(&part.data.key, error).into_damage()?));
        }
    }
    match checker.finish() {
        Ok(checked) if checked.runs == part.runs => Ok(Ok(checked)),
        Ok(checked) => {
            let what = format!("has {} runs instead of {}", checked.runs, part.runs);
            Ok(Err(Damage::new(&part.data.key, what)))
        }
        Err(error) => Ok(Err(Error::segment(&part.data.key, error).into_damage()?)),
    }
}
