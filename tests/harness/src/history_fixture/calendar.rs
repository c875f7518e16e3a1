//! Days and times as the formats spell them.

use std::fmt;

/// Microseconds in a day.
pub(super) const DAY_MICROS: u64 = 86_400_000_000;

/// 2026-01-01 in days since 1970-01-01.
const FIRST: u64 = 20_454;

/// A day, counted from 2026-01-01.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day(u64);

impl Day {
    pub(super) fn new(number: u32) -> Self {
        Self(FIRST + u64::from(number))
    }

    /// When it begins, in microseconds since 1970.
    pub(super) fn micros(self) -> u64 {
        self.0 * DAY_MICROS
    }

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Year, month and day of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
    /// algorithms").
    fn civil(self) -> (u64, u64, u64) {
        let days = self.0 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year + era * 400 + u64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Day, hour, minute, second, microsecond.
fn parts(micros: u64) -> (Day, u64, u64, u64, u64) {
    let seconds = micros / 1_000_000;
    let of_day = seconds % 86_400;
    let day = Day(micros / DAY_MICROS);
    (day, of_day / 3_600, of_day / 60 % 60, of_day % 60, micros % 1_000_000)
}

/// RFC 3339 with no, three or six digits of a second.
pub(super) fn time(micros: u64) -> String {
    let (day, hour, minute, second, fraction) = parts(micros);
    let fraction = match fraction {
        0 => String::new(),
        whole if whole.is_multiple_of(1_000) => format!(".{:03}", whole / 1_000),
        fraction => format!(".{fraction:06}"),
    };
    format!("{day}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// As identities of windows have it.
pub(super) fn compact(micros: u64) -> String {
    let (day, hour, minute, second, fraction) = parts(micros);
    let (year, month, day) = day.civil();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}{fraction:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (number, text) in [
            (0, "2026-01-01"),
            (58, "2026-02-28"),
            (59, "2026-03-01"),
            (364, "2026-12-31"),
            (789, "2028-02-29"),
        ] {
            assert_eq!(Day::new(number).to_string(), text);
        }
        assert_eq!(time(Day::new(1).micros() + 3_723_000_040), "2026-01-02T01:02:03.000040Z");
        assert_eq!(time(Day::new(1).micros() + 3_723_040_000), "2026-01-02T01:02:03.040Z");
        assert_eq!(compact(Day::new(1).micros()), "20260102T000000000000Z");
    }
}
