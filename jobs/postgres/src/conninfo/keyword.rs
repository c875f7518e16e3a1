//! libpq's connection keywords: which there are, which variable gives each its default, and
//! what is done with those that this program cannot honour.
//!
//! From `PQconninfoOptions` in `src/interfaces/libpq/fe-connect.c`, PostgreSQL 13 to 18.

use std::collections::BTreeMap;

use super::settings_error;
use crate::Error;

/// How a keyword is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    /// Honoured.
    Yes,
    /// Has no effect here, which is said and does no harm.
    Unused,
    /// Honoured by doing nothing for these values; any other value is refused.
    Only(&'static [&'static str]),
}

/// One keyword.
#[derive(Debug)]
struct Keyword {
    name: &'static str,
    variable: Option<&'static str>,
    support: Support,
}

const fn known(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword { name, variable, support: Support::Yes }
}

const fn unused(name: &'static str) -> Keyword {
    Keyword { name, variable: None, support: Support::Unused }
}

const fn only(
    name: &'static str,
    variable: Option<&'static str>,
    values: &'static [&'static str],
) -> Keyword {
    Keyword { name, variable, support: Support::Only(values) }
}

const KEYWORDS: &[Keyword] = &[
    known("service", Some("PGSERVICE")),
    known("servicefile", Some("PGSERVICEFILE")),
    known("user", Some("PGUSER")),
    known("password", Some("PGPASSWORD")),
    known("passfile", Some("PGPASSFILE")),
    known("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    known("dbname", Some("PGDATABASE")),
    known("host", Some("PGHOST")),
    known("hostaddr", Some("PGHOSTADDR")),
    known("port", Some("PGPORT")),
    known("options", Some("PGOPTIONS")),
    known("application_name", Some("PGAPPNAME")),
    known("fallback_application_name", None),
    known("sslmode", Some("PGSSLMODE")),
    known("sslcert", Some("PGSSLCERT")),
    known("sslkey", Some("PGSSLKEY")),
    known("sslrootcert", Some("PGSSLROOTCERT")),
    known("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    // An export always speaks UTF-8, and SQL_ASCII where the database does.
    only("client_encoding", Some("PGCLIENTENCODING"), &["auto", "UTF8", "utf8", "UTF-8", "utf-8"]),
    only("channel_binding", Some("PGCHANNELBINDING"), &["prefer", "disable"]),
    only("sslnegotiation", Some("PGSSLNEGOTIATION"), &["postgres"]),
    only("sslcompression", Some("PGSSLCOMPRESSION"), &["0"]),
    only("sslcertmode", Some("PGSSLCERTMODE"), &["allow"]),
    only("sslpassword", None, &[]),
    only("sslcrl", Some("PGSSLCRL"), &[]),
    only("sslcrldir", Some("PGSSLCRLDIR"), &[]),
    only("sslsni", Some("PGSSLSNI"), &["1"]),
    only("sslkeylogfile", None, &[]),
    only(
        "ssl_min_protocol_version",
        Some("PGSSLMINPROTOCOLVERSION"),
        &["TLSv1", "TLSv1.1", "TLSv1.2"],
    ),
    only("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), &["TLSv1.3"]),
    only("min_protocol_version", Some("PGMINPROTOCOLVERSION"), &["3.0"]),
    only("max_protocol_version", Some("PGMAXPROTOCOLVERSION"), &["3.0", "3.2", "latest"]),
    only("requirepeer", Some("PGREQUIREPEER"), &[]),
    only("require_auth", Some("PGREQUIREAUTH"), &[]),
    only("gssencmode", Some("PGGSSENCMODE"), &["disable", "prefer"]),
    only("gssdelegation", Some("PGGSSDELEGATION"), &["0"]),
    only("krbsrvname", Some("PGKRBSRVNAME"), &["postgres"]),
    only("gsslib", Some("PGGSSLIB"), &["gssapi"]),
    only("load_balance_hosts", Some("PGLOADBALANCEHOSTS"), &["disable"]),
    only("replication", None, &["false", "off", "no", "0"]),
    only("scram_client_key", None, &[]),
    only("scram_server_key", None, &[]),
    only("oauth_issuer", None, &[]),
    only("oauth_client_id", None, &[]),
    only("oauth_client_secret", None, &[]),
    only("oauth_scope", None, &[]),
    // The driver leaves its sockets as they are. A server that is gone is noticed all the same:
    // an export asks for a sign of life every half minute.
    unused("keepalives"),
    unused("keepalives_idle"),
    unused("keepalives_interval"),
    unused("keepalives_count"),
    unused("tcp_user_timeout"),
    // Accepted and ignored by libpq itself.
    known("authtype", Some("PGAUTHTYPE")),
    known("tty", Some("PGTTY")),
];

/// The keyword's own spelling, if it is one.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    KEYWORDS.iter().find(|k| k.name == name).map(|k| k.name)
}

/// Every keyword that a variable gives a default, with that variable.
pub(super) fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYWORDS.iter().filter_map(|k| Some((k.name, k.variable?)))
}

/// Settings that have no effect here.
pub(super) fn unused_in(settings: &BTreeMap<&'static str, String>) -> Vec<&'static str> {
    KEYWORDS
        .iter()
        .filter(|k| k.support == Support::Unused && settings.contains_key(k.name))
        .map(|k| k.name)
        .collect()
}

/// The error for a keyword that libpq does not know, naming the nearest that it does.
pub(super) fn unknown(name: &str, place: &str) -> Error {
    let near = KEYWORDS
        .iter()
        .map(|k| (distance(name, k.name), k.name))
        .min()
        .filter(|(d, _)| *d <= 2)
        .map(|(_, near)| near);
    // What is like no keyword may be a part of a password.
    let name = near.map(|_| format!("keyword {name:?}")).unwrap_or_else(|| "keyword".to_owned());
    let near = near.map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
    settings_error(
        format!("unknown {name} in {place}"),
        format!("{near}the keywords are libpq's: host, port, dbname, user, sslmode, ..."),
    )
}

/// Refuses a setting whose value asks for something that is not done.
pub(super) fn check_supported(settings: &BTreeMap<&'static str, String>) -> Result<(), Error> {
    for keyword in KEYWORDS {
        let Support::Only(values) = keyword.support else {
            continue;
        };
        let Some(value) = settings.get(keyword.name).filter(|v| !v.is_empty()) else {
            continue;
        };
        if values.contains(&value.as_str()) {
            continue;
        }
        let name = keyword.name;
        let variable = keyword.variable.map(|v| format!(" (or {v})")).unwrap_or_default();
        // The value may be a secret (`sslpassword`, `oauth_client_secret`), so it is not shown.
        let what = if values.is_empty() {
            format!("{name} is not supported")
        } else {
            format!("this value of {name} is not supported")
        };
        let hint = if values.is_empty() {
            format!("leave {name}{variable} unset")
        } else {
            format!("leave {name}{variable} unset, or set it to {}", values.join(" or "))
        };
        return Err(settings_error(what, hint));
    }
    Ok(())
}

/// Levenshtein distance, for suggestions.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("hots", "host"), 2);
        assert_eq!(distance("host", "host"), 0);
        assert_eq!(distance("hosst", "host"), 1);
    }

    #[test]
    fn a_misspelt_keyword_is_answered_with_the_right_one() {
        let error = unknown("sslmod", "the connection string");
        assert_eq!(
            error.to_string(),
            "invalid connection settings: unknown keyword \"sslmod\" in the connection string"
        );
        assert!(error.hint().unwrap().contains("\"sslmode\""));
    }

    #[test]
    fn settings_without_effect_are_told_apart() {
        let settings = [("keepalives_idle", "30".to_owned()), ("host", "h".to_owned())].into();
        assert_eq!(unused_in(&settings), ["keepalives_idle"]);
        check_supported(&settings).unwrap();
    }

    #[test]
    fn unsupported_settings_are_refused_by_name() {
        let mut settings = BTreeMap::new();
        settings.insert("channel_binding", "require".to_owned());
        let error = check_supported(&settings).unwrap_err();
        assert!(error.to_string().contains("channel_binding"));
        settings.insert("channel_binding", "prefer".to_owned());
        check_supported(&settings).unwrap();
        settings.insert("sslpassword", "hush".to_owned());
        let error = check_supported(&settings).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}
