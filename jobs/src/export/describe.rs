//! What a manifest says of an exported database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use postgres::export::{ExportOptions, Exported, ExportedTable, Format};
use postgres::plan::{DatabaseInfo, Plan};
use postgres::selection::Selection;
use postgres::snapshot::Snapshot;
use vault::Key;
use vault::manifest::{self, Chunk, Database, Table};

/// What is known before the copy consumes the plan.
pub(super) struct Facts {
    database: DatabaseInfo,
    system_identifier: Option<String>,
    time: DateTime<Utc>,
    lsn: Option<String>,
    object_counts: BTreeMap<String, u64>,
    left_out: Vec<String>,
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
            left_out: plan.left_out.clone(),
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
        tables: exported.tables.into_iter().map(|exported| table(exported, options)).collect(),
        large_objects: exported.large_objects,
        data_bytes: exported.data_bytes,
        left_out: facts.left_out,
    }
}

fn table(table: ExportedTable, options: &ExportOptions) -> Table {
    let chunks = table.chunks.into_iter().map(|chunk| Chunk {
        file: chunk.file,
        rows: chunk.rows,
        bytes: chunk.bytes,
        digest: Some(chunk.digest.to_string()),
    });
    Table {
        schema: table.schema,
        name: table.name,
        data: table.format.to_string(),
        rows: table.rows,
        bytes: table.bytes,
        // Of what the server sent: reading back proves that the files hold the same. The rows
        // of a script are counted alone.
        digest: (options.format == Format::Directory).then(|| table.digest.to_string()),
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

#[cfg(test)]
mod tests {
    use pgarchive::{CopyFormat, RowDigest};
    use postgres::export::{CHUNK_BYTES, DataFormat, ExportedChunk};

    use super::*;

    fn exported() -> ExportedTable {
        let chunk = |file: &str, row: &[u8]| ExportedChunk {
            file: file.into(),
            rows: 1,
            bytes: 9,
            digest: RowDigest::of_row(row),
        };
        ExportedTable {
            schema: "s".into(),
            name: "t".into(),
            format: CopyFormat::Text,
            rows: 2,
            bytes: 18,
            digest: RowDigest::of_row(b"a") + RowDigest::of_row(b"b"),
            chunks: vec![chunk("1.dat", b"a"), chunk("2.dat", b"b")],
        }
    }

    #[test]
    fn digests_are_those_of_what_was_copied() {
        let options = ExportOptions {
            format: Format::Directory,
            jobs: std::num::NonZeroUsize::MIN,
            data: DataFormat::Auto,
            codec: pgarchive::Compression::None.into(),
            chunk_bytes: CHUNK_BYTES,
            created: DateTime::UNIX_EPOCH,
        };
        let described = table(exported(), &options);
        let [a, b] = [RowDigest::of_row(b"a"), RowDigest::of_row(b"b")];
        assert_eq!(described.digest, Some((a + b).to_string()));
        let chunks: Vec<_> = described.chunks.into_iter().map(|chunk| chunk.digest).collect();
        assert_eq!(chunks, [Some(a.to_string()), Some(b.to_string())]);
    }
}
