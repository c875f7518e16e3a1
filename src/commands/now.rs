//! `now`: the jobs, once, now.

use std::num::NonZeroUsize;

use jobs::export::{self, Export, Exported};
use jobs::prune::Rules;
use postgres::export::DataFormat;
use postgres::session::SessionOptions;

use super::Command;
use crate::cli::{self, Data, Format, NowJob};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, arguments: &cli::Now) -> Result<Exit, CommandError> {
    match arguments.job {
        None | Some(NowJob::Export) => export(command, arguments).await,
    }
}

async fn export(command: &Command, arguments: &cli::Now) -> Result<Exit, CommandError> {
    let settings = &command.settings;
    let export = settings.export(&arguments.export)?;
    let retention = settings.retention(&arguments.retention)?;
    let prune = retention.after_export && !arguments.no_prune;
    let job = Export {
        databases: settings.connections(&arguments.databases)?,
        source: settings.source(&arguments.databases)?,
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
    };
    let (exported, exit) = command.perform(&job).await?;
    if command.output.is_json() {
        command.output.document(&exported)?;
    } else {
        command.output.text(&text(&exported))?;
    }
    Ok(exit)
}

fn text(exported: &Exported) -> String {
    let backup = &exported.backup;
    let mut text = format!(
        "exported {}: {}, {} of data, {} stored, in {}\n",
        backup.id,
        output::counted(backup.rows, "row"),
        output::bytes(backup.data_bytes),
        output::bytes(backup.stored_bytes),
        output::span(backup.finished - backup.started)
    );
    for failed in &backup.failed {
        text.push_str(&format!("failed {}: {}\n", failed.name, failed.error));
    }
    if let Some(pruned) = &exported.pruned {
        for (group, _) in pruned.frozen() {
            text.push_str(&format!("frozen {group}: nothing is removed\n"));
        }
        for group in &pruned.plan.groups {
            for gone in &group.remove {
                text.push_str(&format!("removed {}: {}\n", gone.id, gone.reason));
            }
        }
    }
    text
}
