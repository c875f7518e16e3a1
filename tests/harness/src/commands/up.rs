//! `harness up`: servers to play with.

use harness::postgres::SUPERUSER;
use harness::progress::say;
use harness::{Error, Result, minio, postgres, temporal};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{install, tell};

/// How to set the servers up.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// PostgreSQL major, 13 to 18
    #[arg(long, default_value_t = 17)]
    postgres: u16,
    /// Changes to run through the demo's workflows
    #[arg(long, default_value_t = 24)]
    changes: u32,
}

/// Bucket that `up` and `demo` store in.
pub(crate) const BUCKET: &str = "backups";

/// Starts everything and waits for Ctrl-C or SIGTERM.
pub(crate) fn run(options: &Options) -> Result<()> {
    install::install(install::Parts::Demo, || Ok(()))?;
    say(format!("starting PostgreSQL {0}, an empty second one, MinIO, Temporal", options.postgres));
    let source = postgres::Server::start(options.postgres)?;
    let empty = postgres::Server::start(options.postgres)?;
    let minio = minio::Server::start()?;
    minio.create_bucket(BUCKET)?;
    let temporal = temporal::Server::start(&source)?;
    if options.changes > 0 {
        say(format!("running {} changes through the demo's workflows", options.changes));
        let demo = temporal.run_demo("default", 0, options.changes)?;
        say(format!("{} workflow runs are closed", demo.closed));
    }
    temporal.leave_open("default", 0, 2)?;

    let signals = Signals::catch()?;
    tell("\n# Paste this into another terminal:");
    tell(format!("export PGHOST={} PGPORT={}", source.socket_dir().display(), source.port()));
    tell(format!("export PGUSER={SUPERUSER} TEMPORAL_ADDRESS={}", temporal.address()));
    for (name, value) in minio.env() {
        tell(format!("export {name}={value}"));
    }
    tell(format!("export AIDP_BACKUP_STORE=s3://{BUCKET}/demo   # or a folder"));
    tell(format!("alias temporal={}", temporal::install_cli()?.display()));
    tell("\n# And try:");
    for line in [
        "cargo build && PATH=$PWD/target/debug:$PATH",
        "psql -l",
        "temporal workflow list",
        "aidp-backup now export",
        "aidp-backup list",
        "aidp-backup verify latest",
    ] {
        tell(line);
    }
    tell(format!(
        "aidp-backup restore latest --create --into '{}'   # the empty server",
        empty.socket_url("postgres")
    ));
    tell("\n# Ctrl-C stops the servers and removes their data.");
    signals.wait();
    say("stopping");
    Ok(())
}

/// Ctrl-C and SIGTERM, caught from its creation on: until then they end the process at once, and
/// the kernel ends the servers.
struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> Result<Self> {
        let doing = |source| Error::Io { doing: "cannot catch signals".to_owned(), source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(doing)?;
        let inside = runtime.enter();
        let interrupt = signal(SignalKind::interrupt()).map_err(doing)?;
        let terminate = signal(SignalKind::terminate()).map_err(doing)?;
        drop(inside);
        Ok(Self { runtime, interrupt, terminate })
    }

    fn wait(mut self) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        });
    }
}
