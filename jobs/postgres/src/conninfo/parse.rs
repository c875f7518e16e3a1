//! The two forms of a connection string: `key=value` and `postgresql://`.
//!
//! Follows `conninfo_parse()` and `conninfo_uri_parse_options()` in
//! `src/interfaces/libpq/fe-connect.c`. What cannot be parsed is described without quoting
//! the string, which may hold a password.

use std::collections::BTreeMap;

use super::{keyword, settings_error};
use crate::Error;

/// Explicit settings, by libpq's keyword.
pub(super) type Settings = BTreeMap<&'static str, String>;

/// A URL, a list of `key=value`, or a bare database name.
pub(super) fn parse(text: &str) -> Result<Settings, Error> {
    if let Some(rest) =
        text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"))
    {
        url(rest)
    } else if text.contains('=') {
        key_value(text)
    } else if text.is_empty() {
        Ok(Settings::new())
    } else if looks_like_address(text) {
        Err(settings_error(
            "this is neither a URL of PostgreSQL nor the name of a database".to_owned(),
            "a URL begins with postgresql://; a database whose name looks like an address is given as dbname='...'",
        ))
    } else {
        Ok(Settings::from([("dbname", text.to_owned())]))
    }
}

/// Whether a text that is no connection string looks like one that was misspelt, which may hold a
/// password.
fn looks_like_address(text: &str) -> bool {
    text.contains(":/") || text.split_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn set(settings: &mut Settings, name: &str, value: String, place: &str) -> Result<(), Error> {
    let name = keyword::canonical(name).ok_or_else(|| keyword::unknown(name, place))?;
    // As in libpq, the last one counts.
    settings.insert(name, value);
    Ok(())
}

fn key_value(text: &str) -> Result<Settings, Error> {
    const PLACE: &str = "the connection string";
    let broken = |what: &str| {
        settings_error(
            format!("{what} in the connection string"),
            "write key=value pairs separated by spaces, values with spaces in single quotes, \\' and \\\\ for ' and \\ in them",
        )
    };
    let mut settings = Settings::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(settings);
        }
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
            name.push(c);
        }
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.next() != Some('=') {
            return Err(broken("missing \"=\" after a keyword"));
        }
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}

        let mut value = String::new();
        if chars.next_if_eq(&'\'').is_some() {
            loop {
                match chars.next() {
                    None => return Err(broken("unterminated quoted value")),
                    Some('\'') => break,
                    Some('\\') => value.extend(chars.next()),
                    Some(c) => value.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
                if c == '\\' {
                    value.extend(chars.next());
                } else {
                    value.push(c);
                }
            }
        }
        set(&mut settings, &name, value, PLACE)?;
    }
}

fn url(rest: &str) -> Result<Settings, Error> {
    const PLACE: &str = "the connection URL";
    let mut settings = Settings::new();
    let mut rest = rest;

    // Credentials end at the first "@", if that comes before the first "/".
    if let Some(at) = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@')) {
        let (credentials, after) = (&rest[..at], &rest[at + 1..]);
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        if !user.is_empty() {
            settings.insert("user", decode(user)?);
        }
        if let Some(password) = password.filter(|p| !p.is_empty()) {
            settings.insert("password", decode(password)?);
        }
        rest = after;
    }

    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    hosts(authority, &mut settings)?;

    let (path, query) = match after.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (after, None),
    };
    if let Some(dbname) = path.strip_prefix('/').filter(|d| !d.is_empty()) {
        settings.insert("dbname", decode(dbname)?);
    }
    for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            settings_error(
                "a query parameter of the connection URL has no \"=\"",
                "write ?name=value&name=value after the database name",
            )
        })?;
        if value.contains('=') {
            return Err(settings_error(
                format!(
                    "query parameter {:?} of the connection URL has a second \"=\"",
                    decode(name)?
                ),
                "write \"=\" inside a value as %3D",
            ));
        }
        let (name, value) = (decode(name)?, decode(value)?);
        // JDBC's way of saying it, which libpq takes too.
        if name == "ssl" && value == "true" {
            settings.insert("sslmode", "require".to_owned());
        } else {
            set(&mut settings, &name, value, PLACE)?;
        }
    }
    Ok(settings)
}

/// `host[:port],...` with IPv6 addresses in brackets.
fn hosts(authority: &str, settings: &mut Settings) -> Result<(), Error> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for part in authority.split(',') {
        let (host, port) = if let Some(inner) = part.strip_prefix('[') {
            let (address, after) = inner.split_once(']').ok_or_else(|| {
                settings_error(
                    "missing \"]\" after an IPv6 address in the connection URL",
                    "write [::1]:5432",
                )
            })?;
            if address.is_empty() || !(after.is_empty() || after.starts_with(':')) {
                return Err(settings_error(
                    "malformed IPv6 address in the connection URL",
                    "write [::1]:5432",
                ));
            }
            (address, after.strip_prefix(':').unwrap_or_default())
        } else {
            part.split_once(':').unwrap_or((part, ""))
        };
        names.push(decode(host)?);
        ports.push(decode(port)?);
    }
    if names.iter().any(|n| !n.is_empty()) {
        settings.insert("host", names.join(","));
    }
    if ports.iter().any(|p| !p.is_empty()) {
        settings.insert("port", ports.join(","));
    }
    Ok(())
}

