//! Visibility queries.
//!
//! Every part that comes from a user is put in parentheses, and is refused when its own do not
//! balance: nothing that it says can then reach beyond it.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::error::Error;

/// Lists every namespace division: without a word about it the server leaves out its own
/// scheduler's executions.
const ALL_DIVISIONS: &str =
    "(TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL)";

/// The query for closed executions that match `filter` (empty for all), with close time from
/// `from` inclusive to `to` exclusive. The server keeps microseconds, and so does the query.
pub fn closed(filter: &str, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> String {
    let mut query = "ExecutionStatus != 'Running'".to_owned();
    let mut and = |condition: String| {
        query.push_str(" AND ");
        query.push_str(&condition);
    };
    if let Some(from) = from {
        and(format!("CloseTime >= '{}'", time(from)));
    }
    if let Some(to) = to {
        and(format!("CloseTime < '{}'", time(to)));
    }
    if !filter.is_empty() {
        and(format!("({filter})"));
    }
    query
}

/// The one text for a restriction: the user's filter, the statuses wanted (all when empty), and
/// whether the server's own scheduler executions count.
///
/// # Errors
/// When the filter's quotes or parentheses do not balance, or a status is none.
pub fn restriction(filter: &str, statuses: &[&str], scheduler_runs: bool) -> Result<String, Error> {
    let filter = filter.trim();
    check(filter)?;
    let mut parts = Vec::new();
    if !filter.is_empty() {
        parts.push(format!("({filter})"));
    }
    if !statuses.is_empty() {
        let mut names = statuses.iter().map(|name| status(name)).collect::<Result<Vec<_>, _>>()?;
        names.sort_unstable();
        names.dedup();
        let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        parts.push(format!("ExecutionStatus IN ({})", quoted.join(", ")));
    }
    if scheduler_runs {
        parts.push(ALL_DIVISIONS.to_owned());
    }
    Ok(parts.join(" AND "))
}

/// Statuses of closed executions, as queries spell them.
pub const STATUSES: [&str; 6] =
    ["Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut"];

fn status(name: &str) -> Result<&'static str, Error> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let wanted = plain(name).replace("cancelled", "canceled");
    STATUSES.into_iter().find(|status| plain(status) == wanted).ok_or_else(|| Error::Config {
        what: format!("{name:?} is no status of a closed execution"),
        hint: format!("use {}", STATUSES.join(", ")),
    })
}

/// A moment as queries spell it.
pub fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn check(filter: &str) -> Result<(), Error> {
    let refuse = |what: &str| {
        Err(Error::Config {
            what: format!("the query filter {filter:?} has {what}"),
            hint: "`temporal workflow count --query` shows whether a filter is right".into(),
        })
    };
    let mut depth = 0u32;
    let mut quote = None;
    let mut characters = filter.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return refuse("a parenthesis that closes nothing"),
            (None, ')') => depth -= 1,
            (None, ';') => return refuse("a semicolon"),
            (None, _) => {}
        }
    }
    match (quote, depth) {
        (Some(_), _) => refuse("a quote that is not closed"),
        (None, 1..) => refuse("a parenthesis that is not closed"),
        (None, 0) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_for_a_window_has_half_open_bounds_in_microseconds() {
        let from = DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
        let to = DateTime::from_timestamp_nanos(1_700_000_100_000_000_000);
        assert_eq!(
            closed("WorkflowType = 'a' OR WorkflowType = 'b'", Some(from), Some(to)),
            "ExecutionStatus != 'Running' AND CloseTime >= '2023-11-14T22:13:20.123456Z' AND \
             CloseTime < '2023-11-14T22:15:00.000000Z' AND (WorkflowType = 'a' OR WorkflowType = 'b')"
        );
        assert_eq!(closed("", None, None), "ExecutionStatus != 'Running'");
    }

    #[test]
    fn restriction_is_one_text_however_its_parts_are_ordered_and_spelt() {
        let one = restriction(" Stage = 'x' ", &["FAILED", "cancelled"], true).unwrap();
        let other = restriction("Stage = 'x'", &["Canceled", "failed", "Failed"], true).unwrap();
        assert_eq!(one, other);
        assert_eq!(
            one,
            format!(
                "(Stage = 'x') AND ExecutionStatus IN ('Canceled', 'Failed') AND {ALL_DIVISIONS}"
            )
        );
        assert_eq!(restriction("", &[], false).unwrap(), "");
        assert!(restriction("", &["Running"], false).is_err());
    }

    #[test]
    fn filter_cannot_reach_beyond_its_parentheses() {
        for filter in ["a = 1) OR (b = 2", "(a = 1", "a = 'x", "a = 1; b"] {
            assert!(restriction(filter, &[], false).is_err(), "{filter}");
        }
        for filter in ["(a = 1) OR (b = 2)", "a = ')('", "a = 'it\\'s (so'", "`a b` = 1"] {
            assert!(restriction(filter, &[], false).is_ok(), "{filter}");
        }
    }
}
