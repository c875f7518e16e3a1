//! Packages of Debian, for what no other registry has.

use std::path::PathBuf;
use std::process::Command;

use crate::cache::Part;
use crate::command::{find, output};
use crate::error::Error;

/// Another apt on the machine, an unattended upgrade perhaps, is waited for.
const PATIENCE: [&str; 2] = ["-o", "DPkg::Lock::Timeout=600"];

/// Programs and the packages that bring them.
pub(crate) struct Packages {
    /// What they are for, to be read after "for".
    pub(crate) purpose: &'static str,
    /// Their names.
    pub(crate) packages: &'static [&'static str],
    /// What has to be found afterwards.
    pub(crate) programs: &'static [&'static str],
}

impl Packages {
    /// Installs the packages where a program is missing.
    ///
    /// # Errors
    /// When they cannot be installed, or when that takes root and we are not.
    pub(crate) fn ensure(&self) -> Result<(), Error> {
        let missing = || self.programs.iter().find_map(|program| self.find(program).err());
        let Some(error) = missing() else { return Ok(()) };
        if !rustix::process::geteuid().is_root() {
            return Err(error);
        }
        let apt = self.find("apt-get")?;
        let names = self.packages.join(" ");
        let title = format!("installing {names} from Debian");
        Part { name: "apt", title, pins: &[&names] }.elsewhere(
            || missing().is_none(),
            || {
                let doing = "refreshing Debian's package lists";
                output(doing, Command::new(&apt).args(PATIENCE).args(["update", "-q"]))?;
                let mut install = Command::new(&apt);
                install.args(PATIENCE).args(["install", "-y", "-q", "--no-install-recommends"]);
                install.args(self.packages).env("DEBIAN_FRONTEND", "noninteractive");
                output(&format!("installing {names}"), &mut install)?;
                missing().map_or(Ok(()), Err)
            },
        )
    }

    /// Where one of the programs is.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn find(&self, program: &str) -> Result<PathBuf, Error> {
        let hint = format!("apt-get install {} (Debian 12)", self.packages.join(" "));
        find(program, self.purpose, &hint)
    }
}
