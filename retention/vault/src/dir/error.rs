//! The operating system's errors in the store's classes.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::{StoreError, StoreErrorKind};

/// Makes the store's errors, and blocking calls out of async ones.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// What [`Store::describe`](crate::Store::describe) says.
    pub store: String,
}

impl Context {
    pub(super) fn new(root: &Path) -> Self {
        Self { store: root.display().to_string() }
    }

    /// `cannot write a/b in /backups`, classified.
    pub(super) fn error(&self, action: impl Into<String>, cause: io::Error) -> StoreError {
        let (kind, hint) = classify(&cause);
        let error = StoreError::new(kind, action, &self.store).with_source(cause);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// Runs blocking file work off the reactor. A call given up by its caller still runs to
    /// its end.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(self.error("cannot run file work", io::Error::other(error))),
        }
    }
}

fn classify(error: &io::Error) -> (StoreErrorKind, Option<&'static str>) {
    use StoreErrorKind::{
        AlreadyExists, Corrupt, Denied, Full, Invalid, NotFound, Other, Unavailable,
    };
    let Some(errno) = Errno::from_io_error(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => (Corrupt, None),
            _ => (Other, None),
        };
    };
    match errno {
        Errno::NOENT => (NotFound, None),
        Errno::EXIST => (AlreadyExists, None),
        Errno::ACCESS | Errno::PERM => {
            (Denied, Some("the folder and all in it must belong to the user that runs aidp-backup"))
        }
        Errno::ROFS => (Denied, Some("the file system is mounted read-only")),
        Errno::NOSPC => (Full, Some("free space on this file system, or keep fewer backups")),
        Errno::DQUOT => (Full, Some("raise the quota of this user, or keep fewer backups")),
        Errno::FBIG => {
            (Full, Some("the file system or `ulimit -f` does not allow files of this size"))
        }
        Errno::LOOP => (
            Invalid,
            Some(
                "a symbolic link lies where a folder or a file of the store should be; the store follows none",
            ),
        ),
        Errno::NOTDIR => {
            (Invalid, Some("a file or a symbolic link lies where a folder of the store should be"))
        }
        Errno::ISDIR => (Invalid, Some("a folder lies where a file of the store should be")),
        Errno::NAMETOOLONG => {
            (Invalid, Some("the file system does not allow names of this length"))
        }
        Errno::MFILE | Errno::NFILE => {
            (Unavailable, Some("raise the limit of open files (`ulimit -n`)"))
        }
        Errno::IO => (Other, Some("the disk or its controller failed; see the kernel's log")),
        Errno::STALE
        | Errno::TIMEDOUT
        | Errno::AGAIN
        | Errno::BUSY
        | Errno::NOTCONN
        | Errno::HOSTDOWN
        | Errno::CONNRESET => (Unavailable, None),
        _ => (Other, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_full_and_says_what_to_do() {
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            let context = Context::new(Path::new("/backups"));
            let error = context.error("cannot write a", errno.into());
            assert_eq!(error.kind, StoreErrorKind::Full, "{errno}");
            assert!(error.hint().is_some() && !error.is_transient(), "{errno}");
            assert_eq!(error.to_string(), "cannot write a in /backups");
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        for (errno, transient) in [
            (Errno::STALE, true),
            (Errno::TIMEDOUT, true),
            (Errno::MFILE, true),
            (Errno::IO, false),
            (Errno::ACCESS, false),
            (Errno::ROFS, false),
            (Errno::NOENT, false),
        ] {
            let error = Context::new(Path::new("/b")).error("cannot read a", errno.into());
            assert_eq!(error.is_transient(), transient, "{errno}");
        }
    }
}
