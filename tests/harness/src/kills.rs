//! Exports killed with SIGKILL at random moments: what is listed always verifies, the next run
//! succeeds, and what dead runs have left goes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::aidp::{Aidp, Place, unlike};
use crate::error::Error;
use crate::postgres::Server;

/// Small enough for many runs; one table is large enough to be uploaded in parts.
const SHOP: &str = "
    CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE purchase (id int PRIMARY KEY, customer int REFERENCES customer, amount numeric);
    CREATE TABLE picture (id int PRIMARY KEY, content bytea NOT NULL);
    INSERT INTO customer SELECT i, 'customer ' || i FROM generate_series(1, 3000) i;
    INSERT INTO purchase SELECT i, 1 + i % 3000, i / 7.0 FROM generate_series(1, 20000) i;
    INSERT INTO picture SELECT i, decode(string_agg(md5((i * 1000 + k)::text), ''), 'hex')
        FROM generate_series(1, 7000) i, generate_series(1, 100) k GROUP BY i;
    SELECT lo_from_bytea(4242, 'a large object');
";

/// What every run is told: dead runs' objects are swept soon.
const EXPORT: [&str; 6] = ["-d", "shop", "--keep-last", "3", "--orphan-grace", "1s"];

/// How long the last traces of dead runs may take to go.
const TIDY_WITHIN: Duration = Duration::from_secs(60);

/// What the kills have met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that were to be killed.
    pub runs: u32,
    /// Killed before anything of the backup was stored.
    pub early: u32,
    /// Killed with objects stored and no manifest.
    pub torn: u32,
    /// Killed after the manifest was published.
    pub published: u32,
    /// Ended by themselves before the signal came.
    pub ended: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs: {} killed before anything was stored, {} with objects and no manifest, \
             {} after the manifest, {} had ended; every listed backup verified after each, and \
             every next run succeeded",
            self.runs, self.early, self.torn, self.published, self.ended
        )
    }
}

/// Kills so many runs, and tells how it goes after each.
///
/// # Errors
/// When a listed backup does not verify, a next run fails, or traces of dead runs stay.
pub fn run(
    program: &Path,
    place: Place,
    kills: u32,
    mut told: impl FnMut(&Tally),
) -> Result<Tally, Error> {
    let server = Server::start(17)?;
    server.createdb("shop")?;
    server.psql("shop", SHOP)?;
    let aidp = Aidp::new(program, &server, place)?;
    let whole = whole_run(&aidp)?;
    let mut tally = Tally::default();
    for _ in 0..kills {
        let moment = whole.mul_f64(rand::rng().random_range(0.0..1.05));
        kill_one(&aidp, moment, &mut tally)?;
        aidp.export(&EXPORT)?;
        told(&tally);
    }
    tidy(&aidp)?;
    Ok(tally)
}

/// How long a run takes, at most.
fn whole_run(aidp: &Aidp<'_>) -> Result<Duration, Error> {
    let mut longest = Duration::ZERO;
    for _ in 0..2 {
        let begun = Instant::now();
        aidp.export(&EXPORT)?;
        longest = longest.max(begun.elapsed());
    }
    Ok(longest)
}

fn kill_one(aidp: &Aidp<'_>, moment: Duration, tally: &mut Tally) -> Result<(), Error> {
    let before = aidp.ids()?;
    let left_before = orphans(aidp, &before)?;
    let arguments: Vec<&str> = ["now", "export"].into_iter().chain(EXPORT).collect();
    let mut command = aidp.command(&arguments);
    let failed = |doing: &str| Error::io(format!("cannot {doing} a run"));
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed("start"))?;
    // The moment is the point, so it is not waited for in any other way.
    std::thread::sleep(moment);
    // It may have ended by itself already, which is as good.
    let _ = child.kill();
    let status = child.wait().map_err(failed("await"))?;
    let verified = aidp.run(&["verify", "--all"])?;
    if verified.code != Some(0) {
        return Err(unlike(format!(
            "what is listed after a kill at {moment:?}\n{}{}",
            verified.stdout, verified.stderr
        )));
    }
    let after = aidp.ids()?;
    tally.runs += 1;
    let count = if status.success() {
        &mut tally.ended
    } else if after.difference(&before).next().is_some() {
        &mut tally.published
    } else if orphans(aidp, &after)?.difference(&left_before).next().is_some() {
        &mut tally.torn
    } else {
        &mut tally.early
    };
    *count += 1;
    Ok(())
}

/// Objects that belong to none of the listed backups.
fn orphans(aidp: &Aidp<'_>, ids: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
    let of_none = |key: &String| key.split('/').nth(1).is_none_or(|id| !ids.contains(id));
    Ok(aidp.objects()?.into_iter().filter(of_none).collect())
}

/// What dead runs have left goes when its grace time is over.
fn tidy(aidp: &Aidp<'_>) -> Result<(), Error> {
    let deadline = Instant::now() + TIDY_WITHIN;
    loop {
        aidp.expect(&["prune", "--apply", "--keep-last", "3", "--orphan-grace", "1s"])?;
        let mut left: Vec<String> = orphans(aidp, &aidp.ids()?)?.into_iter().collect();
        left.extend(aidp.unfinished()?);
        if left.is_empty() {
            return aidp.expect(&["verify", "--all"]).map(drop);
        }
        if Instant::now() > deadline {
            return Err(unlike(format!("what dead runs have left: {}", left.join(", "))));
        }
    }
}
