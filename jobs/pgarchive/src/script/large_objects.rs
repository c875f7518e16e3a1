//! Large objects in a script: their contents, and the entries of archives since 1.16 that
//! stand for many of them (`IssueCommandPerBlob`, `IssueACLPerBlob` in `pg_backup_db.c`).

use crate::{Entry, Toc};

/// Bytes written by one statement, which `psql` holds in memory as text.
const PIECE: usize = 16 * 1024;

/// The statements that fill one large object, which exists.
#[derive(Debug)]
pub struct LargeObjectStatements {
    oid: u32,
    standard_strings: bool,
}

impl LargeObjectStatements {
    pub(super) fn new(oid: u32, standard_strings: bool) -> Self {
        Self { oid, standard_strings }
    }

    /// Appends what comes before its contents.
    pub fn open(&self, out: &mut Vec<u8>) {
        // INV_WRITE is 0x20000.
        out.extend_from_slice(
            format!("SELECT pg_catalog.lo_open('{}', {});\n", self.oid, 0x20000).as_bytes(),
        );
    }

    /// Appends statements that write `bytes` behind what was written before.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        for piece in bytes.chunks(PIECE) {
            out.reserve(piece.len() * 2 + 64);
            out.extend_from_slice(b"SELECT pg_catalog.lowrite(0, '");
            out.extend_from_slice(if self.standard_strings { b"\\x" } else { b"\\\\x" });
            out.extend(piece.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            out.extend_from_slice(b"');\n");
        }
    }

    /// Appends what comes after its contents.
    pub fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SELECT pg_catalog.lo_close(0);\n\n");
    }
}

/// Appends a statement for each large object that a `BLOB METADATA` entry lists.
pub(super) fn push_each(sql: &mut String, metadata: &Entry, before: &str, after: &str) {
    for oid in metadata.defn.lines() {
        sql.push_str(before);
        sql.push_str(oid);
        sql.push_str(after);
        sql.push_str(";\n");
    }
    sql.push('\n');
}

/// Appends the grants of an `ACL` entry, which are written for one large object, for each that
/// the entry it depends on lists.
pub(super) fn push_grants(sql: &mut String, toc: &Toc, entry: &Entry) {
    let metadata = entry.dependencies.first().and_then(|id| toc.entry(*id));
    let Some(metadata) = metadata.filter(|metadata| metadata.desc == "BLOB METADATA") else {
        sql.push_str(&entry.defn);
        sql.push_str("\n\n");
        return;
    };
    for statement in statements(&entry.defn) {
        match around_oid(statement) {
            Some((before, after)) => push_each(sql, metadata, before, after),
            None => sql.push_str(&format!("{statement};\n")),
        }
    }
    sql.push('\n');
}

/// Statements without their semicolons. Nothing in a grant is quoted but names.
fn statements(defn: &str) -> impl Iterator<Item = &str> {
    let mut in_name = false;
    let end = move |c: char| {
        in_name ^= c == '"';
        c == ';' && !in_name
    };
    defn.split(end).map(str::trim).filter(|statement| !statement.is_empty())
}

/// What comes before and after the OID in a grant.
fn around_oid(statement: &str) -> Option<(&str, &str)> {
    // It stands before the names of roles.
    let (before, _) = statement.split_once("LARGE OBJECT ")?;
    let oid = before.len() + "LARGE OBJECT ".len();
    let (before, rest) = statement.split_at_checked(oid)?;
    Some((before, rest.trim_start_matches(|c: char| c.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Section;

    #[test]
    fn contents_are_written_in_small_statements() {
        let object = LargeObjectStatements::new(7, true);
        let mut out = Vec::new();
        object.open(&mut out);
        object.write(&[0, 0xff, b'A'], &mut out);
        object.close(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "SELECT pg_catalog.lo_open('7', 131072);\n\
             SELECT pg_catalog.lowrite(0, '\\x00ff41');\n\
             SELECT pg_catalog.lo_close(0);\n\n"
        );
        let mut out = Vec::new();
        object.write(&vec![0; 100_000], &mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b';').count(), 7);
        let mut out = Vec::new();
        LargeObjectStatements::new(7, false).write(&[0], &mut out);
        assert_eq!(out, b"SELECT pg_catalog.lowrite(0, '\\\\x00');\n");
    }

    #[test]
    fn grants_find_the_oid_and_not_the_roles() {
        let grant = "GRANT ALL ON LARGE OBJECT 42 TO \"a;b LARGE OBJECT 1\"";
        let defn = format!("{grant};\nREVOKE ALL ON LARGE OBJECT 42 FROM PUBLIC;\n");
        let split: Vec<_> = statements(&defn).collect();
        assert_eq!(split, [grant, "REVOKE ALL ON LARGE OBJECT 42 FROM PUBLIC"]);
        assert_eq!(
            around_oid(grant),
            Some(("GRANT ALL ON LARGE OBJECT ", " TO \"a;b LARGE OBJECT 1\""))
        );
    }

    #[test]
    fn an_empty_list_has_no_statements() {
        let mut sql = String::new();
        push_each(&mut sql, &Entry::new(1, "BLOB METADATA", "x", Section::PreData), "a", "b");
        assert_eq!(sql, "\n");
    }
}
