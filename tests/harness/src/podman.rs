//! podman with storage and networks of its own, and podman-compose on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::remove_dir;
use crate::command::output;
use crate::error::Error;
use crate::image;
use crate::minio;
use crate::parts::apt::Packages;
use crate::proxy::Proxy;
use crate::run::{Port, new_folder};

const PACKAGES: Packages = Packages {
    purpose: "running compose.yaml",
    packages: &["podman", "podman-compose", "runc", "netavark", "aardvark-dns", "iptables"],
    programs: &["podman", "podman-compose", "runc", "../lib/podman/aardvark-dns", "iptables"],
};

/// Installs what Debian brings.
///
/// # Errors
/// When it cannot be installed.
pub fn install() -> Result<(), Error> {
    PACKAGES.ensure()
}

/// A place for containers that leaves the machine's own alone. Dropping it removes them.
#[derive(Debug)]
pub struct Podman {
    folder: PathBuf,
    network: String,
    net: String,
    // Its number makes addresses ours alone.
    _number: Port,
}

impl Podman {
    /// Prepares one, with a network of this name.
    ///
    /// # Errors
    /// When not root or podman is not content.
    pub fn start(network: &str) -> Result<Self, Error> {
        install()?;
        let (number, folder) = (Port::pick()?, new_folder("podman")?);
        let [high, low] = number.number().to_be_bytes();
        let shown = folder.display();
        let storage = format!(
            "[storage]\ndriver = 'overlay'\ngraphroot = '{shown}/graph'\nrunroot = '{shown}/run'\n"
        );
        let containers = format!(
            "[containers]\ndefault_ulimits = ['nofile=20000:20000', 'nproc=4096:4096']\n\
             [engine]\ncgroup_manager = 'cgroupfs'\nevents_logger = 'file'\nruntime = 'runc'\n\
             tmp_dir = '{shown}/tmp'\nvolume_path = '{shown}/volumes'\n\
             [network]\nnetwork_config_dir = '{shown}/networks'\n"
        );
        for (name, text) in [("storage.conf", storage), ("containers.conf", containers)] {
            fs::write(folder.join(name), text)
                .map_err(Error::io(format!("cannot write {name}")))?;
        }
        let net = format!("10.{high}.{low}");
        let podman = Self { folder, network: network.to_owned(), net, _number: number };
        let subnet = format!("{}.0/24", podman.net);
        podman.run(&["network", "create", "--subnet", &subnet, network])?;
        Ok(podman)
    }

    /// Runs podman; gives what it printed.
    ///
    /// # Errors
    /// With its words.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        output("running podman", self.command("podman")?.args(arguments))
    }

    /// Runs podman-compose; gives what it printed. Its exit status says nothing: it goes on where
    /// an image of another service is not to be had.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub fn compose(
        &self,
        files: &[&Path],
        variables: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<String, Error> {
        let mut command = self.command("podman-compose")?;
        for file in files {
            command.arg("-f").arg(file);
        }
        command.args(arguments).envs(variables.iter().copied());
        let done = command.output().map_err(Error::io("cannot run podman-compose"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(text(&done.stdout) + &text(&done.stderr))
    }

    /// Loads our own image.
    ///
    /// # Errors
    /// When it cannot be built or loaded.
    pub fn load_ours(&self) -> Result<(), Error> {
        self.load(&image::ours()?)
    }

    /// Loads MinIO, as the harness builds it, under the name that a Compose file gives it.
    ///
    /// # Errors
    /// When it cannot be built or loaded.
    pub fn load_minio(&self, name: &str) -> Result<(), Error> {
        let folder = new_folder("minio-image")?;
        fs::copy(minio::install()?, folder.join("minio")).map_err(Error::io("cannot copy"))?;
        let text = "FROM scratch\nCOPY minio /usr/bin/minio\nENTRYPOINT [\"/usr/bin/minio\"]\n";
        fs::write(folder.join("Dockerfile"), text).map_err(Error::io("cannot write"))?;
        let archive = folder.join("image.tar");
        image::archive(&folder, &format!("docker.io/{name}"), &archive)?;
        self.load(&archive)?;
        remove_dir(&folder)
    }

    fn load(&self, archive: &Path) -> Result<(), Error> {
        self.run(&["load", "-i", &archive.display().to_string()]).map(drop)
    }

    /// Offers a server of this machine to the containers, once one of them runs.
    ///
    /// # Errors
    /// When the proxy cannot listen.
    pub fn offer(&self, port: u16) -> Result<Proxy, Error> {
        Proxy::start_at(&format!("{}.1", self.net), &format!("127.0.0.1:{port}"))
    }

    fn command(&self, program: &str) -> Result<Command, Error> {
        let mut command = Command::new(PACKAGES.find(program)?);
        command.env("CONTAINERS_CONF", self.folder.join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"));
        Ok(command)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Nobody is left to report to.
        let _ = self.run(&["rm", "--force", "--all", "--time", "5"]);
        let _ = self.run(&["rmi", "--force", "--all"]);
        let _ = self.run(&["network", "rm", "--force", &self.network]);
        let _ = remove_dir(&self.folder);
    }
}
