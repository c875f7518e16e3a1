//! LZ4's frame format, version 1.6.4: magic, descriptor, blocks, end mark, checksum.

use twox_hash::XxHash32;

use crate::FrameError;

/// First bytes of a frame.
pub(crate) const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Flag of a block's size: the block is stored as it is.
const STORED: u32 = 1 << 31;
const KIB: usize = 1024;
/// The block sizes a descriptor can name, from code 4.
const BLOCK_SIZES: [usize; 4] = [64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB];

/// How a frame is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Blocks refer back to the blocks before them.
    pub(crate) linked: bool,
    /// Each block is followed by its checksum.
    pub(crate) block_checksums: bool,
    /// The frame ends in a checksum of its content.
    pub(crate) content_checksum: bool,
    /// Bytes of content, if the frame says.
    pub(crate) content_size: Option<u64>,
    /// The most a block decompresses to.
    pub(crate) block_size: usize,
}

/// Bytes of the descriptor that follows its two flag bytes.
pub(crate) fn descriptor_rest(flags: u8) -> Result<usize, FrameError> {
    if flags >> 6 != 1 || flags & 0b10 != 0 {
        return Err(FrameError::Format("the frame's version or flags are unknown"));
    }
    if flags & 1 != 0 {
        return Err(FrameError::Format("the frame needs a dictionary"));
    }
    Ok(if flags & 0b1000 != 0 { 9 } else { 1 })
}

/// Reads a whole descriptor, header checksum included.
pub(crate) fn parse_descriptor(bytes: &[u8]) -> Result<Descriptor, FrameError> {
    let malformed = || FrameError::Format("the frame's descriptor is malformed");
    let (checksum, fields) = bytes.split_last().ok_or_else(malformed)?;
    if header_checksum(fields) != *checksum {
        return Err(FrameError::Format("the frame's descriptor does not match its checksum"));
    }
    let [flags, block, size @ ..] = fields else { return Err(malformed()) };
    let code = usize::from(block >> 4);
    let block_size = code
        .checked_sub(4)
        .filter(|_| block & 0x0f == 0)
        .and_then(|at| BLOCK_SIZES.get(at))
        .ok_or_else(malformed)?;
    let content_size = match size {
        [] => None,
        size => Some(u64::from_le_bytes(size.try_into().map_err(|_| malformed())?)),
    };
    Ok(Descriptor {
        linked: flags & 0b10_0000 == 0,
        block_checksums: flags & 0b1_0000 != 0,
        content_checksum: flags & 0b100 != 0,
        content_size,
        block_size: *block_size,
    })
}

/// Appends the header of a frame of independent blocks, with content size and checksum.
/// Gives the size of its blocks.
pub(crate) fn put_header(out: &mut Vec<u8>, content: usize) -> usize {
    let (at, block_size) = BLOCK_SIZES
        .into_iter()
        .enumerate()
        .find(|(_, size)| content <= *size)
        .unwrap_or((3, BLOCK_SIZES[3]));
    out.extend_from_slice(&MAGIC);
    let start = out.len();
    // Version 1, independent blocks, content size, content checksum.
    out.push(0b0110_1100);
    out.push(((at as u8) + 4) << 4);
    out.extend_from_slice(&(content as u64).to_le_bytes());
    out.push(header_checksum(out.get(start..).unwrap_or_default()));
    block_size
}

/// Fills in the size of a block whose place was kept at `at`.
pub(crate) fn set_block_size(out: &mut [u8], at: usize, size: usize, compressed: bool) {
    // A block is at most 4 MiB.
    let size = size as u32 | if compressed { 0 } else { STORED };
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&size.to_le_bytes());
    }
}

/// A block's size, and whether it is compressed.
pub(crate) fn block_size(word: u32) -> (usize, bool) {
    ((word & !STORED) as usize, word & STORED == 0)
}

fn header_checksum(fields: &[u8]) -> u8 {
    (XxHash32::oneshot(0, fields) >> 8) as u8
}
