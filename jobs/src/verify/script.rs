//! The rows in a plain SQL script.

use std::collections::BTreeMap;

use pgarchive::Compression;
use postgres::quote::quote_qualified;
use vault::manifest::Database;

use super::object::Check;

/// More of a line than this is not looked at: no `COPY` line is longer, with the 1,600 columns
/// that a table can have.
const LINE: usize = 256 * 1024;

/// A table whose rows must be in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpectedTable {
    name: String,
    rows: u64,
}

/// Says what the object of a plain export must be.
pub(super) fn plan(database: &Database, checks: &mut BTreeMap<String, Check>) {
    let compression = database.compression.parse().unwrap_or(Compression::None);
    let tables = database.tables.iter().map(|table| ExpectedTable {
        name: quote_qualified(&table.schema, &table.name),
        rows: table.rows,
    });
    if let Some(check) = checks.get_mut(&database.location) {
        check.script(compression, tables.collect());
    }
}

/// Walks a script and counts the rows of each `COPY`, which come in the manifest's order. Each
/// row is one line: line feeds in values are escaped.
#[derive(Debug)]
pub(super) struct Script<'a> {
    waiting: &'a [ExpectedTable],
    copying: Option<(&'a ExpectedTable, u64)>,
    line: Vec<u8>,
    rows: u64,
    problems: Vec<String>,
}

impl<'a> Script<'a> {
    pub fn new(tables: &'a [ExpectedTable]) -> Self {
        Self { waiting: tables, copying: None, line: Vec::new(), rows: 0, problems: Vec::new() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.line.len());
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.line.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
            if ended {
                self.end_line();
                self.line.clear();
            }
        }
    }

    fn end_line(&mut self) {
        match &mut self.copying {
            Some((table, rows)) if self.line == br"\." => {
                self.rows += *rows;
                if *rows != table.rows {
                    let (name, expected) = (&table.name, table.rows);
                    self.problems.push(format!(
                        "holds {rows} rows of {name} where the manifest has {expected}"
                    ));
                }
                self.copying = None;
            }
            Some((_, rows)) => *rows += 1,
            None => self.begin_copy(),
        }
    }

    /// Begins the next table's rows, if this is its `COPY` line.
    fn begin_copy(&mut self) {
        if let Some((next, rest)) = self.waiting.split_first()
            && let Some(after) = self.line.strip_prefix(b"COPY ")
            && let Some(after) = after.strip_prefix(next.name.as_bytes())
            && after.starts_with(b" ")
            && after.ends_with(b" FROM stdin;")
        {
            self.copying = Some((next, 0));
            self.waiting = rest;
        }
    }

    /// Rows counted, and what is wrong.
    pub fn finish(mut self) -> (u64, Vec<String>) {
        if let Some((table, _)) = self.copying {
            self.problems.push(format!("ends in the middle of {}", table.name));
        }
        // Nothing is written of a table without rows in a few versions of the format.
        let missing = self.waiting.iter().filter(|table| table.rows > 0);
        self.problems.extend(missing.map(|table| format!("holds no rows of {}", table.name)));
        (self.rows, self.problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &[u8] = b"SET x = 1;\nCOPY public.a (id, t) FROM stdin;\n1\tx\n2\ty\n\\.\n\n\
        COPY public.\"B\" (id) FROM stdin;\n\\.\n\n";

    fn tables(a: u64, b: u64) -> Vec<ExpectedTable> {
        let table = |name: &str, rows| ExpectedTable { name: name.into(), rows };
        vec![table("public.a", a), table("public.\"B\"", b)]
    }

    fn walk(script: &[u8], piece: usize, tables: &[ExpectedTable]) -> (u64, Vec<String>) {
        let mut walk = Script::new(tables);
        script.chunks(piece).for_each(|piece| walk.feed(piece));
        walk.finish()
    }

    #[test]
    fn rows_are_counted_in_whatever_pieces_the_script_comes() {
        for piece in [1, 2, 7, 1000] {
            assert_eq!(walk(SCRIPT, piece, &tables(2, 0)), (2, vec![]), "{piece}");
        }
    }

    #[test]
    fn a_wrong_number_of_rows_is_named() {
        let (_, problems) = walk(SCRIPT, 10, &tables(3, 0));
        assert_eq!(problems, ["holds 2 rows of public.a where the manifest has 3"]);
    }

    #[test]
    fn a_script_that_ends_early_is_named() {
        let (_, problems) = walk(&SCRIPT[..50], 10, &tables(2, 5));
        assert_eq!(problems, ["ends in the middle of public.a", "holds no rows of public.\"B\""]);
    }
}
