//! What a drill found, as it is stored beside the backups.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The form of the document; a change that an older reader would misread gets another number.
pub const FORMAT: &str = "aidp-backup/drill/1";

/// One drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// [`FORMAT`].
    pub format: String,
    /// `YYYYMMDDTHHMMSSZ-xxxx`: when it began, and four random hexadecimal digits.
    pub id: String,
    /// What was proven.
    pub kind: Kind,
    /// [`Evidence::judge`] of the checks, for readers that look at nothing else.
    pub verdict: CheckResult,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// What was drilled.
    pub subject: Subject,
    /// Versions by what they are of: `aidp-backup`, `source PostgreSQL`, `scratch PostgreSQL`…
    pub versions: BTreeMap<String, String>,
    /// How the scratch was kept apart, and whether it is gone.
    pub scratch: Option<Scratch>,
    /// Everything that was looked at, in order.
    pub checks: Vec<Check>,
    /// How long things took.
    pub measures: Measures,
}

/// What a drill proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// That databases restore from an export.
    Database,
    /// That archived histories go back into a Temporal.
    Histories,
    /// That an SDK's replayer accepts archived histories.
    Replay,
}

/// What came of a check, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckResult {
    /// As expected.
    #[serde(rename = "PASS")]
    Pass,
    /// Not as expected.
    #[serde(rename = "FAIL")]
    Fail,
    /// It could not be looked at, which is never a pass.
    #[serde(rename = "NOT RUN")]
    NotRun,
}

/// What was drilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// The backup, or the choice of histories, in words that find it again.
    pub id: String,
    /// SHA-256 of the manifest as it is stored, in hexadecimal; absent for a choice of histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The time that it shows: of an export its first snapshot, of histories the latest close.
    pub as_of: Option<DateTime<Utc>>,
    /// Databases or namespaces in it.
    pub names: Vec<String>,
}

/// Where it was restored to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scratch {
    /// The server, in words; without a secret.
    pub server: String,
    /// What keeps it apart from everything live, one measure each with how it was proven.
    pub isolation: Vec<Isolation>,
    /// Whether nothing of it is left. A drill that cannot tell says that it is not gone.
    pub gone: bool,
}

/// One way in which a scratch was kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Isolation {
    /// What was done.
    pub what: String,
    /// How it is known to hold.
    pub proof: String,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// What, in words that stay the same from drill to drill.
    pub name: String,
    /// Of which database or namespace, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What came of it.
    pub result: CheckResult,
    /// Whether the drill is no pass without it: a check that only some installations can make
    /// (`amcheck`) is shown as not run and changes nothing.
    pub required: bool,
    /// What was expected, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found; why, where it was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The objects or runs that differ, by name; cut where there are very many, and then the last
    /// entry says how many more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// What was measured. Seconds are wall-clock time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measures {
    /// Age of what was restored when the drill began: the recovery point objective that this
    /// backup would have met at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
    /// From the beginning to data that can be used: the recovery time objective that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// The parts of it by name: `fetch`, `restore`, `index`, `checks`, `boot`, `import`, `replay`.
    pub parts: BTreeMap<String, f64>,
    /// Counts by name: `rows`, `bytes`, `runs`, `events`.
    pub counts: BTreeMap<String, u64>,
}

impl Evidence {
    /// What the checks come to: a failure outweighs everything, and a drill without a required
    /// check, or with one that was not run, is no pass.
    #[must_use]
    pub fn judge(checks: &[Check]) -> CheckResult {
        let mut required = checks.iter().filter(|check| check.required).peekable();
        if checks.iter().any(|check| check.result == CheckResult::Fail) {
            CheckResult::Fail
        } else if required.peek().is_none()
            || required.any(|check| check.result != CheckResult::Pass)
        {
            CheckResult::NotRun
        } else {
            CheckResult::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: CheckResult, required: bool) -> Check {
        Check {
            name: "rows".into(),
            of: None,
            result,
            required,
            expected: None,
            found: None,
            names: Vec::new(),
        }
    }

    #[test]
    fn what_was_not_looked_at_is_no_pass() {
        use CheckResult::{Fail, NotRun, Pass};
        assert_eq!(Evidence::judge(&[]), NotRun);
        assert_eq!(Evidence::judge(&[check(Pass, true)]), Pass);
        assert_eq!(Evidence::judge(&[check(Pass, false)]), NotRun);
        assert_eq!(Evidence::judge(&[check(Pass, true), check(NotRun, false)]), Pass);
        assert_eq!(Evidence::judge(&[check(Pass, true), check(NotRun, true)]), NotRun);
        assert_eq!(Evidence::judge(&[check(NotRun, true), check(Fail, false)]), Fail);
    }
}
