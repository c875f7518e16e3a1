//! `history`: the archived histories.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};

use super::archive::{Archive, ClosedStatus, Temporal};
use crate::config::span::Span;

/// `history`.
#[derive(Debug, Args)]
pub struct History {
    /// What about them.
    #[command(subcommand)]
    pub verb: HistoryVerb,
}

/// Verbs of `history`.
#[derive(Debug, Subcommand)]
pub enum HistoryVerb {
    /// Archived runs of a time, newest first; the last day when nothing else is said
    List(ListRuns),
    /// Archived runs by id, type, status, time or search attribute, over all times
    Search(ListRuns),
    /// One history: its events with decoded payloads, or with --json as `temporal workflow show
    /// -o json` prints it
    Show(ShowRun),
    /// One file per run, {"events": […]} as the SDKs' replayers read it
    Export(ExportRuns),
    /// What Temporal has and the archive has not, or the archive does not cover
    Gaps(Gaps),
    /// Archived runs back into a Temporal that can be thrown away, each read back and compared
    Import(ImportRuns),
}

/// Which archive is read.
#[derive(Debug, Clone, Default, Args)]
pub struct Archived {
    /// Read this folder (or this one exported file) instead of the store: an export of Temporal
    /// Cloud, or what the server's own archival wrote to a file store or to a bucket (copied here)
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// With --from: the name that users know for a search attribute that servers archive by its
    /// database column, such as Keyword02=AidpStage; may be given several times
    #[arg(long, value_name = "COLUMN=NAME", value_parser = attribute, requires = "from")]
    pub attribute_alias: Vec<(String, String)>,
    /// Only this namespace; `*` stands for any text
    #[arg(short, long, value_name = "PATTERN")]
    pub namespace: Option<String>,
}

/// Which runs.
#[derive(Debug, Clone, Default, Args)]
pub struct Filter {
    /// Workflow ids that begin so
    #[arg(short, long, value_name = "PREFIX")]
    pub workflow_id: Option<String>,
    /// This run alone
    #[arg(short, long, value_name = "ID")]
    pub run_id: Option<String>,
    /// This workflow type
    #[arg(short = 't', long = "type", value_name = "NAME")]
    pub workflow_type: Option<String>,
    /// Runs that ended so; may be given several times
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',')]
    pub status: Vec<ClosedStatus>,
    /// Runs that closed at this time or later: RFC 3339, a date, or a span ago such as 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Runs that closed before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<When>,
    /// Runs whose search attribute has this value, or has it among its values; may be given
    /// several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    pub search_attribute: Vec<(String, String)>,
}

/// `history list` and `history search`.
#[derive(Debug, Args)]
pub struct ListRuns {
    /// Which archive.
    #[command(flatten)]
    pub archived: Archived,
    /// Which runs.
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many runs; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: u64,
}

/// `history show`.
#[derive(Debug, Args)]
pub struct ShowRun {
    /// The workflow id
    #[arg(value_name = "WORKFLOW_ID")]
    pub workflow_id: String,
    /// Which of its runs [default: the one that closed last]
    #[arg(short, long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Which archive.
    #[command(flatten)]
    pub archived: Archived,
    /// How payloads are decoded.
    #[command(flatten)]
    pub codec: CodecServer,
}

/// A codec server, as Temporal's command line knows it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Codec server")]
pub struct CodecServer {
    /// URL of a codec server that decodes payloads [default: TEMPORAL_CODEC_ENDPOINT, or the
    /// profile's]
    #[arg(long, value_name = "URL")]
    pub codec_endpoint: Option<String>,
    /// A file with the Authorization header for it [default: the text in TEMPORAL_CODEC_AUTH,
    /// or the profile's]
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_CODEC_AUTH_FILE")]
    pub codec_auth_file: Option<PathBuf>,
    /// Further headers for it, NAME=VALUE; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    pub codec_header: Vec<(String, String)>,
}

/// `history export`.
#[derive(Debug, Args)]
pub struct ExportRuns {
    /// A folder that is empty or does not exist
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Which archive.
    #[command(flatten)]
    pub archived: Archived,
    /// Which runs.
    #[command(flatten)]
    pub filter: Filter,
}

/// `history import`.
#[derive(Debug, Args)]
#[command(after_help = "\
An import schedules what follows the close of a run: the Temporal must be one that nobody needs. It \
says so by a namespace called aidp-backup-throwaway (`temporal operator namespace create -n \
aidp-backup-throwaway --retention 24h`), nothing may run in it, and it must not be the one that the \
histories come from. Its configuration needs clusterMetadata.enableGlobalNamespace: true.")]
pub struct ImportRuns {
    /// The workflow id; all that the filters mean when not given
    #[arg(value_name = "WORKFLOW_ID", conflicts_with = "workflow_id")]
    pub id: Option<String>,
    /// Only this namespace; `*` stands for any text
    #[arg(short, long, value_name = "PATTERN")]
    pub namespace: Option<String>,
    /// Which runs.
    #[command(flatten)]
    pub filter: Filter,
    /// Import into this namespace, which is made when it is not there [default: of the same name]
    #[arg(long, value_name = "NAMESPACE")]
    pub into: Option<String>,
    /// How the Temporal is reached.
    #[command(flatten)]
    pub temporal: Temporal,
}

/// `history gaps`.
#[derive(Debug, Args)]
pub struct Gaps {
    /// How Temporal is reached.
    #[command(flatten)]
    pub temporal: Temporal,
    /// What should be archived.
    #[command(flatten)]
    pub archive: Archive,
}

/// A moment as people give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A moment.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(Span),
}

impl When {
    /// The moment it means.
    pub fn moment(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now - span.delta(),
        }
    }
}

impl std::str::FromStr for When {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<DateTime<chrono::FixedOffset>>() {
            return Ok(Self::At(time.to_utc()));
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(Self::At(date.and_time(NaiveTime::MIN).and_utc()));
        }
        text.parse().map(Self::Ago).map_err(|_| {
            "a time is 2026-11-23T02:00:00Z, 2026-11-23 (UTC), or a span ago such as 36h".into()
        })
    }
}

/// `NAME=VALUE`.
fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is wanted")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::When;

    #[test]
    fn times_are_moments_dates_or_spans_ago() {
        let moment = |text: &str| text.parse().unwrap();
        for (text, means) in [
            ("2026-11-23T02:00:00+02:00", When::At(moment("2026-11-23T00:00:00Z"))),
            ("2026-11-23", When::At(moment("2026-11-23T00:00:00Z"))),
            ("36h", When::Ago("36h".parse().unwrap())),
        ] {
            assert_eq!(text.parse::<When>().unwrap(), means);
        }
        for text in ["", "yesterday", "2026-13-01", "7"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
