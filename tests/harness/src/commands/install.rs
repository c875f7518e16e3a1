//! `harness install`: every part, ahead of its first use.

use std::time::Instant;

use harness::{
    Error, Result, browser, cache, image, kubernetes, manifests, minio, podman, postgres,
    prometheus, replayers, temporal, versitygw,
};

use super::tell;

/// Installs all parts and says where they are.
pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    install(Parts::All, || Ok(()))?;
    tell(format!(
        "all parts are in {} ({:.0} s)",
        cache::folder()?.display(),
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Which parts to install.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// What the demo shows.
    Demo,
    /// What the tests need, too.
    All,
}

/// Installs parts, and meanwhile does `beside`. Downloads wait for the network and builds for the
/// processor, so that the two go well together.
pub(crate) fn install(parts: Parts, beside: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    std::thread::scope(|scope| {
        let downloads = scope.spawn(move || {
            postgres::install_servers()?;
            temporal::install_cli()?;
            temporal::install_demo()?;
            match parts {
                Parts::Demo => drop(postgres::client(17)?),
                Parts::All => {
                    postgres::clients()?;
                    prometheus::install()?;
                    browser::install()?;
                }
            }
            beside()
        });
        let build = || {
            temporal::install_server()?;
            minio::install()?;
            if parts == Parts::All {
                versitygw::install()?;
                manifests::install()?;
                kubernetes::install()?;
                image::install()?;
                podman::install()?;
                replayers::install_go()?;
            }
            Ok(())
        };
        let built = build();
        let downloaded = downloads.join().unwrap_or_else(|_| {
            Err(Error::Io {
                doing: "the thread that downloads parts panicked".to_owned(),
                source: std::io::ErrorKind::Other.into(),
            })
        });
        downloaded.and(built)
    })
}
