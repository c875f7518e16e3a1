//! Configuration: flag beats variable beats file, typed and validated once.
//!
//! Flags and variables are merged by the command line parser; this module fills the gaps from
//! the file and from the defaults, and refuses what makes no sense before anything is touched.

mod archive;
mod drill;
mod error;
mod export;
mod file;
mod notify;
mod retention;
mod serve;
pub mod span;

use std::path::{Path, PathBuf};

pub use archive::ArchiveSettings;
pub use error::ConfigError;
pub use export::ExportSettings;
pub use file::MailSecurity;
pub use notify::{MailSettings, NotifySettings};
use postgres::conninfo::{ConnInfo, Environment};
pub use retention::RetentionSettings;
pub use serve::ServeSettings;
pub use span::Span;

use crate::cli;
use crate::secret::Secret;
use file::File;

/// The commented example that `config example` prints.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Highest number of connections or readers that is accepted.
const MOST_JOBS: u16 = 64;

/// Temporal's databases, by the names that its own tools give them.
const TEMPORAL: [&str; 2] = ["temporal", "temporal_visibility"];

/// What the command line, the variables and the file come to.
#[derive(Debug)]
pub struct Settings {
    file: File,
    /// The file that was read, if any.
    pub path: Option<PathBuf>,
    global: cli::Global,
}

impl Settings {
    /// Reads the file and validates all of it, whatever verb is about to run.
    pub fn load(global: &cli::Global) -> Result<Self, ConfigError> {
        let (file, path) = File::read(global.config.as_deref())?;
        let settings = Self { file, path, global: global.clone() };
        settings.validate()?;
        Ok(settings)
    }

    /// Reads the file again; flags and variables stay as they are.
    pub fn reload(&self) -> Result<Self, ConfigError> {
        Self::load(&self.global)
    }

    /// Every file whose content counts: the configuration's own and those it names.
    pub fn files(&self, flags: &cli::Serve) -> Vec<PathBuf> {
        let named = self.global.config.clone().or_else(|| self.path.clone());
        let token = flags.sidecar.token_file.clone().or_else(|| self.file.serve.token_file.clone());
        let urls = self.file.database.iter().filter_map(|database| database.url_file.clone());
        let flag = flags.export.databases.database_file.clone();
        let own = named.unwrap_or_else(|| file::DEFAULT_PATH.into());
        let notify = &self.file.notify;
        let told = [
            &notify.ping_url_file,
            &notify.archive_ping_url_file,
            &notify.webhook_url_file,
            &notify.slack_url_file,
        ];
        let mail = notify.mail.iter().flat_map(|mail| [&mail.password_file, &mail.ca_file]);
        let told = told.into_iter().chain(mail).flatten().cloned();
        [own].into_iter().chain(token).chain(flag).chain(urls).chain(told).collect()
    }

    /// Whom to tell.
    pub fn notify(&self) -> Result<NotifySettings, ConfigError> {
        NotifySettings::read(&self.file.notify)
    }

    /// The sidecar.
    pub fn serve(&self, flags: &cli::Serve) -> Result<ServeSettings, ConfigError> {
        ServeSettings::merge(flags, &self.file.serve, &self.file.retention, self.notify()?)
    }

    /// Refuses whatever in the file makes no sense, whether the verb needs it or not.
    fn validate(&self) -> Result<(), ConfigError> {
        self.source(&cli::Databases::default())?;
        for (index, database) in self.file.database.iter().enumerate() {
            if database.url.is_some() == database.url_file.is_some() {
                return Err(ConfigError::DatabaseEntry { number: index + 1 });
            }
        }
        self.export(&cli::Export::default())?;
        self.retention(&cli::Retention::default())?;
        self.archive(&cli::Archive::default())?;
        self.temporal(&cli::Temporal::default(), &cli::Archive::default())?;
        self.verify_jobs(None)?;
        self.drill_database(&cli::ScratchServer::default())?;
        self.drill_histories(&cli::DrillHistories::default())?;
        self.restore_jobs(None)?;
        ServeSettings::schedules(&cli::Serve::default(), &self.file.serve, &self.file.retention)?;
        Ok(())
    }

    /// Where backups are kept.
    pub fn store(&self) -> Result<&str, ConfigError> {
        let store = self.global.store.as_deref().or(self.file.store.as_deref());
        store.filter(|url| !url.is_empty()).ok_or(ConfigError::NoStore)
    }

