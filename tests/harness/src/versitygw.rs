//! versitygw: a second S3 server, whose objects are plain files.
//!
//! Worth a look of its own: a client that dies in a put without a checksum leaves it a truncated
//! object, and a key cannot be the parent of another.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::parts::go::Module;
use crate::s3::{self, ACCESS_KEY, DATA, SECRET_KEY};

/// Folder of replaced and deleted objects.
const VERSIONS: &str = "versions";

const MODULE: Module = Module {
    name: "versitygw",
    title: "building versitygw from the Go module proxy (1 to 3 minutes on two cores)",
    go_mod: include_str!("../tools/versitygw/go.mod"),
    go_sum: include_str!("../tools/versitygw/go.sum"),
    packages: &["github.com/versity/versitygw/cmd/versitygw"],
    arguments: &[],
    sources: &[],
};

/// A running versitygw.
pub type Server = s3::Server<Versitygw>;

/// The program.
#[derive(Debug)]
pub struct Versitygw;

impl s3::Program for Versitygw {
    const NAME: &'static str = "versitygw";

    // Versions are kept beside the objects' folder, in which they would be a bucket.
    const FOLDERS: &'static [&'static str] = &[DATA, VERSIONS];

    fn install() -> Result<PathBuf, Error> {
        Ok(MODULE.ensure()?.join("versitygw"))
    }

    fn complete(command: &mut Command, address: &str, data: &Path) {
        command
            .args(["--port", address, "--quiet", "posix", "--versioning-dir"])
            .arg(data.with_file_name(VERSIONS))
            .arg(data)
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY);
    }
}

/// Builds the server where that has not been done.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn install() -> Result<PathBuf, Error> {
    <Versitygw as s3::Program>::install()
}
