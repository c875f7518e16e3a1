//! One SQL script, read in order by the leader: what `psql` restores.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use pgarchive::script::{Piece, Script, ScriptOptions};
use pgarchive::{Compression, DumpId, Entry, Toc};
use tokio_util::sync::CancellationToken;

use super::copy::Source;
use super::files::{failed, settle, unless_stopped};
use super::frames::{Encoders, Frames};
use super::large_objects::LargeObjectSource;
use super::work::{Done, LARGE_OBJECT_BYTES, RowsTask, Task, Work};
use super::worker::{Target, rows_into};
use super::{ExportOptions, Exported, toc};
use crate::Error;
use crate::plan::Plan;
use crate::session::Session;
use crate::snapshot::Snapshot;

/// Bytes of large objects turned into statements at a time.
const STATEMENTS: usize = 64 << 10;

/// A script has no place for bytes.
pub(super) fn binary_refused() -> Error {
    Error::Refused {
        what: "a plain script cannot hold binary data".to_owned(),
        hint: "use --data text with --format plain, or --format directory".to_owned(),
    }
}

/// `DATABASE_YYYYMMDD_HHMMSS.sql`, with the compression's suffix. What a file name or a store's
/// key may not hold becomes `=XX`, in hexadecimal.
pub(super) fn file_name(
    database: &str,
    created: DateTime<Utc>,
    compression: Compression,
) -> String {
    let mut name = String::with_capacity(database.len() + 24);
    for (at, byte) in database.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || b"_-+".contains(&byte) || (byte == b'.' && at > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("={byte:02X}"));
        }
    }
    format!("{name}_{}.sql{}", created.format("%Y%m%d_%H%M%S"), compression.suffix())
}

/// Exports a script.
///
/// # Errors
/// As [`export`](super::export).
pub(super) async fn export(
    snapshot: &mut Snapshot,
    plan: Plan,
    work: Work,
    options: &ExportOptions,
    target: &Target,
    cancel: &CancellationToken,
) -> Result<Exported, Error> {
    let compression = options.codec.compression();
    let file = file_name(&plan.database.name, options.created, compression);
    let toc = toc::assemble(plan.entries, &work, &plan.database, options)?;
    let mut writer = target.sink.create(&file).await.map_err(failed(&file))?;
    let mut encoders = Encoders::new(options.codec, options.jobs.get());
    let written = unless_stopped(cancel, async {
        let scribe = Scribe {
            session: snapshot.session(),
            frames: Frames::new(&mut encoders, &mut *writer, &file),
            file: &file,
            target,
            work: &work,
            done: Done::default(),
        };
        scribe.write(&toc, &plan.large_objects).await
    })
    .await;
    let done = settle(writer, &file, written).await?;
    work.exported(&done, options, &file)
}

/// Writes the pieces of a script.
struct Scribe<'a> {
    session: &'a mut Session,
    frames: Frames<'a>,
    file: &'a str,
    target: &'a Target,
    work: &'a Work,
    done: Done,
}

impl Scribe<'_> {
    async fn write(mut self, toc: &Toc, large_objects: &[u32]) -> Result<Done, Error> {
        let rows: HashMap<DumpId, (&RowsTask, u64)> = self
            .work
            .pieces
            .iter()
            .filter_map(|piece| match &piece.task {
                Task::Rows(rows) => Some((rows.dump_id, (rows, piece.bytes))),
                Task::LargeObjects(_) => None,
            })
            .collect();
        let script =
            Script::new(toc, ScriptOptions::default()).map_err(|e| failed(self.file)(e.into()))?;
        for piece in script.pieces() {
            match piece {
                Piece::Sql(sql) => self.frames.put(sql.as_bytes()).await?,
                Piece::Rows(entry) => {
                    let (rows, bytes) = rows.get(&entry.dump_id).ok_or_else(|| defect(entry))?;
                    self.rows(rows, *bytes).await?;
                }
                Piece::LargeObjects(_) => {
                    for oid in large_objects {
                        self.large_object(*oid, &script).await?;
                    }
                }
                Piece::Statements(entry) => return Err(defect(entry)),
            }
        }
        self.frames.finish().await?;
        Ok(self.done)
    }

    async fn rows(&mut self, rows: &RowsTask, bytes: u64) -> Result<(), Error> {
        let mut progress = self.target.progress.begin(&rows.quoted, bytes);
        let copied =
            rows_into(self.session, rows, &mut self.frames, self.file, &mut progress).await?;
        progress.done();
        self.target.progress.add_table();
        self.done.chunks.insert(rows.dump_id, copied);
        Ok(())
    }

    async fn large_object(&mut self, oid: u32, script: &Script<'_>) -> Result<(), Error> {
        let mut progress = self.target.progress.begin("large objects", LARGE_OBJECT_BYTES);
        let statements = script.large_object(oid);
        let mut sql = Vec::new();
        statements.open(&mut sql);
        let mut source = LargeObjectSource::new(self.session, oid);
        while let Some(part) = source.next().await? {
            self.done.large_object_bytes += part.len() as u64;
            progress.add(part.len() as u64);
            for part in part.chunks(STATEMENTS) {
                statements.write(part, &mut sql);
                self.frames.put(&sql).await?;
                sql.clear();
            }
        }
        statements.close(&mut sql);
        self.frames.put(&sql).await?;
        self.done.large_objects += 1;
        progress.done();
        Ok(())
    }
}

fn defect(entry: &Entry) -> Error {
    Error::Refused {
        what: format!("entry {} ({} {}) has no data to copy", entry.dump_id, entry.desc, entry.tag),
        hint: "this is a defect: report it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_named_as_the_script_that_they_replace_did() {
        let created = DateTime::from_timestamp(1_795_480_496, 0).unwrap();
        let name = |database, compression| file_name(database, created, compression);
        assert_eq!(name("temporal", Compression::Gzip), "temporal_20261124_003456.sql.gz");
        assert_eq!(name("temporal", Compression::Zstd), "temporal_20261124_003456.sql.zst");
        assert_eq!(name("a/b=ü", Compression::None), "a=2Fb=3D=C3=BC_20261124_003456.sql");
        assert_eq!(name("..", Compression::None), "=2E._20261124_003456.sql");
    }
}
