//! An archive that lies in a folder, as `pg_dump -Fd` leaves it.

use std::io;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use bytes::BytesMut;
use futures::StreamExt;
use futures::stream;
use tokio::io::AsyncReadExt;

use crate::{ArchiveSource, ByteStream, SourceFile, StreamError};

/// Bytes asked of the file system at a time.
const PIECE: usize = 256 * 1024;

/// The files of one folder.
#[derive(Debug, Clone)]
pub struct DirSource {
    folder: PathBuf,
}

impl DirSource {
    /// An archive in `folder`. Nothing is read yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

#[async_trait]
impl ArchiveSource for DirSource {
    async fn list(&self) -> Result<Vec<SourceFile>, StreamError> {
        let mut folder = tokio::fs::read_dir(&self.folder).await?;
        let mut files = Vec::new();
        while let Some(found) = folder.next_entry().await? {
            let meta = found.metadata().await?;
            if meta.is_file() {
                files.push(SourceFile {
                    name: found.file_name().to_string_lossy().into_owned(),
                    size: meta.len(),
                });
            }
        }
        Ok(files)
    }

    async fn open(&self, name: &str) -> Result<ByteStream, StreamError> {
        let file = tokio::fs::File::open(self.folder.join(plain_name(name)?)).await?;
        // Each piece is a buffer of its own: `split` hands it out without a copy.
        let pieces = stream::try_unfold((file, BytesMut::new()), |(mut file, mut buffer)| async {
            buffer.reserve(PIECE);
            let read = file.read_buf(&mut buffer).await?;
            let piece = buffer.split().freeze();
            Ok::<_, StreamError>((read > 0).then_some((piece, (file, buffer))))
        });
        Ok(pieces.boxed())
    }
}

/// Names come from an archive's contents: one that leads out of the folder is refused.
fn plain_name(name: &str) -> Result<&Path, StreamError> {
    let path = Path::new(name);
    let mut parts = path.components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(path),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("file name {name:?} is not a plain name"),
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("pgarchive-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[tokio::test]
    async fn a_file_comes_back_whole_and_is_listed_with_its_size() {
        let folder = scratch("whole");
        let content: Vec<u8> = (0..PIECE * 3 + 17).map(|n| (n % 251) as u8).collect();
        std::fs::write(folder.join("1.dat"), &content).unwrap();
        let source = DirSource::new(&folder);
        let pieces: Vec<_> = source.open("1.dat").await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), content);
        let listed = source.list().await.unwrap();
        assert_eq!(listed, [SourceFile { name: "1.dat".into(), size: content.len() as u64 }]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_name_that_leads_out_of_the_folder_is_refused() {
        let folder = scratch("out");
        std::fs::write(folder.join("1.dat"), b"x").unwrap();
        let source = DirSource::new(folder.join("inner"));
        for name in ["../1.dat", "/etc/passwd", "", ".", "a/b"] {
            assert!(source.open(name).await.is_err(), "{name} was opened");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
