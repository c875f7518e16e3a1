//! LZ4 frames, one after the other.

use std::hash::Hasher as _;

use bytes::{Buf, Bytes};
use twox_hash::XxHash32;

use super::lz4_frame::{self, Descriptor};
use super::{FrameDecoder, Place};
use crate::{Compression, Error, FrameError};

/// How far back a linked block can refer.
const WINDOW: usize = 64 * 1024;
/// LZ4 cannot shrink anything further than to this part of it.
const MAX_RATIO: usize = 255;

pub(super) struct Lz4Decoder {
    place: Place,
    expect: Expect,
    /// The beginning of a part that the input has only some of yet.
    part: Vec<u8>,
}

enum Expect {
    Magic,
    Flags,
    Descriptor { flags: [u8; 2], length: usize },
    BlockSize(Frame),
    Block { frame: Frame, size: usize, compressed: bool },
    ContentChecksum(Frame),
}

/// A frame being read.
struct Frame {
    descriptor: Descriptor,
    content: u64,
    checksum: XxHash32,
    /// The last bytes of content, which linked blocks refer to.
    window: Vec<u8>,
}

impl Lz4Decoder {
    pub(super) fn new() -> Self {
        Self { place: Place::new(Compression::Lz4), expect: Expect::Magic, part: Vec::new() }
    }

    /// The next `count` bytes, once the input has them.
    fn part(&mut self, count: usize, input: &mut Bytes) -> Option<Bytes> {
        let missing = count.saturating_sub(self.part.len());
        let taken = missing.min(input.len());
        self.place.advance(taken);
        if self.part.is_empty() && taken == count {
            return Some(input.split_to(count));
        }
        // A part is at most a block and its checksum: 4 MiB.
        self.part.extend_from_slice(input.get(..taken).unwrap_or_default());
        input.advance(taken);
        (taken == missing).then(|| Bytes::from(std::mem::take(&mut self.part)))
    }

    /// Reads the next part. Gives the content it held, or `None` if the input has too little.
    fn step(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, FrameError> {
        let needed = match &self.expect {
            Expect::Magic | Expect::BlockSize(_) | Expect::ContentChecksum(_) => 4,
            Expect::Flags => 2,
            Expect::Descriptor { length, .. } => *length,
            Expect::Block { frame, size, .. } => {
                size + if frame.descriptor.block_checksums { 4 } else { 0 }
            }
        };
        if self.part.is_empty() && input.is_empty() {
            return Ok(None);
        }
        if matches!(self.expect, Expect::Magic) {
            self.place.begin_frame();
        }
        let Some(part) = self.part(needed, input) else { return Ok(None) };
        let mut content = Vec::new();
        // The state is put back by every arm but a failing one, after which nothing is read.
        self.expect = match std::mem::replace(&mut self.expect, Expect::Magic) {
            Expect::Magic if part == lz4_frame::MAGIC[..] => Expect::Flags,
            Expect::Magic => return Err(FrameError::Format("a frame was to begin here")),
            Expect::Flags => {
                let flags = two(&part)?;
                Expect::Descriptor { flags, length: lz4_frame::descriptor_rest(flags[0])? }
            }
            Expect::Descriptor { flags, .. } => {
                let descriptor = lz4_frame::parse_descriptor(&[&flags[..], &part[..]].concat())?;
                Expect::BlockSize(Frame::new(descriptor))
            }
            Expect::BlockSize(frame) => match lz4_frame::block_size(word(&part)?) {
                (0, true) => self.end_of_blocks(frame)?,
                (size, _) if size > frame.descriptor.block_size => {
                    return Err(FrameError::Format("a block is larger than the frame allows"));
                }
                (size, compressed) => Expect::Block { frame, size, compressed },
            },
            Expect::Block { mut frame, size, compressed } => {
                content = frame.block(&part, size, compressed)?;
                Expect::BlockSize(frame)
            }
            Expect::ContentChecksum(frame) => {
                if frame.checksum.finish_32() != word(&part)? {
                    return Err(FrameError::Format("the content does not match its checksum"));
                }
                self.place.end_frame();
                Expect::Magic
            }
        };
        Ok(Some(content))
    }

    fn end_of_blocks(&mut self, frame: Frame) -> Result<Expect, FrameError> {
        if frame.descriptor.content_size.is_some_and(|size| size != frame.content) {
            return Err(FrameError::Format("the content is not as long as the frame says"));
        }
        if frame.descriptor.content_checksum {
            return Ok(Expect::ContentChecksum(frame));
        }
        self.place.end_frame();
        Ok(Expect::Magic)
    }
}

impl FrameDecoder for Lz4Decoder {
    fn next(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Error> {
        loop {
            match self.step(input).map_err(|source| self.place.damaged(source))? {
                Some(content) if content.is_empty() => {}
                other => return Ok(other),
            }
        }
    }

    fn finish(&self) -> Result<(), Error> {
        self.place.finish()
    }
}

impl Frame {
    fn new(descriptor: Descriptor) -> Self {
        let checksum = XxHash32::with_seed(0);
        Self { descriptor, content: 0, checksum, window: Vec::new() }
    }

    /// The content of one block.
    fn block(&mut self, part: &[u8], size: usize, compressed: bool) -> Result<Vec<u8>, FrameError> {
        let (data, checksum) = part.split_at_checked(size).unwrap_or((part, &[]));
        if self.descriptor.block_checksums && XxHash32::oneshot(0, data) != word(checksum)? {
            return Err(FrameError::Format("a block does not match its checksum"));
        }
        let content = if compressed { self.decompress(data)? } else { data.to_vec() };
        self.content += content.len() as u64;
        if self.descriptor.content_size.is_some_and(|size| self.content > size) {
            return Err(FrameError::Format("the content is longer than the frame says"));
        }
        if self.descriptor.content_checksum {
            self.checksum.write(&content);
        }
        if self.descriptor.linked {
            self.remember(&content);
        }
        Ok(content)
    }

    fn decompress(&self, data: &[u8]) -> Result<Vec<u8>, FrameError> {
        let most = data.len().saturating_mul(MAX_RATIO).saturating_add(WINDOW);
        let mut content = vec![0; self.descriptor.block_size.min(most)];
        let length = if self.window.is_empty() {
            lz4_flex::block::decompress_into(data, &mut content)
        } else {
            lz4_flex::block::decompress_into_with_dict(data, &mut content, &self.window)
        };
        content.truncate(length.map_err(std::io::Error::other)?);
        Ok(content)
    }

    fn remember(&mut self, content: &[u8]) {
        let kept = WINDOW.saturating_sub(content.len());
        self.window.drain(..self.window.len().saturating_sub(kept));
        let fresh = content.len().saturating_sub(WINDOW);
        self.window.extend_from_slice(content.get(fresh..).unwrap_or_default());
    }
}

fn word(bytes: &[u8]) -> Result<u32, FrameError> {
    let bytes = bytes.try_into().map_err(|_| FrameError::Format("a number is cut short"))?;
    Ok(u32::from_le_bytes(bytes))
}

fn two(bytes: &[u8]) -> Result<[u8; 2], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Format("the frame's flags are cut short"))
}
