//! `drill`: prove that what is kept comes back.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Filter;
use super::archive::Temporal;

/// `drill`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Without a word every drill runs that the configuration file sets up. A drill ends with evidence in \
the store (drills/KIND/ID.json and .html). Exit codes: 0 passed; 1 something could not be looked \
at; 4 something did not come back as it was."
)]
pub struct Drill {
    /// Which drill.
    #[command(subcommand)]
    pub verb: Option<DrillVerb>,
}

/// Drills, and what is done with their evidence.
#[derive(Debug, Subcommand)]
pub enum DrillVerb {
    /// Restore a backup into something that is thrown away, and check all of it
    Database(Box<DrillDatabase>),
    /// Import archived histories into a Temporal that is thrown away, read each back and compare
    Histories(Box<DrillHistories>),
    /// Hand archived histories to an SDK's replayer: would this worker replay what production ran?
    Replay(Box<DrillReplay>),
    /// Which workflows have moved since a backup: finished, progressed, activities that run again
    Report(Box<SinceBackup>),
    /// Check the digest and the signature of a drill's evidence
    VerifyReport(VerifyReport),
}

/// Who signs evidence.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Evidence")]
pub struct Signing {
    /// A file (mode 0600) with an Ed25519 key in PEM form that signs the evidence
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_DRILL_SIGNING_KEY_FILE")]
    pub signing_key_file: Option<PathBuf>,
}

/// Where metrics of a drill go.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Metrics")]
pub struct DrillMetrics {
    /// Write metrics to this file afterwards, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_DRILL_METRICS_TEXTFILE")]
    pub metrics_textfile: Option<PathBuf>,
    /// Push metrics to this Pushgateway afterwards
    #[arg(long, value_name = "URL", env = "AIDP_BACKUP_PUSHGATEWAY")]
    pub pushgateway: Option<String>,
}

/// `drill database`.
#[derive(Debug, Clone, Default, Args)]
pub struct DrillDatabase {
    /// An id, the beginning of one, or `latest`, which is also the default
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// What to restore into.
    #[command(flatten)]
    pub scratch: ScratchServer,
    /// A Temporal server to start on the copy.
    #[command(flatten)]
    pub temporal: DrillTemporal,
    /// Connections that restore and read at the same time [default: 2]
    #[arg(short, long, value_name = "N", env = "AIDP_BACKUP_JOBS")]
    pub jobs: Option<u16>,
    /// Who signs.
    #[command(flatten)]
    pub signing: Signing,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: DrillMetrics,
}

/// What a database drill restores into.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Scratch")]
pub struct ScratchServer {
    /// A database server, as a URL or key=value text without a password: databases of the drill's
    /// own are made in it and dropped again
    #[arg(
        long,
        value_name = "URL",
        env = "AIDP_BACKUP_SCRATCH",
        hide_env_values = true,
        conflicts_with_all = ["scratch_file", "postgres_bin"]
    )]
    pub scratch: Option<String>,
    /// A file with that URL, for one with a password
    #[arg(
        long,
        value_name = "FILE",
        env = "AIDP_BACKUP_SCRATCH_FILE",
        conflicts_with = "postgres_bin"
    )]
    pub scratch_file: Option<PathBuf>,
    /// A folder with PostgreSQL's server programs: the drill starts a server of its own
    #[arg(long, value_name = "DIR", env = "AIDP_BACKUP_POSTGRES_BIN")]
    pub postgres_bin: Option<PathBuf>,
}

/// `drill histories`.
#[derive(Debug, Clone, Default, Args)]
pub struct DrillHistories {
    /// Only this namespace; `*` stands for any text
    #[arg(short, long, value_name = "PATTERN")]
    pub namespace: Option<String>,
    /// Which histories; all when nothing is said.
    #[command(flatten)]
    pub filter: Filter,
    /// How many of them, chosen by chance: a number, or `all` [default: all]
    #[arg(long, value_name = "N")]
    pub sample: Option<HowMany>,
    /// Where to.
    #[command(flatten)]
    pub scratch: ScratchTemporal,
    /// Who signs.
    #[command(flatten)]
    pub signing: Signing,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: DrillMetrics,
}

/// A Temporal that is thrown away. It is never the one that TEMPORAL_ADDRESS names.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Scratch")]
pub struct ScratchTemporal {
    /// HOST:PORT of a Temporal that can be thrown away, and says so by a namespace called
    /// aidp-backup-throwaway
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "AIDP_BACKUP_SCRATCH_TEMPORAL",
        conflicts_with = "temporal_server"
    )]
    pub scratch_temporal: Option<String>,
    /// A profile of temporal.toml for it
    #[arg(long, value_name = "NAME", requires = "scratch_temporal")]
    pub scratch_temporal_profile: Option<String>,
    /// Temporal's server program (temporal-server): the drill starts one of its own
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_TEMPORAL_SERVER")]
    pub temporal_server: Option<PathBuf>,
}

/// `drill replay`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
The replayer reads lines of the archive on standard input, and prints one line for each, \
{\"runId\": …, \"verdict\": \"ok\" | \"nondeterministic\" | \"failed\" | \"unknown-type\", \"message\": …}. \
Ready-made ones for Python and Go come with this program: docs/replay.md.")]
pub struct DrillReplay {
    /// Only this namespace; `*` stands for any text
    #[arg(short, long, value_name = "PATTERN")]
    pub namespace: Option<String>,
    /// Which histories; all when nothing is said.
    #[command(flatten)]
    pub filter: Filter,
    /// How many of them, chosen by chance: a number, or `all` [default: all]
    #[arg(long, value_name = "N")]
    pub sample: Option<HowMany>,
    /// Who signs.
    #[command(flatten)]
    pub signing: Signing,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: DrillMetrics,
    /// The replayer and its arguments, behind `--` [default: command of [drill.replay]]
    #[arg(value_name = "REPLAYER", last = true)]
    pub replayer: Vec<OsString>,
}

/// The Temporal server of a database drill.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Temporal on the copy")]
pub struct DrillTemporal {
    /// The server's program, of the version that serves the source: it is started on the copy,
    /// frozen and alone, and closed histories are read from it and compared with the archive
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_TEMPORAL_SERVER")]
    pub temporal_server: Option<PathBuf>,
    /// How many histories are compared: a number, or `all` [default: 200]
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_DRILL_SAMPLE")]
    pub sample: Option<HowMany>,
}

/// A number, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum HowMany {
    /// Every one.
    All,
    /// So many.
    Some(usize),
}

impl HowMany {
    /// The number; none for all.
    pub fn number(self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Some(number) => Some(number),
        }
    }
}

impl std::str::FromStr for HowMany {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            text => text
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .map(Self::Some)
                .ok_or_else(|| format!("{text:?} is neither a number from 1 nor `all`")),
        }
    }
}

impl TryFrom<String> for HowMany {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `drill report`.
#[derive(Debug, Args)]
pub struct SinceBackup {
    /// The backup that is restored, or was: an id, the beginning of one, or `latest`
    #[arg(long, value_name = "ID")]
    pub since_backup: String,
    /// Ask no live server: only the backup and the archive count
    #[arg(long)]
    pub offline: bool,
    /// How a live server is reached.
    #[command(flatten)]
    pub temporal: Temporal,
}

/// `drill verify-report`.
#[derive(Debug, Args)]
pub struct VerifyReport {
    /// The JSON document of a drill
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A file with the public key that must have signed it, in PEM form
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_DRILL_PUBLIC_KEY_FILE")]
    pub public_key_file: Option<PathBuf>,
}
