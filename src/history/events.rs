//! A history as a table of events.

use serde_json::Value;

use super::payload;
use crate::output::Table;

/// Longest detail that is printed in one piece, in characters.
const LONG: usize = 160;

/// Bookkeeping that says nothing to a reader.
const HIDDEN: [&str; 12] = [
    "workflowTaskCompletedEventId",
    "firstExecutionRunId",
    "originalExecutionRunId",
    "requestId",
    "historySizeBytes",
    "sdkMetadata",
    "meteringMetadata",
    "workerVersion",
    "workerVersioningMode",
    "identity",
    "header",
    "prevAutoResetPoints",
];

/// The events of a history, `{"events": […]}`, as a table for people.
pub fn table(history: &Value) -> String {
    let mut table = Table::new(&[">event", "time", "type", "details"]);
    for event in history["events"].as_array().into_iter().flatten() {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let id =
            event["eventId"].as_str().map_or_else(|| event["eventId"].to_string(), str::to_owned);
        table.row([id, time(text("eventTime")), name(text("eventType")), details(event)]);
    }
    table.render()
}

/// The names and values that an event's own attributes have, with payloads decoded, in full.
pub fn fields(event: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(Value::Object(attributes)) = attributes(event) {
        for (name, value) in attributes {
            if !HIDDEN.contains(&name.as_str()) {
                describe(name, value, &mut found);
            }
        }
    }
    found
}

/// `2026-11-23T02:00:00.123456789Z` to the millisecond.
pub fn time(text: &str) -> String {
    let parsed = text.parse::<chrono::DateTime<chrono::Utc>>();
    parsed
        .map_or_else(|_| text.to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string())
}

/// `EVENT_TYPE_WORKFLOW_TASK_STARTED` as `WorkflowTaskStarted`, which is how Temporal's own pages
/// name it.
pub fn name(event_type: &str) -> String {
    let words = event_type.strip_prefix("EVENT_TYPE_").unwrap_or(event_type).split('_');
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().collect::<String>();
        first + &letters.as_str().to_lowercase()
    };
    words.map(capital).collect()
}

/// What the event's own attributes say, `name=value`.
fn details(event: &Value) -> String {
    let of_one = |(name, value): (String, String)| format!("{name}={}", shortened(&value));
    fields(event).into_iter().map(of_one).collect::<Vec<_>>().join(" ")
}

fn attributes(event: &Value) -> Option<&Value> {
    let Value::Object(fields) = event else { return None };
    let own = fields.iter().find(|(name, _)| name.ends_with("EventAttributes"));
    own.map(|(_, attributes)| attributes)
}

fn describe(name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    if payload::is_payload(value) {
        found.push((name.to_owned(), payload::text(value)));
        return;
    }
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            // `activityType: {name: "plan"}` and `input: {payloads: […]}` have one thing to say.
            let wrapped = match fields.len() {
                1 => fields.iter().next().filter(|(inner, _)| {
                    matches!(inner.as_str(), "name" | "payloads" | "fields" | "indexedFields")
                }),
                _ => None,
            };
            match wrapped {
                Some((_, inner)) => describe(name, inner, found),
                None => fields.iter().for_each(|(inner, value)| {
                    describe(&format!("{name}.{inner}"), value, found);
                }),
            }
        }
        Value::Array(items) => match items.as_slice() {
            [one] => describe(name, one, found),
            items => items.iter().enumerate().for_each(|(index, item)| {
                describe(&format!("{name}[{index}]"), item, found);
            }),
        },
        Value::String(text) => found.push((name.to_owned(), text.clone())),
        other => found.push((name.to_owned(), other.to_string())),
    }
}

/// On one line, cut where it is long; `history show --json` has all of it.
fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    match line.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}… ({} characters)", &line[..end], line.chars().count()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_payloads() {
        let history = json!({"events": [{
            "eventId": "5",
            "eventTime": "2026-11-23T02:00:00.123456789Z",
            "eventType": "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
            "activityTaskScheduledEventAttributes": {
                "activityId": "1",
                "activityType": {"name": "plan"},
                "input": {"payloads": [
                    {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJudW1iZXIiOjN9"}
                ]},
                "workflowTaskCompletedEventId": "4",
            },
        }]});
        let table = table(&history);
        let line = table.lines().nth(1).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "5 2026-11-23 02:00:00.123Z ActivityTaskScheduled activityId=1 activityType=plan \
             input={\"number\":3}"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(shortened("a\u{1b}[2J\nb"), "a [2J b");
        assert!(shortened(&"x".repeat(500)).ends_with("… (500 characters)"));
    }
}
