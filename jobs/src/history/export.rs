//! Archived histories as files, one for each run, as the SDKs' replayers read them.

use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Serialize;
use temporal::segment::Summary;
use vault::Key;

use super::find::{self, Hit};
use super::{Query, show};
use crate::folder::{self, Made, local, sync};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict};

/// Characters of a workflow id in a file's name; the run id beside it is never cut.
const MAX_NAME: usize = 150;

/// Writes archived histories into a folder.
#[derive(Debug, Clone)]
pub struct ExportRuns {
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
    pub damaged: Vec<Damage>,
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
        let found = find::find(context, &self.query, usize::MAX - 1).await?;
        let meter = context.progress.begin("writing histories");
        let mut done =
            ExportedRuns { dir: self.dir.clone(), files: 0, bytes: 0, damaged: found.damaged };
        for hit in &found.hits {
            let written = match context.go_on() {
                Ok(()) => self.write(context, hit, &mut made).await,
                Err(stop) => Err(stop),
            };
            match written.map_err(Error::into_damage) {
                Ok(bytes) => {
                    done.files += 1;
                    done.bytes += bytes;
                    meter.add(bytes, 1);
                }
                Err(Ok(damage)) => done.damaged.push(damage),
                Err(Err(error)) => {
                    made.remove();
                    return Err(error);
                }
            }
        }
        sync(&self.dir)?;
        Ok(done)
    }
}

impl ExportRuns {
    async fn write(&self, context: &Context, hit: &Hit, made: &mut Made) -> Result<u64, Error> {
        let history = show::history(context, hit).await?;
        let path = self.dir.join(name(&hit.entry.summary));
        let mut file = folder::create(&path)?;
        made.files.push(path.clone());
        let written = file.write_all(&history).and_then(|()| file.write_all(b"\n"));
        written.and_then(|()| file.sync_all()).map_err(local("write", &path))?;
        Ok(history.len() as u64 + 1)
    }
}

/// `WORKFLOW_RUN.json`; bytes that do not belong into a file's name are written `=XX`.
fn name(run: &Summary) -> PathBuf {
    let mut workflow = Key::escape_segment(&run.workflow_id);
    workflow.truncate(MAX_NAME);
    Path::new(&format!("{workflow}_{}.json", Key::escape_segment(&run.run_id))).to_owned()
}
