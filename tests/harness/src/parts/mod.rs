//! The pinned parts and how each is installed.

pub(crate) mod apt;
pub(crate) mod go;
pub(crate) mod npm;
pub(crate) mod pip;

use crate::error::Error;

/// Refuses machines that the pinned binaries do not run on.
pub(crate) fn check_platform() -> Result<(), Error> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(());
    }
    Err(Error::Platform { os: std::env::consts::OS, arch: std::env::consts::ARCH })
}
