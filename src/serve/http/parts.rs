//! The parts of the page.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use jobs::Verdict;
use jobs::overview::Kept;
use maud::{Markup, html};
use vault::lease::Held;

use super::calendar::{self, Day, DayVerdict};
use super::namespaces;
use crate::output;
use crate::serve::Task;
use crate::serve::agenda::{Due, Why};
use crate::serve::view::{Running, TaskView, View};

/// The answer to the page's question.
pub struct Answer {
    /// `good`, `warn` or `bad`.
    pub class: &'static str,
    /// For the window's title.
    pub short: &'static str,
    /// For everybody.
    pub text: String,
    /// What else is to be known.
    pub more: Vec<String>,
}

/// Could one restore now, and how far back?
pub fn answer(view: &View, now: DateTime<Utc>) -> Answer {
    let bad = |short, text: &str, more| Answer { class: "bad", short, text: text.into(), more };
    let Some(overview) = &view.overview else {
        return Answer {
            class: "warn",
            short: "Unknown",
            text: "It is not known yet whether there is a backup".into(),
            more: vec!["The store has not answered since the sidecar started.".into()],
        };
    };
    let newest = view.tasks.iter().filter_map(TaskView::last_good).next_back();
    let Some(newest) = newest else {
        return bad(
            "No backup",
            "There is nothing to restore",
            vec!["No whole backup yet.".into()],
        );
    };
    let age = now - newest.summary.started;
    let mut more = Vec::new();
    if let Some(oldest) = view.tasks.iter().filter_map(TaskView::oldest).next() {
        more.push(format!(
            "Restore points go back to {} ({}).",
            output::moment(oldest.summary.started),
            output::age(oldest.summary.started, now)
        ));
    }
    if !overview.unreadable.is_empty() {
        let number = output::counted(overview.unreadable.len() as u64, "manifest");
        more.push(format!("{number} cannot be read: `aidp-backup verify --all` says more."));
    }
    if age > view.overdue_after {
        let text = format!("The newest backup is {} old: overdue", output::span(age));
        return bad("Overdue", &text, more);
    }
    if let Some(trouble) = &view.trouble {
        more.push(format!("The store does not answer since {}.", output::moment(trouble.since)));
        return bad("Store away", "Nothing can be restored while the store does not answer", more);
    }
    let text = format!("You could restore the state of {} ago", output::span(age));
    let archive = namespaces::answer(view, now);
    let class = match &archive {
        Some(archive) if !archive.good => "warn",
        _ if !overview.unreadable.is_empty() => "warn",
        _ => "good",
    };
    more.extend(archive.map(|archive| archive.text));
    Answer { class, short: "Good", text, more }
}

/// What is wrong, each with what mends it.
pub fn troubles(view: &View) -> Vec<Markup> {
    let mut all = Vec::new();
    let mut add = |what: &str, when: DateTime<Utc>, error: &str, hint: Option<&str>| {
        all.push(html! {
            section {
                h2 { (what) }
                (complaint(error, hint, when))
            }
        });
    };
    if let Some(trouble) = &view.trouble {
        add("The store does not answer", trouble.since, &trouble.error, trouble.hint.as_deref());
    }
    if let Some(refused) = &view.reload.refused {
        let what = "A new configuration was refused; the old one is in force";
        add(what, refused.since, &refused.error, refused.hint.as_deref());
    }
    all
}

fn complaint(error: &str, hint: Option<&str>, when: DateTime<Utc>) -> Markup {
    html! {
        div class="trouble" {
            p { (error) }
            @if let Some(hint) = hint { p class="soft" { "What helps: " (hint) } }
            p class="soft" { (output::moment(when)) }
        }
    }
}

/// A job: its sources, its week, its runs.
pub fn task(view: &View, task: &TaskView, now: DateTime<Utc>) -> Markup {
    if task.task == Task::Archive {
        return namespaces::section(view, task, now);
    }
    let zone = zone(task);
    let week = calendar::week(&task.backups, zone, now);
    html! {
        section aria-labelledby=(task.name) {
            h2 id=(task.name) { "Database export" }
            @if let Some(running) = &task.running { (progress(running, now)) }
            (sources(view, task, now))
            h3 id={ (task.name) "-week" } { "Last seven days" }
            ol class="week" aria-labelledby={ (task.name) "-week" } {
                @for day in &week { (one_day(day)) }
            }
            (runs(task, now))
        }
    }
}

