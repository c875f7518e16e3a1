//! Reading an object of a directory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use rustix::fs::{self, Advice, FileType, Mode, OFlags};

use super::error::Context;
use super::tree::{self, Tree};
use crate::{ByteStream, Key, StoreError};

/// Bytes read at once.
const PIECE: u64 = 1 << 20;

/// Refuses what is no file: a pipe would block, a device has no size.
pub(super) fn require_file(kind: FileType) -> io::Result<()> {
    match kind {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(rustix::io::Errno::ISDIR.into()),
        FileType::Symlink => Err(rustix::io::Errno::LOOP.into()),
        _ => Err(io::Error::other("not a regular file")),
    }
}

/// Opens the file of an object.
pub(super) fn open(tree: &Tree, key: &Key) -> io::Result<File> {
    let (path, name) = tree::split(key);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::openat(tree.folder(path)?, name, flags, Mode::empty())?;
    require_file(FileType::from_raw_mode(fs::fstat(&file)?.st_mode))?;
    Ok(file.into())
}

/// Its content, or a range of it, read piece by piece as it is asked for.
pub(super) fn stream(
    file: File,
    key: &Key,
    range: Option<Range<u64>>,
    context: Context,
) -> ByteStream {
    let wanted = range.unwrap_or(0..u64::MAX);
    let state = Reader { file, left: None, wanted, key: key.clone(), context };
    stream::try_unfold(state, |reader| async move {
        let context = reader.context.clone();
        context.blocking(move || reader.next()).await
    })
    .boxed()
}

struct Reader {
    file: File,
    /// Bytes still to be read; unknown before the first piece.
    left: Option<u64>,
    wanted: Range<u64>,
    key: Key,
    context: Context,
}

impl Reader {
    fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let read = self.read_piece();
        match read {
            Ok(piece) if piece.is_empty() => Ok(None),
            Ok(piece) => Ok(Some((piece, self))),
            Err(error) => Err(self.context.error(format!("cannot read {}", self.key), error)),
        }
    }

    fn read_piece(&mut self) -> io::Result<Bytes> {
        let left = match self.left {
            Some(left) => left,
            None => {
                let end = self.wanted.end.min(self.file.metadata()?.len());
                let left = end.saturating_sub(self.wanted.start);
                if left > 0 {
                    self.file.seek(SeekFrom::Start(self.wanted.start))?;
                    // Advice only; its failure costs nothing but speed.
                    let _ = fs::fadvise(
                        &self.file,
                        self.wanted.start,
                        std::num::NonZeroU64::new(left),
                        Advice::Sequential,
                    );
                }
                left
            }
        };
        let mut piece = Vec::with_capacity(usize::try_from(left.min(PIECE)).unwrap_or(0));
        (&self.file).take(left.min(PIECE)).read_to_end(&mut piece)?;
        if piece.is_empty() && left > 0 {
            let reason = format!("the file ended {left} bytes early");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        self.left = Some(left.saturating_sub(piece.len() as u64));
        Ok(piece.into())
    }
}
