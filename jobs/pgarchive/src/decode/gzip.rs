//! gzip members, one after the other.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use super::{CHUNK, FrameDecoder, Place};
use crate::{Compression, Error, FrameError};

/// zlib's largest window, 32 KiB.
const WINDOW_BITS: u8 = 15;

pub(super) struct GzipDecoder {
    place: Place,
    /// Within a member.
    member: Option<Decompress>,
    /// The last buffer was filled: there may be more of what was read already.
    held: bool,
}

impl GzipDecoder {
    pub(super) fn new() -> Self {
        Self { place: Place::new(Compression::Gzip), member: None, held: false }
    }
}

impl FrameDecoder for GzipDecoder {
    fn next(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Error> {
        if input.is_empty() && !self.held {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(CHUNK);
        while (self.held || !input.is_empty()) && out.len() < out.capacity() {
            if self.member.is_none() {
                self.place.begin_frame();
            }
            let member = self.member.get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS));
            let (before, length) = (member.total_in(), out.len());
            let status = member
                .decompress_vec(input, &mut out, FlushDecompress::None)
                .map_err(|error| self.place.damaged(FrameError::Codec(error.into())))?;
            let read = usize::try_from(member.total_in() - before).unwrap_or(usize::MAX);
            input.advance(read.min(input.len()));
            self.place.advance(read);
            self.held = out.len() == out.capacity();
            if status == Status::StreamEnd {
                self.member = None;
                self.held = false;
                self.place.end_frame();
            } else if read == 0 && out.len() == length && !input.is_empty() {
                return Err(self.place.damaged(FrameError::Format("the decompressor is stuck")));
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }

    fn finish(&self) -> Result<(), Error> {
        self.place.finish()
    }
}
