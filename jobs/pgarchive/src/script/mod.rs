//! A database as one SQL script, as `pg_restore -f -` and `pg_dump -Fp` print it
//! (`RestoreArchive` in `pg_backup_archiver.c`).
//!
//! Two things differ on purpose. There is no `\restrict`, at which `psql` before August 2025
//! stops; what it guards against, a name that breaks out of a comment and becomes a command of
//! `psql`, is ruled out by writing comments on one line, all of them. And `transaction_timeout`
//! is set only by a server that has it, so that any version reads the script.

mod large_objects;
mod pass;
mod session;
mod statement;

pub use self::large_objects::LargeObjectStatements;
use self::pass::Pass;
use self::session::Session;
use crate::large_objects::LARGE_OBJECTS;
use crate::{CopyFormat, Entry, Error, TEXT_COPY_TRAILER, Toc};

/// What a script contains besides the objects themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptOptions {
    /// Create the database, connect to it, set its properties (`pg_dump --create`).
    pub create_database: bool,
    /// Give objects to their owners.
    pub owners: bool,
    /// Grant and revoke.
    pub privileges: bool,
}

impl Default for ScriptOptions {
    /// As `pg_dump` does: owners and privileges, but into a database that is there.
    fn default() -> Self {
        Self { create_database: false, owners: true, privileges: true }
    }
}

/// A part of a script, to be written in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// This text.
    Sql(String),
    /// The rows of this entry's table in text COPY format, as the server sends them: each with
    /// its newline, and no end marker, which the next piece begins with.
    Rows(&'a Entry),
    /// The statements in this entry's data file, as they are (`pg_dump --inserts`).
    Statements(&'a Entry),
    /// The contents of this entry's large objects, as [`Script::large_object`] writes them.
    LargeObjects(&'a Entry),
}

/// A table of contents to be written as a script.
#[derive(Debug)]
pub struct Script<'a> {
    toc: &'a Toc,
    options: ScriptOptions,
    session: Session<'a>,
}

impl<'a> Script<'a> {
    /// The script of `toc`'s entries, in their order.
    ///
    /// # Errors
    /// [`Error::Unscriptable`] for what a script cannot hold: binary data, and a database whose
    /// name has a line break if it is to be created.
    pub fn new(toc: &'a Toc, options: ScriptOptions) -> Result<Self, Error> {
        for entry in &toc.entries {
            let problem = match entry.desc.as_str() {
                "DATABASE" if options.create_database && entry.tag.contains(['\n', '\r']) => {
                    "has a line break in its name"
                }
                _ if entry.had_dumper && entry.copy_format() == Some(CopyFormat::Binary) => {
                    "has its rows in binary format"
                }
                _ => continue,
            };
            return Err(Error::Unscriptable {
                class: entry.desc.clone(),
                name: entry.tag.clone(),
                problem,
            });
        }
        Ok(Self { toc, options, session: Session::new(toc) })
    }

    /// The parts of the script. Each is small but for the data that the caller writes.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        let Self { toc, options, session } = *self;
        let wanted = move |entry: &&Entry| statement::is_wanted(entry, options);
        let body = Pass::ALL.into_iter().flat_map(move |pass| {
            toc.entries.iter().filter(wanted).filter(move |entry| Pass::of(entry) == pass)
        });
        let mut printer = statement::Printer::new(toc, options, session);
        let preamble = std::iter::once_with(move || Piece::Sql(preamble(toc, session)));
        let end = std::iter::once(Piece::Sql(COMPLETE.to_owned()));
        preamble.chain(body.flat_map(move |entry| print(&mut printer, entry))).chain(end)
    }

    /// Writes the contents of large object `oid` in a [`Piece::LargeObjects`].
    pub fn large_object(&self, oid: u32) -> LargeObjectStatements {
        LargeObjectStatements::new(oid, self.session.standard_strings())
    }
}

const COMPLETE: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

fn preamble(toc: &Toc, session: Session<'_>) -> String {
    let mut sql = "--\n-- PostgreSQL database dump\n--\n\n".to_owned();
    sql.push_str("-- Dumped from database version ");
    push_line(&mut sql, &toc.header.server_version);
    sql.push_str("\n-- Dumped by pg_dump version ");
    push_line(&mut sql, &toc.header.dump_version);
    sql.push_str("\n\n");
    session.push_settings(&mut sql);
    sql
}

/// The pieces of one entry.
fn print<'a>(printer: &mut statement::Printer<'a>, entry: &'a Entry) -> Vec<Piece<'a>> {
    let mut sql = printer.print(entry);
    if !entry.had_dumper {
        return vec![Piece::Sql(sql)];
    }
    if entry.desc == LARGE_OBJECTS {
        sql.push_str("BEGIN;\n\n");
        return vec![
            Piece::Sql(sql),
            Piece::LargeObjects(entry),
            Piece::Sql("COMMIT;\n\n".to_owned()),
        ];
    }
    if entry.copy_stmt.is_empty() {
        return vec![Piece::Sql(sql), Piece::Statements(entry)];
    }
    sql.push_str(&entry.copy_stmt);
    let trailer = String::from_utf8_lossy(TEXT_COPY_TRAILER).into_owned();
    vec![Piece::Sql(sql), Piece::Rows(entry), Piece::Sql(trailer)]
}

/// Appends `text` without its line breaks: what follows a line break in a comment would be a
/// command, and a backslash there is one of `psql`'s.
fn push_line(sql: &mut String, text: &str) {
    sql.extend(text.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
}
