//! `drill replay`: would the workflow code of a release replay what is archived? A program of the
//! operator's answers (`docs/replay.md`): lines of the archive in, verdicts out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rand::seq::SliceRandom as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{
    Check, CheckResult, Drilled, Evidence, FORMAT, Kind, Measures, SigningKey, Subject, keeper,
    new_id, record,
};
use crate::history::Query;
use crate::history::find::{self, Hit};
use crate::runner::{Job, Shared};
use crate::{Context, Error};

/// For how long a replayer may neither take a history nor give a verdict.
const PATIENCE: Duration = Duration::from_secs(600);

/// Longest line of a replayer that is read.
const LONGEST: usize = 1 << 20;

/// Letters of a message that evidence keeps.
const MESSAGE: usize = 600;

/// Variables that a replayer has no need of.
const SECRETS: [&str; 5] = [
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "TEMPORAL_API_KEY",
    "TEMPORAL_CODEC_AUTH",
];

/// Hands archived histories to a replayer.
#[derive(Debug, Clone)]
pub struct DrillReplay {
    /// Which histories.
    pub query: Query,
    /// So many of them, chosen by chance; all when not given.
    pub sample: Option<usize>,
    /// The program and its arguments.
    pub replayer: Vec<OsString>,
    /// Signs the evidence.
    pub key: Option<Arc<SigningKey>>,
}

/// One line of a replayer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    run_id: String,
    verdict: Verdict,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// It replays.
    Ok,
    /// The code does other things than the history says.
    Nondeterministic,
    /// It fails otherwise, as it would in production.
    Failed,
    /// The replayer does not know the workflow type.
    UnknownType,
}

/// What was found of one workflow type.
#[derive(Debug, Default)]
struct OfType {
    chosen: u64,
    fine: u64,
    bad: Vec<String>,
    unknown: u64,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    types: BTreeMap<String, OfType>,
    /// Runs without a verdict yet: their types and names.
    open: BTreeMap<String, (String, String)>,
    damaged: Vec<String>,
    events: u64,
    /// Why the replayer did not tell all.
    broken: Option<String>,
}

#[async_trait]
impl Job for DrillReplay {
    type Report = Drilled;
    type Access = Shared;
    const NAME: &'static str = "drill replay";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Drilled, Error> {
        let started = context.clock.now();
        let mut measures = Measures::default();
        let began = Instant::now();
        let mut found = find::all(context, &self.query).await?;
        if let Some(sample) = self.sample {
            found.hits.shuffle(&mut rand::rng());
            found.hits.truncate(sample);
        }
        measures.parts.insert("find".into(), began.elapsed().as_secs_f64());
        let mut findings = Findings {
            damaged: found.damaged.iter().map(ToString::to_string).collect(),
            ..Findings::default()
        };
        let began = Instant::now();
        let count = found.hits.len() as u64;
        let names: std::collections::BTreeSet<String> =
            found.hits.iter().map(|hit| hit.entry.summary.namespace.clone()).collect();
        let as_of = found.hits.iter().map(|hit| hit.entry.summary.close_time).max();
        self.replay(context, found.hits, &mut findings).await?;
        measures.parts.insert("replay".into(), began.elapsed().as_secs_f64());
        measures.counts.insert("runs".into(), count);
        measures.counts.insert("events".into(), findings.events);
        measures.rpo_seconds = as_of.map(|time| (started - time).as_seconds_f64().max(0.0));
        let checks = findings.into_checks();
        let program = self.replayer.iter().map(|word| word.to_string_lossy().into_owned());
        let versions = BTreeMap::from([
            ("aidp-backup".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("replayer".to_owned(), program.collect::<Vec<_>>().join(" ")),
        ]);
        let evidence = Evidence {
            format: FORMAT.into(),
            id: new_id(started),
            kind: Kind::Replay,
            verdict: Evidence::judge(&checks),
            started,
            ended: context.clock.now(),
            subject: Subject {
                id: super::histories::words(&self.query, self.sample),
                digest: None,
                as_of,
                names: names.into_iter().collect(),
            },
            versions,
            scratch: None,
            checks,
            measures,
        };
        let recorded = record(context, &evidence, self.key.as_deref()).await?;
        Ok(Drilled { evidence, recorded })
    }
}

