//! Evidence as one page of HTML that needs nothing else: no script, no font, no address.

mod trend;

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Check, CheckResult, Evidence, Kind, PublicKey, Scratch};

const STYLE: &str = include_str!("style.css");

/// The page of a drill; `past` are drills of its kind before it, oldest first, and `signer` is
/// the key by which the document beside the page is signed.
#[must_use]
pub fn page(evidence: &Evidence, past: &[Evidence], signer: Option<PublicKey>) -> String {
    let title = format!("{} of {}", title(evidence.kind), evidence.subject.id);
    let body = html! {
        header class=(class(evidence.verdict)) {
            p.verdict { (word(evidence.verdict)) }
            h1 { (title) }
            p { (lead(evidence)) }
        }
        main {
            (figures(evidence))
            (checks(evidence))
            (trend::section(evidence, past))
            (scratch(evidence.scratch.as_ref()))
            (facts(evidence, signer))
        }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (word(evidence.verdict)) ": " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Database => "Restore drill",
        Kind::Histories => "History drill",
        Kind::Replay => "Replay drill",
    }
}

/// One sentence for whoever reads no further.
fn lead(evidence: &Evidence) -> String {
    let count = |result| evidence.checks.iter().filter(|c| c.result == result).count();
    let (passed, failed) = (count(CheckResult::Pass), count(CheckResult::Fail));
    let missing = evidence.checks.iter().filter(|c| c.required && c.result == CheckResult::NotRun);
    match evidence.verdict {
        CheckResult::Pass => format!("It comes back: all {passed} checks passed."),
        CheckResult::Fail => format!(
            "Something did not come back as it was: {failed} of {} checks failed.",
            evidence.checks.len()
        ),
        CheckResult::NotRun => {
            format!("Nothing is proven: {} could not be looked at.", missing.count().max(1))
        }
    }
}

pub(super) fn word(result: CheckResult) -> &'static str {
    match result {
        CheckResult::Pass => "PASS",
        CheckResult::Fail => "FAIL",
        CheckResult::NotRun => "NOT RUN",
    }
}

pub(super) fn class(result: CheckResult) -> &'static str {
    match result {
        CheckResult::Pass => "pass",
        CheckResult::Fail => "fail",
        CheckResult::NotRun => "notrun",
    }
}

/// What was measured, in large figures, and where the time went.
fn figures(evidence: &Evidence) -> Markup {
    let measures = &evidence.measures;
    let total: f64 = measures.parts.values().sum();
    html! {
        section.figures {
            @if let Some(rpo) = measures.rpo_seconds {
                div { b { (span(rpo)) } span { "data older than the drill (RPO)" } }
            }
            @if let Some(rto) = measures.rto_seconds {
                div { b { (span(rto)) } span { "until it could be used (RTO)" } }
            }
            @for (name, count) in &measures.counts {
                div { b { (grouped(*count)) } span { (name) } }
            }
        }
        @if total > 0.0 {
            section {
                h2 { "Where the time went" }
                table.bars {
                    @for (name, seconds) in &measures.parts {
                        tr {
                            th { (name) }
                            td.number { (span(*seconds)) }
                            td.bar { i style=(format!("width:{:.1}%", seconds / total * 100.0)) {} }
                        }
                    }
                }
            }
        }
    }
}

fn checks(evidence: &Evidence) -> Markup {
    html! {
        section {
            h2 { "Checks" }
            div.wide {
                table {
                    thead { tr { th { "result" } th { "check" } th { "of" } th { "expected" } th { "found" } } }
                    tbody { @for check in &evidence.checks { (row(check)) } }
                }
            }
        }
    }
}

fn row(check: &Check) -> Markup {
    html! {
        tr {
            td { span.badge.(class(check.result)) { (word(check.result)) } }
            td { (check.name) @if !check.required { " " small { "(optional)" } } }
            td { (check.of.as_deref().unwrap_or_default()) }
            td { (check.expected.as_deref().unwrap_or_default()) }
            td {
                (check.found.as_deref().unwrap_or_default())
                @if !check.names.is_empty() {
                    ul { @for name in &check.names { li { code { (name) } } } }
                }
            }
        }
    }
}

fn scratch(scratch: Option<&Scratch>) -> Markup {
    let Some(scratch) = scratch else { return html! {} };
    html! {
        section {
            h2 { "Where it was restored to" }
            p { (scratch.server) ". " @if scratch.gone { "Nothing of it is left." } @else { strong { "It may not be gone." } } }
            @if !scratch.isolation.is_empty() {
                div.wide { table {
                    thead { tr { th { "kept apart by" } th { "known from" } } }
                    tbody { @for isolation in &scratch.isolation { tr { td { (isolation.what) } td { (isolation.proof) } } } }
                } }
            }
        }
    }
}

fn facts(evidence: &Evidence, signer: Option<PublicKey>) -> Markup {
    let subject = &evidence.subject;
    html! {
        section {
            h2 { "Facts" }
            div.wide { table.facts {
                tr { th { "drill" } td { code { (evidence.id) } } }
                tr { th { "of" } td { code { (subject.id) } } }
                tr { th { "holds" } td { (subject.names.join(", ")) } }
                @if let Some(digest) = &subject.digest { tr { th { "manifest's SHA-256" } td { code { (digest) } } } }
                @if let Some(time) = subject.as_of { tr { th { "shows the time" } td { (moment(time)) } } }
                tr { th { "began" } td { (moment(evidence.started)) } }
                tr { th { "ended" } td { (moment(evidence.ended)) } }
                @for (what, version) in &evidence.versions { tr { th { (what) } td { (version) } } }
                tr { th { "signed by" } td { @match signer {
                    Some(key) => { "the document beside this page: Ed25519 key " code { (key) } },
                    None => { "nobody" },
                } } }
            } }
            p { small { "The document " code { (evidence.id) ".json" } " beside this page is what counts; "
                code { "aidp-backup drill verify-report" } " checks its digest and its signature." } }
        }
    }
}

pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Seconds in two units at most: `0.42 s`, `3 min 20 s`, `2 d 3 h`.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 60.0 {
        let digits = if seconds < 10.0 { 2 } else { 1 };
        return format!("{:.digits$} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let at = units.iter().position(|(_, unit)| whole >= *unit).unwrap_or(3);
    let mut rest = whole;
    let mut parts = Vec::new();
    for (name, unit) in units.iter().skip(at).take(2) {
        if rest / unit > 0 {
            parts.push(format!("{} {name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}

/// A number in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, text) in [
            (0.424, "0.42 s"),
            (12.34, "12.3 s"),
            (200.0, "3 min 20 s"),
            (3_600.0, "1 h"),
            (183_700.0, "2 d 3 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
