//! `history`: the archived histories.

mod events;
mod export;
mod gaps;
mod list;
mod payload;
mod show;

use chrono::Utc;
use jobs::archive::Pattern;
use jobs::history::{Query, WorkflowId};

use super::Command;
use crate::cli::{self, HistoryVerb};
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;

pub use payload::CodecError;

pub async fn run(command: &Command, arguments: &cli::History) -> Result<Exit, CommandError> {
    match &arguments.verb {
        HistoryVerb::List(arguments) => list::list(command, arguments).await,
        HistoryVerb::Search(arguments) => list::search(command, arguments).await,
        HistoryVerb::Show(arguments) => show::run(command, arguments).await,
        HistoryVerb::Export(arguments) => export::run(command, arguments).await,
        HistoryVerb::Gaps(arguments) => gaps::run(command, arguments).await,
    }
}

/// The namespace of a command line.
fn namespace(archived: &cli::Archived) -> Result<Option<Pattern>, ConfigError> {
    let pattern = |text: &String| Pattern::new(text).ok_or(ConfigError::Namespace);
    archived.namespace.as_ref().map(pattern).transpose()
}

/// The runs that a command line means.
fn query(archived: &cli::Archived, filter: &cli::Filter) -> Result<Query, ConfigError> {
    let now = Utc::now();
    Ok(Query {
        namespace: namespace(archived)?,
        workflow_id: filter.workflow_id.clone().map(WorkflowId::Begins),
        run_id: filter.run_id.clone(),
        type_name: filter.workflow_type.clone(),
        statuses: filter.status.iter().map(|status| status.line_name().to_owned()).collect(),
        since: filter.since.map(|when| when.moment(now)),
        until: filter.until.map(|when| when.moment(now)),
        attributes: filter.search_attribute.clone(),
    })
}
