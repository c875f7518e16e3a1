//! Drills over time: one bar each, as high as the time it took until the data could be used.

use maud::{Markup, html};

use super::super::Evidence;
use super::{class, moment, span, word};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;
/// Widest bar.
const BAR: f64 = 40.0;

pub(super) fn section(evidence: &Evidence, past: &[Evidence]) -> Markup {
    let drills: Vec<&Evidence> =
        past.iter().filter(|drill| drill.id < evidence.id).chain([evidence]).collect();
    let rto = |drill: &Evidence| drill.measures.rto_seconds.unwrap_or(0.0);
    let highest = drills.iter().map(|drill| rto(drill)).fold(0.0, f64::max);
    let step = (WIDTH / drills.len() as f64).min(BAR);
    html! {
        section {
            h2 { "Trend" }
            @if highest > 0.0 {
                svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 4.0)) role="img" aria-label="time until the data could be used, drill by drill" {
                    @for (index, drill) in drills.iter().enumerate() {
                        @let height = (rto(drill) / highest * (HEIGHT - 4.0)).max(4.0);
                        rect.(class(drill.verdict))
                            x=(format!("{:.1}", index as f64 * step + 1.0))
                            y=(format!("{:.1}", HEIGHT - height))
                            width=(format!("{:.1}", step - 2.0))
                            height=(format!("{height:.1}")) rx="2" {
                            title { (moment(drill.started)) ": " (word(drill.verdict)) ", " (span(rto(drill))) }
                        }
                    }
                }
            }
            div.wide { table {
                thead { tr { th { "drill" } th { "result" } th { "of" } th.number { "RPO" } th.number { "RTO" } th.number { "checks" } } }
                tbody { @for drill in drills.iter().rev() { tr {
                    td { (moment(drill.started)) }
                    td { span.badge.(class(drill.verdict)) { (word(drill.verdict)) } }
                    td { code { (drill.subject.id) } }
                    td.number { (drill.measures.rpo_seconds.map(span).unwrap_or_default()) }
                    td.number { (drill.measures.rto_seconds.map(span).unwrap_or_default()) }
                    td.number { (drill.measures.parts.get("checks").copied().map(span).unwrap_or_default()) }
                } } }
            } }
        }
    }
}
