//! The table of contents, `toc.dat` (`WriteToc`, `ReadToc` in `pg_backup_archiver.c`).

mod header;
mod wire;

use self::wire::Reader;
use crate::entry::{Blank, Blanks};
use crate::{CatalogId, DumpId, Entry, Error, Section};

pub use self::header::{Header, Version, WallClock};

/// Name of the table of contents in an archive.
pub const TOC_FILE: &str = "toc.dat";

/// The least an entry can take: three integers, ten strings, one dependency list.
const MIN_ENTRY: usize = 14 * wire::INT;

/// A whole table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toc {
    /// What the archive says of itself.
    pub header: Header,
    /// The entries, in the order of a serial restore.
    pub entries: Vec<Entry>,
}

impl Toc {
    /// The bytes of `toc.dat`. What [`decode`](Self::decode) read is written back byte for byte.
    ///
    /// # Errors
    /// [`Error::Unwritable`] and [`Error::CompressionNeedsVersion`] for what the format cannot
    /// hold. `relkind` is left out before 1.16 and the table access method before 1.14, as the
    /// programs of those versions do.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(256 + self.entries.len() * 256);
        self.header.encode(&mut out)?;
        wire::put_int(
            &mut out,
            i32::try_from(self.entries.len()).map_err(|_| Error::Unwritable {
                dump_id: 0,
                field: "number of entries",
                problem: "is too large",
            })?,
        );
        for entry in &self.entries {
            self.encode_entry(entry, &mut out)?;
        }
        Ok(out)
    }

    /// Reads `toc.dat`.
    ///
    /// # Errors
    /// Anything that `pg_dump` does not write is an error with its place and field. Whether the
    /// entries fit each other and their files is the question of [`check`](crate::check).
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let header = Header::decode(&mut reader)?;
        let offset = reader.offset();
        let count = usize::try_from(reader.int("number of entries")?).map_err(|_| {
            Error::TocField { offset, field: "number of entries", problem: "is negative" }
        })?;
        let mut entries = Vec::with_capacity(count.min(reader.remaining() / MIN_ENTRY));
        for _ in 0..count {
            entries.push(decode_entry(&mut reader, header.version)?);
        }
        if reader.remaining() > 0 {
            return Err(Error::TocTrailing { offset: reader.offset() });
        }
        Ok(Self { header, entries })
    }

    /// The entry numbered `dump_id`.
    pub fn entry(&self, dump_id: DumpId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.dump_id == dump_id)
    }

    fn encode_entry(&self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut put = Fields { dump_id: entry.dump_id, out };
        if entry.dump_id <= 0 {
            return Err(put.unwritable("dump id", "is not positive"));
        }
        put.int(entry.dump_id);
        put.int(i32::from(entry.had_dumper));
        put.text(&entry.catalog_id.catalog.to_string(), "catalog oid")?;
        put.text(&entry.catalog_id.oid.to_string(), "oid")?;
        put.text(&entry.tag, "tag")?;
        put.text(&entry.desc, "desc")?;
        put.int(entry.section as i32);
        put.statement(&entry.defn, entry.blanks.defn, "defn")?;
        put.statement(&entry.drop_stmt, entry.blanks.drop_stmt, "dropStmt")?;
        put.statement(&entry.copy_stmt, entry.blanks.copy_stmt, "copyStmt")?;
        put.optional(entry.namespace.as_deref(), "namespace")?;
        put.optional(entry.tablespace.as_deref(), "tablespace")?;
        if self.header.version.has_table_am() {
            put.optional(entry.table_am.as_deref(), "tableam")?;
        }
        if self.header.version.has_relkind() {
            let kind = entry.relkind.filter(char::is_ascii_alphabetic);
            if kind != entry.relkind {
                return Err(put.unwritable("relkind", "is not a letter"));
            }
            put.int(kind.map_or(0, |kind| kind as i32));
        }
        put.optional(entry.owner.as_deref(), "owner")?;
        put.text("false", "oids flag")?;
        for dependency in &entry.dependencies {
            if *dependency <= 0 {
                return Err(put.unwritable("dependency", "is not positive"));
            }
            put.text(&dependency.to_string(), "dependency")?;
        }
        wire::put_null(put.out);
        put.text(entry.file_name.as_deref().unwrap_or_default(), "file name")
    }
}

