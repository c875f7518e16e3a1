//! One entry of an archive's table of contents.

use crate::CopyFormat;

/// Number of an entry inside one archive; positive, unique, referred to by dependencies.
pub type DumpId = i32;

/// The catalog row an entry was made from (`tableoid`, `oid`); zero where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CatalogId {
    /// OID of the system catalog, such as 1259 for `pg_class`.
    pub catalog: u32,
    /// OID of the row.
    pub oid: u32,
}

/// When an entry is restored, relative to table data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Comments, grants, security labels: restored with what they belong to.
    None = 1,
    /// Definitions that data needs.
    PreData = 2,
    /// Table data, large objects, sequence values.
    Data = 3,
    /// Indexes, constraints, triggers, rules.
    PostData = 4,
}

/// How an archive stores a statement that is not there. `pg_restore` makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Blank {
    /// As NULL: `pg_dump` has no such statement for this class of objects.
    #[default]
    Null,
    /// As an empty string: `pg_dump` might have had one.
    Empty,
}

/// What to store for those of an entry's statements that are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Blanks {
    /// For [`Entry::defn`].
    pub defn: Blank,
    /// For [`Entry::drop_stmt`].
    pub drop_stmt: Blank,
    /// For [`Entry::copy_stmt`].
    pub copy_stmt: Blank,
}

/// One entry, field for field as `pg_dump` stores it (`TocEntry` in `pg_backup_archiver.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of this entry.
    pub dump_id: DumpId,
    /// Whether data follows in the archive (`hadDumper`).
    pub had_dumper: bool,
    /// Where it came from.
    pub catalog_id: CatalogId,
    /// Name shown in listings, unquoted; for tables the bare name.
    pub tag: String,
    /// Class, in `pg_dump`'s words: `TABLE`, `INDEX`, `TABLE DATA`, ...
    pub desc: String,
    /// Section it is restored in.
    pub section: Section,
    /// SQL that creates it, ending in a newline; empty for data.
    pub defn: String,
    /// SQL that drops it; also parsed by `pg_restore` to build `ALTER ... OWNER TO`.
    pub drop_stmt: String,
    /// `COPY ... FROM stdin;` line for table data.
    pub copy_stmt: String,
    /// Schema, unquoted.
    pub namespace: Option<String>,
    /// Tablespace; `Some("")` means the database's default.
    pub tablespace: Option<String>,
    /// Table access method.
    pub table_am: Option<String>,
    /// `pg_class.relkind` as a character code (archive version 1.16 and later).
    pub relkind: Option<char>,
    /// Owning role, unquoted.
    pub owner: Option<String>,
    /// Entries that must be restored before this one.
    pub dependencies: Vec<DumpId>,
    /// Data file in a directory archive, without the compression's suffix (`123.dat`).
    pub file_name: Option<String>,
    /// How empty statements are stored, so that what was read can be written back unchanged.
    pub blanks: Blanks,
}

impl Entry {
    /// An entry with nothing but its identity: fill in the rest with struct update syntax.
    pub fn new(
        dump_id: DumpId,
        desc: impl Into<String>,
        tag: impl Into<String>,
        section: Section,
    ) -> Self {
        Self {
            dump_id,
            had_dumper: false,
            catalog_id: CatalogId::default(),
            tag: tag.into(),
            desc: desc.into(),
            section,
            defn: String::new(),
            drop_stmt: String::new(),
            copy_stmt: String::new(),
            namespace: None,
            tablespace: None,
            table_am: None,
            relkind: None,
            owner: None,
            dependencies: Vec::new(),
            file_name: None,
            blanks: Blanks::default(),
        }
    }

    /// Format of the rows in the data file, by the COPY statement that reads them; `None` for
    /// an entry without one.
    pub fn copy_format(&self) -> Option<CopyFormat> {
        // Names come before it, and only options after it.
        let (_, options) = self.copy_stmt.rsplit_once(" FROM stdin")?;
        let binary = options.to_ascii_lowercase().contains("binary");
        Some(if binary { CopyFormat::Binary } else { CopyFormat::Text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_statement_tells_the_format() {
        for (statement, format) in [
            ("COPY app.item (id, name) FROM stdin;\n", Some(CopyFormat::Text)),
            ("COPY app.item (id) FROM stdin WITH (FORMAT binary);\n", Some(CopyFormat::Binary)),
            ("COPY app.item (id) FROM stdin (FORMAT BINARY);\n", Some(CopyFormat::Binary)),
            ("COPY app.\"binary FROM stdin binary\" (a) FROM stdin;\n", Some(CopyFormat::Text)),
            ("", None),
        ] {
            let entry = Entry {
                copy_stmt: statement.into(),
                ..Entry::new(1, "TABLE DATA", "item", Section::Data)
            };
            assert_eq!(entry.copy_format(), format, "{statement}");
        }
    }
}