    /// How messages look.
    pub fn log_format(&self) -> cli::LogFormat {
        self.global.log_format.or(self.file.log.format).unwrap_or(cli::LogFormat::Text)
    }

    /// Label of the source, when there is one.
    pub fn source(&self, flags: &cli::Databases) -> Result<Option<String>, ConfigError> {
        let source = flags.source.as_ref().or(self.file.source.as_ref());
        let ok = |name: &str| {
            !name.is_empty()
                && name.len() <= 100
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        match source {
            Some(name) if !ok(name) => Err(ConfigError::Source { name: name.clone() }),
            source => Ok(source.cloned()),
        }
    }

    /// The databases to export: those that were named, else the one in `PGDATABASE`, else
    /// Temporal's two at libpq's connection.
    pub fn connections(&self, flags: &cli::Databases) -> Result<Vec<ConnInfo>, ConfigError> {
        let environment = Environment::of_process();
        let resolve = |text: Option<&str>| {
            ConnInfo::resolve(text, &environment).map_err(ConfigError::Connection)
        };
        let texts = self.databases(flags)?;
        if !texts.is_empty() {
            return texts.iter().map(|text| resolve(Some(text.expose()))).collect();
        }
        let server = resolve(None)?;
        if environment.get("PGDATABASE").is_some() {
            return Ok(vec![server]);
        }
        let of_temporal = TEMPORAL.map(|name| server.with_database(name));
        of_temporal.into_iter().map(|info| info.map_err(ConfigError::Connection)).collect()
    }

    /// Connection texts of the databases to export, as far as any are named.
    fn databases(&self, flags: &cli::Databases) -> Result<Vec<Secret>, ConfigError> {
        if !flags.database.is_empty() {
            return Ok(flags.database.iter().map(Secret::new).collect());
        }
        if let Some(path) = &flags.database_file {
            return secret_lines(path);
        }
        let entries = self.file.database.iter();
        let urls = entries.filter_map(|database| match (&database.url, &database.url_file) {
            (Some(url), _) => Some(Ok(url.clone())),
            (None, Some(path)) => Some(secret_line(path)),
            (None, None) => None,
        });
        urls.collect()
    }

    /// Where a restore goes to.
    pub fn target(&self, flags: &cli::Restore) -> Result<ConnInfo, ConfigError> {
        let text = match (&flags.into, &flags.into_file) {
            (Some(text), _) => Secret::new(text),
            (None, Some(path)) => secret_line(path)?,
            (None, None) => Secret::new(""),
        };
        let environment = Environment::of_process();
        ConnInfo::resolve(Some(text.expose()), &environment).map_err(ConfigError::Connection)
    }

    /// How to export.
    pub fn export(&self, flags: &cli::Export) -> Result<ExportSettings, ConfigError> {
        ExportSettings::merge(flags, &self.file.export)
    }

    /// What to keep.
    pub fn retention(&self, flags: &cli::Retention) -> Result<RetentionSettings, ConfigError> {
        RetentionSettings::merge(flags, &self.file.retention)
    }

    /// How Temporal is reached.
    pub fn temporal(
        &self,
        flags: &cli::Temporal,
        archive: &cli::Archive,
    ) -> Result<temporal::connect::Options, ConfigError> {
        let limits = archive::limits(archive, &self.file.archive)?;
        Ok(archive::connection(flags, &self.file.temporal, limits))
    }

    /// What is archived of it.
    pub fn archive(&self, flags: &cli::Archive) -> Result<ArchiveSettings, ConfigError> {
        ArchiveSettings::merge(flags, &self.file.archive)
    }

    /// Objects read at the same time by `verify` and `fetch`.
    pub fn verify_jobs(&self, flag: Option<u16>) -> Result<usize, ConfigError> {
        jobs(flag.or(self.file.verify.jobs))
    }

    /// Connections of `restore`.
    pub fn restore_jobs(&self, flag: Option<u16>) -> Result<usize, ConfigError> {
        jobs(flag.or(self.file.restore.jobs))
    }

    /// Groups that `status` judges, by the beginnings of their names; none means all.
    pub fn status_groups(&self, flags: &[String]) -> Vec<String> {
        if flags.is_empty() { self.file.status.groups.clone() } else { flags.to_vec() }
    }

    /// Age at which the last good export is overdue.
    pub fn overdue_after(&self, flag: Option<Span>) -> Span {
        flag.or(self.file.status.overdue_after).unwrap_or(Span::hours(26))
    }
}

/// A number of workers, 2 unless told otherwise.
fn jobs(number: Option<u16>) -> Result<usize, ConfigError> {
    match number.unwrap_or(2) {
        number @ 1..=MOST_JOBS => Ok(usize::from(number)),
        number => Err(ConfigError::Jobs { number, most: MOST_JOBS }),
    }
}

/// The lines of a file that holds secrets, without blank ones and `#` comments.
pub fn secret_lines(path: &Path) -> Result<Vec<Secret>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let secrets: Vec<Secret> = lines.map(Secret::new).collect();
    if secrets.is_empty() {
        return Err(ConfigError::EmptySecret { path: path.to_owned() });
    }
    Ok(secrets)
}