/// Appends the fields of one entry, and names the entry when one does not fit.
struct Fields<'a> {
    dump_id: DumpId,
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn unwritable(&self, field: &'static str, problem: &'static str) -> Error {
        Error::Unwritable { dump_id: self.dump_id, field, problem }
    }

    fn int(&mut self, value: i32) {
        wire::put_int(self.out, value);
    }

    fn text(&mut self, text: &str, field: &'static str) -> Result<(), Error> {
        wire::put_string(self.out, text).map_err(|problem| self.unwritable(field, problem))
    }

    fn optional(&mut self, text: Option<&str>, field: &'static str) -> Result<(), Error> {
        match text {
            Some(text) => self.text(text, field),
            None => {
                wire::put_null(self.out);
                Ok(())
            }
        }
    }

    fn statement(&mut self, sql: &str, blank: Blank, field: &'static str) -> Result<(), Error> {
        self.optional((!sql.is_empty() || blank == Blank::Empty).then_some(sql), field)
    }
}

fn decode_entry(reader: &mut Reader<'_>, version: Version) -> Result<Entry, Error> {
    let offset = reader.offset();
    let dump_id = reader.int("dump id")?;
    if dump_id <= 0 {
        return Err(Error::TocField { offset, field: "dump id", problem: "is not positive" });
    }
    let had_dumper = decode_flag(reader, "hadDumper")?;
    let catalog = decode_oid(reader, "catalog oid")?;
    let oid = decode_oid(reader, "oid")?;
    let tag = reader.text("tag")?;
    let desc = reader.text("desc")?;
    let section = decode_section(reader)?;
    let (defn, defn_blank) = decode_statement(reader, "defn")?;
    let (drop_stmt, drop_blank) = decode_statement(reader, "dropStmt")?;
    let (copy_stmt, copy_blank) = decode_statement(reader, "copyStmt")?;
    let namespace = reader.string("namespace")?;
    let tablespace = reader.string("tablespace")?;
    let table_am = if version.has_table_am() { reader.string("tableam")? } else { None };
    let relkind = if version.has_relkind() { decode_relkind(reader)? } else { None };
    let owner = reader.string("owner")?;
    decode_oids_flag(reader)?;
    let dependencies = decode_dependencies(reader)?;
    let file_name = Some(reader.text("file name")?).filter(|name| !name.is_empty());
    Ok(Entry {
        dump_id,
        had_dumper,
        catalog_id: CatalogId { catalog, oid },
        tag,
        desc,
        section,
        defn,
        drop_stmt,
        copy_stmt,
        namespace,
        tablespace,
        table_am,
        relkind,
        owner,
        dependencies,
        file_name,
        blanks: Blanks { defn: defn_blank, drop_stmt: drop_blank, copy_stmt: copy_blank },
    })
}

fn decode_flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, Error> {
    let offset = reader.offset();
    match reader.int(field)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::TocField { offset, field, problem: "is neither 0 nor 1" }),
    }
}

fn decode_oid(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, Error> {
    let offset = reader.offset();
    let text = reader.text(field)?;
    reader.number(offset, &text, field)
}

fn decode_section(reader: &mut Reader<'_>) -> Result<Section, Error> {
    let offset = reader.offset();
    match reader.int("section")? {
        1 => Ok(Section::None),
        2 => Ok(Section::PreData),
        3 => Ok(Section::Data),
        4 => Ok(Section::PostData),
        _ => Err(Error::TocField { offset, field: "section", problem: "is unknown" }),
    }
}

/// A statement, and how its absence is stored.
fn decode_statement(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<(String, Blank), Error> {
    Ok(match reader.string(field)? {
        None => (String::new(), Blank::Null),
        Some(sql) if sql.is_empty() => (sql, Blank::Empty),
        Some(sql) => (sql, Blank::Null),
    })
}

fn decode_relkind(reader: &mut Reader<'_>) -> Result<Option<char>, Error> {
    let offset = reader.offset();
    match u8::try_from(reader.int("relkind")?) {
        Ok(0) => Ok(None),
        Ok(code) if code.is_ascii_alphabetic() => Ok(Some(char::from(code))),
        _ => Err(Error::TocField { offset, field: "relkind", problem: "is not a letter" }),
    }
}

/// `WITH OIDS` went with PostgreSQL 12: such a table would come back without its OIDs.
fn decode_oids_flag(reader: &mut Reader<'_>) -> Result<(), Error> {
    let offset = reader.offset();
    let field = "oids flag";
    match reader.text(field)?.as_str() {
        "false" => Ok(()),
        "true" => Err(Error::TocField { offset, field, problem: "asks for a table WITH OIDS" }),
        _ => Err(Error::TocField { offset, field, problem: "is neither true nor false" }),
    }
}

fn decode_dependencies(reader: &mut Reader<'_>) -> Result<Vec<DumpId>, Error> {
    let mut dependencies = Vec::new();
    loop {
        let offset = reader.offset();
        let Some(text) = reader.string("dependency")? else {
            return Ok(dependencies);
        };
        let dependency: DumpId = reader.number(offset, &text, "dependency")?;
        if dependency == 0 {
            return Err(Error::TocField {
                offset,
                field: "dependency",
                problem: "is not positive",
            });
        }
        dependencies.push(dependency);
    }
}
