//! What is archived of Temporal, merged.

use chrono::TimeDelta;
use jobs::archive::{NamespaceRule, Pattern};
use temporal::connect;
use temporal::limit::Limits;
use temporal::segment::Codec;

use super::file;
use super::{ConfigError, Span};
use crate::cli::{self, ClosedStatus};

/// What is archived, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveSettings {
    /// Which namespaces, and what of them; the first that matches counts.
    pub namespaces: Vec<NamespaceRule>,
    /// Compression of segments.
    pub codec: Codec,
    /// Age at which a closed execution is taken to be listed.
    pub settle: TimeDelta,
    /// How much of what is covered is listed again.
    pub overlap: TimeDelta,
    /// How far ahead expiring histories are looked for.
    pub expiry_warning: TimeDelta,
    /// Windows of a day that is not over yet are joined when there are so many.
    pub join_windows: usize,
    /// List everything again.
    pub full: bool,
}

impl ArchiveSettings {
    /// Flag or variable, else file, else default.
    pub fn merge(flags: &cli::Archive, file: &file::Archive) -> Result<Self, ConfigError> {
        let compress = flags.history_compress.as_deref().or(file.compress.as_deref());
        let compress = compress.unwrap_or("zstd:3");
        let codec = compress.parse::<Codec>().map_err(|source| ConfigError::Compress {
            text: compress.to_owned(),
            source: source.into(),
        })?;
        let or = |flag: Option<Span>, file: Option<Span>, default: Span| {
            flag.or(file).unwrap_or(default).delta()
        };
        Ok(Self {
            namespaces: rules(flags, file)?,
            codec,
            settle: or(flags.settle, file.settle, Span::seconds(60)),
            overlap: or(flags.overlap, file.overlap, Span::seconds(15 * 60)),
            expiry_warning: or(flags.expiry_warning, file.expiry_warning, Span::hours(48)),
            join_windows: usize::from(file.join_windows.unwrap_or(24)).max(2),
            full: flags.full,
        })
    }
}

/// Calls per second and in flight.
pub fn limits(flags: &cli::Archive, file: &file::Archive) -> Result<Limits, ConfigError> {
    let usual = Limits::default();
    let rate = flags.history_rate.or(file.rate).map_or(usual.history_rate, f64::from);
    let concurrency = flags.history_concurrency.or(file.concurrency);
    let concurrency = concurrency.map_or(usual.concurrency, usize::from);
    if rate < 1.0 || !(1..=256).contains(&concurrency) {
        return Err(ConfigError::Limits);
    }
    Ok(Limits { history_rate: rate, concurrency, ..usual })
}

/// How Temporal is reached.
pub fn connection(
    flags: &cli::Temporal,
    file: &file::Temporal,
    limits: Limits,
) -> connect::Options {
    let text = |flag: &Option<String>, file: &Option<String>| flag.clone().or_else(|| file.clone());
    connect::Options {
        address: text(&flags.temporal_address, &file.address),
        profile: text(&flags.temporal_profile, &file.profile),
        config_file: flags.temporal_config_file.clone().or_else(|| file.config_file.clone()),
        api_key_file: flags.temporal_api_key_file.clone().or_else(|| file.api_key_file.clone()),
        environment: std::env::vars().filter(|(name, _)| name.starts_with("TEMPORAL_")).collect(),
        limits,
        ..connect::Options::default()
    }
}

/// Namespaces from flags have the flags' rules; those from the file each their own. What a rule
/// leaves open comes from `[archive]`.
fn rules(flags: &cli::Archive, file: &file::Archive) -> Result<Vec<NamespaceRule>, ConfigError> {
    let one =
        |pattern: &str, own: Option<&file::Namespace>| -> Result<NamespaceRule, ConfigError> {
            let statuses = match own.map(|own| &own.statuses) {
                _ if !flags.status.is_empty() => &flags.status,
                Some(own) if !own.is_empty() => own,
                _ => &file.statuses,
            };
            let query = flags.query.as_ref();
            let query = query.or(own.and_then(|own| own.query.as_ref())).or(file.query.as_ref());
            let keep = flags.keep_histories.or(own.and_then(|own| own.keep)).or(file.keep);
            let scheduler = own.and_then(|own| own.scheduler_runs).or(file.scheduler_runs);
            let mut statuses: Vec<ClosedStatus> = statuses.clone();
            statuses.sort_unstable();
            statuses.dedup();
            Ok(NamespaceRule {
                pattern: Pattern::new(pattern).ok_or(ConfigError::Namespace)?,
                query: query.map(|query| query.trim().to_owned()).unwrap_or_default(),
                statuses: statuses.into_iter().map(|it| it.query_name().to_owned()).collect(),
                scheduler_runs: flags.scheduler_runs || scheduler.unwrap_or(false),
                keep: keep.map(Span::delta),
            })
        };
    // Who names namespaces on the command line means those; their rules stay the file's.
    if !flags.namespace.is_empty() {
        let rule = |pattern: &String| {
            let own = file.namespace.iter().find(|own| own.name == *pattern);
            one(pattern, own)
        };
        return flags.namespace.iter().map(rule).collect();
    }
    let mut rules = Vec::new();
    for own in &file.namespace {
        rules.push(one(&own.name, Some(own))?);
    }
    for pattern in &file.namespaces {
        rules.push(one(pattern, None)?);
    }
    if rules.is_empty() {
        rules.push(one("*", None)?);
    }
    Ok(rules)
}
