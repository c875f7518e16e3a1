//! Archives that others have written, read as ours are: Temporal Cloud's export, and what the
//! server's own archival has left.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Map;
use temporal::foreign::{self, ForeignRun};
use temporal::segment::Summary;

use super::{Lost, Query};
use crate::{Context, Error};

/// An old archive, to be read instead of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldArchive {
    /// A folder, or one exported file.
    pub path: PathBuf,
    /// Names of search attributes: that of the database's column, such as `Keyword02`, to the
    /// one that users know.
    pub aliases: BTreeMap<String, String>,
}

/// One run of an old archive. What its archive does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OldRun {
    /// Namespace name.
    pub namespace: Option<String>,
    /// Namespace id.
    pub namespace_id: Option<String>,
    /// Workflow id.
    pub workflow_id: Option<String>,
    /// Run id.
    pub run_id: Option<String>,
    /// Workflow type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Task queue.
    pub task_queue: String,
    /// `WORKFLOW_EXECUTION_STATUS_…`.
    pub status: String,
    /// When it was started.
    pub start_time: DateTime<Utc>,
    /// When it was closed.
    pub close_time: DateTime<Utc>,
    /// Events.
    pub history_length: u64,
    /// The file or folder that it is in.
    pub file: PathBuf,
}

impl OldRun {
    fn of(run: &ForeignRun) -> Self {
        Self {
            namespace: run.namespace.clone(),
            namespace_id: run.namespace_id.clone(),
            workflow_id: Some(run.workflow_id.clone()).filter(|id| !id.is_empty()),
            run_id: run.run_id.clone(),
            type_name: run.type_name.clone(),
            task_queue: run.task_queue.clone(),
            status: run.status.clone(),
            start_time: run.start_time,
            close_time: run.close_time,
            history_length: run.events,
            file: run.path().to_owned(),
        }
    }

    /// As a line of our archive would say it; texts that are not known are empty.
    pub fn summary(&self) -> Summary {
        let known = |text: &Option<String>| text.clone().unwrap_or_default();
        Summary {
            format_version: segment_version(),
            namespace: known(&self.namespace),
            namespace_id: known(&self.namespace_id),
            workflow_id: known(&self.workflow_id),
            run_id: known(&self.run_id),
            type_name: self.type_name.clone(),
            task_queue: self.task_queue.clone(),
            status: self.status.clone(),
            start_time: self.start_time,
            execution_time: self.start_time,
            close_time: self.close_time,
            first_run_id: None,
            parent: None,
            root: None,
            memo: Map::new(),
            search_attributes: Map::new(),
            history_length: i64::try_from(self.history_length).unwrap_or(i64::MAX),
            history_size_bytes: 0,
            state_transition_count: 0,
            unknown_fields: Vec::new(),
        }
    }
}

fn segment_version() -> u32 {
    temporal::segment::FORMAT_VERSION
}

/// An old archive that was looked through.
#[derive(Debug)]
pub(crate) struct Opened {
    archive: Arc<foreign::Archive>,
    /// What a query means in it, newest first.
    pub runs: Vec<ForeignRun>,
    /// Files that cannot be read, or are of no kind known here.
    pub lost: Vec<Lost>,
}

impl OldArchive {
    /// Looks through all of it: only the histories themselves tell what they are.
    pub(crate) async fn search(&self, context: &Context, query: &Query) -> Result<Opened, Error> {
        if !query.attributes.is_empty() {
            return Err(Error::Refused {
                what: "an old archive does not say which search attributes a run had in the end"
                    .into(),
                hint: "leave --search-attribute out; `history export --from` writes the histories \
                       themselves, which have every change of them"
                    .into(),
            });
        }
        let (this, query, cancel) = (self.clone(), query.clone(), context.cancel.clone());
        let work = tokio::task::spawn_blocking(move || {
            let archive = foreign::open(&this.path).map_err(Error::Old)?;
            tracing::debug!("{} is {}", this.path.display(), archive.kind().name());
            let archive = archive.with_aliases(this.aliases.clone());
            let (mut runs, mut lost) = (Vec::new(), Vec::new());
            for path in archive.strangers() {
                let what = "is of no kind of archive that is known here".into();
                lost.push(Lost { key: path.display().to_string(), what });
            }
            for run in archive.runs() {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                match run {
                    Ok(run) if is_unnamed(&run, &query) => return Err(unnamed(&this)),
                    Ok(run) if query.matches(&OldRun::of(&run).summary()) => runs.push(run),
                    Ok(_) => {}
                    Err(error) => lost.push(this.lost(error)?),
                }
            }
            runs.sort_by(|a, b| (b.close_time, &a.run_id).cmp(&(a.close_time, &b.run_id)));
            Ok(Opened { archive: Arc::new(archive), runs, lost })
        });
        work.await.map_err(|source| Error::Task { doing: "reading an old archive", source })?
    }

    /// What one history's error says of its file.
    fn lost(&self, error: foreign::Error) -> Result<Lost, Error> {
        match error.path() {
            Some(path) => {
                let key = path.display().to_string();
                Ok(Lost { key, what: format!("cannot be read ({})", crate::chain(&error)) })
            }
            None => Err(Error::Old(error)),
        }
    }
}

impl Opened {
    /// The history of a run, `{"events": […]}`; the inner error names what is damaged.
    pub(crate) async fn history(&self, run: &ForeignRun) -> Result<Vec<u8>, Error> {
        let (archive, run) = (self.archive.clone(), run.clone());
        let work = tokio::task::spawn_blocking(move || archive.history_json(&run));
        let read =
            work.await.map_err(|source| Error::Task { doing: "reading an old archive", source })?;
        read.map_err(Error::Old)
    }
}

impl From<&ForeignRun> for OldRun {
    fn from(run: &ForeignRun) -> Self {
        Self::of(run)
    }
}

/// Whether a query is about a namespace and the archive does not name it.
fn is_unnamed(run: &ForeignRun, query: &Query) -> bool {
    query.namespace.is_some() && run.namespace.is_none()
}

fn unnamed(archive: &OldArchive) -> Error {
    Error::Refused {
        what: format!(
            "{} does not say of which namespace its histories are",
            archive.path.display()
        ),
        hint: "leave --namespace out, or name the folder of one namespace".into(),
    }
}
