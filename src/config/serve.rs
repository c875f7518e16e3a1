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
    /// When to archive; `None` when the schedule is off.
    pub archive: Option<Agenda>,
    /// Whether archived histories are shown to whoever reaches the page.
    pub browse: bool,
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
        let (export, archive) = Self::schedules(flags, file, retention)?;
        Ok(Self {
            listen: own.listen.or(file.listen).unwrap_or(LISTEN),
            token: token(own, file)?,
            grace: own.grace.or(file.grace).unwrap_or(Span::seconds(15)).duration(),
            export,
            archive,
            browse: own.browse.or(file.browse).unwrap_or(true),
            notify,
        })
    }

    /// The schedules alone, which can be judged without reading a secret: of exports, and of
    /// archiving. Each is `None` when it is off.
    pub fn schedules(
        flags: &cli::Serve,
        file: &file::Serve,
        retention: &file::Retention,
    ) -> Result<(Option<Agenda>, Option<Agenda>), ConfigError> {
        let own = &flags.sidecar;
        let of_retention = flags.export.retention.time_zone.as_deref();
        let of_retention = of_retention.or(retention.time_zone.as_deref());
        let agenda = |usual: Usual,
                      flag: &Option<String>,
                      file: &file::Schedule|
         -> Result<Option<Agenda>, ConfigError> {
            let text = flag.as_deref().or(file.schedule.as_deref()).unwrap_or(usual.schedule);
            let zone = own.schedule_time_zone.as_deref().or(file.time_zone.as_deref());
            let zone = zone.or(of_retention).unwrap_or("UTC");
            // Checked by the one that words the error; the names are the same.
            zone.parse::<Zone>()?;
            let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
            if text == "off" {
                return Ok(None);
            }
            let schedule = Schedule::new(text, zone)
                .map_err(|source| ConfigError::Schedule { job: usual.job, source })?;
            Ok(Some(Agenda {
                schedule,
                jitter: own.jitter.or(file.jitter).map_or(TimeDelta::zero(), Span::delta),
                catch_up: file.catch_up.unwrap_or(true),
                retries: file.retries.unwrap_or(5),
                retry_after: file.retry_after.unwrap_or(usual.retry_after).delta(),
                seed: seed(),
            }))
        };
        let export = agenda(EXPORT, &own.export_schedule, &file.export)?;
        Ok((export, agenda(ARCHIVE, &own.archive_schedule, &file.archive)?))
    }
}

/// What a schedule is when nobody says anything.
struct Usual {
    job: &'static str,
    schedule: &'static str,
    retry_after: Span,
}

const EXPORT: Usual =
    Usual { job: "export", schedule: "0 2 * * *", retry_after: Span::seconds(300) };
const ARCHIVE: Usual =
    Usual { job: "archive", schedule: "*/10 * * * *", retry_after: Span::seconds(60) };

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
