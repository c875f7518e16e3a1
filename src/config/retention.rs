//! What to keep, merged.

use std::time::Duration;

use retention::Policy;

use super::file;
use super::{ConfigError, Span};
use crate::cli;

/// What to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionSettings {
    /// The rules.
    pub policy: Policy,
    /// Age at which orphans are swept.
    pub orphan_grace: Duration,
    /// Whether an export applies the rules.
    pub after_export: bool,
}

impl RetentionSettings {
    /// Rule by rule: flag or variable, else file. Seven daily when neither has any rule.
    pub fn merge(flags: &cli::Retention, file: &file::Retention) -> Result<Self, ConfigError> {
        let last = flags.keep_last.or(file.keep_last);
        let hourly = flags.keep_hourly.or(file.keep_hourly);
        let daily = flags.keep_daily.or(file.keep_daily);
        let weekly = flags.keep_weekly.or(file.keep_weekly);
        let monthly = flags.keep_monthly.or(file.keep_monthly);
        let yearly = flags.keep_yearly.or(file.keep_yearly);
        let within = flags.keep_within.or(file.keep_within);
        let counts = [last, hourly, daily, weekly, monthly, yearly];
        let no_rule = within.is_none() && counts.iter().all(Option::is_none);

        let base = if no_rule { Policy::default() } else { Policy::none() };
        let zone = flags.time_zone.as_deref().or(file.time_zone.as_deref());
        let policy = Policy {
            last: last.unwrap_or(base.last),
            hourly: hourly.unwrap_or(base.hourly),
            daily: daily.unwrap_or(base.daily),
            weekly: weekly.unwrap_or(base.weekly),
            monthly: monthly.unwrap_or(base.monthly),
            yearly: yearly.unwrap_or(base.yearly),
            within: within.map(Span::delta),
            zone: zone.map_or(Ok(base.zone), str::parse)?,
            shrink_limit: flags.shrink_limit.or(file.shrink_limit).unwrap_or(base.shrink_limit),
        };
        policy.check()?;
        let grace = flags.orphan_grace.or(file.orphan_grace).unwrap_or(Span::hours(24));
        Ok(Self {
            policy,
            orphan_grace: grace.duration(),
            after_export: file.after_export.unwrap_or(true),
        })
    }
}
