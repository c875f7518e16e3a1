//! One stream of bytes into a file: received, checked, counted.

use bytes::Bytes;
use pgarchive::{CopyFormat, CopySummary, RowCounter};

use super::files::failed;
use super::frames::Frames;
use crate::Error;
use crate::progress::Piece;
use crate::session::CopyOut;

/// Bytes between two updates of the progress.
const REPORT: u64 = 256 << 10;

/// Where bytes come from.
pub(super) trait Source {
    /// The next bytes, `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error>;
}

impl Source for CopyOut<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        CopyOut::next(self).await
    }
}

/// What a stream held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Copied {
    /// Bytes as they came, headers included.
    pub bytes: u64,
    /// Rows and their digest; zero for what has none.
    pub rows: CopySummary,
}

/// Copies `source`, rows of `format`, to its end into `frames`. Each row is copied once, from
/// the driver's buffer into the frame's. `file` is for errors.
///
/// # Errors
/// Those of the source; [`Error::File`] when the bytes are not what `format` says, or cannot be
/// compressed or written.
pub(super) async fn copy_rows(
    source: &mut impl Source,
    format: CopyFormat,
    frames: &mut Frames<'_>,
    file: &str,
    piece: &mut Piece<'_>,
) -> Result<Copied, Error> {
    let mut counter = RowCounter::new(format);
    let (mut bytes, mut reported, mut rows) = (0, 0, 0);
    while let Some(part) = source.next().await? {
        counter.feed(&part).map_err(|e| failed(file)(e.into()))?;
        frames.put(&part).await?;
        bytes += part.len() as u64;
        if bytes - reported >= REPORT {
            piece.add(bytes - reported);
            piece.add_rows(counter.rows() - rows);
            (reported, rows) = (bytes, counter.rows());
        }
    }
    let summary = counter.finish().map_err(|e| failed(file)(e.into()))?;
    piece.add(bytes - reported);
    piece.add_rows(summary.rows - rows);
    Ok(Copied { bytes, rows: summary })
}
