//! A token in a file that somebody else renews.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The file, and what was last read from it.
pub(super) struct TokenFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    stamp: Option<(SystemTime, u64)>,
    token: String,
}

impl TokenFile {
    /// Reads the file for the first time; gives its token too.
    pub(super) async fn open(path: &Path) -> Result<(Self, String), Error> {
        let stamp = stamp(path).await;
        let token = match tokio::fs::read_to_string(path).await {
            Ok(text) => text.trim().to_owned(),
            Err(error) => return Err(unusable(path, &format!("cannot be read: {error}"))),
        };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable(path, "does not hold one token in one line"));
        }
        let state = State { looked: Instant::now(), stamp, token: token.clone() };
        Ok((Self { path: path.to_owned(), state: Mutex::new(state) }, token))
    }

    /// The token, when it is another than last time. `now`: the server has refused the last one,
    /// so the file is read however lately that was done.
    pub(super) async fn renewed(&self, now: bool) -> Option<String> {
        let mut state = self.state.lock().await;
        if !now && state.looked.elapsed() < LOOK_EVERY {
            return None;
        }
        state.looked = Instant::now();
        let stamp = stamp(&self.path).await;
        if !now && stamp == state.stamp {
            return None;
        }
        // A file that is gone or empty is being replaced: the old token serves a little longer.
        let text = tokio::fs::read_to_string(&self.path).await.ok()?;
        let token = text.trim();
        state.stamp = stamp;
        if token.is_empty() || token == state.token {
            return None;
        }
        token.clone_into(&mut state.token);
        Some(state.token.clone())
    }
}

/// What changes when the file does, or when a link leads to another one.
async fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.ino() ^ metadata.len().rotate_left(32)))
}

fn unusable(path: &Path, what: &str) -> Error {
    Error::Config {
        what: format!("the token file {} {what}", path.display()),
        hint: "write the API key or JSON web token into it, and nothing else".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn token_is_read_again_when_its_file_is_replaced_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let (file, first) = TokenFile::open(&path).await.unwrap();
        assert_eq!(first, "first");
        std::fs::write(folder.path().join("new"), "second").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(file.renewed(false).await, None, "it was looked at a moment ago");
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(file.renewed(false).await.as_deref(), Some("second"));
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(file.renewed(false).await, None);
        std::fs::write(&path, "third").unwrap();
        assert_eq!(file.renewed(true).await.as_deref(), Some("third"), "the server refused it");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.renewed(true).await, None, "it is being replaced");
    }

    #[tokio::test]
    async fn file_without_a_token_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let error = TokenFile::open(&path).await.err().unwrap();
        assert!(error.to_string().contains("token cannot be read"), "{error}");
        std::fs::write(&path, "two lines\nof text").unwrap();
        let error = TokenFile::open(&path).await.err().unwrap();
        assert!(error.to_string().contains("does not hold one token"), "{error}");
    }
}
