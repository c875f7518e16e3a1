//! Writing a file of the archive: whole or not at all.

use bytes::Bytes;
use pgarchive::{ArchiveSink, FileWriter, StreamError};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// An [`Error::File`] about writing `file`.
pub(super) fn failed(file: &str) -> impl FnOnce(StreamError) -> Error + use<> {
    let file = file.to_owned();
    move |source| Error::File { doing: "write", file, source }
}

/// The outcome of `work`, or [`Error::Cancelled`] as soon as `stop` fires.
pub(super) async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::Cancelled),
        outcome = work => outcome,
    }
}

/// Finishes the file `name` if what filled it succeeded, and gives it up if not.
///
/// # Errors
/// That of `filled`; [`Error::File`] of the sink.
pub(super) async fn settle<T>(
    writer: Box<dyn FileWriter>,
    name: &str,
    filled: Result<T, Error>,
) -> Result<T, Error> {
    match filled {
        Ok(value) => {
            writer.finish().await.map_err(failed(name))?;
            Ok(value)
        }
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

/// Stores `content` as the file `name`.
///
/// # Errors
/// [`Error::File`] of the sink; [`Error::Cancelled`].
pub(super) async fn store(
    sink: &dyn ArchiveSink,
    name: &str,
    content: Bytes,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut writer = sink.create(name).await.map_err(failed(name))?;
    let written =
        unless_stopped(stop, async { writer.write(content).await.map_err(failed(name)) }).await;
    settle(writer, name, written).await
}