/// Percent-decoding; a password with a bare `%` is the usual reason for a failure.
fn decode(text: &str) -> Result<String, Error> {
    let malformed = || {
        settings_error(
            "invalid percent-encoding in the connection URL",
            "write special characters as %XX: % as %25, @ as %40, / as %2F, : as %3A",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(malformed());
        };
        match u8::try_from(high * 16 + low) {
            Ok(0) | Err(_) => return Err(malformed()),
            Ok(byte) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(&'static str, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    #[track_caller]
    fn same(text: &str, expected: &[(&'static str, &str)]) {
        let expected: Settings = expected.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_looks_like_a_misspelt_url_is_refused_without_its_password() {
        for text in [
            "postgresql:/u:hunter2@h/db",
            "u:hunter2@h/db",
            "https://u:hunter2@h/db",
            "a b=hunter2",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        same("a@b", &[("dbname", "a@b")]);
    }

    #[test]
    fn urls_of_the_manual_parse() {
        same("postgresql://", &[]);
        same("postgresql://localhost", &[("host", "localhost")]);
        same("postgresql://localhost:5433", &[("host", "localhost"), ("port", "5433")]);
        same("postgres://localhost/mydb", &[("host", "localhost"), ("dbname", "mydb")]);
        same("postgresql://user@localhost", &[("user", "user"), ("host", "localhost")]);
        same(
            "postgresql://user:secret@localhost",
            &[("user", "user"), ("password", "secret"), ("host", "localhost")],
        );
        same(
            "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp",
            &[
                ("user", "other"),
                ("host", "localhost"),
                ("dbname", "otherdb"),
                ("connect_timeout", "10"),
                ("application_name", "myapp"),
            ],
        );
        same(
            "postgresql://host1:123,host2:456/somedb?target_session_attrs=any",
            &[
                ("host", "host1,host2"),
                ("port", "123,456"),
                ("dbname", "somedb"),
                ("target_session_attrs", "any"),
            ],
        );
        same(
            "postgresql://user@localhost:5433/mydb?options=-c%20synchronous_commit%3Doff",
            &[
                ("user", "user"),
                ("host", "localhost"),
                ("port", "5433"),
                ("dbname", "mydb"),
                ("options", "-c synchronous_commit=off"),
            ],
        );
        same(
            "postgresql:///mydb?host=localhost&port=5433",
            &[("dbname", "mydb"), ("host", "localhost"), ("port", "5433")],
        );
        same(
            "postgresql://[2001:db8::1234]/database",
            &[("host", "2001:db8::1234"), ("dbname", "database")],
        );
        same(
            "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname",
            &[("host", "/var/lib/postgresql"), ("dbname", "dbname")],
        );
        same(
            "postgresql:///dbname?host=/var/lib/postgresql",
            &[("host", "/var/lib/postgresql"), ("dbname", "dbname")],
        );
        same(
            "postgresql://h/d?ssl=true",
            &[("host", "h"), ("dbname", "d"), ("sslmode", "require")],
        );
        same("postgresql://[::1]:1,[::2]", &[("host", "::1,::2"), ("port", "1,")]);
    }

    #[test]
    fn passwords_may_hold_anything_percent_encoded() {
        same(
            "postgresql://u:p%40%2F%3A%25@h",
            &[("user", "u"), ("password", "p@/:%"), ("host", "h")],
        );
        same("postgresql://u:a?b:c@h", &[("user", "u"), ("password", "a?b:c"), ("host", "h")]);
    }

    #[test]
    fn key_value_quoting_follows_libpq() {
        same(
            r"host = 'a b'  password='it\'s \\ here' user=x\ y dbname=''",
            &[("host", "a b"), ("password", r"it's \ here"), ("user", "x y"), ("dbname", "")],
        );
        assert_eq!(pairs("port=1 port=2"), [("port", "2".to_owned())]);
        same("mydb", &[("dbname", "mydb")]);
    }

    #[test]
    fn broken_strings_are_refused_without_showing_them() {
        for text in [
            "host=x hush",
            "password='hush",
            "postgresql://u:hush%4@h",
            "postgresql://u:hush%00@h",
            "postgresql://u:hush@[::1",
            "postgresql://u:hush@[]/x",
            "postgresql://u:hush@h/x?sslmode",
            "postgresql://u:hush@h/x?sslmode=a=b",
            "postgresql://u:hush@h/x?nonsense=1",
            "nonsense=1 password=hush",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
            assert!(error.hint().is_some());
        }
    }
}
