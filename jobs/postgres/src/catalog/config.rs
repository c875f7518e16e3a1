//! Settings (`name=value`) of databases, roles and functions.

use crate::Error;
use crate::quote;

/// Settings that are lists of quoted names (`GUC_LIST_QUOTE` in PostgreSQL's `guc_tables.c`):
/// their stored value is a list that must be taken apart and quoted again.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "oauth_validator_libraries",
    "output_plugin_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `ALTER DATABASE d SET name TO value;` for a target such as `DATABASE d`.
///
/// # Errors
/// [`Error::Refused`] for a setting that is not `name=value`.
pub(super) fn alter_set(target: &str, setting: &str) -> Result<String, Error> {
    Ok(format!("ALTER {target} SET {};\n", assignment(setting, target)?))
}

/// `name TO value`, quoted, of a stored `name=value`; `owner` is named when it is malformed.
///
/// # Errors
/// [`Error::Refused`] for a setting that is not `name=value`.
pub(super) fn assignment(setting: &str, owner: &str) -> Result<String, Error> {
    let malformed = || Error::Refused {
        what: format!("cannot read setting {setting:?} of {owner}"),
        hint: "set it again, or dump this database with its server's own pg_dump".into(),
    };
    let (name, value) = setting.split_once('=').ok_or_else(malformed)?;
    let value = if LISTS.iter().any(|list| list.eq_ignore_ascii_case(name)) {
        let names = split_list(value).ok_or_else(malformed)?;
        names.iter().map(|name| quote::quote_literal(name)).collect::<Vec<_>>().join(", ")
    } else {
        quote::quote_literal(value)
    };
    Ok(format!("{} TO {value}", quote::quote_ident(name)))
}

/// Names of a comma-separated list; double quotes around a name keep commas and blanks in it.
fn split_list(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim_start();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let (name, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next()? {
                    (_, '"') if chars.peek().is_some_and(|(_, c)| *c == '"') => {
                        chars.next();
                        name.push('"');
                    }
                    (index, '"') => break index + 1,
                    (_, c) => name.push(c),
                }
            };
            (name, quoted.get(end..)?)
        } else {
            let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return None;
            }
            (name.to_owned(), after)
        };
        names.push(name);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Some(names),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_settings_are_quoted_name_by_name() {
        assert_eq!(
            assignment(r#"search_path="$user", public, "a ""b"", c""#, "x").unwrap(),
            r#"search_path TO '$user', 'public', 'a "b", c'"#
        );
        assert_eq!(assignment(r#"search_path="""#, "x").unwrap(), "search_path TO ''");
    }

    #[test]
    fn other_settings_are_one_literal() {
        assert_eq!(assignment("work_mem=64MB", "x").unwrap(), "work_mem TO '64MB'");
        assert_eq!(assignment("app.x=it's, so", "x").unwrap(), "\"app.x\" TO 'it''s, so'");
    }

    #[test]
    fn malformed_settings_are_refused() {
        for setting in ["work_mem", "search_path=a,,b", "search_path=\"open"] {
            assert!(assignment(setting, "x").is_err(), "{setting}");
        }
    }
}
