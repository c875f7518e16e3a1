//! What drills are told, merged.

use std::ffi::OsString;
use std::path::PathBuf;

use jobs::drill::database::{Assertion, Sample, Target, TemporalServer};
use jobs::drill::histories::HistoriesTarget;
use postgres::conninfo::{ConnInfo, Environment};

use super::{ConfigError, file, secret_line};
use crate::cli;
use crate::secret::Secret;

/// Histories that a drill compares unless told otherwise.
const SAMPLE: usize = 200;

/// `drill database`.
#[derive(Debug, Clone)]
pub struct DrillDatabaseSettings {
    /// Where to restore to.
    pub target: Target,
    /// The operator's own checks.
    pub assertions: Vec<Assertion>,
}

/// `drill histories`.
#[derive(Debug, Clone)]
pub struct DrillHistoriesSettings {
    /// Where to import to.
    pub target: HistoriesTarget,
    /// How many, chosen by chance; all when not given.
    pub sample: Option<usize>,
}

/// `drill replay`.
#[derive(Debug, Clone)]
pub struct DrillReplaySettings {
    /// The program and its arguments.
    pub replayer: Vec<OsString>,
    /// How many, chosen by chance; all when not given.
    pub sample: Option<usize>,
}

impl DrillDatabaseSettings {
    /// The scratch that is named, by flags before the file; `None` when none is.
    pub fn merge(
        flags: &cli::ScratchServer,
        file: &file::DrillDatabase,
    ) -> Result<Option<Self>, ConfigError> {
        let assertions = file.assertion.iter().map(|assertion| Assertion {
            name: assertion.name.clone(),
            database: assertion.database.clone(),
            sql: assertion.sql.clone(),
        });
        let assertions = assertions.collect();
        let named =
            [file.scratch.is_some(), file.scratch_file.is_some(), file.postgres_bin.is_some()];
        if named.into_iter().filter(|named| *named).count() > 1 {
            return Err(ConfigError::Conflict {
                what: "[drill.database] names several scratches",
                hint: "give one of scratch, scratch_file and postgres_bin",
            });
        }
        let text = match (&flags.scratch, &flags.scratch_file, &flags.postgres_bin) {
            (Some(text), _, _) => Secret::new(text),
            (None, Some(path), _) => secret_line(path)?,
            (None, None, Some(bin)) => {
                return Ok(Some(Self { target: Target::Binaries(bin.clone()), assertions }));
            }
            (None, None, None) => match (&file.scratch, &file.scratch_file, &file.postgres_bin) {
                (Some(text), _, _) => text.clone(),
                (None, Some(path), _) => secret_line(path)?,
                (None, None, Some(bin)) => {
                    return Ok(Some(Self { target: Target::Binaries(bin.clone()), assertions }));
                }
                (None, None, None) => return Ok(None),
            },
        };
        let info = ConnInfo::resolve(Some(text.expose()), &Environment::of_process());
        let target = Target::Server(Box::new(info.map_err(ConfigError::Connection)?));
        Ok(Some(Self { target, assertions }))
    }
}

impl super::Settings {
    /// `drill database`; `None` when no scratch is named.
    pub fn drill_database(
        &self,
        flags: &cli::ScratchServer,
    ) -> Result<Option<DrillDatabaseSettings>, ConfigError> {
        DrillDatabaseSettings::merge(flags, &self.file.drill.database)
    }

    /// `drill histories`; `None` when no Temporal is named.
    pub fn drill_histories(
        &self,
        flags: &cli::DrillHistories,
    ) -> Result<Option<DrillHistoriesSettings>, ConfigError> {
        let file = &self.file.drill.histories;
        if file.scratch_temporal.is_some() && file.temporal_server.is_some() {
            return Err(ConfigError::Conflict {
                what: "[drill.histories] names several Temporals",
                hint: "give one of scratch_temporal and temporal_server",
            });
        }
        let scratch = &flags.scratch;
        let (address, program) = match (&scratch.scratch_temporal, &scratch.temporal_server) {
            (None, None) => (&file.scratch_temporal, &file.temporal_server),
            given => given,
        };
        let target = match (address, program) {
            (Some(address), _) => {
                let reached = cli::Temporal {
                    temporal_address: Some(address.clone()),
                    temporal_profile: scratch
                        .scratch_temporal_profile
                        .clone()
                        .or_else(|| file.scratch_temporal_profile.clone()),
                    ..cli::Temporal::default()
                };
                HistoriesTarget::Server(Box::new(
                    self.temporal(&reached, &cli::Archive::default())?,
                ))
            }
            (None, Some(program)) => HistoriesTarget::Program(program.clone()),
            (None, None) => return Ok(None),
        };
        let sample = flags.sample.or(file.sample).and_then(cli::HowMany::number);
        Ok(Some(DrillHistoriesSettings { target, sample }))
    }

    /// `drill replay`; without a replayer when none is named.
    pub fn drill_replay(&self, flags: &cli::DrillReplay) -> DrillReplaySettings {
        let file = &self.file.drill.replay;
        let replayer = match flags.replayer.is_empty() {
            true => file.command.iter().map(OsString::from).collect(),
            false => flags.replayer.clone(),
        };
        let sample = flags.sample.or(file.sample).and_then(cli::HowMany::number);
        DrillReplaySettings { replayer, sample }
    }

    /// The Temporal server that is started on a copy, when one is named.
    pub fn drill_temporal(&self, flags: &cli::DrillTemporal) -> Option<TemporalServer> {
        let file = &self.file.drill.database;
        let binary = flags.temporal_server.clone().or_else(|| file.temporal_server.clone())?;
        let sample = match flags.sample.or(file.sample) {
            Some(cli::HowMany::All) => Sample::All,
            Some(cli::HowMany::Some(number)) => Sample::Some(number),
            None => Sample::Some(SAMPLE),
        };
        Some(TemporalServer { binary, sample })
    }

    /// File of the key that signs evidence.
    pub fn signing_key_file(&self, flags: &cli::Signing) -> Option<PathBuf> {
        flags.signing_key_file.clone().or_else(|| self.file.drill.signing_key_file.clone())
    }

    /// File of the key that must have signed it.
    pub fn public_key_file(&self, flag: Option<&PathBuf>) -> Option<PathBuf> {
        flag.cloned().or_else(|| self.file.drill.public_key_file.clone())
    }
}
