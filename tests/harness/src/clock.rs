//! A clock that is wrong, for one program: its calls for the time are answered by a small library
//! that the dynamic linker loads first.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Part;
use crate::command::{find, output};
use crate::error::Error;
use crate::parts::check_platform;

const SOURCE: &str = include_str!("../tools/clock/clock.c");

/// Puts the clock of a dynamically linked program ahead by so many seconds, or back.
///
/// # Errors
/// When there is no C compiler, which Rust needs for linking too.
pub fn wrong_clock(command: &mut Command, seconds: i64) -> Result<(), Error> {
    command.env("LD_PRELOAD", install()?).env("HARNESS_CLOCK_OFFSET", seconds.to_string());
    Ok(())
}

fn install() -> Result<PathBuf, Error> {
    check_platform()?;
    let title = "compiling a clock that is wrong".to_owned();
    let folder = Part { name: "clock", title, pins: &[SOURCE] }.ensure(build)?;
    Ok(folder.join("clock.so"))
}

fn build(into: &Path) -> Result<(), Error> {
    let source = into.join("clock.c");
    std::fs::write(&source, SOURCE)
        .map_err(Error::io(format!("cannot write {}", source.display())))?;
    let compiler = find("cc", "compiling a clock that is wrong", "apt-get install gcc")?;
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O2", "-o"]).arg(into.join("clock.so")).arg(source);
    output("compiling a clock that is wrong", &mut command).map(drop)
}
