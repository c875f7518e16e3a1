//! Numbers and times as people read them.

use chrono::{DateTime, TimeDelta, Utc};

/// A size in binary units, three digits: `1.57 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    match value {
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// A number in groups of three: `691 204`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of things: `1 table`, `2 tables`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// A moment to the second, in UTC.
pub fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Text of somebody else on one line, without what a terminal would obey.
pub fn line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

/// How long ago: `3h 12m`.
pub fn age(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let age = now.signed_duration_since(time);
    if age < TimeDelta::zero() { "in the future".into() } else { span(age) }
}

/// A span in its two largest units.
pub fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => {
            format!("{:.1}s", span.num_milliseconds().max(0) as f64 / 1000.0)
        }
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest:02}s"),
        (0, _, _) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_048_575, "1.00 MiB"),
            (15 * 1024 * 1024, "15.0 MiB"),
            (1_685_774_663, "1.57 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in
            [(5, "5.0s"), (15, "15s"), (65, "1m 05s"), (3_725, "1h 02m"), (90_000, "1d 01h")]
        {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
    }
}
