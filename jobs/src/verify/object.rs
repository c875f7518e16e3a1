//! One object: read once, digested, decoded and counted on the way.

use std::sync::Arc;

use futures::TryStreamExt;
use pgarchive::{Compression, CopyFormat, RowCounter, StreamError, decode_stream};
use tokio_util::sync::CancellationToken;
use vault::Store;
use vault::manifest::Object;

use super::script::{ExpectedTable, Script};
use crate::{Damage, Error, Meter, source};

/// What an object must be.
#[derive(Debug)]
pub(super) struct Check {
    object: Object,
    content: Content,
}

/// What its content must be, besides the bytes of its digest.
#[derive(Debug)]
enum Content {
    /// Anything.
    Bytes,
    /// Whole frames.
    Frames(Compression),
    /// Rows of a table.
    Rows { compression: Compression, format: CopyFormat, rows: u64, digest: Option<String> },
    /// An SQL script with the rows of these tables.
    Script { compression: Compression, tables: Vec<ExpectedTable> },
}

impl Check {
    /// Any content of the right digest.
    pub fn bytes(object: Object) -> Self {
        Self { object, content: Content::Bytes }
    }

    /// The object.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Its content must be whole frames.
    pub fn frames(&mut self, compression: Compression) {
        self.content = Content::Frames(compression);
    }

    /// Its content must be so many rows, with this digest if one is known.
    pub fn rows(
        &mut self,
        compression: Compression,
        format: CopyFormat,
        rows: u64,
        digest: Option<String>,
    ) {
        self.content = Content::Rows { compression, format, rows, digest };
    }

    /// Its content must be a script with the rows of these tables.
    pub fn script(&mut self, compression: Compression, tables: Vec<ExpectedTable>) {
        self.content = Content::Script { compression, tables };
    }
}

/// What an object was found to be.
#[derive(Debug)]
pub(super) struct Found {
    pub damage: Vec<Damage>,
    /// Rows of a table's data file, or of a script.
    pub rows: u64,
}

/// Reads an object to its end.
///
/// # Errors
/// When the store does not answer or `cancel` fires.
pub(super) async fn check(
    store: &dyn Store,
    check: Check,
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
) -> Result<Found, Error> {
    let Check { object, content } = check;
    let mut found = Found { damage: Vec::new(), rows: 0 };
    let read = read(store, &object, &content, meter, cancel, &mut found).await;
    let Err(error) = read else { return Ok(found) };
    if error.is::<Stopped>() {
        return Err(Error::Cancelled);
    }
    let error = match error.downcast::<Damage>() {
        Ok(damage) => {
            found.damage.push(*damage);
            return Ok(found);
        }
        Err(error) => error,
    };
    if error.is::<vault::StoreError>() {
        return Err(source::error(&object, error));
    }
    // What cannot be decoded has most likely changed in the store; only if it has not was it
    // written wrong.
    let raw = self::read(store, &object, &Content::Bytes, meter, cancel, &mut found).await;
    found.damage.push(match raw.map_err(|raw| raw.downcast::<Damage>()) {
        Err(Ok(damage)) => *damage,
        Err(Err(raw)) if raw.is::<Stopped>() => return Err(Error::Cancelled),
        Err(Err(raw)) => return Err(source::error(&object, raw)),
        Ok(()) => {
            let why = crate::chain(error.as_ref());
            Damage::new(&object.key, format!("was stored so but is not what it should be ({why})"))
        }
    });
    Ok(found)
}

/// Told to stop in the middle of an object.
#[derive(Debug, thiserror::Error)]
#[error("stopped on request")]
struct Stopped;

async fn read(
    store: &dyn Store,
    object: &Object,
    content: &Content,
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
    found: &mut Found,
) -> Result<(), StreamError> {
    let raw = source::open(store, object).await?;
    let (meter, cancel) = (meter.clone(), cancel.clone());
    let raw = raw.and_then(move |bytes| {
        meter.add(bytes.len() as u64, 0);
        std::future::ready(if cancel.is_cancelled() { Err(Stopped.into()) } else { Ok(bytes) })
    });
    let raw: pgarchive::ByteStream = Box::pin(raw);
    match content {
        Content::Bytes => drain(raw).await,
        Content::Frames(compression) => drain(decode_stream(*compression, raw)).await,
        Content::Rows { compression, format, rows, digest } => {
            let mut stream = decode_stream(*compression, raw);
            let mut counter = RowCounter::new(*format);
            while let Some(bytes) = stream.try_next().await? {
                counter.feed(&bytes)?;
            }
            let ended = counter.saw_end();
            let summary = counter.finish()?;
            let mut wrong = |what: String| found.damage.push(Damage::new(&object.key, what));
            if !ended {
                wrong("lacks the end marker of its rows".into());
            }
            if summary.rows != *rows {
                wrong(format!("holds {} rows where the manifest has {rows}", summary.rows));
            } else if digest.as_ref().is_some_and(|digest| *digest != summary.digest.to_string()) {
                wrong("holds other rows than the manifest's digest says".into());
            }
            found.rows = summary.rows;
            Ok(())
        }
        Content::Script { compression, tables } => {
            let mut stream = decode_stream(*compression, raw);
            let mut script = Script::new(tables);
            while let Some(bytes) = stream.try_next().await? {
                script.feed(&bytes);
            }
            let (rows, problems) = script.finish();
            found.rows = rows;
            found.damage.extend(problems.into_iter().map(|what| Damage::new(&object.key, what)));
            Ok(())
        }
    }
}

async fn drain(mut stream: pgarchive::ByteStream) -> Result<(), StreamError> {
    while stream.try_next().await?.is_some() {}
    Ok(())
}
