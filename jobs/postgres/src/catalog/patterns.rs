//! `--table` and its kin: psql's patterns, resolved to tables.

use std::collections::HashSet;

use super::context::Catalog;
use crate::Error;
use crate::quote;
use crate::selection::Selection;

/// A pattern in regular expressions, as `LIKE`-style patterns of psql's `\d` are read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Database, literally, if three names were given.
    database: Option<String>,
    /// Schema, as a regular expression; without it only visible tables match.
    schema: Option<String>,
    /// Table, as a regular expression.
    table: String,
}

/// Reads a pattern: letters outside double quotes fold to lower case, `*` is any text, `?` any
/// character, dots separate names, `$` is literal; inside double quotes everything is literal.
/// Other regular expression syntax outside quotes works, as in psql.
fn parse(pattern: &str) -> Result<Pattern, Error> {
    let mut parts = vec![(String::new(), String::new())]; // (regular expression, literal text)
    let mut quoted = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let last = parts.len() - 1;
        let (regex, literal) = &mut parts[last];
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                regex.push('"');
                literal.push('"');
            }
            '"' => quoted = !quoted,
            '*' if !quoted => {
                regex.push_str(".*");
                literal.push('*');
            }
            '?' if !quoted => {
                regex.push('.');
                literal.push('?');
            }
            '.' if !quoted => parts.push((String::new(), String::new())),
            c => {
                let folded: String = if quoted { c.into() } else { c.to_lowercase().collect() };
                let special = c == '$'
                    || quoted && "|*+?()[]{}.^\\".contains(c)
                    || c == '[' && chars.peek() == Some(&']');
                if special {
                    regex.push('\\');
                }
                regex.push_str(&folded);
                literal.push_str(&folded);
            }
        }
    }
    let refused = |why: &str| Error::Refused {
        what: format!("table pattern {pattern:?} {why}"),
        hint: "write TABLE or SCHEMA.TABLE, where * and ? are wildcards and double quotes keep \
               case and dots"
            .into(),
    };
    if quoted {
        return Err(refused("has an unclosed double quote"));
    }
    let anchored = |regex: String| format!("^({regex})$");
    let mut parts = parts.into_iter().rev();
    let table = parts.next().map(|(regex, _)| regex).unwrap_or_default();
    let schema = parts.next().map(|(regex, _)| anchored(regex));
    let database = parts.next().map(|(_, literal)| literal);
    if parts.next().is_some() {
        return Err(refused("has too many dotted names"));
    }
    if table.is_empty() {
        return Err(refused("names no table"));
    }
    Ok(Pattern { database, schema, table: anchored(table) })
}

/// Resolves the operator's patterns into `catalog.chosen`.
///
/// # Errors
/// [`Error::Refused`] for a pattern of `--table` that matches nothing, and for one that makes
/// no sense. An exclusion that matches nothing is fine: there is nothing to exclude.
pub(super) async fn resolve(catalog: &mut Catalog<'_>, selection: &Selection) -> Result<(), Error> {
    let mut tables = HashSet::new();
    for pattern in &selection.tables {
        let found = matches(catalog, pattern).await?;
        if found.is_empty() {
            return Err(Error::Refused {
                what: format!(
                    "no table of database {:?} matches --table {pattern:?}",
                    catalog.database
                ),
                hint: "names outside the search path need their schema; quote capitals and dots \
                       with double quotes"
                    .into(),
            });
        }
        tables.extend(found);
    }
    if !selection.tables.is_empty() {
        catalog.chosen.tables = Some(tables);
    }
    for pattern in &selection.exclude_tables {
        let found = matches(catalog, pattern).await?;
        catalog.chosen.excluded.extend(found);
    }
    for pattern in &selection.exclude_table_data {
        let found = matches(catalog, pattern).await?;
        catalog.chosen.without_data.extend(found);
    }
    Ok(())
}

async fn matches(catalog: &mut Catalog<'_>, pattern: &str) -> Result<Vec<u32>, Error> {
    let parsed = parse(pattern)?;
    if parsed.database.as_ref().is_some_and(|name| *name != catalog.database) {
        return Err(Error::Refused {
            what: format!(
                "table pattern {pattern:?} names another database than {:?}",
                catalog.database
            ),
            hint: "leave the database's name out of the pattern".into(),
        });
    }
    let schema = match &parsed.schema {
        Some(regex) => {
            format!(
                "n.nspname OPERATOR(pg_catalog.~) {} COLLATE pg_catalog.\"default\"",
                quote::quote_literal(regex)
            )
        }
        None => "pg_catalog.pg_table_is_visible(c.oid)".to_owned(),
    };
    let sql = format!(
        "SELECT c.oid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         WHERE c.relkind OPERATOR(pg_catalog.=) ANY (array['r', 'S', 'v', 'm', 'f', 'p']) \
           AND c.relname OPERATOR(pg_catalog.~) {} COLLATE pg_catalog.\"default\" AND {}",
        quote::quote_literal(&parsed.table),
        schema,
    );
    // A bare name means what it means to this role: the search path that the session's own
    // empty one replaced counts here, so every name above is qualified.
    catalog.execute("resetting the search path", "RESET search_path").await?;
    let rows = catalog.rows("matching table patterns", &sql).await?;
    catalog
        .execute(
            "setting the search path",
            "SELECT pg_catalog.set_config('search_path', '', false)",
        )
        .await?;
    rows.iter().map(|row| row.oid("oid")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pattern: &str) -> (Option<String>, Option<String>, String) {
        let Pattern { database, schema, table } = parse(pattern).unwrap();
        (database, schema, table)
    }

    #[test]
    fn patterns_fold_case_and_turn_wildcards_into_expressions() {
        assert_eq!(parsed("Users"), (None, None, "^(users)$".into()));
        assert_eq!(parsed("app.order*"), (None, Some("^(app)$".into()), "^(order.*)$".into()));
        assert_eq!(parsed("t?b"), (None, None, "^(t.b)$".into()));
        assert_eq!(parsed("db.s.t"), (Some("db".into()), Some("^(s)$".into()), "^(t)$".into()));
    }

    #[test]
    fn quoted_patterns_are_literal() {
        assert_eq!(parsed("\"A.b*\""), (None, None, "^(A\\.b\\*)$".into()));
        assert_eq!(parsed("\"say \"\"hi\"\"\""), (None, None, "^(say \"hi\")$".into()));
        assert_eq!(parsed("a$b"), (None, None, "^(a\\$b)$".into()));
    }

    #[test]
    fn senseless_patterns_are_refused() {
        for pattern in ["a.b.c.d", "\"open", "", "s."] {
            assert!(matches!(parse(pattern), Err(Error::Refused { .. })), "{pattern}");
        }
    }
}