fn zone(task: &TaskView) -> Tz {
    task.schedule.as_ref().and_then(|(_, zone)| zone.parse().ok()).unwrap_or(Tz::UTC)
}

/// The next run and the last one, and what went wrong in that.
pub fn runs(task: &TaskView, now: DateTime<Utc>) -> Markup {
    html! {
        h3 { "Runs" }
        dl {
            dt { "Next" } dd { (next(task, zone(task), now)) }
            dt { "Last" } dd { (last(task)) }
        }
        @if let Some((error, hint, when)) = last_error(task) {
            (complaint(error, hint, when))
        }
    }
}

pub fn progress(running: &Running, now: DateTime<Utc>) -> Markup {
    let reading = running.progress.reading();
    let phase = if reading.phase.is_empty() { "waiting for the lease" } else { reading.phase };
    html! {
        p role="status" {
            span class="tag" { "running" } " " (phase) ", " (output::bytes(reading.bytes))
            @if reading.total > 0 { " of about " (output::bytes(reading.total)) }
            @if reading.rows > 0 { ", " (output::counted(reading.rows, "row")) }
            ", for " (output::age(running.started, now))
        }
        @if reading.total > 0 {
            progress aria-label="Progress of this phase" max=(reading.total)
                value=(reading.bytes.min(reading.total)) {}
        }
    }
}

/// Source by source.
fn sources(view: &View, task: &TaskView, now: DateTime<Utc>) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Sources" {
            table {
                thead { tr {
                    th scope="col" { "Source" } th scope="col" { "State" }
                    th scope="col" class="n" { "Last good" } th scope="col" class="n" { "Stored" }
                    th scope="col" class="n" { "Rows" } th scope="col" class="n" { "Trend" }
                    th scope="col" class="n" { "Restore points" }
                } }
                tbody {
                    @for source in &task.sources { (source_row(view, task, source, now)) }
                }
            }
        }
    }
}

fn source_row(view: &View, task: &TaskView, source: &str, now: DateTime<Utc>) -> Markup {
    let part = |kept: &Kept| kept.parts.iter().find(|part| part.name == source).cloned();
    let mut holding = task.backups.iter().rev().filter_map(|kept| Some((kept, part(kept)?)));
    let last = holding.next();
    let before = holding.next();
    let count = usize::from(last.is_some()) + usize::from(before.is_some()) + holding.count();
    let Some((kept, part)) = last else {
        let state =
            if view.overview.is_some() { tag("bad", "no backup") } else { tag("", "unknown") };
        return html! { tr {
            th scope="row" { (source) } td { (state) }
            @for _ in 0..4 { td class="n" { "–" } } td class="n" { "0" }
        } };
    };
    let age = now - kept.summary.started;
    let state = if age > view.overdue_after { tag("bad", "overdue") } else { tag("good", "good") };
    html! { tr {
        th scope="row" { (source) }
        td { (state) }
        td class="n" { time datetime=(kept.summary.started.to_rfc3339()) title=(kept.summary.id) {
            (output::span(age)) " ago"
        } }
        td class="n" { (output::bytes(part.stored_bytes)) }
        td class="n" { (output::count(part.rows)) }
        td class="n" { (trend(part.stored_bytes, before.map(|(_, part)| part.stored_bytes))) }
        td class="n" { (count) }
    } }
}

fn trend(now: u64, before: Option<u64>) -> String {
    match before {
        Some(before) if before > 0 => {
            format!("{:+.1} %", (now as f64 / before as f64 - 1.0) * 100.0)
        }
        _ => "–".into(),
    }
}

pub fn tag(class: &str, text: &str) -> Markup {
    html! { span class={ "tag " (class) } { (text) } }
}

