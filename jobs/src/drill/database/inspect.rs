//! Everything that is looked at in restored databases.

use std::num::NonZeroUsize;
use std::sync::Arc;

use pgarchive::Toc;
use postgres::conninfo::ConnInfo;
use postgres::inspect as sql;
use postgres::session::{Session, SessionOptions};
use tokio_util::sync::CancellationToken;
use vault::manifest::{Database, Manifest};

use super::{compare, digest};
use crate::drill::{Check, CheckResult};
use crate::{Error, Progress, StoreSource, Verdict};

/// An operator's own check: SQL that gives one row with one column, which is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// What it is called in the evidence.
    pub name: String,
    /// In which database of the backup.
    pub database: String,
    /// The query.
    pub sql: String,
}

/// A database that was restored, and what it was restored from.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Its name in the backup.
    pub name: String,
    /// How to reach the copy.
    pub info: ConnInfo,
    /// The archive's table of contents.
    pub toc: Toc,
    /// The archive's files.
    pub source: Arc<StoreSource>,
    /// Whether owners and grants were restored too.
    pub owners: bool,
}

/// Looks at restored databases: their objects, rows and values against the backup, then what
/// the database itself knows to be wrong, then the operator's assertions.
///
/// # Errors
/// [`Error::Cancelled`], and those of the store.
pub async fn inspect(
    restored: &[Restored],
    manifest: &Manifest,
    assertions: &[Assertion],
    jobs: NonZeroUsize,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Vec<Check>, Error> {
    let mut checks = Vec::new();
    for copy in restored {
        let archived = manifest.databases.iter().find(|database| database.name == copy.name);
        let Some(archived) = archived else { continue };
        checks.extend(content(copy, archived, manifest, jobs, progress, cancel).await?);
        progress.begin("checking");
        checks.extend(soundness(copy).await);
    }
    for assertion in assertions {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        checks.push(assert(assertion, restored).await);
    }
    Ok(checks)
}

/// The database against its archive.
async fn content(
    copy: &Restored,
    archived: &Database,
    manifest: &Manifest,
    jobs: NonZeroUsize,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Vec<Check>, Error> {
    let large_objects = match digest::archived(copy.source.as_ref(), &copy.toc).await {
        Ok(digests) => digests,
        Err(error) => {
            let error = Error::Stream { file: archived.location.clone(), source: error };
            if error.is_of_the_store() && error.verdict() != Verdict::Damaged {
                return Err(error);
            }
            let check = Check::new("large objects", CheckResult::Fail).found(crate::chain(&error));
            return Ok(vec![check.about(&archived.name)]);
        }
    };
    let gauge = Arc::new(postgres::progress::Progress::default());
    progress.follow("comparing", vec![gauge.clone()]);
    let read = digest::read(&copy.info, archived, &manifest.selection, jobs, gauge, cancel).await;
    let content = match read {
        Ok(content) => content,
        Err(error) if error.is_cancelled() => return Err(Error::Cancelled),
        Err(error) => {
            return Ok(vec![compare::broken("content of every table", &copy.name, &error)]);
        }
    };
    let terms = compare::Terms {
        same_major: content.server_version_num / 10_000 == archived.server_version_num / 10_000,
        owners: copy.owners,
    };
    Ok(compare::checks(archived, &copy.toc, &content, &large_objects, terms))
}

/// What the database itself knows to be wrong.
async fn soundness(copy: &Restored) -> Vec<Check> {
    let name = &copy.name;
    let mut session = match Session::open(&copy.info, &SessionOptions::default()).await {
        Ok(session) => session,
        Err(error) => return vec![compare::broken("indexes", name, &error)],
    };
    let mut checks = Vec::new();
    let mut add = |what: &str, expected: &str, found: Result<Vec<String>, postgres::Error>| {
        checks.push(match found {
            Ok(wrong) => compare::sound(what, expected, name, wrong),
            Err(error) => compare::broken(what, name, &error),
        });
    };
    add("indexes", "every index is valid and ready", sql::invalid_indexes(&mut session).await);
    // What was not valid in the source is not valid in its copy, and must not be.
    let unvalidated = sql::unvalidated_constraints(&mut session).await.map(|names| {
        let known = not_valid(&copy.toc);
        names.into_iter().filter(|name| !known.iter().any(|known| name.ends_with(known))).collect()
    });
    add("constraints", "every constraint is validated that was", unvalidated);
    let keys = sql::foreign_keys(&mut session).await;
    let unknown = not_valid(&copy.toc);
    let broken = keys.map(|keys| {
        let broken = keys.into_iter().filter(|key| key.holds == Some(false)).map(|key| key.name);
        broken.filter(|name| !unknown.iter().any(|known| name.ends_with(known))).collect()
    });
    add("foreign keys", "every row has what it refers to", broken);
    let wanted = copy.toc.entries.iter().filter(|entry| entry.desc == "EXTENSION");
    let wanted: Vec<String> = wanted.map(|entry| entry.tag.clone()).collect();
    let missing = sql::extensions(&mut session)
        .await
        .map(|there| wanted.into_iter().filter(|name| !there.contains(name)).collect());
    add("extensions", "every extension of the backup is installed", missing);
    let amcheck = match sql::amcheck(&mut session).await {
        Ok(sql::Amcheck::Missing(why)) => Check::not_run("amcheck", why),
        Ok(sql::Amcheck::Looked { relations, wrong }) => Check::of_differences(
            "amcheck",
            format!("nothing is wrong with {relations} tables and indexes"),
            wrong,
        ),
        Err(error) => Check::not_run("amcheck", crate::chain(&error)),
    };
    checks.push(amcheck.about(name).optional());
    session.close().await;
    checks
}

/// Ends of the names of constraints that the archive has as not valid: `: NAME`.
fn not_valid(toc: &Toc) -> Vec<String> {
    let constraints = toc
        .entries
        .iter()
        .filter(|entry| entry.desc.ends_with("CONSTRAINT") && entry.defn.contains(" NOT VALID"));
    // The tag is the table's name and the constraint's.
    constraints
        .filter_map(|entry| entry.tag.rsplit_once(' '))
        .map(|(_, constraint)| format!(": {constraint}"))
        .collect()
}

async fn assert(assertion: &Assertion, restored: &[Restored]) -> Check {
    let named = format!("assertion: {}", assertion.name);
    let Some(copy) = restored.iter().find(|copy| copy.name == assertion.database) else {
        let why = "its database was not restored";
        return Check::not_run(named, why).about(&assertion.database);
    };
    // No session of ours: the operator's names are looked up as the operator's own psql would.
    let holds = async {
        let mut session = Session::connect(&copy.info).await?;
        let rows = session.rows("running an assertion", &assertion.sql).await?;
        session.close().await;
        match rows.as_slice() {
            [row] => row.only::<Option<bool>>().map(Some),
            _ => Ok(None),
        }
    };
    let check = match holds.await {
        Ok(Some(Some(true))) => Check::new(named, CheckResult::Pass),
        Ok(Some(Some(false))) => Check::new(named, CheckResult::Fail).found("false"),
        Ok(Some(None)) => Check::new(named, CheckResult::Fail).found("NULL"),
        Ok(None) => Check::not_run(named, "the query does not give exactly one row"),
        Err(error) => Check::not_run(named, crate::chain(&error)),
    };
    check.expected("one row that is true").about(&assertion.database)
}
