//! The list of runs, and the form above it.

use jobs::history::list::Runs;
use maud::{Markup, html};
use temporal::segment::Summary;

use super::run::Run;
use super::search::{STATUS_PREFIX, STATUSES, Search, address};
use crate::history::events;
use crate::output;
use crate::serve::http::parts::tag;

/// The page, without what every page has.
pub fn page(search: &Search, runs: &Runs) -> Markup {
    html! {
        h1 { "Archived histories" }
        (form(search))
        @if !runs.damaged.is_empty() {
            section class="verdict bad" role="alert" {
                p { "Something cannot be read, and its runs are missing here" }
                @for damage in &runs.damaged { p class="soft" { (damage) } }
            }
        }
        section aria-labelledby="found" {
            h2 id="found" { (heading(search, runs)) }
            @if runs.runs.is_empty() {
                p { "No archived run is like this." }
            } @else {
                (table(&runs.runs))
            }
            @if let Some(last) = runs.runs.last().filter(|_| runs.more) {
                p { a href=(search.next(last)) rel="next" { "Older runs" } }
            }
            @if !search.after.is_empty() {
                p { a href=(search.first()) { "The newest runs" } }
            }
        }
    }
}

fn heading(search: &Search, runs: &Runs) -> String {
    let number = output::counted(runs.runs.len() as u64, "run");
    match (runs.more, search.after.is_empty()) {
        (true, true) => format!("The newest {number}"),
        (_, false) => format!("{number} further back"),
        (false, true) => number,
    }
}

fn form(search: &Search) -> Markup {
    let field = |name: &str, label: &str, value: &str, hint: &str| {
        html! {
            p class="field" {
                label for=(name) { (label) }
                input id=(name) name=(name) value=(value) placeholder=(hint) autocomplete="off";
            }
        }
    };
    let time = |name: &str, label: &str, value: &str| {
        html! {
            p class="field" {
                label for=(name) { (label) }
                input id=(name) name=(name) type="datetime-local" value=(value);
            }
        }
    };
    html! {
        section aria-label="Search" {
            form action="/histories" method="get" role="search" {
                (field("workflow", "Workflow id begins with", &search.workflow, ""))
                (field("type", "Type", &search.type_name, ""))
                p class="field" {
                    label for="status" { "Status" }
                    select id="status" name="status" {
                        option value="" { "any" }
                        @for status in STATUSES {
                            option value=(status) selected[search.status == status] {
                                (events::name(status))
                            }
                        }
                    }
                }
                (field("namespace", "Namespace", &search.namespace, "*"))
                (time("since", "Closed since (UTC)", &search.since))
                (time("until", "Closed before (UTC)", &search.until))
                p class="field" { button { "Search" } }
            }
        }
    }
}

fn table(runs: &[Summary]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Runs" {
            table {
                thead { tr {
                    th scope="col" { "Workflow id" } th scope="col" { "Type" }
                    th scope="col" { "Status" } th scope="col" { "Namespace" }
                    th scope="col" { "Closed" } th scope="col" class="n" { "Took" }
                    th scope="col" class="n" { "Events" }
                } }
                tbody { @for run in runs { (row(run)) } }
            }
        }
    }
}

fn row(run: &Summary) -> Markup {
    let events = u64::try_from(run.history_length).unwrap_or(0);
    html! { tr {
        th scope="row" class="id" {
            a href=(address("/histories/run", &Run::of(run))) { (run.workflow_id) }
            br; code class="soft" { (run.run_id) }
        }
        td { (run.type_name) }
        td { (status(&run.status)) }
        td { (run.namespace) }
        td class="t" { time datetime=(run.close_time.to_rfc3339()) { (output::moment(run.close_time)) } }
        td class="n" { (output::span(run.close_time - run.start_time)) }
        td class="n" { (output::count(events)) }
    } }
}

/// A status in its colour and by its name.
pub fn status(status: &str) -> Markup {
    let short = status.strip_prefix(STATUS_PREFIX).unwrap_or(status);
    let class = match short {
        "COMPLETED" => "good",
        "FAILED" | "TIMED_OUT" => "bad",
        "CANCELED" | "TERMINATED" => "warn",
        _ => "",
    };
    tag(class, &events::name(short))
}
