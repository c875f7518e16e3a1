//! What a drill has to say.

use jobs::drill::{CheckResult, Evidence};

use super::text::{Kind, Page};
use super::{build_info, seconds};

/// Metrics of one drill that has ended.
pub fn of_drill(evidence: &Evidence) -> String {
    let mut page = Page::default();
    build_info(&mut page);
    let labels = [("kind", evidence.kind.name())];
    let mut gauge = |name: &str, help: &str, value: f64| {
        page.add(name, Kind::Gauge, help, &labels, value);
    };
    let passed = evidence.verdict == CheckResult::Pass;
    let help = "Whether the last drill passed; one that could not look at everything did not.";
    gauge("drill_last_result", help, f64::from(u8::from(passed)));
    if passed {
        let help = "End of the last drill that passed.";
        gauge("drill_last_success_timestamp_seconds", help, seconds(evidence.ended));
    }
    let took = (evidence.ended - evidence.started).as_seconds_f64();
    gauge("drill_duration_seconds", "Duration of the last drill.", took);
    let measures = &evidence.measures;
    for (name, help, value) in [
        ("drill_rpo_seconds", "Age of the data when the last drill began.", measures.rpo_seconds),
        ("drill_rto_seconds", "Time until the data could be used.", measures.rto_seconds),
    ] {
        if let Some(value) = value {
            gauge(name, help, value);
        }
    }
    page.render()
}
