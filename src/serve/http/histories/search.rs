//! What is searched for, as the form and its addresses have it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use jobs::archive::Pattern;
use jobs::history::{Query, WorkflowId};
use serde::{Deserialize, Serialize};
use temporal::segment::Summary;

/// The form's fields; empty ones restrict nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Search {
    /// Beginning of the workflow id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workflow: String,
    /// Workflow type.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub type_name: String,
    /// How it ended, as lines name it without their prefix.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Namespace; `*` stands for any text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Closed then or later.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// Closed earlier.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub until: String,
    /// The last run of the page before: its close time and run id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub after: String,
}

/// How a run can have ended, as lines name it without their prefix.
pub const STATUSES: [&str; 6] =
    ["COMPLETED", "FAILED", "CANCELED", "TERMINATED", "TIMED_OUT", "CONTINUED_AS_NEW"];

/// What all of them begin with.
pub const STATUS_PREFIX: &str = "WORKFLOW_EXECUTION_STATUS_";

impl Search {
    /// The runs that are meant; says what is wrong with a field.
    pub fn query(&self) -> Result<Query, String> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let status = text(&self.status).map(|status| match STATUSES.contains(&status.as_str()) {
            true => Ok(format!("{STATUS_PREFIX}{status}")),
            false => Err(format!("{status:?} is no status")),
        });
        Ok(Query {
            namespace: text(&self.namespace).and_then(|name| Pattern::new(&name)),
            workflow_id: text(&self.workflow).map(WorkflowId::Begins),
            type_name: text(&self.type_name),
            statuses: status.transpose()?.into_iter().collect(),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            after: text(&self.after).map(|place| cursor(&place)).transpose()?,
            ..Query::default()
        })
    }

    /// The page after the one that ends with `last`.
    pub fn next(&self, last: &Summary) -> String {
        let time = last.close_time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        Self { after: format!("{time}/{}", last.run_id), ..self.clone() }.address()
    }

    /// The first page.
    pub fn first(&self) -> String {
        Self { after: String::new(), ..self.clone() }.address()
    }

    fn address(&self) -> String {
        address("/histories", self)
    }
}

/// An address with fields.
pub fn address(path: &str, fields: &impl Serialize) -> String {
    // Texts and numbers alone, which can always be written.
    let fields = serde_urlencoded::to_string(fields).unwrap_or_default();
    if fields.is_empty() { path.to_owned() } else { format!("{path}?{fields}") }
}

/// A time as the browser's own field gives it, a date, or RFC 3339; UTC where no zone is given.
fn moment(text: &str) -> Result<Option<DateTime<Utc>>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let local = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let found = text
        .parse::<DateTime<Utc>>()
        .ok()
        .or_else(|| local("%Y-%m-%dT%H:%M").map(|time| time.and_utc()))
        .or_else(|| local("%Y-%m-%dT%H:%M:%S").map(|time| time.and_utc()))
        .or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc()));
    found.map(Some).ok_or_else(|| format!("{text:?} is no time such as 2026-11-23T02:00"))
}

fn cursor(text: &str) -> Result<(DateTime<Utc>, String), String> {
    let place =
        text.split_once('/').and_then(|(time, id)| Some((time.parse().ok()?, id.to_owned())));
    place.ok_or_else(|| "this is no page of a list: begin with the first".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_restrict_nothing_and_wrong_ones_are_named() {
        let query = Search { since: " ".into(), ..Search::default() }.query().unwrap();
        assert!(query.workflow_id.is_none() && query.statuses.is_empty() && query.since.is_none());
        for (search, says) in [
            (Search { status: "BORED".into(), ..Search::default() }, "BORED"),
            (Search { until: "soon".into(), ..Search::default() }, "soon"),
            (Search { after: "2026".into(), ..Search::default() }, "page"),
        ] {
            assert!(search.query().unwrap_err().contains(says));
        }
    }

    #[test]
    fn times_of_the_browser_and_of_people_are_utc() {
        for text in
            ["2026-11-23T00:00", "2026-11-23", "2026-11-23T00:00:00", "2026-11-23T01:00:00+01:00"]
        {
            let time = moment(text).unwrap().unwrap();
            assert_eq!(time.to_rfc3339(), "2026-11-23T00:00:00+00:00", "{text}");
        }
    }

    #[test]
    fn an_address_keeps_what_was_searched_for() {
        let search = Search { workflow: "a b&c/".into(), ..Search::default() };
        assert_eq!(search.first(), "/histories?workflow=a+b%26c%2F");
        assert_eq!(Search::default().first(), "/histories");
    }
}
