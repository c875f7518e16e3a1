//! Parsing of the command line, with the one rule that the parser cannot express: no password
//! may stand in an argument, where every user of the machine can read it.

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::Cli;
use crate::config::ConfigError;

/// A parsed command line.
pub struct Arguments {
    /// What was typed.
    pub cli: Cli,
    /// Why it is refused all the same.
    pub refusal: Option<ConfigError>,
}

/// Options that take connection texts: argument id, flag and variable.
const CONNECTIONS: [(&str, &str, &str); 3] = [
    ("database", "--database", "AIDP_BACKUP_DATABASE"),
    ("into", "--into", "AIDP_BACKUP_INTO"),
    ("scratch", "--scratch", "AIDP_BACKUP_SCRATCH"),
];

/// Parses the process's arguments; ends it for `--help`, `--version` and usage errors (2).
pub fn parse() -> Arguments {
    let matches = Cli::command().get_matches();
    let refusal = refuse_passwords(&matches);
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => Arguments { cli, refusal },
        Err(error) => error.exit(),
    }
}

fn refuse_passwords(matches: &ArgMatches) -> Option<ConfigError> {
    for (id, flag, variable) in CONNECTIONS {
        if matches.ids().all(|known| known.as_str() != id)
            || matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let texts = matches.try_get_many::<String>(id).ok().flatten();
        if texts.into_iter().flatten().any(|text| holds_password(text)) {
            return Some(ConfigError::PasswordInArguments { flag, variable });
        }
    }
    matches.subcommand().and_then(|(_, matches)| refuse_passwords(matches))
}

/// Whether a connection text, URL or key=value, holds a password.
fn holds_password(text: &str) -> bool {
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if user.and_then(|user| user.split_once(':')).is_some_and(|(_, word)| !word.is_empty()) {
            return true;
        }
    }
    // `password`, `sslpassword`, in any of the two forms, with or without spaces around `=`.
    text.match_indices("password").any(|(at, word)| {
        let after = text.get(at + word.len()..).unwrap_or_default().trim_start();
        after.strip_prefix('=').is_some_and(|value| !value.is_empty() && !value.starts_with('&'))
    })
}

#[cfg(test)]
mod tests {
    use super::holds_password;

    #[test]
    fn passwords_are_found_in_every_form() {
        for text in [
            "postgresql://u:pw@h/d",
            "postgres://u:p@h1,h2:5432/d?sslmode=require",
            "postgresql://h/d?user=u&password=pw",
            "host=h password=pw",
            "host=h password = 'p w'",
            "host=h sslpassword=x",
        ] {
            assert!(holds_password(text), "{text}");
        }
    }

    #[test]
    fn texts_without_a_password_pass() {
        for text in [
            "postgresql://u@h:5432/d",
            "postgresql://u:@h/d",
            "postgresql:///d?host=/run",
            "postgresql://[::1]:5432/d",
            "host=h user=u",
            "service=prod",
            "temporal",
            "postgresql://h/passwords",
        ] {
            assert!(!holds_password(text), "{text}");
        }
    }
}
