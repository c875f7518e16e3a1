//! The jobs that have a schedule, and the little that the sidecar knows of each.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jobs::Context;
use jobs::archive::Archive;
use jobs::export::Export;
use jobs::overview::{Kept, Overview};
use jobs::record::Record;
use jobs::runner::Job;
use postgres::conninfo::ConnInfo;

use crate::cli;
use crate::config::{ConfigError, ServeSettings, Settings};
use crate::ended::Ended;
use crate::serve::agenda::Agenda;
use crate::wanted;

/// A kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Databases to a backup.
    Export,
    /// Histories of closed executions to the archive.
    Archive,
}

impl Task {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Export, Self::Archive];

    /// Its name, in addresses, metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Archive => "archive",
        }
    }

    /// When it runs; `None` when it is off.
    pub fn agenda(self, settings: &ServeSettings) -> Option<Agenda> {
        match self {
            Self::Export => settings.export.clone(),
            Self::Archive => settings.archive.clone(),
        }
    }

    /// The job as the settings want it now: files with secrets are read anew for each run.
    pub fn job(
        self,
        settings: &Settings,
        flags: &cli::Serve,
    ) -> Result<Box<dyn ScheduledJob>, ConfigError> {
        match self {
            Self::Export => Ok(Box::new(wanted::export(settings, &flags.export)?)),
            Self::Archive => {
                let (temporal, archive) = (&flags.temporal, &flags.archive);
                Ok(Box::new(wanted::archive(settings, temporal, archive, &flags.export)?))
            }
        }
    }
}

/// A job that has a schedule.
#[async_trait]
pub trait ScheduledJob: Send + Sync {
    /// Runs it, as any job is run.
    async fn perform(&self, context: &Context) -> Ended;
    /// What it is about: databases, namespaces; one series of metrics each.
    fn sources(&self, overview: Option<&Overview>) -> Vec<String>;
    /// The record of its last run.
    fn record<'a>(&self, overview: &'a Overview) -> Option<&'a Record>;
    /// The backups it made, oldest first.
    fn backups<'a>(&self, overview: &'a Overview) -> Vec<&'a Kept>;
    /// When the newest run began that a store knows to be good.
    fn last_success(&self, overview: &Overview) -> Option<DateTime<Utc>>;
}

/// The record of a job's last run.
fn recorded<'a, J: Job>(job: &J, overview: &'a Overview) -> Option<&'a Record> {
    let source = job.recorded_as()?;
    overview.runs.iter().find(|record| record.job == J::NAME && record.source == source)
}

#[async_trait]
impl ScheduledJob for Archive {
    async fn perform(&self, context: &Context) -> Ended {
        let outcome = jobs::run(self, context).await;
        if let Ok(archived) = &outcome.result {
            wanted::complain(archived, 0);
        }
        Ended::archive(&outcome)
    }

    /// The namespaces of the last run; before that those that are named one by one.
    fn sources(&self, overview: Option<&Overview>) -> Vec<String> {
        let record = overview.and_then(|overview| self.record(overview));
        let known = record.map(|record| record.namespaces.as_slice()).unwrap_or_default();
        if known.is_empty() {
            let exact = self.namespaces.iter().filter_map(|rule| rule.pattern.exact());
            return exact.map(str::to_owned).collect();
        }
        known.iter().map(|namespace| namespace.namespace.clone()).collect()
    }

    fn record<'a>(&self, overview: &'a Overview) -> Option<&'a Record> {
        recorded(self, overview)
    }

    fn backups<'a>(&self, _: &'a Overview) -> Vec<&'a Kept> {
        Vec::new()
    }

    fn last_success(&self, overview: &Overview) -> Option<DateTime<Utc>> {
        self.record(overview).filter(|record| record.done).map(|record| record.started)
    }
}

#[async_trait]
impl ScheduledJob for Export {
    async fn perform(&self, context: &Context) -> Ended {
        Ended::export(&jobs::run(self, context).await)
    }

    fn sources(&self, _: Option<&Overview>) -> Vec<String> {
        self.databases.iter().map(|info: &ConnInfo| info.database().to_owned()).collect()
    }

    fn record<'a>(&self, overview: &'a Overview) -> Option<&'a Record> {
        recorded(self, overview)
    }

    fn backups<'a>(&self, overview: &'a Overview) -> Vec<&'a Kept> {
        let ours = |kept: &&Kept| self.joins(&kept.summary.group);
        let mut backups: Vec<&Kept> = overview.backups.iter().filter(ours).collect();
        let first = backups.first().map(|kept| kept.summary.group.clone());
        if backups.iter().any(|kept| Some(&kept.summary.group) != first.as_ref()) {
            // Several clusters with databases of the same names, none of them labelled: only the
            // record of our last run tells whose they are.
            let made = self.record(overview).and_then(|record| record.backup.as_deref());
            let ours = backups.iter().find(|kept| Some(kept.summary.id.as_str()) == made);
            let group = ours.map(|kept| kept.summary.group.clone());
            backups.retain(|kept| Some(&kept.summary.group) == group.as_ref());
        }
        backups
    }

    fn last_success(&self, overview: &Overview) -> Option<DateTime<Utc>> {
        let record = self.record(overview).filter(|record| record.done);
        let backups = self.backups(overview);
        let whole = backups.iter().rev().find(|kept| kept.summary.failed.is_empty());
        whole.map(|kept| kept.summary.started).max(record.map(|record| record.started))
    }
}
