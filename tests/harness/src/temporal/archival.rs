//! What a server archives by itself when workflows close.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Error;
use crate::s3::{ACCESS_KEY, REGION, SECRET_KEY};

const LIMIT: Duration = Duration::from_secs(60);

/// Where a server archives to.
#[derive(Debug, Clone)]
pub struct Archival {
    folder: PathBuf,
    s3: Option<String>,
}

impl Archival {
    /// Into files of an existing folder.
    #[must_use]
    pub fn into_files(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), s3: None }
    }

    /// The server can also archive into S3 at `HOST:PORT`; see [`Archival::into_bucket`].
    #[must_use]
    pub fn and_s3(mut self, address: &str) -> Self {
        self.s3 = Some(format!("http://{address}"));
        self
    }

    /// Arguments for creating a namespace that is archived into a bucket instead.
    #[must_use]
    pub fn into_bucket(bucket: &str) -> Vec<String> {
        arguments(&format!("s3://{bucket}"))
    }

    /// Arguments for creating a namespace that is archived into the files.
    pub(super) fn arguments(&self) -> Vec<String> {
        arguments(&format!("file://{}", self.folder.display()))
    }

    pub(super) fn file(&self) -> Value {
        let mut provider = json!({ "filestore": { "fileMode": "0600", "dirMode": "0700" } });
        if let Some(endpoint) = &self.s3 {
            provider["s3store"] =
                json!({ "region": REGION, "endpoint": endpoint, "s3ForcePathStyle": true });
        }
        let on = json!({ "state": "enabled", "enableRead": true, "provider": provider });
        json!({ "history": &on, "visibility": &on })
    }

    /// For namespaces that say nothing, which the command line never leaves unsaid; the server does
    /// not start without.
    pub(super) fn defaults(&self) -> Value {
        let on = json!({ "state": "enabled", "URI": format!("file://{}", self.folder.display()) });
        json!({ "archival": { "history": &on, "visibility": &on } })
    }

    /// The variables with a user's keys for S3.
    pub(super) fn env(&self) -> Vec<(&'static str, &'static str)> {
        match self.s3 {
            Some(_) => {
                vec![("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]
            }
            None => Vec::new(),
        }
    }

    /// Waits until so many runs are archived in the files, their visibility too.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_for_files(&self, runs: usize) -> Result<(), Error> {
        let ends_in = |files: &[PathBuf], end: &str| {
            files.iter().filter(|file| file.extension().is_some_and(|name| name == end)).count()
        };
        let started = Instant::now();
        loop {
            let files = files(&self.folder)?;
            let found = ends_in(&files, "history").min(ends_in(&files, "visibility"));
            if found >= runs {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(Error::Answer {
                    server: "Temporal server".to_owned(),
                    request: format!("archiving {runs} runs"),
                    answer: format!("{found} archived after {LIMIT:?}"),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn arguments(uri: &str) -> Vec<String> {
    ["--history-archival-state", "enabled", "--history-uri", uri]
        .into_iter()
        .chain(["--visibility-archival-state", "enabled", "--visibility-uri", uri])
        .map(str::to_owned)
        .collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::io(format!("cannot list {}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
