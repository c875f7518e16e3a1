//! Just enough of PostgreSQL's lexical rules to find names in an archive's statements:
//! which roles a grant mentions, where a database's own name stands, where a statement ends.
//!
//! The rules are those of the manual's chapter "Lexical Structure".

use std::ops::Range;

use crate::quote::quote_ident;

/// What a piece of SQL is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A key word, an unquoted name or a number, in lower case as the server folds it.
    Word(String),
    /// A quoted name, with its quotes taken off.
    Quoted(String),
    /// A string constant of any kind.
    Literal,
    /// Any other character.
    Symbol(u8),
}

impl Token {
    /// Whether this is the given key word (written in lower case).
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    /// The name this token stands for, if it can be one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            Self::Literal | Self::Symbol(_) => None,
        }
    }
}

/// Splits SQL into tokens with the bytes each was made from. What is malformed ends the
/// text early rather than failing: the server will say what is wrong with it.
pub(super) fn tokens(sql: &str) -> Vec<(Range<usize>, Token)> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let token = match byte {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at = find(bytes, at, b'\n');
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = after_comment(bytes, at);
                continue;
            }
            b'\'' => {
                at = after_quoted(bytes, at, b'\'', false);
                Token::Literal
            }
            b'"' => {
                at = after_quoted(bytes, at, b'"', false);
                Token::Quoted(unquoted(sql.get(start..at).unwrap_or_default()))
            }
            b'$' => match after_dollar(bytes, at) {
                Some(end) => {
                    at = end;
                    Token::Literal
                }
                None => {
                    at += 1;
                    Token::Symbol(b'$')
                }
            },
            b if is_word(b) => {
                while bytes.get(at).is_some_and(|&b| is_word(b) || b == b'$') {
                    at += 1;
                }
                let word = sql.get(start..at).unwrap_or_default();
                // E'..', B'..', X'..', N'..': the letter belongs to the constant.
                if bytes.get(at) == Some(&b'\'')
                    && matches!(word, "e" | "E" | "b" | "B" | "x" | "X" | "n" | "N")
                {
                    at = after_quoted(bytes, at, b'\'', word.eq_ignore_ascii_case("e"));
                    Token::Literal
                } else {
                    Token::Word(word.to_ascii_lowercase())
                }
            }
            other => {
                at += 1;
                Token::Symbol(other)
            }
        };
        found.push((start..at, token));
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Position of the first `byte` from `at` on, or the end.
fn find(bytes: &[u8], at: usize, byte: u8) -> usize {
    bytes.iter().skip(at).position(|&b| b == byte).map_or(bytes.len(), |offset| at + offset)
}

