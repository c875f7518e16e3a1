//! Whether files have changed, by their content: mounted ConfigMaps and Secrets change by a
//! swap of links, which leaves the watched path's own entry as it was.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// Larger files than this are no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// The content of some files at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents(Vec<(PathBuf, Option<[u8; 32]>)>);

impl Contents {
    /// Reads them; what cannot be read counts as absent.
    pub async fn of(paths: Vec<PathBuf>) -> Self {
        let mut contents = Vec::with_capacity(paths.len());
        for path in paths {
            let small = tokio::fs::metadata(&path).await.is_ok_and(|m| m.len() <= MAX_BYTES);
            let bytes = if small { tokio::fs::read(&path).await.ok() } else { None };
            contents.push((path, bytes.map(|bytes| Sha256::digest(&bytes).into())));
        }
        Self(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::Contents;

    #[tokio::test]
    async fn a_swapped_link_is_a_change_and_a_touched_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("v1", "a"), ("v2", "b"), ("v3", "b")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("config"), text).unwrap();
        }
        let point = |version: &str| {
            std::os::unix::fs::symlink(version, at("new")).unwrap();
            std::fs::rename(at("new"), at("data")).unwrap();
        };
        point("v1");
        let path = at("data").join("config");
        let first = Contents::of(vec![path.clone()]).await;
        point("v2");
        let second = Contents::of(vec![path.clone()]).await;
        assert_ne!(first, second);
        point("v3");
        assert_eq!(Contents::of(vec![path.clone()]).await, second);
        std::fs::remove_file(at("data")).unwrap();
        assert_ne!(Contents::of(vec![path]).await, second);
    }
}
