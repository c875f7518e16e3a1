//! The archive on the page: how far it reaches in each namespace, and what it lacks.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::record::NamespaceRecord;
use maud::{Markup, html};

use super::parts::{progress, runs, tag};
use crate::output;
use crate::serve::Task;
use crate::serve::view::{TaskView, View};

/// What the archive adds to the page's answer.
pub struct Answer {
    /// Whether nothing is about to be lost.
    pub good: bool,
    /// One sentence.
    pub text: String,
}

/// How it stands with a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    /// The last run failed, or there are gaps.
    Lacking,
    /// What is not archived will soon be gone.
    Expiring,
}

/// The archive in one sentence; `None` while nothing is known of it.
pub fn answer(view: &View, now: DateTime<Utc>) -> Option<Answer> {
    let task = view.tasks.iter().find(|task| task.task == Task::Archive)?;
    let namespaces = task.namespaces();
    if namespaces.is_empty() {
        return None;
    }
    let worst = namespaces.iter().map(|namespace| standing(namespace, now)).max_by_key(rank);
    let oldest = namespaces.iter().map(|namespace| namespace.covered_until).min().flatten();
    let text = match (worst, oldest) {
        (Some(Standing::Expiring), _) => {
            "Histories of closed workflows are about to be lost: see below.".to_owned()
        }
        (_, Some(until)) => format!(
            "Histories are archived up to {} ({} ago).",
            output::moment(until),
            output::age(until, now)
        ),
        (_, None) => "Not every namespace has been archived yet.".to_owned(),
    };
    Some(Answer { good: worst == Some(Standing::Good), text })
}

fn rank(standing: &Standing) -> u8 {
    match standing {
        Standing::Good => 0,
        Standing::Lacking => 1,
        Standing::Expiring => 2,
    }
}

/// More than half of what Temporal keeps not archived is as alarming as what is about to expire.
fn standing(namespace: &NamespaceRecord, now: DateTime<Utc>) -> Standing {
    let lag = namespace.covered_until.map(|until| now - until);
    let retention = namespace.retention_seconds.map(TimeDelta::seconds);
    let late = lag.zip(retention).is_some_and(|(lag, retention)| lag > retention / 2);
    if namespace.expiring.is_some_and(|expiring| expiring > 0) || late {
        Standing::Expiring
    } else if !namespace.done || namespace.gaps.is_some_and(|gaps| gaps > 0) {
        Standing::Lacking
    } else {
        Standing::Good
    }
}

/// The section of the archive.
pub fn section(view: &View, task: &TaskView, now: DateTime<Utc>) -> Markup {
    html! {
        section aria-labelledby=(task.name) {
            h2 id=(task.name) { "Archive of histories" }
            @if let Some(running) = &task.running { (progress(running, now)) }
            @if task.namespaces().is_empty() {
                p { "Nothing has been archived yet." }
            } @else {
                (table(task.namespaces(), now))
            }
            @if view.browse {
                p { a href="/histories" { "Search the archived histories" } }
            }
            (runs(task, now))
        }
    }
}

fn table(namespaces: &[NamespaceRecord], now: DateTime<Utc>) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Namespaces" {
            table {
                thead { tr {
                    th scope="col" { "Namespace" } th scope="col" { "State" }
                    th scope="col" class="n" { "Archived up to" } th scope="col" class="n" { "Gaps" }
                    th scope="col" class="n" { "About to expire" }
                    th scope="col" class="n" { "Temporal keeps" }
                } }
                tbody {
                    @for namespace in namespaces { (row(namespace, now)) }
                }
            }
        }
    }
}

fn row(namespace: &NamespaceRecord, now: DateTime<Utc>) -> Markup {
    let number = |number: Option<u64>| number.map_or("unknown".to_owned(), output::count);
    html! { tr {
        th scope="row" {
            (namespace.namespace)
            @if let Some(error) = &namespace.error { br; span class="soft" { (error) } }
        }
        td { @match standing(namespace, now) {
            Standing::Good => (tag("good", "good")),
            Standing::Lacking if !namespace.done => (tag("warn", "last run failed")),
            Standing::Lacking => (tag("warn", "has gaps")),
            Standing::Expiring => (tag("bad", "expiring")),
        } }
        td class="n" { @match namespace.covered_until {
            Some(until) => time datetime=(until.to_rfc3339()) title=(output::moment(until)) {
                (output::age(until, now)) " ago"
            },
            None => "–",
        } }
        td class="n" { (number(namespace.gaps)) }
        td class="n" {
            (number(namespace.expiring))
            @if let Some(within) = namespace.expiring_within_seconds {
                span class="soft" { " within " (output::span(TimeDelta::seconds(within))) }
            }
        }
        td class="n" { @match namespace.retention_seconds {
            Some(seconds) => (output::span(TimeDelta::seconds(seconds))),
            None => "–",
        } }
    } }
}