/// Position after the comment that begins at `at`; comments nest.
fn after_comment(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < bytes.len() {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'/'), Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            (Some(b'*'), Some(b'/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Position after the quoted text that begins at `at`; a doubled quote stands for one.
fn after_quoted(bytes: &[u8], at: usize, quote: u8, backslashes: bool) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'\\' && backslashes {
            at += 1;
        } else if byte == quote {
            if bytes.get(at) == Some(&quote) {
                at += 1;
            } else {
                return at;
            }
        }
    }
    bytes.len()
}

/// Position after the dollar-quoted constant that begins at `at`, if one does.
fn after_dollar(bytes: &[u8], at: usize) -> Option<usize> {
    let tag_end = find(bytes, at + 1, b'$');
    let tag = bytes.get(at..=tag_end)?;
    let inner = tag.get(1..tag.len() - 1)?;
    if !inner.iter().all(|&b| is_word(b)) || inner.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let body = bytes.get(tag_end + 1..)?;
    let end = body
        .windows(tag.len())
        .position(|window| window == tag)
        .map_or(bytes.len(), |offset| tag_end + 1 + offset + tag.len());
    Some(end)
}

/// A quoted name without its quotes.
fn unquoted(text: &str) -> String {
    text.strip_prefix('"')
        .map(|text| text.strip_suffix('"').unwrap_or(text))
        .unwrap_or(text)
        .replace("\"\"", "\"")
}

/// Every role that a statement of an archive names: grantees, `FOR ROLE`, session users,
/// roles of a policy, of a user mapping, of `ALTER ROLE ... IN DATABASE`.
pub(super) fn roles(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let mut found: Vec<String> = Vec::new();
    for statement in tokens.split(|(_, token)| *token == Token::Symbol(b';')) {
        let words: Vec<&Token> = statement.iter().map(|(_, token)| token).collect();
        match words.as_slice() {
            [first, ..] if first.is("grant") || first.is("revoke") => {
                grantees(&words, &mut found);
            }
            [alter, default, privileges, ..]
                if alter.is("alter") && default.is("default") && privileges.is("privileges") =>
            {
                if let Some(at) = words.iter().position(|token| token.is("role")) {
                    names(words.get(at + 1..).unwrap_or_default(), &mut found);
                }
                grantees(&words, &mut found);
            }
            [set, session, authorization, user]
                if set.is("set") && session.is("session") && authorization.is("authorization") =>
            {
                names(&[user], &mut found);
            }
            [create, policy, ..] if create.is("create") && policy.is("policy") => {
                grantees(&words, &mut found);
            }
            [create, user, mapping, rest @ ..]
                if create.is("create") && user.is("user") && mapping.is("mapping") =>
            {
                if let Some(at) = rest.iter().position(|token| token.is("for")) {
                    names(rest.get(at + 1..).unwrap_or_default(), &mut found);
                }
            }
            [alter, role, name, ..] if alter.is("alter") && role.is("role") => {
                names(&[name], &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Roles after `TO` or `FROM`, which are reserved words and so are never names when
/// unquoted. Conditions in parentheses are none of our business.
fn grantees(words: &[&Token], found: &mut Vec<String>) {
    let mut depth = 0usize;
    for (at, token) in words.iter().enumerate() {
        match token {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            _ if depth == 0 && (token.is("to") || token.is("from")) => {
                names(words.get(at + 1..).unwrap_or_default(), found);
                return;
            }
            _ => {}
        }
    }
}

/// A list of roles separated by commas, without the words that stand for roles.
fn names(words: &[&Token], found: &mut Vec<String>) {
    let mut rest = words;
    while let [token, tail @ ..] = rest {
        // GROUP is noise that old versions wrote.
        let (token, tail) = match (token, tail) {
            (token, [name, tail @ ..]) if token.is("group") && name.name().is_some() => {
                (name, tail)
            }
            (token, tail) => (token, tail),
        };
        let special = ["public", "current_user", "session_user", "current_role", "default"];
        match token {
            Token::Word(word) if special.contains(&word.as_str()) => {}
            Token::Word(name) | Token::Quoted(name) => {
                if !found.contains(name) {
                    found.push(name.clone());
                }
            }
            Token::Literal | Token::Symbol(_) => return,
        }
        match tail {
            [Token::Symbol(b','), tail @ ..] => rest = tail,
            _ => return,
        }
    }
}

/// The statement with every mention of database `from` turned into `to`: the name after
/// the word `DATABASE`, as in `ALTER DATABASE x`, `ON DATABASE x`, `IN DATABASE x`.
pub(super) fn rename_database(sql: &str, from: &str, to: &str) -> String {
    let mut renamed = String::with_capacity(sql.len());
    let mut copied = 0;
    let tokens = tokens(sql);
    for pair in tokens.windows(2) {
        if let [(_, word), (range, name)] = pair
            && word.is("database")
            && name.name() == Some(from)
        {
            renamed.push_str(sql.get(copied..range.start).unwrap_or_default());
            renamed.push_str(&quote_ident(to));
            copied = range.end;
        }
    }
    renamed.push_str(sql.get(copied..).unwrap_or_default());
    renamed
}

/// The table that a `COPY ... FROM` fills, without its schema.
pub(super) fn copied_table(sql: &str) -> Option<String> {
    let tokens = tokens(sql);
    let mut words = tokens.iter().map(|(_, token)| token);
    if !words.next()?.is("copy") {
        return None;
    }
    let mut table = words.next()?.name()?;
    while let Some(Token::Symbol(b'.')) = words.next() {
        table = words.next()?.name()?;
    }
    Some(table.to_owned())
}

/// The tablespace that a `CREATE DATABASE` asks for.
pub(super) fn database_tablespace(sql: &str) -> Option<String> {
    tablespace_clause(sql).map(|(_, name)| name)
}

/// A `CREATE DATABASE` without its tablespace.
pub(super) fn without_tablespace(sql: &str) -> String {
    match tablespace_clause(sql) {
        Some((range, _)) => {
            let mut kept = sql.to_owned();
            kept.replace_range(range, "");
            kept
        }
        None => sql.to_owned(),
    }
}

fn tablespace_clause(sql: &str) -> Option<(Range<usize>, String)> {
    tokens(sql).windows(3).find_map(|window| match window {
        [(word_at, word), (_, Token::Symbol(b'=')), (name_at, name)] if word.is("tablespace") => {
            Some((word_at.start..name_at.end, name.name()?.to_owned()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_comments_and_dollar_quotes_hide_what_they_contain() {
        let sql = "SELECT 'it''s; x', E'a\\';b', $f$;$f$ -- ;\n /* ; /* ; */ ; */ AS \"a\"\"b\";";
        let ends = tokens(sql).iter().filter(|(_, token)| *token == Token::Symbol(b';')).count();
        assert_eq!(ends, 1);
        assert!(tokens(sql).iter().any(|(_, token)| *token == Token::Quoted("a\"b".into())));
    }

    #[test]
    fn unfinished_text_ends_without_a_panic() {
        for sql in ["'", "\"", "$", "$a$", "/*", "/*/*", "E'\\", "--", "$é$ ü", "é", "a$b$"] {
            tokens(sql);
            roles(sql);
        }
    }

    #[test]
    fn a_grant_names_its_grantees() {
        let sql = "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n\
                   GRANT SELECT(\"to\"),UPDATE(b) ON TABLE s.t TO Reader, \"Odd; Name\" WITH GRANT OPTION;\n\
                   SET SESSION AUTHORIZATION boss;\nGRANT ALL ON SCHEMA x TO GROUP g;\nRESET SESSION AUTHORIZATION;\n";
        assert_eq!(roles(sql), ["reader", "Odd; Name", "boss", "g"]);
    }

    #[test]
    fn default_privileges_name_owner_and_grantee() {
        let sql = "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA s GRANT SELECT ON TABLES TO reader;\n";
        assert_eq!(roles(sql), ["owner", "reader"]);
    }

    #[test]
    fn policies_mappings_and_settings_name_roles() {
        assert_eq!(
            roles(
                "CREATE POLICY p ON s.t AS RESTRICTIVE FOR SELECT TO a, \"B\" USING ((x = 'to'));"
            ),
            ["a", "B"]
        );
        assert!(roles("CREATE POLICY p ON s.t USING ((x IS DISTINCT FROM y));").is_empty());
        assert_eq!(
            roles("CREATE USER MAPPING FOR joe SERVER s OPTIONS (\n    password 'to x'\n);"),
            ["joe"]
        );
        assert_eq!(roles("ALTER ROLE app IN DATABASE d SET work_mem TO '64MB';"), ["app"]);
    }

    #[test]
    fn only_the_databases_own_name_is_renamed() {
        let sql = "ALTER DATABASE live SET a TO 'ALTER DATABASE live';\nALTER ROLE live IN DATABASE \"live\" SET b TO 1;\n";
        assert_eq!(
            rename_database(sql, "live", "co\"py"),
            "ALTER DATABASE \"co\"\"py\" SET a TO 'ALTER DATABASE live';\nALTER ROLE live IN DATABASE \"co\"\"py\" SET b TO 1;\n"
        );
    }

    #[test]
    fn a_copy_names_its_table() {
        assert_eq!(copied_table("COPY public.\"Odd.\"\"T\" (a) FROM stdin;\n").unwrap(), "Odd.\"T");
        assert_eq!(copied_table("COPY public.t FROM stdin;").unwrap(), "t");
        assert_eq!(copied_table(""), None);
    }

    #[test]
    fn a_databases_tablespace_can_be_taken_off() {
        let sql = "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = \"Fast\";\n";
        assert_eq!(database_tablespace(sql).as_deref(), Some("Fast"));
        assert_eq!(
            without_tablespace(sql),
            "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' ;\n"
        );
    }
}
