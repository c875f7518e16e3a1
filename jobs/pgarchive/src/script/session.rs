//! The settings that a script begins with (`_doSetFixedOutputState` in
//! `pg_backup_archiver.c`).

use crate::Toc;
use crate::quote::quote_ident;

/// What the archive says about the session that restores it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session<'a> {
    encoding: &'a str,
    standard_strings: bool,
    /// The statement that sets the search path; archives before 1.13 have none.
    search_path: Option<&'a str>,
}

impl<'a> Session<'a> {
    pub(super) fn new(toc: &'a Toc) -> Self {
        let special = |desc| {
            toc.entries.iter().find(|entry| entry.desc == desc).map(|entry| entry.defn.as_str())
        };
        // `SET client_encoding = 'UTF8';`, `SET standard_conforming_strings = 'on';`
        let quoted = |defn: &'a str| defn.split('\'').nth(1);
        Self {
            encoding: special("ENCODING").and_then(quoted).unwrap_or("UTF8"),
            standard_strings: special("STDSTRINGS").and_then(quoted) != Some("off"),
            search_path: special("SEARCHPATH"),
        }
    }

    pub(super) fn standard_strings(self) -> bool {
        self.standard_strings
    }

    /// Whether names in definitions need the search path of their schema.
    pub(super) fn follows_schemas(self) -> bool {
        self.search_path.is_none()
    }

    pub(super) fn push_settings(self, sql: &mut String) {
        sql.push_str(
            "SET statement_timeout = 0;\n\
             SET lock_timeout = 0;\n\
             SET idle_in_transaction_session_timeout = 0;\n\
             SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
             WHERE name = 'transaction_timeout';\n",
        );
        let strings = if self.standard_strings { "on" } else { "off" };
        sql.push_str(&format!(
            "SET client_encoding = '{}';\nSET standard_conforming_strings = {strings};\n",
            self.encoding
        ));
        sql.push_str(self.search_path.unwrap_or_default());
        sql.push_str(
            "SET check_function_bodies = false;\n\
             SET xmloption = content;\n\
             SET client_min_messages = warning;\n",
        );
        if !self.standard_strings {
            sql.push_str("SET escape_string_warning = off;\n");
        }
        sql.push_str("SET row_security = off;\n\n");
    }
}

/// Appends the command of `psql` that connects to another database (`appendPsqlMetaConnect` in
/// `string_utils.c`). The name has no line break.
pub(super) fn push_connect(sql: &mut String, database: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if database.chars().all(plain) {
        sql.push_str(&format!("\\connect {}\n\n", quote_ident(database)));
        return;
    }
    // A connection string within psql's quotes: each has its own way to escape.
    let value = database.replace('\\', "\\\\").replace('\'', "\\'");
    let parameter = format!("dbname='{value}'").replace('"', "\"\"");
    // In any other encoding psql might take part of a character for a quote.
    sql.push_str("\\encoding SQL_ASCII\n");
    sql.push_str(&format!("\\connect -reuse-previous=on \"{parameter}\"\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_connected_to_whatever_its_name() {
        for (name, expected) in [
            ("fix", "\\connect fix\n\n"),
            ("Fix", "\\connect \"Fix\"\n\n"),
            (
                r#"it's "odd\"#,
                "\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='it\\'s \"\"odd\\\\'\"\n\n",
            ),
        ] {
            let mut sql = String::new();
            push_connect(&mut sql, name);
            assert_eq!(sql, expected);
        }
    }
}
