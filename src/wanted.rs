//! From settings to a job, the same for `now` and for the sidecar.

use std::num::NonZeroUsize;

use jobs::archive::{Archive, Archived, ArchivedNamespace};
use jobs::export::{self, Export};
use jobs::prune::Rules;
use postgres::export::DataFormat;
use postgres::session::SessionOptions;

use crate::cli::{self, Data, ExportRun, Format};
use crate::config::{ConfigError, Settings};
use crate::history;

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

/// The archive that the settings ask for; of the export's flags those about removal count.
pub fn archive(
    settings: &Settings,
    temporal: &cli::Temporal,
    flags: &cli::Archive,
    export: &ExportRun,
) -> Result<Archive, ConfigError> {
    let archive = settings.archive(flags)?;
    Ok(Archive {
        temporal: settings.temporal(temporal, flags)?,
        namespaces: archive.namespaces,
        codec: archive.codec,
        settle: archive.settle,
        overlap: archive.overlap,
        expiry_warning: archive.expiry_warning,
        orphan_grace: settings.retention(&export.retention)?.orphan_grace,
        join_windows: archive.join_windows,
        full: archive.full,
        prune: !export.no_prune,
    })
}

/// What an operator must know of an archiving, one line each; but for the first failures, which
/// are told already.
pub fn complain(archived: &Archived, told: usize) {
    for (namespace, error) in archived.failed().skip(told) {
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        tracing::error!("{}{hint}", failed(namespace, error));
    }
    for namespace in archived.namespaces.iter().filter(|namespace| namespace.expiring > 0) {
        let seconds = namespace.expiring_within_seconds;
        let expiring = history::expiring(namespace.expiring, &namespace.namespace, seconds);
        tracing::error!("{expiring}, not archived");
    }
}

/// Which namespace could not be archived, and why.
pub fn failed(namespace: &ArchivedNamespace, error: &jobs::Error) -> String {
    format!("namespace {:?}: {}", namespace.namespace, jobs::chain(error))
}
