//! Decompression of data files: any number of frames or members, in bounded memory.

mod gzip;
mod lz4;
pub(crate) mod lz4_frame;
mod zstd;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{ByteStream, Compression, Error, FrameError, StreamError};

/// Decompressed bytes handed on at a time. One of our own frames fits, which lets zstd skip its
/// window and write straight into the buffer.
const CHUNK: usize = 1024 * 1024;

/// Compressed bytes that are not worth another thread.
const INLINE: usize = 16 * 1024;

/// Decompresses `input`, whatever the pieces it comes in.
///
/// Memory is bounded by a few MiB, and by the 8 MiB window that a foreign zstd frame may have.
/// The next piece is decompressed on a blocking thread while the last one is being used; when
/// the stream is dropped, that thread finishes its piece, a millisecond's work, and stops.
/// It needs a Tokio runtime around it.
///
/// # Errors
/// The stream's items are the input's own errors, or an [`Error`] that names frame and offset:
/// for damage, for bytes that are no frame behind the last one, for an end inside a frame, for
/// no gzip member at all. Nothing follows an error. An empty lz4 or zstd file has no content,
/// as `pg_dump` writes an empty large object; [`RowCounter`](crate::RowCounter) tells it from
/// rows that are gone.
pub fn decode_stream(compression: Compression, input: ByteStream) -> ByteStream {
    let decoder: Box<dyn FrameDecoder> = match compression {
        Compression::None => return input,
        Compression::Gzip => Box::new(gzip::GzipDecoder::new()),
        Compression::Lz4 => Box::new(lz4::Lz4Decoder::new()),
        Compression::Zstd => match zstd::ZstdDecoder::new() {
            Ok(decoder) => Box::new(decoder),
            Err(error) => return stream::iter([Err(error.into())]).boxed(),
        },
    };
    let work = Work::Done(Step { decoder, input: Bytes::new(), result: Ok(None) });
    stream::try_unfold((input, work), |(mut input, work)| async move {
        let next = next_chunk(&mut input, work).await?;
        Ok(next.map(|(chunk, work)| (chunk, (input, work))))
    })
    .boxed()
}

/// Decompresses frames that come in pieces.
trait FrameDecoder: Send {
    /// Takes from the front of `input` and gives the next piece of content. `None` asks for
    /// more input, and comes only when `input` is used up. A piece is at most 4 MiB.
    fn next(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Error>;
    /// Whether the data may end here.
    fn finish(&self) -> Result<(), Error>;
}

/// One call of a decoder, with all it needs, so that it can move to another thread and back.
struct Step {
    decoder: Box<dyn FrameDecoder>,
    input: Bytes,
    result: Result<Option<Vec<u8>>, Error>,
}

enum Work {
    Done(Step),
    Running(JoinHandle<Step>),
}

impl Step {
    fn run(mut self) -> Self {
        self.result = self.decoder.next(&mut self.input);
        self
    }

    fn begin(self) -> Work {
        if self.input.len() <= INLINE {
            Work::Done(self.run())
        } else {
            Work::Running(spawn_blocking(|| self.run()))
        }
    }
}

/// The next piece of content, and the work already begun on the one after it.
async fn next_chunk(
    input: &mut ByteStream,
    mut work: Work,
) -> Result<Option<(Bytes, Work)>, StreamError> {
    loop {
        let mut step = match work {
            Work::Done(step) => step,
            Work::Running(task) => task.await.map_err(|source| Error::DecoderStopped { source })?,
        };
        if let Some(mut content) = std::mem::replace(&mut step.result, Ok(None))? {
            if content.len() < content.capacity() / 4 {
                content.shrink_to_fit();
            }
            return Ok(Some((content.into(), step.begin())));
        }
        match input.next().await.transpose()? {
            Some(more) => step.input = more,
            None => {
                step.decoder.finish()?;
                return Ok(None);
            }
        }
        work = step.begin();
    }
}

/// How far a decoder has come, for its errors.
struct Place {
    compression: Compression,
    frames_begun: u64,
    frames_ended: u64,
    offset: u64,
}

impl Place {
    fn new(compression: Compression) -> Self {
        Self { compression, frames_begun: 0, frames_ended: 0, offset: 0 }
    }

    /// A frame is being read, if it was not already.
    fn begin_frame(&mut self) {
        self.frames_begun = self.frames_ended + 1;
    }

    fn end_frame(&mut self) {
        self.frames_ended = self.frames_begun;
    }

    fn advance(&mut self, count: usize) {
        self.offset += count as u64;
    }

    fn damaged(&self, source: FrameError) -> Error {
        Error::Frame {
            compression: self.compression,
            frame: self.frames_begun.max(1),
            offset: self.offset,
            source,
        }
    }

    fn finish(&self) -> Result<(), Error> {
        let (compression, offset) = (self.compression, self.offset);
        if self.frames_ended < self.frames_begun {
            return Err(Error::FrameTruncated { compression, frame: self.frames_begun, offset });
        }
        // pg_dump begins an lz4 or zstd frame with the first byte: an empty large object has
        // none. What always has content is found missing by who reads the content.
        if self.frames_ended == 0 && compression == Compression::Gzip {
            return Err(Error::NoFrames { compression });
        }
        Ok(())
    }
}
