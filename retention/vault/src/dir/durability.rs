//! When a file is made durable.
//!
//! Syncing a file and the folder that names it costs more than all else done to a small one, and
//! an export of thousands of tables is thousands of small files. Where the kernel makes a whole
//! file system durable in one call and says whether that worked, small files wait for it: the
//! next `put`, which is how a manifest is published.

use std::os::fd::AsFd;

use rustix::fs;

/// Files up to this size, in bytes, may wait.
pub(super) const SMALL: u64 = 1 << 20;

/// When a file and its name are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before it is acknowledged.
    Now,
    /// Before the next put is.
    Later,
}

/// File systems of local disks whose `syncfs` waits until everything is on the disk: ext2 to ext4,
/// XFS, Btrfs, F2FS; and tmpfs, which is never durable. Numbers of statfs(2). What a file server or
/// a program in user space does with that call is not known here, so they are not in it.
const WHOLE: [u32; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// The first kernel whose `syncfs` reports what could not be written.
const REPORTS: (u32, u32) = (5, 8);

/// Whether one call makes everything durable where `folder` lies, and reports failures.
pub(super) fn syncs_whole(folder: impl AsFd) -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_str().ok().and_then(version);
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "32 bits of it count"
    )]
    let kind = fs::fstatfs(folder).ok().map(|stat| stat.f_type as u32);
    release.is_some_and(|release| release >= REPORTS)
        && kind.is_some_and(|kind| WHOLE.contains(&kind))
}

/// Major and minor number of a kernel's release, such as `6.1.0-28-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_kernels_are_read() {
        assert_eq!(version("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert!(version("5.10") >= Some(REPORTS) && version("5.4.0") < Some(REPORTS));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn what_is_not_a_local_disk_is_synced_file_by_file() {
        assert!(!syncs_whole(std::fs::File::open("/proc").unwrap()));
    }
}
