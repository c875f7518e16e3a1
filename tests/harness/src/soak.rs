//! A sidecar under load: jobs every minute, servers restarted, configuration rotated, clients
//! hammering HTTP. No run is missed or doubled, nothing panics, and memory stays flat.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use serde_json::Value;

use crate::error::Error;
use crate::postgres;
use crate::sidecar::{Memory, Sidecar};
use crate::temporal;

const SHOP: &str = "
    CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO customer SELECT i, 'customer ' || i FROM generate_series(1, 20000) i;
";

/// What it may take while nothing runs, program text included.
pub const IDLE_LIMIT: u64 = 20 << 20;
/// By how much what is allocated while nothing runs may grow from the first half to the second.
const GROWTH_LIMIT: u64 = 1 << 20;

/// Between two looks at memory.
const LOOK: Duration = Duration::from_millis(500);
/// Between two disturbances.
const DISTURB: Duration = Duration::from_secs(20);
/// After a run, allocations of the moment are given back.
const SETTLED: Duration = Duration::from_secs(5);

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long, rounded up to a whole slot of a minute.
    pub length: Duration,
    /// Clients that ask without pause.
    pub clients: usize,
    /// Whether resident memory with program text counts, which a program that is built for
    /// tests has more of.
    pub whole: bool,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Minutes that a schedule had, and the good runs of each job in them.
    pub slots: u64,
    /// Good exports.
    pub exports: u64,
    /// Good archivings.
    pub archives: u64,
    /// Runs that failed, because a server was away, and were made up for.
    pub failures: u64,
    /// Restarts of servers.
    pub restarts: u64,
    /// Configurations put in force.
    pub reloads: u64,
    /// Configurations refused.
    pub refused: u64,
    /// Answers to clients.
    pub answers: u64,
    /// Highest memory while nothing ran.
    pub idle: Memory,
    /// Highest memory of all.
    pub peak: Memory,
    /// Middle of what was allocated while nothing ran, in the first half and in the second.
    pub halves: (u64, u64),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{} minutes: {} exports and {} archivings done, one of each a minute; {} runs failed \
             in {} restarts and were made up for; {} configurations taken, {} refused; {} answers; \
             idle at most {:.1} MiB resident of which {:.1} allocated, at work {:.1} and {:.1}; \
             allocated while idle {:.2} MiB in the first half, {:.2} in the second",
            self.slots,
            self.exports,
            self.archives,
            self.failures,
            self.restarts,
            self.reloads,
            self.refused,
            self.answers,
            mib(self.idle.resident),
            mib(self.idle.anonymous),
            mib(self.peak.resident),
            mib(self.peak.anonymous),
            mib(self.halves.0),
            mib(self.halves.1),
        )
    }
}

/// Runs it.
///
/// # Errors
/// When a run is missed or doubled, the sidecar panics or says something that it should not, or
/// memory grows.
pub fn run(program: &Path, options: Options) -> Result<Seen, Error> {
    let mut database = postgres::Server::start(17)?;
    database.createdb("shop")?;
    database.psql("shop", SHOP)?;
    let mut temporal = temporal::Server::start(&database)?;
    temporal.run_demo("default", 0, 4)?;
    let scratch = tempfile::tempdir().map_err(Error::io("cannot create a folder"))?;
    let config = scratch.path().join("aidp.toml");
    rotate(&config, 0)?;

    // A handle of its own: the server is restarted meanwhile.
    let url = database.url("shop");
    let aidp_environment = postgres_environment(&database);
    let store = scratch.path().join("store");
    std::fs::create_dir(&store).map_err(Error::io("cannot create a folder"))?;
    let mut command = std::process::Command::new(program);
    command.env_clear().envs(aidp_environment).env("AIDP_BACKUP_STORE", &store);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("AIDP_BACKUP_DATABASE", &url).envs(temporal.env()).env("AIDP_BACKUP_SETTLE", "1s");
    command.args(["serve", "--log-format", "json", "--config"]).arg(&config);
    let mut sidecar = Sidecar::start(command)?;

    let begun = Utc::now();
    let until = Instant::now() + options.length;
    let mut seen = Seen::default();
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = sidecar.address().to_owned();
    let idle = std::thread::scope(|scope| {
        for number in 0..options.clients {
            let (address, stop, answers) = (&address, &stop, &answers);
            scope.spawn(move || hammer(address, number, stop, answers));
        }
        let watched = watch(&sidecar, until, &config, &mut database, &mut temporal, &mut seen);
        stop.store(true, Ordering::Relaxed);
        watched
    })?;
    seen.answers = answers.load(Ordering::Relaxed);
    settle(&sidecar)?;
    let ended = Utc::now();
    sidecar.said();
    let said = sidecar.stop()?;
    count(&said, begun, ended, &mut seen)?;
    judge(&idle, options, &mut seen)?;
    Ok(seen)
}

