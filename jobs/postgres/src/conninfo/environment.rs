//! What libpq takes from the process around it, passed in so that tests can choose it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Variables, home folder and operating-system user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Environment variables that matter here: those that start with `PG`.
    pub variables: BTreeMap<String, String>,
    /// The user's home folder, for `~/.pgpass`, `~/.pg_service.conf` and `~/.postgresql/`.
    pub home: Option<PathBuf>,
    /// The operating-system user's name, the default role.
    pub user: Option<String>,
}

impl Environment {
    /// That of this process. Variables whose value is not UTF-8 are left out.
    pub fn of_process() -> Self {
        let account = Account::current();
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, _)| name.starts_with("PG"))
                .collect(),
            home: std::env::var_os("HOME")
                .filter(|home| !home.is_empty())
                .map(PathBuf::from)
                .or_else(|| account.as_ref().map(|a| a.home.clone())),
            user: account.map(|a| a.name),
        }
    }

    /// The value of `name`, which counts as unset when it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}

impl fmt::Debug for Environment {
    /// Names only: `PGPASSWORD` is among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("home", &self.home)
            .field("user", &self.user)
            .finish()
    }
}

/// One line of the user database.
struct Account {
    name: String,
    home: PathBuf,
}

impl Account {
    /// The account of the real user id, from `/etc/passwd` (see passwd(5)): a static program
    /// has no name service to ask.
    fn current() -> Option<Self> {
        let uid = rustix::process::getuid().as_raw().to_string();
        let file = std::fs::read_to_string("/etc/passwd").ok()?;
        file.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let found = fields.nth(1)? == uid;
            let home = fields.nth(2)?;
            found.then(|| Self { name: name.to_owned(), home: PathBuf::from(home) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_values() {
        let environment = Environment {
            variables: BTreeMap::from([("PGPASSWORD".to_owned(), "hush".to_owned())]),
            ..Environment::default()
        };
        assert!(!format!("{environment:?}").contains("hush"));
    }

    #[test]
    fn the_process_has_a_user_and_a_home() {
        let environment = Environment::of_process();
        assert!(environment.user.is_some());
        assert!(environment.home.is_some());
    }
}
