//! Archives that others have written: Temporal Cloud's export, and the server's own archival.
//!
//! - **Cloud export**: files of `temporal.api.export.v1.WorkflowExecutions`, protobuf, under any
//!   names. Delivered at least once, so that a run may be in several files.
//! - **Filestore**: `HASHES_VERSION.history`, a JSON list of batches, and, where visibility is
//!   archived too, `NAMESPACE_ID/CLOSE_HASH.visibility` (the server's `common/archiver/filestore`).
//! - **S3**: a copy of the bucket as a folder,
//!   `NAMESPACE_ID/history/WORKFLOW_ID/RUN_ID/VERSION/N` until the header says that it is the last
//!   (the server's `common/archiver/s3store`).
//!
//! All of them come out as what `temporal workflow show -o json` would print, minified. Enum
//! values spelled as older servers did (`WorkflowExecutionStarted`) are read too.

mod cloud;
mod error;
mod facts;
mod filestore;
mod folder;
mod json;
mod s3store;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};

use crate::history::alias;
use crate::json::Schema;

use facts::Facts;
use folder::Folder;
use json::Spelling;

pub use error::Error;

/// Largest history or file that is taken into memory.
const MAX_BYTES: u64 = 1 << 30;

/// What kind of archive a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Temporal Cloud's Workflow History Export.
    CloudExport,
    /// The server's archival into files.
    Filestore,
    /// The server's archival into S3, as a copy of the bucket.
    S3store,
}

impl Kind {
    /// As a person would say.
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudExport => "an export of Temporal Cloud",
            Self::Filestore => "a server's archive in files",
            Self::S3store => "a copy of a server's archive in S3",
        }
    }
}

/// A folder that holds one.
#[derive(Debug)]
pub struct Archive {
    kind: Kind,
    places: Vec<Place>,
    strangers: Vec<PathBuf>,
    reader: Reader,
}

/// What turns events into canonical JSON.
#[derive(Debug)]
struct Reader {
    api: &'static Api,
    aliases: BTreeMap<String, String>,
}

/// Temporal's API, made up once in a process: it takes a tenth of a second.
#[derive(Debug)]
struct Api {
    schema: Schema,
    spelling: Spelling,
}

impl Api {
    fn get(path: &Path) -> Result<&'static Self, Error> {
        static API: OnceLock<Api> = OnceLock::new();
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let schema =
            Schema::built_in().map_err(|source| Error::Events { path: path.into(), source })?;
        let spelling = Spelling::built_in()?;
        Ok(API.get_or_init(|| Self { schema, spelling }))
    }
}

/// Where a run's history is.
#[derive(Debug, Clone)]
enum Place {
    /// An item of an exported file.
    Item { file: PathBuf, offset: u64, length: u64 },
    /// A file, and what visibility says of the run.
    File { file: PathBuf, record: Option<Box<filestore::Record>> },
    /// Numbered files in a folder.
    Parts { folder: PathBuf },
}

/// One run of an old archive, as far as it is known there.
#[derive(Debug, Clone)]
pub struct ForeignRun {
    /// Namespace, where the archive names it.
    pub namespace: Option<String>,
    /// Namespace id, where the archive names it.
    pub namespace_id: Option<String>,
    /// Workflow id; empty where neither the archive nor the history names it, which histories of
    /// servers before 1.22 do not.
    pub workflow_id: String,
    /// Run id. Where the archive does not name it, it is taken from the history: the run that the
    /// last reset in it has made, otherwise the one that it says it was started as.
    pub run_id: Option<String>,
    /// Workflow type.
    pub type_name: String,
    /// Task queue.
    pub task_queue: String,
    /// `WORKFLOW_EXECUTION_STATUS_…`, as its last event says.
    pub status: String,
    /// Time of the first event.
    pub start_time: DateTime<Utc>,
    /// Time of the last event.
    pub close_time: DateTime<Utc>,
    /// Events.
    pub events: u64,
    place: Place,
}

impl ForeignRun {
    /// The file or folder it is in.
    pub fn path(&self) -> &Path {
        self.place.path()
    }
}

/// Looks what a folder (or one exported file) holds. Names and places of files tell where they
/// are as servers write them, and their first bytes where they are not.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Unknown`] when it is none of them.
pub fn open(path: &Path) -> Result<Archive, Error> {
    let folder = Folder::read(path)?;
    let (mut files, mut parts) = (filestore::Found::default(), s3store::Found::default());
    let (mut items, mut strangers) = (Vec::new(), folder.others.clone());
    for file in &folder.files {
        if parts.take(file) || files.take(file)? || s3store::is_record(file) {
            continue;
        }
        match cloud::items(file)? {
            Ok(found) => items.extend(found),
            Err(problem) if folder.files.len() == 1 => {
                return Err(Error::History { path: file.clone(), problem });
            }
            Err(_) => strangers.push(file.clone()),
        }
    }
    let (parts, files) = (parts.places(), files.places()?);
    let kind = match (parts.is_empty(), files.is_empty()) {
        (false, _) => Kind::S3store,
        (true, false) => Kind::Filestore,
        (true, true) => Kind::CloudExport,
    };
    let places: Vec<_> = parts.into_iter().chain(files).chain(items).collect();
    if places.is_empty() {
        return Err(Error::Unknown { path: path.to_owned() });
    }
    let reader = Reader { api: Api::get(path)?, aliases: BTreeMap::new() };
    Ok(Archive { kind, places, strangers, reader })
}