fn postgres_environment(server: &postgres::Server) -> Vec<(String, String)> {
    let mut command = std::process::Command::new("true");
    server.env(&mut command).env("PGPASSWORD", postgres::PASSWORD);
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect()
}

/// Replaces the configuration as Kubernetes would. Every third one is wrong.
fn rotate(path: &Path, number: u64) -> Result<(), Error> {
    let schedule = if number % 3 == 2 { "61 * * * *" } else { "* * * * *" };
    let text = format!(
        "# {number}\n[retention]\nkeep_last = 100000\n\
         [serve.export]\nschedule = \"{schedule}\"\nretry_after = \"2s\"\n\
         [serve.archive]\nschedule = \"* * * * *\"\nretry_after = \"2s\"\n"
    );
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(Error::io("cannot write the configuration"))
}

/// Samples of memory while nothing ran.
type Idle = Vec<Memory>;

/// Disturbs and looks, until the time is over.
fn watch(
    sidecar: &Sidecar,
    until: Instant,
    config: &Path,
    database: &mut postgres::Server,
    temporal: &mut temporal::Server,
    seen: &mut Seen,
) -> Result<Idle, Error> {
    let mut idle = Idle::new();
    let mut busy = Instant::now();
    let mut disturbed = Instant::now();
    let mut number = 0;
    while Instant::now() < until {
        let status = sidecar.status()?;
        let running = |job: &Value| !job["running"].is_null();
        if status["jobs"].as_array().is_some_and(|jobs| jobs.iter().any(running)) {
            busy = Instant::now();
        }
        let memory = sidecar.memory()?;
        seen.peak.resident = seen.peak.resident.max(memory.resident);
        seen.peak.anonymous = seen.peak.anonymous.max(memory.anonymous);
        if busy.elapsed() > SETTLED {
            idle.push(memory);
        }
        if disturbed.elapsed() > DISTURB {
            number += 1;
            disturb(number, sidecar, config, database, temporal)?;
            seen.restarts += u64::from(number % 3 != 0);
            disturbed = Instant::now();
        }
        std::thread::sleep(LOOK);
    }
    Ok(idle)
}

/// In turn: PostgreSQL restarted, Temporal killed and restarted, the configuration rotated, with
/// and without a signal.
fn disturb(
    number: u64,
    sidecar: &Sidecar,
    config: &Path,
    database: &mut postgres::Server,
    temporal: &mut temporal::Server,
) -> Result<(), Error> {
    match number % 3 {
        1 => database.restart()?,
        2 => {
            temporal.kill9()?;
            temporal.restart()?;
        }
        _ => {
            rotate(config, number / 3)?;
            if number.is_multiple_of(2) {
                sidecar.signal(Signal::HUP)?;
            }
        }
    }
    Ok(())
}

/// A client: pages, numbers, nonsense, connections that say nothing.
fn hammer(address: &str, number: usize, stop: &AtomicBool, answers: &AtomicU64) {
    let paths = ["/", "/metrics", "/api/v1/status", "/histories", "/healthz", "/nothing"];
    let mut silent = Vec::new();
    for turn in number.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if turn % 50 == 0 {
            silent = TcpStream::connect(address).into_iter().collect();
        }
        if turn % 71 == 0
            && let Ok(mut stream) = TcpStream::connect(address)
        {
            // Too much, and gone before the answer.
            let _ =
                stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000)).as_bytes());
        }
        let path = paths[turn % paths.len()];
        let host = [("host".to_owned(), address.to_owned())];
        if crate::s3::http::send(address, "GET", path, &host, b"").is_ok() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(silent);
}

