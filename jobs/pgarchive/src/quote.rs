//! SQL text: identifiers and literals as PostgreSQL wants them quoted.
//!
//! The rules are those of `quote_identifier()` in `src/backend/utils/adt/ruleutils.c` and of
//! `fmtId()` and `appendStringLiteralDQ()` in `src/fe_utils/string_utils.c`. Literals rely on
//! `standard_conforming_strings = on`, which every session and every script sets.

/// Keywords that PostgreSQL 13 to 18 do not take bare as a name of every kind: all but the
/// unreserved ones of `src/include/parser/kwlist.h`. Sorted, for binary search. Quoting a name
/// that one version would take bare is always correct.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Whether `name` needs no quotes.
fn is_bare(name: &str) -> bool {
    let mut bytes = name.bytes();
    let Some(first) = bytes.next() else {
        return false;
    };
    (first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && KEYWORDS.binary_search(&name).is_err()
}

/// Appends `name` to `sql` as an identifier.
pub fn push_ident(sql: &mut String, name: &str) {
    if is_bare(name) {
        sql.push_str(name);
        return;
    }
    sql.push('"');
    for c in name.chars() {
        if c == '"' {
            sql.push('"');
        }
        sql.push(c);
    }
    sql.push('"');
}

/// `name` as an identifier, in quotes where it needs them.
pub fn quote_ident(name: &str) -> String {
    let mut sql = String::with_capacity(name.len() + 2);
    push_ident(&mut sql, name);
    sql
}

/// `schema.name` as an identifier.
pub fn quote_qualified(schema: &str, name: &str) -> String {
    let mut sql = String::with_capacity(schema.len() + name.len() + 5);
    push_ident(&mut sql, schema);
    sql.push('.');
    push_ident(&mut sql, name);
    sql
}

/// A comma-separated list of identifiers.
pub fn quote_ident_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut sql = String::new();
    for (at, name) in names.into_iter().enumerate() {
        if at > 0 {
            sql.push_str(", ");
        }
        push_ident(&mut sql, name);
    }
    sql
}

/// `text` as a string literal, for a server or script with `standard_conforming_strings = on`.
pub fn quote_literal(text: &str) -> String {
    let mut sql = String::with_capacity(text.len() + 2);
    sql.push('\'');
    for c in text.chars() {
        if c == '\'' {
            sql.push('\'');
        }
        sql.push(c);
    }
    sql.push('\'');
    sql
}

/// `text` as a dollar-quoted literal whose delimiter starts with `tag` and does not occur in it.
pub fn quote_dollar(text: &str, tag: &str) -> String {
    const SUFFIX: &[u8] = b"_XXXXXXX";
    let mut delimiter = format!("${tag}");
    let mut next = 0;
    // Without its closing dollar: `text` may end in what would complete the delimiter.
    while text.contains(&delimiter) {
        delimiter.push(char::from(SUFFIX[next % SUFFIX.len()]));
        next += 1;
    }
    delimiter.push('$');
    format!("{delimiter}{text}{delimiter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_for_binary_search() {
        assert!(KEYWORDS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn plain_lower_case_names_stay_bare() {
        for name in ["t", "_t", "history_node", "t2", "name", "abort"] {
            assert_eq!(quote_ident(name), name);
        }
    }

    #[test]
    fn everything_else_is_quoted() {
        for (name, quoted) in [
            ("", "\"\""),
            ("T", "\"T\""),
            ("2t", "\"2t\""),
            ("a b", "\"a b\""),
            ("a\"b", "\"a\"\"b\""),
            ("select", "\"select\""),
            ("int", "\"int\""),
            ("left", "\"left\""),
            ("a$b", "\"a$b\""),
            ("größe", "\"größe\""),
        ] {
            assert_eq!(quote_ident(name), quoted);
        }
    }

    #[test]
    fn literals_double_quotes_and_leave_backslashes() {
        assert_eq!(quote_literal("it's a \\"), "'it''s a \\'");
    }

    #[test]
    fn dollar_quotes_never_meet_their_delimiter() {
        assert_eq!(quote_dollar("x", ""), "$$x$$");
        assert_eq!(quote_dollar("a $$ b", ""), "$_$a $$ b$_$");
        assert_eq!(quote_dollar("a $_$ b $", ""), "$_X$a $_$ b $$_X$");
        assert_eq!(quote_dollar("x", "body"), "$body$x$body$");
    }

    #[test]
    fn lists_are_separated_by_commas() {
        assert_eq!(quote_ident_list(["a", "B"]), "a, \"B\"");
        assert_eq!(quote_qualified("public", "order"), "public.\"order\"");
    }
}
