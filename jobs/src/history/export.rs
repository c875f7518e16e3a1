//! Archived histories as files, one for each run, as the SDKs' replayers read them.

use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Serialize;
use temporal::segment::Summary;
use vault::Key;

use super::find::Search;
use super::old::{OldArchive, OldRun};
use super::{Lost, Query, show};
use crate::folder::{self, Made, local, sync};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Meter, Verdict};

/// Characters of a workflow id in a file's name; the run id beside it is never cut.
const MAX_NAME: usize = 150;

/// Writes archived histories into a folder.
#[derive(Debug, Clone)]
pub struct ExportRuns {
    /// An archive to read instead of the store.
    pub from: Option<OldArchive>,
    /// Which.
    pub query: Query,
    /// A folder that is empty or does not exist.
    pub dir: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedRuns {
    /// The folder.
    pub dir: PathBuf,
    /// Files, one for each run.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could not be read; runs of it are missing.
    pub damaged: Vec<Lost>,
}

impl Report for ExportedRuns {
    fn verdict(&self) -> Verdict {
        if self.damaged.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}

#[async_trait]
impl Job for ExportRuns {
    type Report = ExportedRuns;
    type Access = Shared;
    const NAME: &'static str = "history export";

    async fn run(&self, context: &Context, _: &Shared) -> Result<ExportedRuns, Error> {
        let mut made = Made::begin(&self.dir)?;
        let meter = context.progress.begin("writing histories");
        let mut files = Files { dir: &self.dir, made: &mut made, meter: &meter, done: (0, 0) };
        let damaged = match &self.from {
            Some(from) => self.export_old(context, from, &mut files).await,
            None => self.export(context, &mut files).await,
        };
        let (done, damaged) = match damaged {
            Ok(damaged) => (files.done, damaged),
            Err(error) => {
                made.remove();
                return Err(error);
            }
        };
        sync(&self.dir)?;
        Ok(ExportedRuns { dir: self.dir.clone(), files: done.0, bytes: done.1, damaged })
    }
}

impl ExportRuns {
    /// Writes what is in the store; gives what cannot be read of it.
    async fn export(&self, context: &Context, files: &mut Files<'_>) -> Result<Vec<Lost>, Error> {
        let mut search = Search::begin(context, &self.query, usize::MAX).await?;
        let mut damaged = Vec::new();
        while let Some(hit) = search.next(context).await? {
            match show::history(context, &hit).await.map_err(Error::into_damage) {
                Ok(history) => files.write(name(&hit.entry.summary), &history)?,
                Err(Ok(damage)) => damaged.push(damage.into()),
                Err(Err(error)) => return Err(error),
            }
        }
        search.damaged.extend(damaged);
        Ok(search.damaged)
    }

    /// Writes what is in an old archive.
    async fn export_old(
        &self,
        context: &Context,
        from: &OldArchive,
        files: &mut Files<'_>,
    ) -> Result<Vec<Lost>, Error> {
        let opened = from.search(context, &self.query).await?;
        for (number, run) in opened.runs.iter().enumerate() {
            context.go_on()?;
            let mut summary = OldRun::from(run).summary();
            if summary.run_id.is_empty() {
                // Very old histories do not name their run; their files must not collide.
                summary.run_id = format!("unknown-{}", number + 1);
            }
            files.write(name(&summary), &opened.history(run).await?)?;
        }
        Ok(opened.lost)
    }
}

/// Files being written.
struct Files<'a> {
    dir: &'a Path,
    made: &'a mut Made,
    meter: &'a Meter,
    /// Files and bytes.
    done: (u64, u64),
}

impl Files<'_> {
    fn write(&mut self, name: PathBuf, history: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(name);
        let mut file = folder::create(&path)?;
        self.made.files.push(path.clone());
        let written = file.write_all(history).and_then(|()| file.write_all(b"\n"));
        written.and_then(|()| file.sync_all()).map_err(local("write", &path))?;
        let bytes = history.len() as u64 + 1;
        self.done = (self.done.0 + 1, self.done.1 + bytes);
        self.meter.add(bytes, 1);
        Ok(())
    }
}

/// `WORKFLOW_RUN.json`; bytes that do not belong into a file's name are written `=XX`.
fn name(run: &Summary) -> PathBuf {
    let mut workflow = Key::escape_segment(&run.workflow_id);
    workflow.truncate(MAX_NAME);
    Path::new(&format!("{workflow}_{}.json", Key::escape_segment(&run.run_id))).to_owned()
}
