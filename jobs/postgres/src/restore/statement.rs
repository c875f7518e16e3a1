//! The SQL that restores one entry, and the SQL that drops it.

use pgarchive::{Entry, owner_statement};

use super::RestoreOptions;
use super::sql;
use crate::quote::{quote_ident, quote_qualified};

/// Statements that create what `entry` defines and give it its owner, sent as one string;
/// `None` where there is nothing to run. Large objects have statements of their own.
pub(super) fn definition(entry: &Entry, options: &RestoreOptions) -> Option<String> {
    let mut statements = if options.no_owner && entry.desc == "SCHEMA" && !is_comment(&entry.defn) {
        // Old versions of pg_dump wrote the owner into CREATE SCHEMA.
        format!("CREATE SCHEMA {};\n", quote_ident(&entry.tag))
    } else {
        entry.defn.clone()
    };
    if !options.no_owner
        && let Some(owner) = owner_statement(entry)
    {
        statements.push_str(&owner);
        statements.push('\n');
    }
    // A partitioned table has no storage of its own: its access method cannot come from
    // default_table_access_method.
    if entry.relkind == Some('p')
        && let Some(method) = entry.table_am.as_deref().filter(|method| !method.is_empty())
    {
        statements.push_str(&format!(
            "ALTER TABLE {} SET ACCESS METHOD {};\n",
            quote_qualified(entry.namespace.as_deref().unwrap_or_default(), &entry.tag),
            quote_ident(method),
        ));
    }
    let something =
        sql::tokens(&statements).iter().any(|(_, token)| *token != sql::Token::Symbol(b';'));
    something.then_some(statements)
}

/// The statement that drops what `entry` defines if it is there; `None` where there is
/// nothing to drop.
pub(super) fn drop_if_exists(entry: &Entry) -> Option<String> {
    let statement = entry.drop_stmt.as_str();
    if statement.trim().is_empty() || is_comment(statement) {
        return None;
    }
    if entry.desc == "BLOB" {
        return Some(format!(
            "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '{}';\n",
            entry.catalog_id.oid
        ));
    }
    let altered = statement
        .strip_prefix("ALTER TABLE ONLY ")
        .map(|rest| ("ALTER TABLE IF EXISTS ONLY ", rest));
    let altered = altered.or_else(|| {
        statement.strip_prefix("ALTER TABLE ").map(|rest| ("ALTER TABLE IF EXISTS ", rest))
    });
    let (head, rest) = altered.unwrap_or(("", statement));
    // A column's default has no IF EXISTS of its own, and a view's rule is dropped by
    // replacing the view.
    let plain = matches!(entry.desc.as_str(), "DEFAULT" | "DATABASE PROPERTIES")
        || rest.starts_with("CREATE OR REPLACE VIEW");
    let dropping = match entry.desc.as_str() {
        "CONSTRAINT" | "CHECK CONSTRAINT" | "FK CONSTRAINT" => "DROP CONSTRAINT".to_owned(),
        desc => format!("DROP {desc}"),
    };
    let rest = match rest.find(&dropping) {
        Some(at) if !plain => {
            let (before, after) = rest.split_at(at + dropping.len());
            format!("{before} IF EXISTS{after}")
        }
        _ => rest.to_owned(),
    };
    Some(format!("{head}{rest}"))
}

/// Whether an entry's text is only a remark, such as for schema `public`.
fn is_comment(statement: &str) -> bool {
    statement.starts_with("--")
}

/// What an entry is called in messages: its class and its name.
pub(super) fn object_name(entry: &Entry) -> String {
    match entry.namespace.as_deref().filter(|schema| !schema.is_empty()) {
        Some(schema) => format!("{} {schema}.{}", entry.desc, entry.tag),
        None => format!("{} {}", entry.desc, entry.tag),
    }
}

/// A statement on one line of at most 200 characters.
pub(super) fn shortened(statement: &str) -> String {
    const LIMIT: usize = 200;
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgarchive::Section;

    fn entry(desc: &str, tag: &str, drop_stmt: &str) -> Entry {
        Entry {
            namespace: Some("public".into()),
            drop_stmt: drop_stmt.into(),
            ..Entry::new(1, desc, tag, Section::PreData)
        }
    }

    #[test]
    fn drops_ask_whether_the_object_exists() {
        for (desc, drop_stmt, expected) in [
            ("TABLE", "DROP TABLE public.t;\n", "DROP TABLE IF EXISTS public.t;\n"),
            (
                "FK CONSTRAINT",
                "ALTER TABLE ONLY public.t DROP CONSTRAINT c;\n",
                "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS c;\n",
            ),
            (
                "DEFAULT",
                "ALTER TABLE public.t ALTER COLUMN a DROP DEFAULT;\n",
                "ALTER TABLE IF EXISTS public.t ALTER COLUMN a DROP DEFAULT;\n",
            ),
            (
                "RULE",
                "CREATE OR REPLACE VIEW public.v AS\nSELECT 1;\n",
                "CREATE OR REPLACE VIEW public.v AS\nSELECT 1;\n",
            ),
            ("ROW SECURITY", "", ""),
            (
                "MATERIALIZED VIEW",
                "DROP MATERIALIZED VIEW public.m;\n",
                "DROP MATERIALIZED VIEW IF EXISTS public.m;\n",
            ),
        ] {
            let dropped = drop_if_exists(&entry(desc, "t", drop_stmt));
            assert_eq!(dropped.unwrap_or_default(), expected, "{desc}");
        }
        assert_eq!(drop_if_exists(&entry("SCHEMA", "public", "-- *not* dropping schema\n")), None);
    }

    #[test]
    fn a_schema_loses_its_owner_when_owners_are_not_wanted() {
        let schema = Entry {
            defn: "CREATE SCHEMA s AUTHORIZATION boss;\n".into(),
            ..entry("SCHEMA", "s", "DROP SCHEMA s;\n")
        };
        let options = RestoreOptions { no_owner: true, ..RestoreOptions::default() };
        assert_eq!(definition(&schema, &options).unwrap(), "CREATE SCHEMA s;\n");
    }

    #[test]
    fn a_remark_is_not_run() {
        let public = Entry {
            defn: "-- *not* creating schema, since initdb creates it\n".into(),
            ..entry("SCHEMA", "public", "")
        };
        assert_eq!(definition(&public, &RestoreOptions::default()), None);
    }

    #[test]
    fn long_statements_are_shortened_at_a_character() {
        let long = format!("COMMENT ON TABLE t IS '{}'", "ü".repeat(300));
        let short = shortened(&long);
        assert!(short.ends_with("..."));
        assert_eq!(short.chars().count(), 203);
        assert_eq!(shortened("CREATE TABLE t (\n    a int\n);\n"), "CREATE TABLE t ( a int );");
    }
}
