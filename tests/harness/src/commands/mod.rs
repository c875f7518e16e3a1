//! The commands of the binary.

pub(crate) mod demo;
pub(crate) mod drills;
pub(crate) mod install;
pub(crate) mod kills;
pub(crate) mod matrix;
mod program;
pub(crate) mod screenshots;
pub(crate) mod soak;
pub(crate) mod test;
pub(crate) mod up;

use std::io::Write as _;

/// Prints a line for the person who typed the command.
pub(crate) fn tell(line: impl AsRef<str>) {
    // A reader that went away must not fail the run.
    let _ = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
}
