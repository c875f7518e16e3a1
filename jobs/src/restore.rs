//! Databases from an export, straight from the store.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use pgarchive::{TOC_FILE, Toc};
use postgres::conninfo::ConnInfo;
use postgres::restore::{ExpectedTable, Original, RestoreOptions, Restored};
use postgres::temporal_schema::TemporalCopy;
use vault::manifest::{Database, Manifest};

use crate::fetch::stock_psql;
use crate::runner::{Job, Report, Shared};
use crate::verify::archive::{TocError, read_toc};
use crate::{Context, Error, StoreSource, Verdict};

/// Restores databases.
#[derive(Debug, Clone)]
pub struct Restore {
    /// An identity, the beginning of one, or `latest`.
    pub id: String,
    /// Where to. With `database`, or when the backup holds one alone and the settings name a
    /// database, this is the database to fill; else the server, on which each database is
    /// restored under its own name.
    pub target: ConnInfo,
    /// Which database of the backup; all of them when not given.
    pub database: Option<String>,
    /// Drop what is in the target even if that is the database that the backup was made of.
    pub over_source: bool,
    /// How.
    pub options: RestoreOptions,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredBackup {
    /// The backup.
    pub id: String,
    /// Database by database.
    pub databases: Vec<RestoredDatabase>,
}

/// One restored database.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredDatabase {
    /// Its name in the backup.
    pub name: String,
    /// What is in the target now.
    pub restored: Restored,
}

impl RestoredDatabase {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.restored.tables.iter().map(|table| table.rows).sum()
    }

    /// What was done for Temporal, when this is one of its databases.
    pub fn temporal(&self) -> Option<&TemporalCopy> {
        self.restored.temporal.as_ref()
    }
}

impl Report for RestoredBackup {
    fn verdict(&self) -> Verdict {
        Verdict::Done
    }
}

#[async_trait]
impl Job for Restore {
    type Report = RestoredBackup;
    type Access = Shared;
    const NAME: &'static str = "restore";

    async fn run(&self, context: &Context, _: &Shared) -> Result<RestoredBackup, Error> {
        let manifest = context.catalogue.load(&self.id).await?;
        let chosen = self.choose(&manifest)?;
        let mut pairs = Vec::with_capacity(chosen.len());
        for database in chosen {
            refuse_plain(&manifest, database)?;
            pairs.push((database, self.target_of(&manifest, database)?));
        }
        // They go in together: nothing is changed while one of them is known not to go in.
        if pairs.len() > 1 {
            for (database, target) in &pairs {
                self.check(context, &manifest, database, target).await?;
            }
        }
        let mut databases = Vec::new();
        for (database, target) in pairs {
            match self.one(context, &manifest, database, &target).await {
                Ok(restored) => {
                    databases.push(RestoredDatabase { name: database.name.clone(), restored })
                }
                Err(error) => {
                    for done in &databases {
                        tracing::warn!("{:?} is restored, whole", done.restored.database);
                    }
                    return Err(error);
                }
            }
        }
        Ok(RestoredBackup { id: manifest.id, databases })
    }
}

impl Restore {
    /// The databases that are meant.
    fn choose<'a>(&self, manifest: &'a Manifest) -> Result<Vec<&'a Database>, Error> {
        let Some(wanted) = &self.database else {
            if let Some(failed) = manifest.failed.first() {
                tracing::warn!(
                    "backup {} is part done: database {:?} is not in it",
                    manifest.id,
                    failed.name
                );
            }
            return Ok(manifest.databases.iter().collect());
        };
        let found = manifest.databases.iter().find(|database| database.name == *wanted);
        let names: Vec<&str> = manifest.databases.iter().map(|d| d.name.as_str()).collect();
        found.map(|database| vec![database]).ok_or_else(|| Error::Refused {
            what: format!("backup {} holds no database {wanted:?}", manifest.id),
            hint: format!("it holds {}", names.join(", ")),
        })
    }

    /// Where a database goes.
    fn target_of(&self, manifest: &Manifest, database: &Database) -> Result<ConnInfo, Error> {
        // A database that failed counts: what --into means must not hang on that.
        let one = self.database.is_some() || manifest.databases.len() + manifest.failed.len() == 1;
        if one && self.target.names_database() {
            return Ok(self.target.clone());
        }
        let own = self.target.with_database(&database.name);
        own.map_err(|error| Error::database("restore", &database.name, error))
    }

    /// How a database is restored.
    fn options(&self, database: &Database) -> RestoreOptions {
        let source = database.system_identifier.clone().filter(|_| !self.over_source);
        let protect = source.map(|system_identifier| Original {
            system_identifier,
            database: database.name.clone(),
        });
        RestoreOptions { protect, ..self.options.clone() }
    }

    /// Whether a database could go where it is to go.
    async fn check(
        &self,
        context: &Context,
        manifest: &Manifest,
        database: &Database,
        target: &ConnInfo,
    ) -> Result<(), Error> {
        let (source, toc) = open(context, manifest, database).await?;
        let options = self.options(database);
        let fits = postgres::restore::check(source, toc, target, &options);
        let fits = tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(postgres::Error::Cancelled),
            fits = fits => fits,
        };
        fits.map_err(|error| Error::database("restore", &database.name, error))
    }

    async fn one(
        &self,
        context: &Context,
        manifest: &Manifest,
        database: &Database,
        target: &ConnInfo,
    ) -> Result<Restored, Error> {
        let (source, toc) = open(context, manifest, database).await?;
        let expected: Vec<ExpectedTable> = database
            .tables
            .iter()
            .map(|table| ExpectedTable {
                schema: table.schema.clone(),
                name: table.name.clone(),
                rows: table.rows,
            })
            .collect();
        tracing::info!("restoring {:?} of {} into {target}", database.name, manifest.id);
        let progress = Arc::new(postgres::progress::Progress::default());
        context.progress.follow("restoring", vec![progress.clone()]);
        let cancel = context.cancel.clone();
        let options = self.options(database);
        let restored =
            postgres::restore::restore(source, toc, target, &options, &expected, progress, cancel);
        restored.await.map_err(|error| Error::database("restore", &database.name, error))
    }
}

/// The archive of a database: its files and its table of contents.
pub(crate) async fn open(
    context: &Context,
    manifest: &Manifest,
    database: &Database,
) -> Result<(Arc<StoreSource>, Toc), Error> {
    let store = context.catalogue.store();
    let key = format!("{}{TOC_FILE}", database.location);
    let object = manifest.objects.iter().find(|object| object.key.as_str() == key);
    let object = object.ok_or_else(|| Error::Refused {
        what: format!("backup {} names no {key}", manifest.id),
        hint: "use another backup".into(),
    })?;
    let toc = read_toc(store.as_ref(), object).await.map_err(|error| match error {
        TocError::Damaged(damage) => {
            Error::Damaged { id: manifest.id.clone(), damage: vec![damage] }
        }
        TocError::Failed(error) => error,
    })?;
    Ok((Arc::new(StoreSource::new(store.clone(), manifest, database)), toc))
}

/// A script is for psql: it holds psql's own commands.
fn refuse_plain(manifest: &Manifest, database: &Database) -> Result<(), Error> {
    if database.format != "plain" {
        return Ok(());
    }
    let file = database.location.rsplit('/').next().unwrap_or_default();
    let psql = stock_psql(&Path::new("DIR").join(file), &database.compression, &database.name);
    Err(Error::Refused {
        what: format!(
            "database {:?} was exported as an SQL script, which psql restores",
            database.name
        ),
        hint: format!("`aidp-backup fetch {} DIR`, then `{psql}`", manifest.id),
    })
}
