//! Archived histories as people read them, on a terminal and on the page.

pub mod events;
pub mod payload;

use crate::output;

/// What Temporal deletes soon though nobody has archived it.
pub fn expiring(runs: u64, namespace: &str, within_seconds: i64) -> String {
    let (histories, expire) =
        if runs == 1 { ("history", "expires") } else { ("histories", "expire") };
    let hours = (within_seconds + 1_800) / 3_600;
    let within = match hours {
        0 | 1 => output::span(chrono::TimeDelta::seconds(within_seconds)),
        hours => format!("{hours} hours"),
    };
    format!("{} {histories} in {namespace} {expire} within {within}", output::count(runs))
}
