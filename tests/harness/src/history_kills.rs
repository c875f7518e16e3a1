//! Archiving killed with SIGKILL at random moments while workflows go on closing: at the end every
//! closed run is in the archive, exactly once.

use std::collections::BTreeSet;
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

/// What every run is told: small settling times, and dead runs' objects swept soon.
const ARCHIVE: [&str; 6] = ["now", "archive", "--settle", "1s", "--overlap", "30s"];

/// How long the last run may take to settle.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);

/// What the kills have met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that were to be killed.
    pub runs: u32,
    /// Those that ended by themselves before the signal came.
    pub ended: u32,
    /// Closed runs at the end, each archived once.
    pub closed: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs killed, {} of them too late; all {} closed workflow runs are archived once",
            self.runs, self.ended, self.closed
        )
    }
}

/// Kills so many runs.
///
/// # Errors
/// When a closed run is missing, doubled or damaged at the end.
pub fn run(
    program: &Path,
    place: Place,
    kills: u32,
    mut told: impl FnMut(&Tally),
) -> Result<Tally, Error> {
    let server = Server::start(17)?;
    let temporal = temporal::Server::start(&server)?;
    let aidp = Aidp::new(program, &server, place)?;
    temporal.run_demo("default", 0, 12)?;
    let done = AtomicBool::new(false);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        // Workflows go on closing until the last kill.
        let working = scope.spawn(|| {
            let mut first = 100;
            while !done.load(Ordering::Relaxed) {
                temporal.run_demo("default", first, 4)?;
                first += 4;
            }
            Ok::<_, Error>(())
        });
        let killed = kill_all(&aidp, &temporal, kills, &mut tally, &mut told);
        done.store(true, Ordering::Relaxed);
        let worked = working.join().unwrap_or_else(|_| Err(unlike("the workflows' end".into())));
        killed.and(worked)
    })?;
    tally.closed = settle(&aidp, &temporal)?;
    Ok(tally)
}

fn kill_all(
    aidp: &Aidp<'_>,
    temporal: &temporal::Server,
    kills: u32,
    tally: &mut Tally,
    told: &mut impl FnMut(&Tally),
) -> Result<(), Error> {
    let failed = |doing: &str| Error::io(format!("cannot {doing} a run"));
    let mut longest = Duration::from_millis(400);
    for _ in 0..kills {
        let moment = longest.mul_f64(rand::rng().random_range(0.0..1.05));
        let begun = Instant::now();
        let mut command = aidp.command(&ARCHIVE);
        command.envs(temporal.env()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed("start"))?;
        // The moment is the point, so it is not waited for in any other way.
        std::thread::sleep(moment);
        // It may have ended by itself already, which is as good.
        let _ = child.kill();
        if child.wait().map_err(failed("await"))?.success() {
            tally.ended += 1;
        } else {
            longest = longest.max(begun.elapsed().mul_f64(1.1)).min(Duration::from_secs(3));
        }
        tally.runs += 1;
        told(tally);
    }
    Ok(())
}

/// Archives to the end, and compares with what the stock command line lists.
fn settle(aidp: &Aidp<'_>, temporal: &temporal::Server) -> Result<u64, Error> {
    let run_id =
        |value: &Value, of: &str| value.pointer(of).and_then(Value::as_str).map(str::to_owned);
    let closed: BTreeSet<String> = temporal
        .cli()
        .closed_runs("default")?
        .iter()
        .filter_map(|run| run_id(run, "/execution/runId"))
        .collect();
    let deadline = Instant::now() + SETTLE_WITHIN;
    loop {
        let mut command = aidp.command(&ARCHIVE);
        let status = command
            .envs(temporal.env())
            .args(["--orphan-grace", "1s"])
            .stdout(Stdio::null())
            .status()
            .map_err(Error::io("cannot run aidp-backup"))?;
        if !status.success() {
            return Err(unlike(format!("the end of a run after the last kill: {status}")));
        }
        let printed = aidp.expect(&["history", "search", "--limit", "0", "--json"])?;
        let archived: Vec<String> = printed
            .lines()
            .filter_map(|line| run_id(&serde_json::from_str(line).ok()?, "/runId"))
            .collect();
        let once: BTreeSet<String> = archived.iter().cloned().collect();
        if once.len() != archived.len() {
            return Err(unlike(format!("{} lines for {} runs", archived.len(), once.len())));
        }
        if once == closed {
            aidp.expect(&["verify", "--all"])?;
            return Ok(closed.len() as u64);
        }
        if Instant::now() > deadline {
            let missing: Vec<&String> = closed.difference(&once).take(5).collect();
            return Err(unlike(format!("the archive; missing: {missing:?}")));
        }
    }
}
