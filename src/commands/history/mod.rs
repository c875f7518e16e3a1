//! `history`: the archived histories.

mod export;
mod gaps;
mod import;
mod list;
mod show;

use chrono::Utc;
use jobs::archive::Pattern;
use jobs::history::old::OldArchive;
use jobs::history::{Query, WorkflowId};
use jobs::runner::Job;

use super::Command;
use crate::cli::{self, HistoryVerb};
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;

pub async fn run(command: &Command, arguments: &cli::History) -> Result<Exit, CommandError> {
    match &arguments.verb {
        HistoryVerb::List(arguments) => list::list(command, arguments).await,
        HistoryVerb::Search(arguments) => list::search(command, arguments).await,
        HistoryVerb::Show(arguments) => show::run(command, arguments).await,
        HistoryVerb::Export(arguments) => export::run(command, arguments).await,
        HistoryVerb::Gaps(arguments) => gaps::run(command, arguments).await,
        HistoryVerb::Import(arguments) => import::run(command, arguments).await,
    }
}

/// The old archive that is to be read instead of the store.
fn from(archived: &cli::Archived) -> Result<Option<OldArchive>, ConfigError> {
    let Some(path) = archived.from.clone() else { return Ok(None) };
    if path.to_str().is_some_and(|text| text.contains("://")) {
        // Keys of other people's buckets hold bytes that no key of a store does.
        let what = "--from reads a folder or a file, not a bucket";
        let hint = "copy what lies in the bucket from NAMESPACE_ID/history on into a folder, with \
                    `aws s3 sync` for instance, and name that";
        return Err(ConfigError::Conflict { what, hint });
    }
    Ok(Some(OldArchive { path, aliases: archived.attribute_alias.iter().cloned().collect() }))
}

impl Command {
    /// Runs a job that reads an old archive, for which nobody needs to configure a store, or the
    /// store.
    async fn read<J: Job>(
        &self,
        from: Option<&OldArchive>,
        job: &J,
    ) -> Result<(J::Report, Exit), CommandError> {
        match from.map(|from| from.path.to_string_lossy()) {
            Some(path) => self.perform_at(&path, job).await,
            None => self.perform(job).await,
        }
    }
}

/// The namespace of a command line.
fn namespace(archived: &cli::Archived) -> Result<Option<Pattern>, ConfigError> {
    let pattern = |text: &String| Pattern::new(text).ok_or(ConfigError::Namespace);
    archived.namespace.as_ref().map(pattern).transpose()
}

/// The runs that a command line means.
pub fn query(archived: &cli::Archived, filter: &cli::Filter) -> Result<Query, ConfigError> {
    let now = Utc::now();
    Ok(Query {
        namespace: namespace(archived)?,
        workflow_id: filter.workflow_id.clone().map(WorkflowId::Begins),
        run_id: filter.run_id.clone(),
        type_name: filter.workflow_type.clone(),
        statuses: filter.status.iter().map(|status| status.line_name().to_owned()).collect(),
        since: filter.since.map(|when| when.moment(now)),
        until: filter.until.map(|when| when.moment(now)),
        after: None,
        attributes: filter.search_attribute.clone(),
    })
}
