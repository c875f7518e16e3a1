//! MinIO: the S3 server of every run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::parts::go::Module;
use crate::s3::{self, ACCESS_KEY, SECRET_KEY};

/// A key of its own key store, which turns server-side encryption on.
const ENCRYPTION_KEY: &str = "harness:IyqsU3kMFloCNup4BsZtf/rmfHVcTgznO2F25CkEH1g=";

const MODULE: Module = Module {
    name: "minio",
    title: "building MinIO from the Go module proxy (2 to 5 minutes on two cores)",
    go_mod: include_str!("../tools/minio/go.mod"),
    go_sum: include_str!("../tools/minio/go.sum"),
    packages: &["github.com/minio/minio"],
    arguments: &[],
    sources: &[],
};

/// A running MinIO.
pub type Server = s3::Server<Minio>;

/// The program.
#[derive(Debug)]
pub struct Minio;

impl s3::Program for Minio {
    const NAME: &'static str = "MinIO";

    fn install() -> Result<PathBuf, Error> {
        Ok(MODULE.ensure()?.join("minio"))
    }

    fn complete(command: &mut Command, address: &str, data: &Path) {
        command
            .args(["server", "--quiet", "--address", address])
            .arg(data)
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            .env("MINIO_KMS_SECRET_KEY", ENCRYPTION_KEY)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            // Lets the drive be on the root disk.
            .env("MINIO_CI_CD", "1");
    }
}

/// Builds the server where that has not been done.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn install() -> Result<PathBuf, Error> {
    <Minio as s3::Program>::install()
}
