//! Large objects: their contents from files, and the entries that stand for many of them.

use pgarchive::{Entry, StreamError};

use super::archive::Archive;
use super::data::{DataFile, Pieces};
use super::session::{Writer, restore_error};
use super::sql::{self, Token};
use super::statement::object_name;
use crate::Error;
use crate::quote::quote_ident;

/// Bytes written by one call: a multiple of the server's own pages (`LOBLKSIZE`, 2 KiB).
const PIECE: usize = 256 * 1024;

/// Large objects named in one statement.
const BATCH: usize = 1000;

/// Longest line of a list of large objects.
const LONGEST_LINE: usize = 4096;

/// Creates the large objects of a `BLOB METADATA` entry, whose definition lists their OIDs.
pub(super) async fn create(
    writer: &mut Writer,
    entry: &Entry,
    no_owner: bool,
) -> Result<(), Error> {
    let oids = listed(entry)?;
    for batch in oids.chunks(BATCH) {
        let list = batch.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut sql = format!(
            "SELECT pg_catalog.lo_create(oid) FROM pg_catalog.unnest('{{{list}}}'::pg_catalog.oid[]) AS oid;\n"
        );
        let owner = entry.owner.as_deref().filter(|owner| !owner.is_empty() && !no_owner);
        if let Some(owner) = owner {
            let owner = quote_ident(owner);
            for oid in batch {
                sql.push_str(&format!("ALTER LARGE OBJECT {oid} OWNER TO {owner};\n"));
            }
        }
        writer.run(entry, &sql).await?;
    }
    Ok(())
}

/// The statement that removes those large objects of a `BLOB METADATA` entry that exist.
pub(super) fn unlink(entry: &Entry) -> Result<String, Error> {
    let list = listed(entry)?.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    Ok(format!(
        "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY ('{{{list}}}'::pg_catalog.oid[]);\n"
    ))
}

/// Applies the grants of an `ACL` entry for many large objects, written for the first of
/// them, to all that `metadata` lists.
pub(super) async fn grant(
    writer: &mut Writer,
    entry: &Entry,
    metadata: &Entry,
) -> Result<(), Error> {
    let places: Vec<_> = sql::tokens(&entry.defn)
        .windows(3)
        .filter_map(|window| match window {
            [(_, large), (_, object), (range, Token::Word(_))]
                if large.is("large") && object.is("object") =>
            {
                Some(range.clone())
            }
            _ => None,
        })
        .collect();
    for batch in listed(metadata)?.chunks(BATCH) {
        let mut statements = String::new();
        for oid in batch {
            let mut copied = 0;
            for place in &places {
                statements.push_str(entry.defn.get(copied..place.start).unwrap_or_default());
                statements.push_str(&oid.to_string());
                copied = place.end;
            }
            statements.push_str(entry.defn.get(copied..).unwrap_or_default());
        }
        writer.run(entry, &statements).await?;
    }
    Ok(())
}

/// OIDs of a `BLOB METADATA` entry, one per line.
fn listed(entry: &Entry) -> Result<Vec<u32>, Error> {
    entry
        .defn
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.parse().map_err(|_| Error::Refused {
                what: format!("{} lists {line:?}, which is no OID", object_name(entry)),
                hint: "the table of contents is damaged: run verify on this backup".to_owned(),
            })
        })
        .collect()
}

/// Writes the contents of all large objects of a `BLOBS` entry, in one transaction. Returns
/// how many there were.
pub(super) async fn load(
    writer: &mut Writer,
    entry: &Entry,
    toc: &DataFile,
    archive: &Archive,
) -> Result<u64, Error> {
    let work = archive.progress.begin("large objects", toc.size);
    writer.run(entry, "BEGIN").await?;
    let mut lines = Lines::new(toc, archive).await?;
    let mut count = 0;
    while let Some((oid, name)) = lines.next().await? {
        let file = archive.files.find(&name).ok_or_else(|| missing(&name))?;
        write_one(writer, entry, oid, &file, archive).await?;
        count += 1;
    }
    writer.run(entry, "COMMIT").await?;
    work.done();
    Ok(count)
}

async fn write_one(
    writer: &mut Writer,
    entry: &Entry,
    oid: u32,
    file: &DataFile,
    archive: &Archive,
) -> Result<(), Error> {
    if file.is_without_frame() {
        return Ok(());
    }
    let mut pieces = Pieces::open(file, archive, PIECE).await?;
    let mut offset: i64 = 0;
    while let Some(piece) = pieces.next().await? {
        let statement = "SELECT pg_catalog.lo_put($1, $2, $3)";
        sqlx::query(statement)
            .bind(sqlx::postgres::types::Oid(oid))
            .bind(offset)
            .bind(piece.as_ref())
            .execute(writer.session().connection())
            .await
            .map_err(|source| {
                restore_error(entry, &format!("{statement}, large object {oid}"), source)
            })?;
        offset += i64::try_from(piece.len()).unwrap_or(i64::MAX);
    }
    Ok(())
}

/// A list of large objects, line by line: `OID FILE`.
struct Lines {
    name: String,
    pieces: Pieces,
    buffer: Vec<u8>,
    at: usize,
}

impl Lines {
    async fn new(toc: &DataFile, archive: &Archive) -> Result<Self, Error> {
        Ok(Self {
            name: toc.name.clone(),
            pieces: Pieces::open(toc, archive, PIECE).await?,
            buffer: Vec::new(),
            at: 0,
        })
    }

    async fn next(&mut self) -> Result<Option<(u32, String)>, Error> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let line =
                    String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
                self.at += end + 1;
                return parse_line(&line).map(Some).ok_or_else(|| self.malformed(&line));
            }
            if rest.len() > LONGEST_LINE {
                return Err(self.malformed("a line without an end"));
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            match self.pieces.next().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(self.malformed("a last line without an end")),
            }
        }
    }

    fn malformed(&self, line: &str) -> Error {
        Error::File {
            doing: "read",
            file: self.name.clone(),
            source: StreamError::from(format!("expected an OID and a file name, found {line:?}")),
        }
    }
}

fn parse_line(line: &str) -> Option<(u32, String)> {
    let (oid, name) = line.split_once(' ')?;
    let name = name.trim_end();
    (!name.is_empty()).then_some(())?;
    Some((oid.parse().ok()?, name.to_owned()))
}

/// A file that the archive names and its folder has not.
pub(super) fn missing(name: &str) -> Error {
    Error::File {
        doing: "find",
        file: name.to_owned(),
        source: StreamError::from("the archive names this file but does not have it"),
    }
}
