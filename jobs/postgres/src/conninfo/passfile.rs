//! `~/.pgpass`: passwords by host, port, database and user.
//!
//! Follows `passwordFromFile()` in `src/interfaces/libpq/fe-connect.c`: a file that others may
//! read is not used. libpq warns of that and goes on without a password, so do we; the reason
//! is kept for the hint of the failure that follows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::secret::Secret;

/// What a password file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A password.
    Password(Secret),
    /// No file, or no line that matches.
    Nothing,
    /// The file was not used, and why.
    Unusable(String),
}

/// What is looked up.
pub(super) struct Wanted<'a> {
    /// Host name, address or socket folder.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: &'a str,
    /// Role.
    pub user: &'a str,
}

/// Looks `wanted` up in the file at `path`.
pub(super) fn lookup(path: &Path, wanted: &Wanted<'_>) -> Found {
    let Ok(metadata) = std::fs::metadata(path) else {
        return Found::Nothing;
    };
    if !metadata.is_file() {
        return Found::Unusable(format!("password file {} is not a plain file", path.display()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Found::Unusable(format!(
            "password file {} has group or world access and was not used; chmod it to 0600",
            path.display()
        ));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => {
            search(&text, wanted).map_or(Found::Nothing, |p| Found::Password(Secret::new(p)))
        }
        Err(error) => {
            Found::Unusable(format!("cannot read password file {}: {error}", path.display()))
        }
    }
}

fn search(text: &str, wanted: &Wanted<'_>) -> Option<String> {
    // A default socket folder is looked up as "localhost".
    let host = match wanted.host {
        "" | "/var/run/postgresql" | "/run/postgresql" | "/tmp" => "localhost",
        host => host,
    };
    let port = wanted.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let rest = field(line, host)?;
        let rest = field(rest, &port)?;
        let rest = field(rest, wanted.database)?;
        let rest = field(rest, wanted.user)?;
        Some(unescape(rest.trim_end_matches('\r')))
    })
}

/// What follows the first field of `line`, if that field is `*` or `value`.
fn field<'a>(line: &'a str, value: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut chars = line.char_indices();
    let mut wanted = value.chars();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            ':' => return wanted.next().is_none().then(|| &line[at + 1..]),
            '\\' => chars.next()?.1,
            c => c,
        };
        if wanted.next() != Some(c) {
            return None;
        }
    }
    None
}

/// The password: `\:` and `\\` stand for `:` and `\`, and the field ends at a bare `:`.
fn unescape(text: &str) -> String {
    let mut password = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => break,
            '\\' => password.extend(chars.next()),
            c => password.push(c),
        }
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# h:1:d:u:comment\nh:1:d:u:one\nh:*:d:u:two\nlocalhost:5432:*:u:local\n\\:\\:1:5432:d:u:a\\:b\\\\c:rest\n*:*:*:*:any\r\n";

    fn wanted<'a>(host: &'a str, port: u16, database: &'a str, user: &'a str) -> Wanted<'a> {
        Wanted { host, port, database, user }
    }

    #[test]
    fn first_matching_line_counts() {
        let find =
            |host, port, database, user| search(FILE, &wanted(host, port, database, user)).unwrap();
        assert_eq!(find("h", 1, "d", "u"), "one");
        assert_eq!(find("h", 2, "d", "u"), "two");
        assert_eq!(find("/var/run/postgresql", 5432, "x", "u"), "local");
        assert_eq!(find("::1", 5432, "d", "u"), "a:b\\c");
        assert_eq!(find("hh", 1, "d", "u"), "any");
        assert_eq!(find("h", 1, "d", "uu"), "any");
        assert_eq!(search("h:1:d:u:p", &wanted("h", 1, "d", "v")), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "*:*:*:*:p\n").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            lookup(file.path(), &wanted("h", 1, "d", "u"))
        };
        assert_eq!(mode(0o600), Found::Password(Secret::new("p")));
        assert!(matches!(mode(0o640), Found::Unusable(why) if why.contains("0600")));
        assert_eq!(lookup(Path::new("/nonexistent"), &wanted("h", 1, "d", "u")), Found::Nothing);
    }
}
