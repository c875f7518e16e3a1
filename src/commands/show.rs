//! `show`: one backup in full.

use std::fmt::Write;

use jobs::show::Show;
use serde::Serialize;
use vault::manifest::{Database, Manifest};

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

#[derive(Serialize)]
struct Document<'a> {
    backup: &'a Manifest,
}

pub async fn run(command: &Command, arguments: &cli::Show) -> Result<Exit, CommandError> {
    let (manifest, exit) = command.perform(&Show { id: arguments.id.clone() }).await?;
    if command.output.is_json() {
        command.output.document(&Document { backup: &manifest })?;
    } else {
        command.output.text(&text(&manifest))?;
    }
    Ok(exit)
}

fn text(manifest: &Manifest) -> String {
    let mut table = Table::new(&["backup", manifest.id.as_str()]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("group", manifest.group.clone());
    line("started", output::moment(manifest.started));
    line("took", output::span(manifest.finished - manifest.started));
    line("written by", format!("aidp-backup {} on {}", manifest.program_version, manifest.host));
    line("rows", output::count(manifest.rows()));
    let objects = output::counted(manifest.objects.len() as u64, "object");
    line("stored", format!("{} in {objects}", output::bytes(manifest.stored_bytes())));
    if manifest.databases.len() > 1 {
        line("snapshot skew", format!("{} ms", manifest.snapshot_skew_ms));
    }
    for failed in &manifest.failed {
        line("failed", format!("{}: {}", failed.name, failed.error));
    }
    let mut text = table.render();
    for database in &manifest.databases {
        text.push('\n');
        text.push_str(&database_text(database));
    }
    text
}

fn database_text(database: &Database) -> String {
    let mut table = Table::new(&["database", database.name.as_str()]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("format", format!("{}, {}", database.format, database.compression));
    line("location", database.location.clone());
    line("server", format!("PostgreSQL {}, {}", database.server_version, database.encoding));
    line(
        "snapshot",
        format!("{} at {}", output::moment(database.snapshot_time), database.snapshot_lsn),
    );
    let classes = database.object_counts.iter().map(|(class, count)| format!("{count} {class}"));
    line("objects", classes.collect::<Vec<_>>().join(", "));
    if database.large_objects > 0 {
        line("large objects", output::count(database.large_objects));
    }
    if !database.left_out.is_empty() {
        line("left out", database.left_out.join(", "));
    }
    let mut text = table.render();
    let mut tables = Table::new(&["  table", ">rows", ">data", "form", ">chunks"]);
    for table in &database.tables {
        tables.row([
            format!("  {}.{}", table.schema, table.name),
            output::count(table.rows),
            output::bytes(table.bytes),
            table.data.clone(),
            table.chunks.len().to_string(),
        ]);
    }
    if !tables.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}", tables.render());
    }
    text
}
