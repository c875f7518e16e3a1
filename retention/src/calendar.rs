//! Calendar periods in a time zone.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Offset, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// A time zone by its IANA name; UTC unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Tz);

/// A name that no time zone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is called {0:?}")]
pub struct ZoneError(String);

impl Default for Zone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl FromStr for Zone {
    type Err = ZoneError;
    fn from_str(name: &str) -> Result<Self, ZoneError> {
        name.parse().map(Self).map_err(|_| ZoneError(name.to_owned()))
    }
}

impl TryFrom<String> for Zone {
    type Error = ZoneError;
    fn try_from(name: String) -> Result<Self, ZoneError> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// A period of the calendar, of which a rule keeps the newest backup each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A clock hour. The hour that a change from summer time repeats counts twice.
    Hour,
    /// A calendar day.
    Day,
    /// A week from Monday, as ISO 8601 counts them.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Period {
    /// Every period, shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The period of the calendar that `time` lies in, in a form to compare.
    pub(crate) fn of(self, time: DateTime<Utc>, zone: Zone) -> [i64; 3] {
        let local = time.with_timezone(&zone.0);
        let year = i64::from(local.year());
        let day = i64::from(local.ordinal());
        match self {
            Self::Hour => {
                let offset = i64::from(local.offset().fix().local_minus_utc());
                [year, day, (i64::from(local.hour()) << 32) | (offset & 0xffff_ffff)]
            }
            Self::Day => [year, day, 0],
            Self::Week => {
                [i64::from(local.iso_week().year()), i64::from(local.iso_week().week()), 0]
            }
            Self::Month => [year, i64::from(local.month()), 0],
            Self::Year => [year, 0, 0],
        }
    }

    /// The adjective of the rule: `daily`.
    pub fn adjective(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// The noun: `day`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}
