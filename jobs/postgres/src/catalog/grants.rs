//! Grants: the difference between what an object has and what a restored one starts with.
//!
//! `aclitem` text is `grantee=privileges/grantor`, an empty grantee is `PUBLIC`, and a `*`
//! after a privilege's letter is its grant option (documentation, chapter "Privileges").

use crate::Error;
use crate::quote;

/// What a set of privileges is granted on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// Kind in `GRANT`'s words, such as `TABLE`; plural for default privileges.
    pub(crate) kind: &'a str,
    /// Qualified, quoted name; empty for default privileges.
    pub(crate) name: &'a str,
    /// Unquoted column.
    pub(crate) column: Option<&'a str>,
    /// Unquoted owner, if the object has one.
    pub(crate) owner: Option<&'a str>,
    /// What comes before each command: `ALTER DEFAULT PRIVILEGES ...` or nothing.
    pub(crate) prefix: &'a str,
    /// `server_version_num` of the source, which decides what `ALL` meant there.
    pub(crate) version: i32,
}

/// One `aclitem`, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    /// Empty for `PUBLIC`.
    grantee: String,
    grantor: String,
    /// Privilege letters, each with its grant option.
    letters: Vec<(char, bool)>,
}

/// `GRANT` and `REVOKE` statements that lead from `base` to `current`; empty when they are the
/// same.
///
/// # Errors
/// [`Error::Refused`] for an item that cannot be read or a privilege without a name here, which
/// must not be dropped in silence.
pub(crate) fn difference(
    target: &Target<'_>,
    current: &[String],
    base: &[String],
) -> Result<String, Error> {
    let mut first = String::new();
    let mut second = String::new();
    for text in base.iter().filter(|item| !current.contains(item)) {
        let item = parse(text, target)?;
        let (plain, _) = privileges(&item, target, false, text)?;
        if !plain.is_empty() {
            first.push_str(&format!(
                "{}REVOKE {plain} ON {} FROM {};\n",
                target.prefix,
                on(target),
                grantee(&item)
            ));
        }
    }
    // Items keep the order in which they were granted, so that whoever grants holds the grant
    // option by then; the owner's own come before all others.
    for text in current.iter().filter(|item| !base.contains(item)) {
        let mut item = parse(text, target)?;
        let (plain, with_option) = privileges(&item, target, true, text)?;
        if plain.is_empty() && with_option.is_empty() {
            continue;
        }
        if item.grantor.is_empty() {
            item.grantor = target.owner.unwrap_or_default().to_owned();
        }
        let owners = target.owner == Some(&item.grantee) && target.owner == Some(&item.grantor);
        let sql = if owners { &mut first } else { &mut second };
        let foreign = !item.grantor.is_empty() && target.owner != Some(&item.grantor);
        if foreign {
            sql.push_str(&format!(
                "SET SESSION AUTHORIZATION {};\n",
                quote::quote_ident(&item.grantor)
            ));
        }
        for (list, option) in [(plain, ""), (with_option, " WITH GRANT OPTION")] {
            if !list.is_empty() {
                sql.push_str(&format!(
                    "{}GRANT {list} ON {} TO {}{option};\n",
                    target.prefix,
                    on(target),
                    grantee(&item)
                ));
            }
        }
        if foreign {
            sql.push_str("RESET SESSION AUTHORIZATION;\n");
        }
    }
    Ok(first + &second)
}

fn on(target: &Target<'_>) -> String {
    if target.name.is_empty() {
        target.kind.to_owned()
    } else {
        format!("{} {}", target.kind, target.name)
    }
}

fn grantee(item: &Item) -> String {
    if item.grantee.is_empty() { "PUBLIC".to_owned() } else { quote::quote_ident(&item.grantee) }
}

/// Privilege letters of a kind and their names, in the order `GRANT` lists read best.
fn names(kind: &str, is_column: bool, version: i32) -> &'static [(char, &'static str)] {
    match kind {
        "TABLE" | "TABLES" if is_column => {
            &[('r', "SELECT"), ('a', "INSERT"), ('x', "REFERENCES"), ('w', "UPDATE")]
        }
        "TABLE" | "TABLES" if version >= 170_000 => &[
            ('r', "SELECT"),
            ('a', "INSERT"),
            ('x', "REFERENCES"),
            ('d', "DELETE"),
            ('t', "TRIGGER"),
            ('D', "TRUNCATE"),
            ('m', "MAINTAIN"),
            ('w', "UPDATE"),
        ],
        "TABLE" | "TABLES" => &[
            ('r', "SELECT"),
            ('a', "INSERT"),
            ('x', "REFERENCES"),
            ('d', "DELETE"),
            ('t', "TRIGGER"),
            ('D', "TRUNCATE"),
            ('w', "UPDATE"),
        ],
        "SEQUENCE" | "SEQUENCES" => &[('r', "SELECT"), ('U', "USAGE"), ('w', "UPDATE")],
        "FUNCTION" | "FUNCTIONS" | "PROCEDURE" => &[('X', "EXECUTE")],
        "LANGUAGE" | "TYPE" | "TYPES" | "FOREIGN DATA WRAPPER" | "FOREIGN SERVER" => {
            &[('U', "USAGE")]
        }
        "SCHEMA" | "SCHEMAS" => &[('C', "CREATE"), ('U', "USAGE")],
        "DATABASE" => &[('C', "CREATE"), ('c', "CONNECT"), ('T', "TEMPORARY")],
        "LARGE OBJECT" | "LARGE OBJECTS" => &[('r', "SELECT"), ('w', "UPDATE")],
        _ => &[],
    }
}

