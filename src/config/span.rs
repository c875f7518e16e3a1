//! Spans of time as people write them: `90s`, `30m`, `26h`, `7d`, `2w`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A span of time, whole seconds and longer than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(u64);

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a span of time such as 30s, 15m, 26h, 7d or 2w")]
pub struct SpanError(String);

const UNITS: [(char, u64); 5] =
    [('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// So many hours.
    pub const fn hours(hours: u64) -> Self {
        Self(hours * 3_600)
    }

    /// As a [`Duration`].
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// As chrono has it. A century at most, so it always fits.
    pub fn delta(self) -> chrono::TimeDelta {
        chrono::TimeDelta::seconds(i64::try_from(self.0).unwrap_or(i64::MAX / 1_000))
    }
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        const CENTURY: u64 = 100 * 366 * 86_400;
        let error = || SpanError(text.to_owned());
        let unit = text.chars().next_back().ok_or_else(error)?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let count: u64 = digits.parse().map_err(|_| error())?;
        let total = count.checked_mul(*seconds).filter(|s| (1..=CENTURY).contains(s));
        total.map(Self).ok_or_else(error)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;
    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are printed as days, which is how people compare them.
        let unit = UNITS[1..].iter().find(|(_, seconds)| self.0.is_multiple_of(*seconds));
        let (name, seconds) = unit.copied().unwrap_or(('s', 1));
        write!(f, "{}{name}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_are_read_and_printed_in_their_largest_unit() {
        for (text, printed) in
            [("90s", "90s"), ("120s", "2m"), ("26h", "26h"), ("48h", "2d"), ("2w", "14d")]
        {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "5", "s", "0s", "-1s", "1.5h", "+3s", "5 h", "9999999999999999999w", "3é"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
