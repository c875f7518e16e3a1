//! The target database: checked, and created where that was asked for.

use sqlx::AssertSqlSafe;

use super::archive::Archive;
use super::preflight::{Requirements, check_empty, check_version};
use super::session::restore_error;
use super::status::Status;
use super::{Prepare, in_use, sql};
use crate::Error;
use crate::conninfo::ConnInfo;
use crate::quote::{quote_ident, quote_literal};
use crate::session::Session;
use pgarchive::{Entry, Section, owner_statement};

/// Databases to connect to while the target does not exist.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// Finds out whether the archive can go into the target. Gives back how to reach the very
/// server that was asked.
///
/// # Errors
/// [`Error::Refused`], [`Error::Connect`].
pub(super) async fn check(archive: &Archive, target: &ConnInfo) -> Result<ConnInfo, Error> {
    let prepare = archive.options.prepare;
    let mut session = if prepare.creates() {
        refuse_maintenance(target.database())?;
        maintenance(target).await?
    } else {
        Session::connect(target).await.map_err(|error| missing(target, error))?
    };
    let version = session.database_info().server_version.clone();
    check_version(&archive.server_version, &version, &archive.options)?;
    let of_database =
        ["DATABASE", "DATABASE PROPERTIES"].into_iter().filter_map(|desc| archive.find(desc));
    let of_database = of_database.filter(|_| prepare.creates());
    let needed = Requirements::of(archive.wanted().chain(of_database), &archive.options);
    needed.check(&mut session).await?;
    if !prepare.creates() {
        check_encoding(&mut session, archive.find("ENCODING")).await?;
    }
    match prepare {
        Prepare::RequireEmpty => check_empty(&mut session).await?,
        Prepare::Create if exists(&mut session, target.database()).await? => {
            return Err(Error::Refused {
                what: format!("database {:?} exists already", target.database()),
                hint: "leave --create out to restore into it if it is empty, name another database in the URL, or add --clean to drop it with everything in it".to_owned(),
            });
        }
        Prepare::Create => {}
        Prepare::DropDatabaseAndCreate | Prepare::DropArchived => {
            let protect = archive.options.protect.as_ref();
            in_use::check(&mut session, target.database(), protect).await?;
        }
    }
    // By name: a password may differ from database to database.
    let dialled = session.conninfo().hosts().first().map(ToString::to_string);
    let host = target.hosts().iter().find(|host| Some(host.to_string()) == dialled);
    let pinned = host.map_or_else(|| target.clone(), |host| target.pinned(host));
    session.close().await;
    Ok(pinned)
}

/// Text of a database without an encoding may be anything, and the server takes it unseen from a
/// client that claims the same: in a database with an encoding it would be damage.
async fn check_encoding(session: &mut Session, entry: Option<&Entry>) -> Result<(), Error> {
    if !entry.is_some_and(|entry| entry.defn.contains("'SQL_ASCII'")) {
        return Ok(());
    }
    let rows = session
        .rows(
            "asking for the database's encoding",
            "SELECT pg_catalog.current_setting('server_encoding') AS encoding",
        )
        .await?;
    let encoding: String =
        rows.first().map(|row| row.get("encoding")).transpose()?.unwrap_or_default();
    if encoding == "SQL_ASCII" {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("the archive is of a database without an encoding (SQL_ASCII), and the target has {encoding}"),
        hint: "restore with --create, which makes a database like the archive's, or into one made WITH ENCODING 'SQL_ASCII' TEMPLATE template0".to_owned(),
    })
}

/// Creates the database with the encoding and locale of the archive's, its owner and its
/// settings.
///
/// # Errors
/// [`Error::Restore`].
pub(super) async fn create(
    archive: &Archive,
    target: &ConnInfo,
    status: &Status,
) -> Result<(), Error> {
    let mut session = maintenance(target).await?;
    let name = quote_ident(target.database());
    let database = match archive.find("DATABASE") {
        Some(entry) => entry.clone(),
        None => Entry {
            defn: format!("CREATE DATABASE {name} WITH TEMPLATE = template0"),
            ..Entry::new(0, "DATABASE", target.database(), Section::PreData)
        },
    };
    if archive.options.prepare == Prepare::DropDatabaseAndCreate {
        let drop = format!("DROP DATABASE IF EXISTS {name}");
        run(&mut session, &database, &drop).await?;
        status.begin(archive.wanted().count() as u64);
    }
    let statement = if archive.options.no_tablespaces {
        sql::without_tablespace(&database.defn)
    } else {
        database.defn.clone()
    };
    run(&mut session, &database, &statement).await?;
    status.created();
    // The owner statement is made from the entry's name.
    let renamed = Entry { tag: target.database().to_owned(), ..database };
    if !archive.options.no_owner
        && let Some(owner) = owner_statement(&renamed)
    {
        run(&mut session, &renamed, &owner).await?;
    }
    if let Some(properties) = archive.find("DATABASE PROPERTIES") {
        run(&mut session, properties, &properties.defn).await?;
    }
    session.close().await;
    Ok(())
}

async fn run(session: &mut Session, entry: &Entry, statement: &str) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(session.connection())
        .await
        .map(drop)
        .map_err(|source| restore_error(entry, statement, source))
}

/// Others are created from there; it is named by who means the server.
fn refuse_maintenance(database: &str) -> Result<(), Error> {
    if !MAINTENANCE.contains(&database) {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("database {database:?} is the server's own and cannot be created"),
        hint: "with --database or a backup of one, --into names the database to fill: put the name of the new database into the URL".to_owned(),
    })
}

/// A database that does not exist can be created.
fn missing(target: &ConnInfo, error: Error) -> Error {
    match error {
        Error::Connect { target: reached, source: sqlx::Error::Database(source), .. }
            if source.code().as_deref() == Some("3D000") =>
        {
            Error::Connect {
                target: reached,
                hint: format!(
                    "there is no database {:?} there: add --create to create it, or check the name in the URL",
                    target.database()
                ),
                source: sqlx::Error::Database(source),
            }
        }
        error => error,
    }
}

async fn maintenance(target: &ConnInfo) -> Result<Session, Error> {
    let [first, second] = MAINTENANCE;
    match Session::connect(&target.with_database(first)?).await {
        Err(Error::Connect { source: sqlx::Error::Database(error), .. })
            if error.code().as_deref() == Some("3D000") =>
        {
            Session::connect(&target.with_database(second)?).await
        }
        connected => connected,
    }
}

async fn exists(session: &mut Session, name: &str) -> Result<bool, Error> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {}) AS found",
        quote_literal(name)
    );
    session.row("looking for the target database", &sql).await?.get("found")
}
