//! `pg_service.conf`: named groups of connection settings.
//!
//! Follows `parseServiceInfo()` in `src/interfaces/libpq/fe-connect.c`: the user's file first,
//! then the system's; within a group the first setting of a keyword counts.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::parse::Settings;
use super::{keyword, settings_error};
use crate::Error;

/// Where Debian's and Ubuntu's libpq, and so most images, look for the system's file.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// The settings of `service`. `file` is the `servicefile` keyword or `PGSERVICEFILE`.
pub(super) fn load(
    service: &str,
    file: Option<&str>,
    environment: &Environment,
) -> Result<Settings, Error> {
    let user_file = match file {
        Some(file) => Some(PathBuf::from(file)),
        None => environment.home.as_ref().map(|home| home.join(".pg_service.conf")),
    };
    let system_folder = environment.get("PGSYSCONFDIR").unwrap_or(SYSTEM_FOLDER);
    let system_file = Path::new(system_folder).join("pg_service.conf");

    let mut tried = Vec::new();
    for path in user_file.into_iter().chain([system_file]) {
        tried.push(path.display().to_string());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(settings_error(
                    format!("cannot read service file {}: {error}", path.display()),
                    "make it readable for this user, or name another with PGSERVICEFILE",
                ));
            }
        };
        if let Some(settings) = group(&text, service, &path)? {
            return Ok(settings);
        }
    }
    Err(settings_error(
        format!("service {service:?} is not defined"),
        format!("define [{service}] in one of: {}", tried.join(", ")),
    ))
}

/// The settings of one group, or `None` when the file does not have it.
fn group(text: &str, service: &str, path: &Path) -> Result<Option<Settings>, Error> {
    let place = |number: usize| format!("service file {}, line {}", path.display(), number + 1);
    let mut found: Option<Settings> = None;
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_matches(|c: char| c.is_ascii_whitespace());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            inside = name.strip_suffix(']') == Some(service);
            if inside {
                found = Some(Settings::new());
            }
            continue;
        }
        let Some(settings) = found.as_mut().filter(|_| inside) else {
            continue;
        };
        if line.starts_with("ldap") && !line.contains('=') || line.starts_with("ldap://") {
            return Err(settings_error(
                format!("LDAP lookup is not supported in {}", place(number)),
                "write the settings into the service file",
            ));
        }
        let (name, value) = line.split_once('=').ok_or_else(|| {
            settings_error(format!("syntax error in {}", place(number)), "write keyword=value")
        })?;
        if name == "service" || name == "servicefile" {
            return Err(settings_error(
                format!("nested service in {}", place(number)),
                "a service cannot refer to another one",
            ));
        }
        let name =
            keyword::canonical(name).ok_or_else(|| keyword::unknown(name, &place(number)))?;
        settings.entry(name).or_insert_with(|| value.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[other]\nhost=elsewhere\n\n[mine]\n  host=db \nport=5433\nport=1\npassword= a=b\n[mine]\nuser=never\n";

    #[test]
    fn first_setting_of_the_named_group_counts() {
        let settings = group(FILE, "mine", Path::new("f")).unwrap().unwrap();
        let pairs: Vec<_> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(pairs, [("host", "db"), ("password", " a=b"), ("port", "5433")]);
    }

    #[test]
    fn broken_lines_matter_only_in_the_named_group() {
        let text = "[a]\nnonsense\n[b]\nhost=h\n[c]\nhots=h\n[d]\nservice=a\n";
        assert!(group(text, "b", Path::new("f")).unwrap().is_some());
        assert!(group(text, "x", Path::new("f")).unwrap().is_none());
        for (name, line) in [("a", "line 2"), ("c", "line 6"), ("d", "line 8")] {
            let error = group(text, name, Path::new("f")).unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
    }

    #[test]
    fn the_users_file_comes_before_the_systems() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".pg_service.conf"), "[a]\nhost=user\n").unwrap();
        std::fs::write(
            folder.path().join("pg_service.conf"),
            "[a]\nhost=system\n[b]\nhost=system\n",
        )
        .unwrap();
        let environment = Environment {
            variables: [("PGSYSCONFDIR".to_owned(), folder.path().display().to_string())].into(),
            home: Some(folder.path().to_path_buf()),
            user: None,
        };
        assert_eq!(load("a", None, &environment).unwrap()["host"], "user");
        assert_eq!(load("b", None, &environment).unwrap()["host"], "system");
        let error = load("c", None, &environment).unwrap_err();
        assert_eq!(error.to_string(), "invalid connection settings: service \"c\" is not defined");
    }
}
