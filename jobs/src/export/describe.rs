//! What a manifest says of an exported database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use pgarchive::CopySummary;
use postgres::export::{ExportOptions, Exported, ExportedTable, Format};
use postgres::plan::{DatabaseInfo, Plan};
use postgres::selection::Selection;
use postgres::snapshot::Snapshot;
use vault::Key;
use vault::manifest::{self, Chunk, Database, Manifest, Table};

/// What is known before the copy consumes the plan.
pub(super) struct Facts {
    database: DatabaseInfo,
    system_identifier: Option<String>,
    time: DateTime<Utc>,
    lsn: Option<String>,
    object_counts: BTreeMap<String, u64>,
}

impl Facts {
    pub fn of(snapshot: &Snapshot, plan: &Plan) -> Self {
        let info = snapshot.info();
        Self {
            database: plan.database.clone(),
            system_identifier: info.system_identifier.clone(),
            time: info.time,
            lsn: info.lsn.clone(),
            object_counts: plan.object_counts.clone(),
        }
    }
}

/// The manifest's entry of a database.
pub(super) fn database(
    facts: Facts,
    exported: Exported,
    options: &ExportOptions,
    prefix: String,
) -> Database {
    let (format, location) = match options.format {
        Format::Directory => ("directory", prefix),
        Format::Plain => ("plain", format!("{prefix}{}", Key::escape_segment(&exported.file))),
    };
    Database {
        name: facts.database.name,
        format: format.into(),
        compression: options.codec.compression().to_string(),
        location,
        server_version: facts.database.server_version,
        server_version_num: facts.database.server_version_num,
        system_identifier: facts.system_identifier,
        encoding: facts.database.encoding,
        snapshot_time: facts.time,
        snapshot_lsn: facts.lsn.unwrap_or_default(),
        object_counts: facts.object_counts,
        tables: exported.tables.into_iter().map(table).collect(),
        large_objects: exported.large_objects,
        data_bytes: exported.data_bytes,
        left_out: Vec::new(),
    }
}

fn table(table: ExportedTable) -> Table {
    let chunks = table.chunks.into_iter().map(|chunk| Chunk {
        file: chunk.file,
        rows: chunk.rows,
        bytes: chunk.bytes,
        digest: None,
    });
    Table {
        schema: table.schema,
        name: table.name,
        data: table.format.to_string(),
        rows: table.rows,
        bytes: table.bytes,
        digest: None,
        chunks: chunks.collect(),
    }
}

/// The selection, as the manifest spells it.
pub(super) fn selection(selection: &Selection) -> manifest::Selection {
    manifest::Selection {
        schema_only: selection.schema_only,
        tables: selection.tables.clone(),
        exclude_tables: selection.exclude_tables.clone(),
        exclude_table_data: selection.exclude_table_data.clone(),
    }
}

/// Writes down what the rows that were read back add up to.
pub(super) fn add_digests(manifest: &mut Manifest, files: &BTreeMap<String, CopySummary>) {
    for database in &mut manifest.databases {
        for table in &mut database.tables {
            let mut sum = CopySummary::default();
            for chunk in &mut table.chunks {
                let Some(summary) = files.get(&format!("{}{}", database.location, chunk.file))
                else {
                    continue;
                };
                chunk.digest = Some(summary.digest.to_string());
                sum += *summary;
            }
            if !table.chunks.is_empty() {
                table.digest = Some(sum.digest.to_string());
            }
        }
    }
}