impl DrillReplay {
    /// Writes histories and reads verdicts at the same time.
    async fn replay(
        &self,
        context: &Context,
        hits: Vec<Hit>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if hits.is_empty() {
            return Ok(());
        }
        for hit in &hits {
            let run = &hit.entry.summary;
            findings.types.entry(run.type_name.clone()).or_default().chosen += 1;
            let name = format!("{} {} run {}", run.namespace, run.workflow_id, run.run_id);
            findings.open.insert(run.run_id.clone(), (run.type_name.clone(), name));
        }
        let mut child = self.start()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(());
        };
        let meter = context.progress.begin("replaying histories");
        let (fed, mut feeding) = tokio::sync::mpsc::channel::<String>(1);
        let writer = async {
            let mut damaged = Vec::new();
            let mut events = 0;
            for hit in hits {
                context.go_on()?;
                let mut line = match find::line(context.catalogue.store(), &hit).await {
                    Ok(line) => line,
                    Err(error) => {
                        let run = &hit.entry.summary;
                        let damage = error.into_damage()?;
                        damaged.push((run.run_id.clone(), damage.to_string()));
                        continue;
                    }
                };
                line.push(b'\n');
                // A replayer that has ended is seen by whoever reads.
                if stdin.write_all(&line).await.is_err() {
                    break;
                }
                events += hit.entry.at.events;
                meter.add(line.len() as u64, 1);
                let _ = fed.try_send(String::new());
            }
            let _ = stdin.shutdown().await;
            drop((stdin, fed));
            Ok::<_, Error>((damaged, events))
        };
        let reader = async {
            let mut lines = BufReader::new(stdout);
            let mut told = Vec::new();
            let mut line = Vec::new();
            let broken = loop {
                line.clear();
                let mut limited = tokio::io::AsyncReadExt::take(&mut lines, LONGEST as u64);
                tokio::select! {
                    biased;
                    read = limited.read_until(b'\n', &mut line) => match read {
                        Ok(0) => break None,
                        Ok(_) if line.last() != Some(&b'\n') => {
                            break Some("the replayer's last line is cut off or too long".into());
                        }
                        Ok(_) => match serde_json::from_slice::<Told>(&line) {
                            Ok(verdict) => told.push(verdict),
                            Err(error) => {
                                break Some(format!("the replayer printed a line that is no verdict: {error}"));
                            }
                        },
                        Err(error) => break Some(format!("the replayer cannot be read: {error}")),
                    },
                    () = idle(&mut feeding) => {
                        break Some(format!("the replayer said nothing for {} s", PATIENCE.as_secs()));
                    }
                }
            };
            (told, broken)
        };
        tokio::pin!(writer, reader);
        // When the reader gives up there is nobody to write to.
        let (told, broken, written) = tokio::select! {
            biased;
            (told, broken) = &mut reader => (told, broken, None),
            written = &mut writer => {
                let written = written?;
                let (told, broken) = reader.await;
                (told, broken, Some(written))
            }
        };
        let status = match broken {
            None => child.wait().await.ok(),
            Some(_) => child.kill().await.ok().and(None),
        };
        for verdict in told {
            findings.told(verdict);
        }
        if let Some((damaged, events)) = written {
            findings.events = events;
            for (run_id, what) in damaged {
                let name = findings.open.remove(&run_id).map_or(run_id, |(_, name)| name);
                findings.damaged.push(format!("{name}: {what}"));
            }
        }
        findings.broken = broken.or_else(|| match status {
            Some(status) if !status.success() => Some(format!("the replayer ended with {status}")),
            _ => None,
        });
        Ok(())
    }

    fn start(&self) -> Result<Child, Error> {
        let refused = |what: String| Error::Refused {
            what,
            hint: "name a program and its arguments behind --; docs/replay.md says what it reads \
                   and prints"
                .into(),
        };
        let Some(program) = self.replayer.first() else {
            return Err(refused("nobody said what replays histories".into()));
        };
        // Through this program itself, so that it ends with the drill.
        let mut command = Command::new("/proc/self/exe");
        command.arg(keeper::WORD).arg(std::process::id().to_string()).args(&self.replayer);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("AIDP_BACKUP_") || SECRETS.contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let name = program.to_string_lossy().into_owned();
        command.spawn().map_err(|error| refused(format!("{name} does not start: {error}")))
    }
}

/// Ends when nothing was fed for too long.
async fn idle(feeding: &mut tokio::sync::mpsc::Receiver<String>) {
    loop {
        match tokio::time::timeout(PATIENCE, feeding.recv()).await {
            Ok(Some(_)) => {}
            // All is written: now only verdicts count.
            Ok(None) => return tokio::time::sleep(PATIENCE).await,
            Err(_) => return,
        }
    }
}

impl Findings {
    fn told(&mut self, told: Told) {
        let Some((type_name, name)) = self.open.remove(&told.run_id) else { return };
        let of_type = self.types.entry(type_name).or_default();
        let message: String = told
            .message
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(MESSAGE)
            .collect();
        match told.verdict {
            Verdict::Ok => of_type.fine += 1,
            Verdict::UnknownType => of_type.unknown += 1,
            Verdict::Nondeterministic => of_type.bad.push(format!("{name}: {message}")),
            Verdict::Failed => of_type.bad.push(format!("{name}: fails: {message}")),
        }
    }

    fn into_checks(self) -> Vec<Check> {
        let mut checks = Vec::new();
        if self.types.is_empty() && self.damaged.is_empty() {
            return vec![Check::not_run("histories replay", "no archived history was chosen")];
        }
        checks.push(Check::of_differences(
            "chosen histories are whole in the archive",
            "all of them",
            self.damaged,
        ));
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        for (type_name, _) in self.open.values() {
            *open.entry(type_name.clone()).or_default() += 1;
        }
        for (type_name, mut found) in self.types {
            let expected = format!("{} histories of this type replay", found.chosen);
            let silent = open.get(&type_name).copied().unwrap_or(0);
            found.bad.sort();
            let check = if !found.bad.is_empty() {
                let count = found.bad.len();
                Check::new("histories replay", CheckResult::Fail)
                    .found(format!("{count} do not"))
                    .names(found.bad)
            } else if found.unknown > 0 {
                Check::not_run("histories replay", "the replayer does not know this type")
            } else if silent > 0 {
                let why = self.broken.as_deref().unwrap_or("the replayer passed them over");
                Check::not_run("histories replay", format!("{silent} got no verdict: {why}"))
            } else if let Some(broken) = &self.broken {
                Check::not_run("histories replay", broken)
            } else {
                Check::new("histories replay", CheckResult::Pass)
                    .found(format!("{} do", found.fine))
            };
            checks.push(check.about(type_name).expected(expected));
        }
        checks
    }
}
