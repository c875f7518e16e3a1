//! Room in the file system of a store that is a directory.

use std::path::Path;

/// Free and total bytes; `None` for a store elsewhere, or one that is not there yet.
pub fn of(store: &str) -> Option<(u64, u64)> {
    let path = store.strip_prefix("file://").unwrap_or(store);
    if path.contains("://") {
        return None;
    }
    let facts = rustix::fs::statvfs(Path::new(path)).ok()?;
    Some((facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_directory_has_room_and_a_bucket_has_none() {
        let (free, total) = super::of("/").unwrap();
        assert!(free <= total && total > 0);
        assert_eq!(super::of("s3://bucket/prefix"), None);
        assert_eq!(super::of("/no/such/folder"), None);
    }
}