/// A day says its verdict in words and by a sign, not by colour alone.
fn one_day(day: &Day) -> Markup {
    let (class, mark, word) = match day.verdict {
        DayVerdict::Good => ("good", "✓", "good"),
        DayVerdict::Part => ("warn", "◐", "part"),
        DayVerdict::None => ("bad", "✗", "none"),
        DayVerdict::Open => ("", "…", "not yet"),
        DayVerdict::Before => ("", "·", "before"),
    };
    html! {
        li class=(class) title={ (day.date) ": " (output::counted(day.backups as u64, "backup")) } {
            time datetime=(day.date) { (day.date.format("%a %-d")) }
            span class="mark" aria-hidden="true" { (mark) }
            span { (word) }
        }
    }
}

fn next(task: &TaskView, zone: Tz, now: DateTime<Utc>) -> Markup {
    let Some((text, name)) = &task.schedule else {
        return html! { "by request alone: its schedule is off" };
    };
    html! {
        @match task.next {
            Some(Due { at, why }) => {
                (at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %Z"))
                @if at > now { ", in " (output::span(at - now)) } @else { ", now" }
                @if why == Why::Retry { ", once more after a failure" }
                @if why == Why::Busy { ", once more: another run is at it" }
            }
            None => { "never" }
        }
        br; span class="soft" { code { (text) } " in " (name) }
    }
}

fn last(task: &TaskView) -> Markup {
    let took = |from, to| {
        let took: TimeDelta = to - from;
        output::span(took)
    };
    match (&task.last, &task.record) {
        (Some(last), _) => {
            let (class, word) = match last.verdict {
                Verdict::Done => ("good", "done"),
                Verdict::LeaseHeld => ("", "another run was at it"),
                Verdict::PartDone => ("warn", "part done"),
                _ => ("bad", "failed"),
            };
            html! {
                (tag(class, word)) " " (output::moment(last.finished)) ", took " (took(last.started, last.finished))
                @if last.verdict == Verdict::Done || last.backup.is_some() { br; code { (last.made()) } }
            }
        }
        (None, Some(record)) => {
            let (class, word) = if record.done { ("good", "done") } else { ("bad", "failed") };
            html! {
                (tag(class, word)) " " (output::moment(record.finished)) ", took "
                (took(record.started, record.finished)) ", on " (record.host)
            }
        }
        (None, None) => html! { "none is known" },
    }
}

fn last_error(task: &TaskView) -> Option<(&str, Option<&str>, DateTime<Utc>)> {
    match (&task.last, &task.record) {
        (Some(last), _) => {
            let error = last.error.as_deref()?;
            Some((error, last.hint.as_deref(), last.finished))
        }
        (None, Some(record)) => {
            let error = record.error.as_deref()?;
            Some((error, record.hint.as_deref(), record.finished))
        }
        (None, None) => None,
    }
}

/// The store, and who is at work in it.
pub fn store(view: &View, now: DateTime<Utc>) -> Markup {
    let overview = view.overview.as_deref();
    html! {
        section aria-labelledby="store" {
            h2 id="store" { "Store" }
            dl {
                dt { "Address" } dd { code { (view.store) } }
                @if let Some(bytes) = overview.and_then(|seen| seen.store_bytes) {
                    dt { "Size" } dd { (output::bytes(bytes)) }
                }
                @if let Some((free, total)) = view.space {
                    dt { "Free" } dd { (output::bytes(free)) " of " (output::bytes(total)) }
                }
                dt { "At work on backups" }
                dd { (holder(overview.and_then(|seen| seen.lease.as_ref()))) }
                dt { "At work on histories" }
                dd { (holder(overview.and_then(|seen| seen.histories_lease.as_ref()))) }
                @if let Some(seen) = overview {
                    dt { "Looked at" } dd { (output::age(seen.now, now)) " ago" }
                }
            }
        }
    }
}

fn holder(lease: Option<&Held>) -> Markup {
    html! {
        @match lease {
            Some(lease) => { (lease.holder) ", since " (output::moment(lease.acquired)) }
            None => { "nobody" }
        }
    }
}