/// The one line of a file that holds a secret.
pub fn secret_line(path: &Path) -> Result<Secret, ConfigError> {
    let mut lines = secret_lines(path)?;
    match (lines.pop(), lines.is_empty()) {
        (Some(line), true) => Ok(line),
        _ => Err(ConfigError::ManyLines { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, ConfigError> {
        let file = File::parse(text, Path::new("test.toml"))?;
        let settings = Settings { file, path: None, global: cli::Global::default() };
        settings.validate()?;
        Ok(settings)
    }

    #[test]
    fn the_example_parses_and_says_the_defaults() {
        let example = parse(EXAMPLE).unwrap();
        let default = parse("").unwrap();
        let export = cli::Export::default();
        assert_eq!(example.export(&export).unwrap(), default.export(&export).unwrap());
        let retention = cli::Retention::default();
        assert_eq!(example.retention(&retention).unwrap(), default.retention(&retention).unwrap());
        let archive = cli::Archive::default();
        assert_eq!(example.archive(&archive).unwrap(), default.archive(&archive).unwrap());
        assert_eq!(example.overdue_after(None), default.overdue_after(None));
        assert_eq!(example.log_format(), default.log_format());
        assert_eq!(example.verify_jobs(None).unwrap(), default.verify_jobs(None).unwrap());
        assert_eq!(example.restore_jobs(None).unwrap(), default.restore_jobs(None).unwrap());
        let serve = |settings: &Settings| format!("{:?}", settings.serve(&cli::Serve::default()));
        assert_eq!(serve(&example), serve(&default));
        assert_eq!(example.store().unwrap(), "/var/lib/aidp-backup");
    }

    #[test]
    fn what_the_example_shows_commented_parses_too() {
        let text: String = EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest.starts_with('[') || rest.contains(" = \"") || rest.contains(" = [") =>
                {
                    rest
                }
                _ => line,
            })
            .filter(|line| !line.starts_with('`'))
            .fold(String::new(), |text, line| text + line + "\n");
        let file = File::parse(&text, Path::new("test.toml")).unwrap();
        assert_eq!(file.database.len(), 2);
        assert_eq!(file.source.as_deref(), Some("aidp-production"));
        assert!(file.retention.keep_within.is_some());
        assert!(file.notify.mail.is_some());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let error = parse("store = \"/x\"\n[retention]\nkeep_dayly = 3\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("test.toml, line 3"), "{text}");
        assert!(text.contains("keep_dayly"), "{text}");
    }

    #[test]
    fn a_syntax_error_does_not_show_the_line_with_a_password() {
        let error = parse("[[database]]\nurl = \"postgresql://u:hunter2@h/d\" oops\n").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn a_database_needs_a_url_or_a_file_and_not_both() {
        for text in ["[[database]]", "[[database]]\nurl = \"a\"\nurl_file = \"b\""] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, ConfigError::DatabaseEntry { number: 1 }));
        }
    }

    #[test]
    fn flags_beat_the_file() {
        let settings = parse("[export]\njobs = 5\ntables = [\"a\"]\n").unwrap();
        let flags = cli::Export { jobs: Some(3), ..Default::default() };
        let export = settings.export(&flags).unwrap();
        assert_eq!(export.jobs, 3);
        assert_eq!(export.selection.tables, ["a"]);
    }

    #[test]
    fn any_keep_rule_replaces_the_default_of_seven_daily() {
        let settings = parse("[retention]\nkeep_last = 3\n").unwrap();
        let policy = settings.retention(&cli::Retention::default()).unwrap().policy;
        assert_eq!((policy.last, policy.daily), (3, 0));
    }

    #[test]
    fn rules_that_keep_nothing_are_refused() {
        let error = parse("[retention]\nkeep_daily = 0\n").unwrap_err();
        assert_eq!(error.to_string(), "the retention policy keeps nothing");
    }
}