impl Archive {
    /// What kind it is; where several lie side by side, the first in the order of [`Kind`] from
    /// its end. All of them are read.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Files that are of no kind known here, links, and folders that lie too deep: histories may
    /// be missing with them.
    pub fn strangers(&self) -> &[PathBuf] {
        &self.strangers
    }

    /// Names search attributes as users know them: database name, such as `Keyword02`, to the
    /// user's. Servers archive the former, and only the namespace itself tells the latter.
    #[must_use]
    pub fn with_aliases(mut self, aliases: BTreeMap<String, String>) -> Self {
        self.reader.aliases = aliases;
        self
    }

    /// Every run, each once, in the order of the files. Histories are read and checked on the
    /// way, one at a time; one that cannot be read hides no other.
    pub fn runs(&self) -> impl Iterator<Item = Result<ForeignRun, Error>> + '_ {
        let mut seen = HashSet::new();
        self.places.iter().map(|place| self.look(place)).filter(move |run| match run {
            // Without a run id nobody knows whether two are one.
            Ok(run) => run.run_id.as_ref().is_none_or(|run_id| {
                seen.insert((run.namespace_id.clone(), run.workflow_id.clone(), run_id.clone()))
            }),
            Err(_) => true,
        })
    }

    fn look(&self, place: &Place) -> Result<ForeignRun, Error> {
        let (_, facts) = self.read(place)?;
        let mut run = facts.run(place.clone())?;
        match place {
            Place::Item { .. } => {}
            Place::File { record: None, .. } => {}
            Place::File { record: Some(record), .. } => record.complete(&mut run),
            Place::Parts { folder } => s3store::complete(folder, &mut run)?,
        }
        Ok(run)
    }

    /// The run's history: `{"events":[…]}` in canonical JSON, as `temporal workflow show -o json`
    /// prints it, minified.
    ///
    /// # Errors
    /// [`Error::Io`]; for damage, for fields that this program does not know, and for a history
    /// with events missing, the error that names it.
    pub fn history_json(&self, run: &ForeignRun) -> Result<Vec<u8>, Error> {
        Ok(self.read(&run.place)?.0)
    }

    fn read(&self, place: &Place) -> Result<(Vec<u8>, Facts), Error> {
        let mut history = History::new(&self.reader, place.path());
        match place {
            Place::Item { file, offset, length } => {
                cloud::read(file, *offset, *length, &mut history)?;
            }
            Place::File { file, .. } => filestore::read(file, &mut history)?,
            Place::Parts { folder } => s3store::read(folder, &mut history)?,
        }
        history.finish()
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Item { file, .. } | Self::File { file, .. } => file,
            Self::Parts { folder } => folder,
        }
    }
}

/// A history being put together from its events.
struct History<'a> {
    reader: &'a Reader,
    path: &'a Path,
    json: Vec<u8>,
    facts: Facts,
}

const HEAD: &[u8] = b"{\"events\":[";

impl<'a> History<'a> {
    fn new(reader: &'a Reader, path: &'a Path) -> Self {
        Self { reader, path, json: HEAD.to_vec(), facts: Facts::default() }
    }

    /// The next event, as protobuf.
    fn event(&mut self, wire: &[u8]) -> Result<(), Error> {
        let events = |source| Error::Events { path: self.path.to_owned(), source };
        let schema = &self.reader.api.schema;
        let message = schema.message("temporal.api.history.v1.HistoryEvent").map_err(events)?;
        if self.json.len() > HEAD.len() {
            self.json.push(b',');
        }
        let start = self.json.len();
        let mut unknown = Vec::new();
        let named = alias::named(wire, &self.reader.aliases).map_err(|what| {
            let message = "temporal.api.history.v1.HistoryEvent".to_owned();
            events(crate::json::Error::Malformed { message, what })
        })?;
        crate::json::transcode(schema, message, &named, &mut self.json, &mut unknown)
            .map_err(events)?;
        if !unknown.is_empty() {
            return Err(Error::UnknownFields { path: self.path.to_owned(), fields: unknown });
        }
        let event = self.json.get(start..).unwrap_or_default();
        self.facts.event(event).map_err(|problem| self.wrong(problem))?;
        if self.json.len() as u64 > MAX_BYTES {
            return Err(self.wrong("is larger than 1 GiB"));
        }
        Ok(())
    }

    /// The next event, as somebody's JSON.
    fn event_json(&mut self, event: &serde_json::value::RawValue) -> Result<(), Error> {
        let wire = self
            .reader
            .api
            .spelling
            .event(event.get())
            .map_err(|source| Error::Json { path: self.path.to_owned(), source })?;
        self.event(&wire)
    }

    fn wrong(&self, problem: &'static str) -> Error {
        Error::History { path: self.path.to_owned(), problem }
    }

    fn finish(mut self) -> Result<(Vec<u8>, Facts), Error> {
        self.json.extend_from_slice(b"]}");
        self.facts.finish().map_err(|problem| self.wrong(problem))?;
        Ok((self.json, self.facts))
    }
}
