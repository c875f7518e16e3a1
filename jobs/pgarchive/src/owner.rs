//! Who owns a restored object (`_getObjectDescription` in `pg_backup_archiver.c`).

use crate::Entry;
use crate::quote::{push_ident, quote_ident};

/// The statement, without a newline, that gives the object of `entry` to its owner. `None` for
/// entries that have no owner of their own: without owner, without a statement that drops them
/// (`pg_restore` takes that as the sign), or of a class that belongs to another object.
///
/// An entry for several large objects (`BLOB METADATA`) gives one statement per line.
///
/// A class that nobody has taught this program is named as most are, by schema and name: should
/// that be wrong, the server says so, where leaving it out would go unnoticed.
pub fn owner_statement(entry: &Entry) -> Option<String> {
    let owner = entry.owner.as_deref().filter(|owner| !owner.is_empty()).map(quote_ident)?;
    if entry.drop_stmt.is_empty() {
        return None;
    }
    if entry.desc == "BLOB METADATA" {
        let alter = |oid| format!("ALTER LARGE OBJECT {oid} OWNER TO {owner};");
        let statements: Vec<_> = entry.defn.lines().map(alter).collect();
        return (!statements.is_empty()).then(|| statements.join("\n"));
    }
    described(entry).map(|object| format!("ALTER {object} OWNER TO {owner};"))
}

/// The object as `ALTER` names it.
fn described(entry: &Entry) -> Option<String> {
    match entry.desc.as_str() {
        // Its name is its number.
        "BLOB" => Some(format!("LARGE OBJECT {}", entry.tag)),
        // Named with their arguments, which only the statement that drops them has.
        "AGGREGATE" | "FUNCTION" | "OPERATOR" | "OPERATOR CLASS" | "OPERATOR FAMILY"
        | "PROCEDURE" => Some(match entry.drop_stmt.strip_prefix("DROP ") {
            Some(object) => object.trim_end_matches(['\n', ';']).to_owned(),
            None => named(entry),
        }),
        // Owned with the table, type or server they are part of, or by nobody.
        "ACCESS METHOD"
        | "CAST"
        | "CHECK CONSTRAINT"
        | "CONSTRAINT"
        | "DATABASE PROPERTIES"
        | "DEFAULT"
        | "EXTENSION"
        | "FK CONSTRAINT"
        | "INDEX"
        | "POLICY"
        | "ROW SECURITY"
        | "RULE"
        | "TEXT SEARCH PARSER"
        | "TEXT SEARCH TEMPLATE"
        | "TRANSFORM"
        | "TRIGGER"
        | "USER MAPPING" => None,
        _ => Some(named(entry)),
    }
}

/// Class, schema and name.
fn named(entry: &Entry) -> String {
    let mut object = format!("{} ", entry.desc);
    if let Some(schema) = entry.namespace.as_deref().filter(|schema| !schema.is_empty()) {
        push_ident(&mut object, schema);
        object.push('.');
    }
    push_ident(&mut object, &entry.tag);
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Section;

    fn entry(desc: &str, namespace: &str, tag: &str, drop_stmt: &str) -> Entry {
        Entry {
            drop_stmt: drop_stmt.into(),
            namespace: Some(namespace.into()),
            owner: Some("Owner".into()),
            ..Entry::new(1, desc, tag, Section::PreData)
        }
    }

    fn statement(entry: &Entry) -> Option<String> {
        owner_statement(entry)
    }

    #[test]
    fn objects_are_named_as_alter_wants_them() {
        for (entry, expected) in [
            (
                entry("TABLE", "app", "Odd \"Name", "DROP TABLE x;\n"),
                "ALTER TABLE app.\"Odd \"\"Name\" OWNER TO \"Owner\";",
            ),
            (
                entry("VIEW", "app", "v", "DROP VIEW app.v;\n"),
                "ALTER VIEW app.v OWNER TO \"Owner\";",
            ),
            (
                entry("SCHEMA", "", "app", "DROP SCHEMA app;\n"),
                "ALTER SCHEMA app OWNER TO \"Owner\";",
            ),
            (
                entry("BLOB", "", "4711", "SELECT pg_catalog.lo_unlink('4711');\n"),
                "ALTER LARGE OBJECT 4711 OWNER TO \"Owner\";",
            ),
            (
                entry("FUNCTION", "app", "f(int)", "DROP FUNCTION app.f(x integer);\n"),
                "ALTER FUNCTION app.f(x integer) OWNER TO \"Owner\";",
            ),
        ] {
            assert_eq!(statement(&entry).unwrap(), expected);
        }
    }

    #[test]
    fn an_entry_for_several_large_objects_alters_each() {
        let mut blobs = entry("BLOB METADATA", "", "10..11", "-- dummy");
        blobs.defn = "10\n11\n".into();
        assert_eq!(
            statement(&blobs).unwrap(),
            "ALTER LARGE OBJECT 10 OWNER TO \"Owner\";\nALTER LARGE OBJECT 11 OWNER TO \"Owner\";"
        );
    }

    #[test]
    fn what_has_no_owner_of_its_own_gets_no_statement() {
        assert_eq!(statement(&entry("INDEX", "app", "i", "DROP INDEX app.i;\n")), None);
        assert_eq!(statement(&entry("TABLE", "app", "t", "")), None);
        let nobody = Entry { owner: None, ..entry("TABLE", "app", "t", "DROP TABLE app.t;\n") };
        assert_eq!(statement(&nobody), None);
    }

    #[test]
    fn an_unknown_class_is_named_as_most_are() {
        assert_eq!(
            statement(&entry("TELEPORTER", "app", "t", "DROP TELEPORTER app.t;\n")).unwrap(),
            "ALTER TELEPORTER app.t OWNER TO \"Owner\";"
        );
    }
}
