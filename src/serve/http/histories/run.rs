//! One run: what it was, and its events one after the other with what their payloads say.

use chrono::{DateTime, Utc};
use jobs::history::show::Shown;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use temporal::segment::Summary;

use super::list::status;
use super::search::address;
use crate::history::{events, payload};
use crate::output;

/// Events on one page.
const PAGE: usize = 200;
/// Characters of a value that stand in a row as they are; longer ones are folded.
const SHORT: usize = 120;
/// Characters of a value that are shown at all; the file has all of them.
const LONG: usize = 20_000;

/// Which run, as addresses have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Namespace.
    pub namespace: String,
    /// Workflow id.
    pub workflow: String,
    /// Run id.
    pub run: String,
    /// Which page of its events, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub page: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form.
fn is_first(page: &usize) -> bool {
    *page == 0
}

impl Run {
    /// The address of a run.
    pub fn of(run: &Summary) -> Self {
        Self {
            namespace: run.namespace.clone(),
            workflow: run.workflow_id.clone(),
            run: run.run_id.clone(),
            page: 0,
        }
    }

    fn at(&self, page: usize) -> String {
        address("/histories/run", &Self { page, ..self.clone() })
    }
}

/// Events as they are stored: only those that are shown are taken apart.
#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

/// The page, without what every page has.
pub fn page(run: &Run, shown: &Shown) -> Result<Markup, serde_json::Error> {
    let all: Events<'_> = serde_json::from_slice(&shown.history)?;
    let pages = all.events.len().div_ceil(PAGE).max(1);
    let at = run.page.min(pages - 1);
    let begin = at * PAGE;
    let slice = all.events.iter().skip(begin).take(PAGE);
    let shown_events =
        slice.map(|event| serde_json::from_str(event.get())).collect::<Result<Vec<Value>, _>>()?;
    let file = address("/histories/run.json", &Run { page: 0, ..run.clone() });
    Ok(html! {
        h1 { (shown.summary.workflow_id) }
        (head(&shown.summary, &file))
        section aria-labelledby="events" {
            h2 id="events" {
                @if pages == 1 { (output::counted(all.events.len() as u64, "event")) }
                @else {
                    "Events " (begin + 1) " to " (begin + shown_events.len()) " of "
                    (output::count(all.events.len() as u64))
                }
            }
            (timeline(&shown_events, shown.summary.start_time))
            @if pages > 1 {
                nav aria-label="Pages of events" class="pages" {
                    @if at > 0 { a href=(run.at(at - 1)) rel="prev" { "Earlier events" } }
                    @if at + 1 < pages { a href=(run.at(at + 1)) rel="next" { "Later events" } }
                }
            }
        }
    })
}

fn head(run: &Summary, file: &str) -> Markup {
    let took = output::span(run.close_time - run.start_time);
    let value = |value: &Value| match payload::is_payload(value) {
        true => payload::text(value),
        false => value.get("value").unwrap_or(value).to_string(),
    };
    html! {
        section aria-label="The run" {
            dl {
                dt { "Status" } dd { (status(&run.status)) }
                dt { "Type" } dd { (run.type_name) }
                dt { "Namespace" } dd { (run.namespace) }
                dt { "Task queue" } dd { (run.task_queue) }
                dt { "Run id" } dd { code { (run.run_id) } }
                dt { "Started" } dd { (output::moment(run.start_time)) }
                dt { "Closed" } dd { (output::moment(run.close_time)) ", after " (took) }
                @if let Some(parent) = &run.parent {
                    dt { "Parent" } dd { (parent.workflow_id) ", " code { (parent.run_id) } }
                }
                @for (name, memo) in &run.memo {
                    dt { "Memo " (name) } dd { (value(memo)) }
                }
                @for (name, attribute) in &run.search_attributes {
                    dt { (name) } dd { (value(attribute)) }
                }
            }
            p { a href=(file) download { "Download as JSON" }
                span class="soft" { ", as `temporal workflow show -o json` prints it" } }
        }
    }
}

fn timeline(shown: &[Value], started: DateTime<Utc>) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Timeline" {
            table class="timeline" {
                thead { tr {
                    th scope="col" class="n" { "Event" } th scope="col" { "Time" }
                    th scope="col" class="n" { "After" } th scope="col" { "Type" }
                    th scope="col" { "Details" }
                } }
                tbody { @for event in shown { (row(event, started)) } }
            }
        }
    }
}

fn row(event: &Value, started: DateTime<Utc>) -> Markup {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let id = event["eventId"].as_str().map_or_else(|| event["eventId"].to_string(), str::to_owned);
    let after = text("eventTime").parse::<DateTime<Utc>>().ok().map(|time| time - started);
    let name = events::name(text("eventType"));
    html! { tr {
        th scope="row" class="n" { (id) }
        td class="t" { (events::time(text("eventTime"))) }
        td class="n" { @if let Some(after) = after { (seconds(after)) } }
        td class=(mood(&name)) { (name) }
        td { @for (name, value) in events::fields(event) { (field(&name, &value)) } }
    } }
}

fn seconds(after: chrono::TimeDelta) -> String {
    match after.num_milliseconds() {
        short @ ..60_000 => format!("+{:.3} s", short.max(0) as f64 / 1000.0),
        _ => format!("+{}", output::span(after)),
    }
}

/// What went wrong stands out; its name says it too.
fn mood(name: &str) -> &'static str {
    match name {
        _ if name.ends_with("Failed") || name.ends_with("TimedOut") => "bad",
        _ if name.ends_with("Canceled") || name.ends_with("Terminated") => "warn",
        "WorkflowExecutionCompleted" => "good",
        _ => "",
    }
}

fn field(name: &str, value: &str) -> Markup {
    let pretty = match serde_json::from_str::<Value>(value) {
        Ok(json) if json.is_object() || json.is_array() => {
            serde_json::to_string_pretty(&json).unwrap_or_else(|_| value.to_owned())
        }
        _ => value.to_owned(),
    };
    let short = value.chars().count() <= SHORT && !value.contains('\n');
    html! {
        @if short {
            p class="value" { span class="soft" { (name) } " " code { (value) } }
        } @else {
            details class="value" {
                summary { span class="soft" { (name) } " " code { (cut(value, SHORT)) "…" } }
                pre tabindex="0" { (cut(&pretty, LONG)) }
                @if pretty.chars().count() > LONG {
                    p class="soft" { "The file has the rest." }
                }
            }
        }
    }
}

fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_long_ones_are_folded_and_cut() {
        let short = field("input", "<b>&\"").into_string();
        assert!(short.contains("&lt;b&gt;&amp;") && !short.contains("<b>"), "{short}");
        let long = field("input", &format!("[\"{}\"]", "é".repeat(LONG))).into_string();
        assert!(long.contains("<details") && long.contains("The file has the rest"), "{long}");
    }

    #[test]
    fn times_after_the_start_are_told_by_milliseconds_at_first() {
        assert_eq!(seconds(chrono::TimeDelta::milliseconds(1_204)), "+1.204 s");
        assert_eq!(seconds(chrono::TimeDelta::milliseconds(-3)), "+0.000 s");
        assert!(seconds(chrono::TimeDelta::minutes(61)).starts_with('+'));
    }
}
