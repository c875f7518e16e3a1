//! Zstandard frames, one after the other.

use bytes::{Buf, Bytes};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{CHUNK, FrameDecoder, Place};
use crate::{Compression, Error, FrameError};

/// The largest window a frame may ask for: 8 MiB, what RFC 8878 wants every decoder to support,
/// and what zstd needs up to level 19. It bounds the memory that a few hostile bytes can claim.
const WINDOW_LOG_MAX: u32 = 23;

pub(super) struct ZstdDecoder {
    place: Place,
    inner: Decoder<'static>,
    in_frame: bool,
    /// The last buffer was filled: there may be more of what was read already.
    held: bool,
}

impl ZstdDecoder {
    pub(super) fn new() -> Result<Self, Error> {
        let place = Place::new(Compression::Zstd);
        let mut inner = Decoder::new().map_err(|source| place.damaged(source.into()))?;
        inner
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(|source| place.damaged(source.into()))?;
        Ok(Self { place, inner, in_frame: false, held: false })
    }
}

impl FrameDecoder for ZstdDecoder {
    fn next(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Error> {
        if input.is_empty() && !self.held {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(CHUNK);
        let mut target = OutBuffer::around(&mut out);
        while (self.held || !input.is_empty()) && target.pos() < target.capacity() {
            if !self.in_frame {
                self.place.begin_frame();
                self.in_frame = true;
            }
            let mut source = InBuffer::around(input);
            let before = target.pos();
            let left = self.inner.run(&mut source, &mut target);
            let read = source.pos();
            let left = left.map_err(|error| self.place.damaged(frame_error(error)))?;
            input.advance(read.min(input.len()));
            self.place.advance(read);
            self.held = target.pos() == target.capacity();
            if left == 0 {
                self.in_frame = false;
                self.held = false;
                self.place.end_frame();
            } else if read == 0 && target.pos() == before && !input.is_empty() {
                return Err(self.place.damaged(FrameError::Format("the decompressor is stuck")));
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }

    fn finish(&self) -> Result<(), Error> {
        self.place.finish()
    }
}

/// zstd has an error of its own for a window that is too large, but only its text comes here.
fn frame_error(error: std::io::Error) -> FrameError {
    if error.to_string().contains("too much memory") { FrameError::Window } else { error.into() }
}