/// Lists of privileges without and with grant option. `ALL` where an item holds everything its
/// kind has, so that a newer server with more privileges gives them too.
fn privileges(
    item: &Item,
    target: &Target<'_>,
    split_options: bool,
    text: &str,
) -> Result<(String, String), Error> {
    let known = names(target.kind, target.column.is_some(), target.version);
    if let Some((letter, _)) =
        item.letters.iter().find(|(letter, _)| !known.iter().any(|(name, _)| name == letter))
    {
        return Err(unreadable(target, text, &format!("privilege {letter:?} is unknown")));
    }
    let mut plain = Vec::new();
    let mut with_option = Vec::new();
    for (letter, name) in known {
        if let Some((_, option)) = item.letters.iter().find(|(held, _)| held == letter) {
            if *option && split_options { &mut with_option } else { &mut plain }.push(*name);
        }
    }
    let list = |held: Vec<&str>| {
        let column =
            target.column.map(|name| format!("({})", quote::quote_ident(name))).unwrap_or_default();
        if held.len() == known.len() {
            return format!("ALL{column}");
        }
        held.iter().map(|name| format!("{name}{column}")).collect::<Vec<_>>().join(",")
    };
    Ok((list(plain), list(with_option)))
}

fn parse(text: &str, target: &Target<'_>) -> Result<Item, Error> {
    let malformed = || unreadable(target, text, "it is malformed");
    let mut rest = text.chars().peekable();
    let grantee = role(&mut rest, '=').ok_or_else(malformed)?;
    let mut letters: Vec<(char, bool)> = Vec::new();
    loop {
        match rest.next() {
            Some('/') => break,
            Some('*') => letters.last_mut().ok_or_else(malformed)?.1 = true,
            Some(letter) => letters.push((letter, false)),
            None => return Err(malformed()),
        }
    }
    let grantor = role(&mut rest, '\0').ok_or_else(malformed)?;
    Ok(Item { grantee, grantor, letters })
}

/// A role name up to and including `end` (`'\0'`: the end of the text), quotes removed.
fn role(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, end: char) -> Option<String> {
    let mut name = String::new();
    let mut quoted = false;
    loop {
        match rest.next() {
            Some('"') if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                name.push('"');
            }
            Some('"') => quoted = !quoted,
            Some(c) if c == end && !quoted => return Some(name),
            Some(c) => name.push(c),
            None => return (end == '\0' && !quoted).then_some(name),
        }
    }
}

fn unreadable(target: &Target<'_>, text: &str, why: &str) -> Error {
    Error::Refused {
        what: format!("cannot express grant {text:?} on {}: {why}", on(target)),
        hint: "dump this database with pg_dump until a newer version knows this privilege".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<'a>(column: Option<&'a str>) -> Target<'a> {
        Target {
            kind: "TABLE",
            name: "public.t",
            column,
            owner: Some("alice"),
            prefix: "",
            version: 150_000,
        }
    }

    fn items(list: &[&str]) -> Vec<String> {
        list.iter().map(|&item| item.to_owned()).collect()
    }

    #[test]
    fn equal_grants_need_no_statement() {
        let acl = items(&["alice=arwdDxt/alice", "bob=r/alice"]);
        assert_eq!(difference(&table(None), &acl, &acl).unwrap(), "");
    }

    #[test]
    fn lost_defaults_are_revoked_before_anything_is_granted() {
        let current = items(&["=r/alice", "alice=r/alice"]);
        let sql = difference(&table(None), &current, &items(&["alice=arwdDxt/alice"])).unwrap();
        assert_eq!(
            sql,
            "REVOKE ALL ON TABLE public.t FROM alice;\n\
             GRANT SELECT ON TABLE public.t TO alice;\n\
             GRANT SELECT ON TABLE public.t TO PUBLIC;\n"
        );
    }

    #[test]
    fn another_grantor_grants_in_its_own_name() {
        let current = items(&["alice=arwdDxt/alice", "bob=r*w/alice", "\"C d\"=r/bob"]);
        let sql = difference(&table(None), &current, &items(&["alice=arwdDxt/alice"])).unwrap();
        assert_eq!(
            sql,
            "GRANT UPDATE ON TABLE public.t TO bob;\n\
             GRANT SELECT ON TABLE public.t TO bob WITH GRANT OPTION;\n\
             SET SESSION AUTHORIZATION bob;\n\
             GRANT SELECT ON TABLE public.t TO \"C d\";\n\
             RESET SESSION AUTHORIZATION;\n"
        );
    }

    #[test]
    fn column_grants_name_the_column_in_each_privilege() {
        let current = items(&["bob=rw/alice", "carol=arwx/alice"]);
        assert_eq!(
            difference(&table(Some("Id")), &current, &[]).unwrap(),
            "GRANT SELECT(\"Id\"),UPDATE(\"Id\") ON TABLE public.t TO bob;\n\
             GRANT ALL(\"Id\") ON TABLE public.t TO carol;\n"
        );
    }

    #[test]
    fn unknown_privileges_are_refused_by_name() {
        let error = difference(&table(None), &items(&["bob=Q/alice"]), &[]).unwrap_err();
        assert!(error.to_string().contains("'Q'"), "{error}");
        for broken in ["bob", "bob=r", "\"bob=r/alice", "bob=*r/alice"] {
            assert!(difference(&table(None), &items(&[broken]), &[]).is_err(), "{broken}");
        }
    }
}