/// Waits for the runs in progress.
fn settle(sidecar: &Sidecar) -> Result<(), Error> {
    for job in ["export", "archive"] {
        sidecar.job_when(job, |state| state["running"].is_null())?;
    }
    Ok(())
}

/// Counts the good runs of each job by the minute in which they began: one in each that was whole.
fn count(
    said: &[String],
    begun: DateTime<Utc>,
    ended: DateTime<Utc>,
    seen: &mut Seen,
) -> Result<(), Error> {
    let failed = |what: String| Error::Server {
        server: "the sidecar".to_owned(),
        what,
        log: said.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n"),
    };
    let minute = |time: DateTime<Utc>| time.timestamp().div_euclid(60);
    // Begins by the id of the run, and what became of each.
    let mut begins: BTreeMap<String, i64> = BTreeMap::new();
    let mut done: BTreeMap<(&str, i64), u64> = BTreeMap::new();
    for line in said {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return Err(failed(format!("said something that is no JSON: {line}")));
        };
        let message = line["message"].as_str().unwrap_or_default();
        let run = line["runId"].as_str().unwrap_or_default().to_owned();
        let time = line["timestamp"].as_str().and_then(|time| time.parse::<DateTime<Utc>>().ok());
        let time = time.ok_or_else(|| failed(format!("a message without a time: {line}")))?;
        if message.contains("panicked") || message.contains("has a fault") {
            return Err(failed(message.to_owned()));
        }
        seen.reloads += u64::from(message.contains("was read again"));
        seen.refused += u64::from(message.contains("is refused"));
        for job in ["export", "archive"] {
            if message.starts_with(&format!("{job} begins")) {
                begins.insert(run.clone(), minute(time));
            } else if message.starts_with(&format!("{job} is done")) {
                let at = begins.get(&run).copied();
                let at = at.ok_or_else(|| failed(format!("an unknown run is done: {line}")))?;
                *done.entry((job, at)).or_default() += 1;
            } else if message.starts_with(&format!("{job} failed")) {
                seen.failures += 1;
            }
        }
    }
    // The minute in which it was started and the one in which it ended are not whole.
    for at in minute(begun) + 1..minute(ended) {
        seen.slots += 1;
        for job in ["export", "archive"] {
            let times = done.get(&(job, at)).copied().unwrap_or(0);
            if times != 1 {
                let time = DateTime::from_timestamp(at * 60, 0).unwrap_or_default();
                return Err(failed(format!("{times} good runs of {job} in the minute of {time}")));
            }
        }
    }
    let sum =
        |wanted: &str| done.iter().filter(|((job, _), _)| *job == wanted).map(|(_, n)| n).sum();
    (seen.exports, seen.archives) = (sum("export"), sum("archive"));
    Ok(())
}

/// Whether memory stays where it is.
fn judge(idle: &Idle, options: Options, seen: &mut Seen) -> Result<(), Error> {
    let failed =
        |what: String| Error::Server { server: "the sidecar".to_owned(), what, log: String::new() };
    if idle.len() < 4 {
        return Err(failed("was never seen idle".to_owned()));
    }
    seen.idle.resident = idle.iter().map(|memory| memory.resident).max().unwrap_or_default();
    seen.idle.anonymous = idle.iter().map(|memory| memory.anonymous).max().unwrap_or_default();
    let (first, second) = idle.split_at(idle.len() / 2);
    seen.halves = (middle(first), middle(second));
    let most = if options.whole { seen.idle.resident } else { seen.idle.anonymous };
    if most > IDLE_LIMIT {
        return Err(failed(format!("takes {most} bytes while nothing runs: {seen}")));
    }
    // A short run only warms up.
    let warm = options.length > Duration::from_secs(600);
    if warm && seen.halves.1 > seen.halves.0 + GROWTH_LIMIT {
        return Err(failed(format!("takes more and more memory: {seen}")));
    }
    Ok(())
}

fn middle(samples: &[Memory]) -> u64 {
    let mut sizes: Vec<u64> = samples.iter().map(|memory| memory.anonymous).collect();
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}
