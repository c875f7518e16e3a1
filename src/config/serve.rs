//! The sidecar, merged.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use retention::Zone;
use vault::Environment;
use vault::lease::Holder;

use super::{ConfigError, NotifySettings, Span, file, secret_line};
use crate::cli;
use crate::secret::Secret;
use crate::serve::agenda::Agenda;
use crate::serve::schedule::Schedule;

/// Where it listens unless told otherwise: on this machine, or in this pod, alone.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9847);
/// Shortest token that is accepted.
const TOKEN_LENGTH: usize = 16;

/// The sidecar.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Lets its bearer start jobs.
    pub token: Option<Secret>,
    /// How long a run may go on after SIGTERM.
    pub grace: Duration,
    /// When to export; `None` when the schedule is off.
    pub export: Option<Agenda>,
    /// Whom to tell.
    pub notify: NotifySettings,
}

impl ServeSettings {
    /// Flag or variable, else file, else default.
    pub fn merge(
        flags: &cli::Serve,
        file: &file::Serve,
        retention: &file::Retention,
        notify: NotifySettings,
    ) -> Result<Self, ConfigError> {
        let own = &flags.sidecar;
        Ok(Self {
            listen: own.listen.or(file.listen).unwrap_or(LISTEN),
            token: token(own, file)?,
            grace: own.grace.or(file.grace).unwrap_or(Span::seconds(15)).duration(),
            export: Self::schedules(flags, file, retention)?,
            notify,
        })
    }

    /// The schedules alone, which can be judged without reading a secret.
    pub fn schedules(
        flags: &cli::Serve,
        file: &file::Serve,
        retention: &file::Retention,
    ) -> Result<Option<Agenda>, ConfigError> {
        let (own, export) = (&flags.sidecar, &file.export);
        let text = own.export_schedule.as_deref().or(export.schedule.as_deref());
        let text = text.unwrap_or("0 2 * * *");
        let zone = own
            .schedule_time_zone
            .as_deref()
            .or(export.time_zone.as_deref())
            .or(flags.export.retention.time_zone.as_deref())
            .or(retention.time_zone.as_deref())
            .unwrap_or("UTC");
        // Checked by the one that words the error; the names are the same.
        zone.parse::<Zone>()?;
        let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
        if text == "off" {
            return Ok(None);
        }
        let schedule = Schedule::new(text, zone)
            .map_err(|source| ConfigError::Schedule { job: "export", source })?;
        Ok(Some(Agenda {
            schedule,
            jitter: own.jitter.or(export.jitter).map_or(TimeDelta::zero(), Span::delta),
            catch_up: export.catch_up.unwrap_or(true),
            retries: export.retries.unwrap_or(5),
            retry_after: export.retry_after.unwrap_or(Span::seconds(300)).delta(),
            seed: seed(),
        }))
    }
}

fn token(flags: &cli::Sidecar, file: &file::Serve) -> Result<Option<Secret>, ConfigError> {
    let environment = Environment::of_process();
    let token = match (&flags.token_file, environment.get("AIDP_BACKUP_TOKEN"), &file.token_file) {
        (Some(path), _, _) => secret_line(path)?,
        (None, Some(token), _) => Secret::new(token),
        (None, None, Some(path)) => secret_line(path)?,
        (None, None, None) => return Ok(None),
    };
    match token.expose().len() {
        length if length < TOKEN_LENGTH => Err(ConfigError::Token { length, least: TOKEN_LENGTH }),
        _ => Ok(Some(token)),
    }
}

/// Differs between hosts and stays the same on each (FNV-1a of its name).
fn seed() -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Holder::this_process().host.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
