//! From settings to a job, the same for `now` and for the sidecar.

use std::num::NonZeroUsize;

use jobs::export::{self, Export};
use jobs::prune::Rules;
use postgres::export::DataFormat;
use postgres::session::SessionOptions;

use crate::cli::{Data, ExportRun, Format};
use crate::config::{ConfigError, Settings};

/// The export that the settings ask for.
pub fn export(settings: &Settings, flags: &ExportRun) -> Result<Export, ConfigError> {
    let export = settings.export(&flags.export)?;
    let retention = settings.retention(&flags.retention)?;
    let prune = retention.after_export && !flags.no_prune;
    Ok(Export {
        databases: settings.connections(&flags.databases)?,
        source: settings.source(&flags.databases)?,
        selection: export.selection,
        session: SessionOptions { role: export.role, lock_timeout: Some(export.lock_timeout) },
        format: match export.format {
            Format::Directory => export::Format::Directory,
            Format::Plain => export::Format::Plain,
        },
        data: match export.data {
            Data::Auto => DataFormat::Auto,
            Data::Text => DataFormat::Text,
            Data::Binary => DataFormat::Binary,
        },
        codec: export.codec,
        jobs: NonZeroUsize::new(export.jobs).unwrap_or(NonZeroUsize::MIN),
        retention: prune
            .then_some(Rules { policy: retention.policy, orphan_grace: retention.orphan_grace }),
    })
}
