//! An export as plain files: what stock tools read in place.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use vault::Store;
use vault::manifest::{Manifest, Object};

use crate::folder::{self, Made, local, sync};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Verdict, source};

/// Copies a backup into a folder.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// An identity, the beginning of one, or `latest`.
    pub id: String,
    /// A folder that is empty or does not exist.
    pub dir: PathBuf,
    /// Objects read at the same time.
    pub jobs: usize,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// The backup.
    pub id: String,
    /// Where it is now.
    pub dir: PathBuf,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Each database and how it is restored from there.
    pub databases: Vec<FetchedDatabase>,
}

/// One database among fetched files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchedDatabase {
    /// Its name.
    pub name: String,
    /// The archive's folder, or the script.
    pub path: PathBuf,
    /// The stock tools' command that restores it.
    pub command: String,
}

impl Report for Fetched {
    fn verdict(&self) -> Verdict {
        Verdict::Done
    }
}

#[async_trait]
impl Job for Fetch {
    type Report = Fetched;
    type Access = Shared;
    const NAME: &'static str = "fetch";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Fetched, Error> {
        let manifest = context.catalogue.load(&self.id).await?;
        let mut made = Made::begin(&self.dir)?;
        match self.copy(context, &manifest, &mut made).await {
            Ok(()) => {}
            Err(error) => {
                // Half a backup must not lie around looking like one.
                made.remove();
                return Err(error);
            }
        }
        let databases = manifest.databases.iter().map(|database| {
            let path = self.dir.join(place(&manifest.id, database.location.trim_end_matches('/')));
            let command = match database.format.as_str() {
                "plain" => stock_psql(&path, &database.compression, &database.name),
                _ => format!("pg_restore -j 2 -C -d postgres {}", quoted(&path)),
            };
            FetchedDatabase { name: database.name.clone(), path, command }
        });
        Ok(Fetched {
            id: manifest.id.clone(),
            dir: self.dir.clone(),
            files: manifest.objects.len() as u64,
            bytes: manifest.stored_bytes(),
            databases: databases.collect(),
        })
    }
}

impl Fetch {
    async fn copy(
        &self,
        context: &Context,
        manifest: &Manifest,
        made: &mut Made,
    ) -> Result<(), Error> {
        let meter = context.progress.begin("fetching");
        meter.expect(manifest.stored_bytes());
        let mut folders = BTreeSet::from([self.dir.clone()]);
        let mut files = Vec::with_capacity(manifest.objects.len());
        for object in &manifest.objects {
            let path = self.dir.join(place(&manifest.id, object.key.as_str()));
            if let Some(parent) = path.parent()
                && folders.insert(parent.to_owned())
            {
                made.folder(parent)?;
            }
            made.files.push(path.clone());
            files.push((object.clone(), path));
        }
        let store = context.catalogue.store();
        stream::iter(files)
            .map(|(object, path)| {
                let (store, meter) = (store.clone(), meter.clone());
                async move {
                    context.go_on()?;
                    copy(&store, &object, &path, &context.cancel, &meter).await
                }
            })
            .buffer_unordered(self.jobs)
            .try_collect::<()>()
            .await?;
        for folder in folders {
            sync(&folder)?;
        }
        Ok(())
    }
}

/// Where an object goes, relative to the folder: its key without `exports/ID/`. Keys hold
/// nothing that leads out of a folder.
fn place<'a>(id: &str, key: &'a str) -> &'a str {
    let own = key.strip_prefix("exports/").and_then(|key| key.strip_prefix(id));
    own.map_or(key, |key| key.trim_start_matches('/'))
}

async fn copy(
    store: &Arc<dyn Store>,
    object: &Object,
    path: &Path,
    cancel: &tokio_util::sync::CancellationToken,
    meter: &crate::progress::Meter,
) -> Result<(), Error> {
    let stream_error = |error: pgarchive::StreamError| source::error(object, error);
    let mut content = source::open(store.as_ref(), object).await.map_err(stream_error)?;
    let mut file = folder::create(path)?;
    while let Some(bytes) = content.try_next().await.map_err(stream_error)? {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // The page cache takes it; the fsync below is what waits.
        file.write_all(&bytes).map_err(local("write", path))?;
        meter.add(bytes.len() as u64, 0);
    }
    let path = path.to_owned();
    let synced = tokio::task::spawn_blocking(move || file.sync_all().map_err(local("sync", &path)));
    synced.await.map_err(|source| Error::Task { doing: "fetch", source })?
}

/// The command that feeds a plain script to psql.
pub(crate) fn stock_psql(path: &Path, compression: &str, database: &str) -> String {
    let path = quoted(path);
    let psql = format!("psql -X -v ON_ERROR_STOP=1 -d {}", quoted(Path::new(database)));
    match compression {
        "gzip" => format!("zcat {path} | {psql}"),
        "zstd" => format!("zstdcat {path} | {psql}"),
        "lz4" => format!("lz4cat {path} | {psql}"),
        _ => format!("{psql} -f {path}"),
    }
}

/// A word for the shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=,:@".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_where_its_key_says_below_the_backup() {
        assert_eq!(place("ID", "exports/ID/temporal/1.dat"), "temporal/1.dat");
        assert_eq!(place("ID", "exports/OTHER/temporal/1.dat"), "exports/OTHER/temporal/1.dat");
    }

    #[test]
    fn commands_quote_what_a_shell_would_split() {
        assert_eq!(
            stock_psql(Path::new("/b/it's.sql.gz"), "gzip", "my db"),
            r"zcat '/b/it'\''s.sql.gz' | psql -X -v ON_ERROR_STOP=1 -d 'my db'"
        );
        assert_eq!(
            stock_psql(Path::new("/b/d.sql"), "none", "d"),
            "psql -X -v ON_ERROR_STOP=1 -d d -f /b/d.sql"
        );
    }
}
