//! Identities of windows.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// `YYYYMMDDTHHMMSSffffffZ-YYYYMMDDTHHMMSSffffffZ-xxxxxxxx`: when the first and the last of its
/// runs closed, to the microsecond, and 32 random bits. A window without runs has the end of what
/// it covers for both. The names of manifests alone thus tell which of them a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WindowId(String);

/// A text that is no identity of a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the identity of a window")]
pub struct WindowIdError(String);

const TIME: &str = "%Y%m%dT%H%M%S%6fZ";
const TIME_LENGTH: usize = 22;

impl WindowId {
    /// A new identity.
    pub fn new(first: DateTime<Utc>, last: DateTime<Utc>, random: u32) -> Self {
        Self(format!("{}-{}-{random:08x}", first.format(TIME), last.format(TIME)))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the first and the last of its runs closed, to the microsecond.
    pub fn closes(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        // Checked when it was made.
        parse(&self.0).unwrap_or_default()
    }
}

fn parse(text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let mut parts = text.splitn(3, '-');
    let mut time = || {
        let part = parts.next().filter(|part| part.len() == TIME_LENGTH)?;
        Some(NaiveDateTime::parse_from_str(part, TIME).ok()?.and_utc())
    };
    let times = (time()?, time()?);
    let random = parts.next()?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (random.len() == 8 && random.bytes().all(hex) && times.0 <= times.1).then_some(times)
}

impl FromStr for WindowId {
    type Err = WindowIdError;
    fn from_str(text: &str) -> Result<Self, WindowIdError> {
        // Only the one spelling of each time: a key is compared as text.
        match parse(text) {
            Some((first, last))
                if format!("{}-{}-", first.format(TIME), last.format(TIME))
                    == text[..text.len() - 8] =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(WindowIdError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for WindowId {
    type Error = WindowIdError;
    fn try_from(text: String) -> Result<Self, WindowIdError> {
        text.parse()
    }
}

impl From<WindowId> for String {
    fn from(id: WindowId) -> Self {
        id.0
    }
}

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_tell_their_times_and_sort_by_them() {
        let first: DateTime<Utc> = "2026-11-23T02:00:00.123456789Z".parse().unwrap();
        let last: DateTime<Utc> = "2026-11-23T03:00:00Z".parse().unwrap();
        let id = WindowId::new(first, last, 0xab);
        assert_eq!(id.as_str(), "20261123T020000123456Z-20261123T030000000000Z-000000ab");
        assert_eq!(id.closes().0, "2026-11-23T02:00:00.123456Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(id.closes().1, last);
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "20261123T020000123456Z-20261123T030000000000Z-000000AB",
            "20261123T020000123456Z-20261123T010000000000Z-000000ab",
            "20261123T020000123456Z-20261123T030000000000Z-000000ab0",
            "20261323T020000123456Z-20261123T030000000000Z-000000ab",
            "20261123T0200001234é6-20261123T030000000000Z-000000ab",
            "20261123T020000Z-20261123T030000Z-000000ab",
        ] {
            assert!(text.parse::<WindowId>().is_err(), "{text:?}");
        }
    }
}
