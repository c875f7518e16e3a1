//! Container images: ours, built as k8s/image says, and one that stands in for what is not ours.
//!
//! buildah makes them, FROM scratch, so that nothing is pulled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Part;
use crate::command::{find, output};
use crate::error::Error;
use crate::parts::apt::Packages;
use crate::run::new_folder;

/// Name of our image in the archive that [`ours`] gives, and in the manifests.
pub const OURS: &str = "docker.io/library/aidp-backup:0.1.0";

/// Name of the image that only starts and stops: pods' sandboxes, and the Aidp worker's place.
pub const STAND_IN: &str = "localhost/stand-in:1";

const PACKAGES: Packages = Packages {
    purpose: "building container images",
    packages: &["buildah", "musl-tools", "binutils", "ca-certificates", "tzdata"],
    programs: &["buildah", "musl-gcc", "strip"],
};
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Installs what builds images.
///
/// # Errors
/// When it cannot be installed.
pub fn install() -> Result<(), Error> {
    PACKAGES.ensure()?;
    let title = format!("installing Rust's standard library for {TARGET}");
    let sysroot =
        output("asking for Rust's folder", Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET);
    if library.is_dir() {
        return Ok(());
    }
    let hint = format!("rustup target add {TARGET}, or your distribution's package");
    let rustup = find("rustup", "the static program of our image", &hint)?;
    Part { name: "rust-target", title: title.clone(), pins: &[TARGET] }.elsewhere(
        || library.is_dir(),
        || output(&title, Command::new(rustup).args(["target", "add", TARGET])).map(drop),
    )
}

/// The build context of our image, laid out by `k8s/image/build` with a program compiled for
/// release: seconds when nothing has changed, minutes from cold.
///
/// # Errors
/// When it cannot be compiled.
pub fn context(into: &Path) -> Result<(), Error> {
    install()?;
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut build = Command::new(top.join("k8s/image/build"));
    // The revision is part of the program: with a commit's, every commit would link it anew.
    build.env("AIDP_BACKUP_REVISION", "under-test");
    output("building our image's program", build.arg(into)).map(drop)
}

/// Our image, as an archive.
///
/// # Errors
/// When it cannot be built.
pub fn ours() -> Result<PathBuf, Error> {
    let folder = new_folder("image")?;
    context(&folder)?;
    archive(&folder, OURS, &folder.join("image.tar"))?;
    Ok(folder.join("image.tar"))
}

/// The image [`STAND_IN`], as an archive.
///
/// # Errors
/// When it cannot be built.
pub fn stand_in() -> Result<PathBuf, Error> {
    PACKAGES.ensure()?;
    let folder = new_folder("stand-in")?;
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).map_err(Error::io(format!("cannot write {name}")))
    };
    write("stand-in.c", include_str!("../tools/node/stand-in.c"))?;
    write(
        "Dockerfile",
        "FROM scratch\nCOPY bundle /usr/bin/bundle\nENTRYPOINT [\"/usr/bin/bundle\"]\n",
    )?;
    let mut compile = Command::new(PACKAGES.find("musl-gcc")?);
    compile.args(["-static", "-Os", "-s", "-o", "bundle", "stand-in.c"]).current_dir(&folder);
    output("compiling the stand-in", &mut compile)?;
    archive(&folder, STAND_IN, &folder.join("image.tar"))?;
    Ok(folder.join("image.tar"))
}

/// Builds the image of a folder with a Dockerfile and writes it to an archive. The same folder
/// gives the same bytes: its times are those of the Dockerfile.
///
/// # Errors
/// With buildah's words.
pub fn archive(context: &Path, name: &str, into: &Path) -> Result<(), Error> {
    let time = fs::metadata(context.join("Dockerfile"))
        .and_then(|it| it.modified())
        .map_err(Error::io("the Dockerfile has no time"))?;
    let seconds = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let storage = new_folder("buildah")?;
    let buildah = || -> Result<Command, Error> {
        let mut command = Command::new(PACKAGES.find("buildah")?);
        command.args(["--storage-driver", "vfs", "--root"]).arg(storage.join("root"));
        command.arg("--runroot").arg(storage.join("run"));
        Ok(command)
    };
    let mut build = buildah()?;
    build.args([
        "bud",
        "--isolation",
        "chroot",
        "--timestamp",
        &seconds.to_string(),
        "--tag",
        name,
    ]);
    output("building an image", build.arg(context))?;
    let to = format!("docker-archive:{}:{name}", into.display());
    output("writing an image", buildah()?.args(["push", name, &to]))?;
    crate::cache::remove_dir(&storage)
}
