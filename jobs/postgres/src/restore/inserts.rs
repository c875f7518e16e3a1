//! Rows that were dumped as `INSERT` statements (`pg_dump --inserts`).

use pgarchive::{Entry, StreamError};

use super::archive::Archive;
use super::data::{DataFile, Pieces, read_error, table_name};
use super::session::Writer;
use crate::Error;

/// Bytes read at a time, and least bytes sent at a time.
const PIECE: usize = 256 * 1024;

/// Longest statement that is taken; a row larger than this came from no `pg_dump`, whose
/// literals end at the server's limit of 1 GiB.
const LONGEST: usize = 1 << 30;

/// Runs the statements of `file` in one transaction. Returns the number of rows.
///
/// # Errors
/// [`Error::Restore`], [`Error::File`].
pub(super) async fn run(
    writer: &mut Writer,
    entry: &Entry,
    file: &DataFile,
    archive: &Archive,
) -> Result<u64, Error> {
    let mut pieces = Pieces::open(file, archive, PIECE).await?;
    let mut statements = Splitter::default();
    let mut rows = 0;
    let mut work = archive.progress.begin(&table_name(entry), file.size);
    writer.run(entry, "BEGIN").await?;
    while let Some(piece) = pieces.next().await? {
        work.add(pieces.take_stored());
        let whole = statements.feed(&piece);
        if !whole.is_empty() {
            rows += writer.run(entry, &text(file, whole)?).await?;
        }
        if statements.left() > LONGEST {
            return Err(damaged(file, "a statement of more than 1 GiB"));
        }
    }
    if !statements.finish().trim_ascii().is_empty() {
        return Err(damaged(file, "the last statement has no end: the file is truncated"));
    }
    writer.run(entry, "COMMIT").await?;
    work.add_rows(rows);
    work.done();
    Ok(rows)
}

fn text(file: &DataFile, statements: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(statements)
        .map_err(|_| damaged(file, "text that is not UTF-8, which only COPY data may be"))
}

fn damaged(file: &DataFile, what: &str) -> Error {
    read_error(&file.name, StreamError::from(what))
}

/// Cuts a stream into whole statements.
#[derive(Debug, Default)]
struct Splitter {
    buffer: Vec<u8>,
    scanned: usize,
    quote: Quote,
    /// The string that ended last: a quote right after its end opens it again.
    ended: Quote,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Quote {
    #[default]
    None,
    Name,
    Plain,
    /// `E'...'`, where a backslash hides the next byte.
    Escaped,
    /// After that backslash.
    Hidden,
}

impl Splitter {
    /// Takes a piece and gives back all statements that are whole by now.
    fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        self.buffer.extend_from_slice(piece);
        let mut whole = 0;
        let mut before = self.scanned.checked_sub(1).and_then(|at| self.buffer.get(at)).copied();
        for (at, &byte) in self.buffer.iter().enumerate().skip(self.scanned) {
            self.quote = match (self.quote, byte) {
                (Quote::None, b'\'') => match before {
                    Some(b'\'') => self.ended,
                    Some(b'E' | b'e') => Quote::Escaped,
                    _ => Quote::Plain,
                },
                (Quote::None, b'"') => Quote::Name,
                (Quote::Plain | Quote::Escaped, b'\'') => {
                    self.ended = self.quote;
                    Quote::None
                }
                (Quote::Name, b'"') => Quote::None,
                (Quote::Escaped, b'\\') => Quote::Hidden,
                (Quote::Hidden, _) => Quote::Escaped,
                (quote, _) => quote,
            };
            if byte == b';' && self.quote == Quote::None {
                whole = at + 1;
            }
            before = Some(byte);
        }
        let rest = self.buffer.split_off(whole);
        self.scanned = rest.len();
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Bytes of the statement that is not whole yet.
    fn left(&self) -> usize {
        self.buffer.len()
    }

    fn finish(self) -> Vec<u8> {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_only_at_their_ends() {
        let sql =
            "INSERT INTO \"a;b\" VALUES ('it''s; x');\nINSERT INTO t VALUES (E'a''\\';b');\n\n";
        let ends = [38, sql.trim_end().len()];
        for size in 1..sql.len() {
            let mut splitter = Splitter::default();
            let mut whole = Vec::new();
            for piece in sql.as_bytes().chunks(size) {
                let statements = splitter.feed(piece);
                whole.extend_from_slice(&statements);
                assert!(statements.is_empty() || ends.contains(&whole.len()), "{size}");
            }
            assert_eq!(whole, sql.trim_end().as_bytes());
            assert_eq!(splitter.finish().trim_ascii(), b"");
        }
    }

    #[test]
    fn an_unfinished_statement_is_left_over() {
        let mut splitter = Splitter::default();
        assert!(splitter.feed(b"INSERT INTO t VALUES (';").is_empty());
        assert!(!splitter.finish().is_empty());
    }
}
