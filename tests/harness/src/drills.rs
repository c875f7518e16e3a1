//! Drills of good backups of a busy Temporal: each must pass. And drills killed at random moments:
//! nothing runs on, and the next one removes what is left.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::Rng as _;
use serde_json::Value;

use crate::aidp::{Aidp, Place, unlike};
use crate::error::Error;
use crate::postgres::Server;
use crate::temporal;

/// Major version of source and scratch.
const MAJOR: u16 = 17;

/// What the drills have met.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Drills that ended.
    pub drills: u32,
    /// Runs that the two snapshots showed otherwise, and that were told from damage.
    pub skewed: u64,
    /// Histories that were read from copies and compared.
    pub histories: u64,
    /// Drills that were killed.
    pub killed: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} drills passed, {} histories compared, {} checks met skew and told it from damage; \
             {} drills killed, and nothing was left after the next one",
            self.drills, self.histories, self.skewed, self.killed
        )
    }
}

/// Drills `count` backups of a Temporal whose workers are busy all the while, killing a drill
/// before every one of them if `kill`.
///
/// # Errors
/// When a drill does not pass, or leaves something.
pub fn run(
    program: &Path,
    count: u32,
    kill: bool,
    mut shown: impl FnMut(&Tally),
) -> Result<Tally, Error> {
    let source = Server::start(MAJOR)?;
    let scratch = Server::start(MAJOR)?;
    let live = temporal::Server::start(&source)?;
    let aidp = Aidp::new(program, &source, Place::Folder)?;
    live.run_demo("default", 0, 4)?;
    let server = live.programs().join("server").display().to_string();
    let url = scratch.socket_url("postgres");
    let drill = [
        "drill",
        "database",
        "--json",
        "--scratch",
        &url,
        "--temporal-server",
        &server,
        "--sample",
        "all",
    ];
    let address = live.address();
    let enough = AtomicBool::new(false);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let workers = scope.spawn(|| {
            let mut first = 100;
            while !enough.load(Ordering::Relaxed) {
                live.run_demo("default", first, 6)?;
                first += 10;
            }
            Ok::<(), Error>(())
        });
        let mut work = || {
            let mut whole = Duration::from_secs(5);
            while tally.drills < count {
                let archive = aidp
                    .command(&["now", "archive"])
                    .env("TEMPORAL_ADDRESS", &address)
                    .env("AIDP_BACKUP_SETTLE", "2s")
                    .output()
                    .map_err(Error::io("cannot archive"))?;
                if !archive.status.success() {
                    return Err(unlike(String::from_utf8_lossy(&archive.stderr).into_owned()));
                }
                aidp.export(&["--keep-last", "3"])?;
                if kill {
                    kill_one(&aidp, &drill, whole)?;
                    tally.killed += 1;
                }
                let begun = Instant::now();
                let printed = aidp.expect(&drill)?;
                whole = begun.elapsed();
                count_in(&mut tally, &printed)?;
                let left = scratch.psql(
                    "postgres",
                    "SELECT datname FROM pg_database WHERE datname LIKE 'aidp\\_drill\\_%'",
                )?;
                if !left.is_empty() {
                    return Err(unlike(format!("a scratch without leftovers: {left}")));
                }
                shown(&tally);
            }
            Ok(())
        };
        let worked = work();
        enough.store(true, Ordering::Relaxed);
        let busy = workers.join().map_err(|_| unlike("the end of the workers: a panic".into()))?;
        worked.and(busy)
    })?;
    Ok(tally)
}

/// Takes in the evidence of a drill that has passed.
fn count_in(tally: &mut Tally, printed: &str) -> Result<(), Error> {
    let document: Value = serde_json::from_str(printed)
        .map_err(|_| unlike(format!("what a drill prints: {printed}")))?;
    let evidence = &document["evidence"];
    if evidence["verdict"] != "PASS" {
        return Err(unlike(format!("a drill that passes: {evidence:#}")));
    }
    tally.drills += 1;
    tally.histories += evidence["measures"]["counts"]["histories"].as_u64().unwrap_or(0);
    let checks = evidence["checks"].as_array().into_iter().flatten();
    let skewed = checks.filter(|check| {
        check["name"].as_str().is_some_and(|name| name.contains("skew") || name.contains("moved"))
    });
    tally.skewed += skewed.count() as u64;
    Ok(())
}

/// Kills a drill at a random moment of the time that a whole one takes.
fn kill_one(aidp: &Aidp<'_>, drill: &[&str], whole: Duration) -> Result<(), Error> {
    let mut command = aidp.command(drill);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("cannot start a drill"))?;
    std::thread::sleep(whole.mul_f64(rand::rng().random_range(0.0..1.0)));
    child.kill().and_then(|()| child.wait()).map_err(Error::io("cannot kill a drill"))?;
    Ok(())
}
