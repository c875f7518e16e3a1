//! What the tests of this crate share: a folder to export into, and plans of a few tables that
//! do not need the planner.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use harness::postgres::{Client, Server};
use pgarchive::{ArchiveSink, Entry, FileWriter, Section, StreamError, WrittenFile};
use postgres::Error;
use postgres::conninfo::{ConnInfo, Environment};
use postgres::export::{CHUNK_BYTES, DataFormat, ExportOptions, Exported, Format, export};
use postgres::plan::{Column, Plan, TableData};
use postgres::progress::Progress;
use postgres::quote::{quote_ident, quote_literal, quote_qualified};
use postgres::session::SessionOptions;
use postgres::snapshot::Snapshot;
use tokio_util::sync::CancellationToken;

/// Settings for `url`, with nothing from the process around.
pub fn conninfo(url: &str) -> ConnInfo {
    ConnInfo::resolve(Some(url), &Environment::default()).unwrap()
}

pub async fn snapshot(server: &Server, database: &str) -> Snapshot {
    Snapshot::open(&conninfo(&server.socket_url(database)), &SessionOptions::default())
        .await
        .unwrap()
}

pub fn options() -> ExportOptions {
    ExportOptions {
        format: Format::Directory,
        jobs: NonZeroUsize::new(2).unwrap(),
        data: DataFormat::Auto,
        codec: "gzip".parse().unwrap(),
        chunk_bytes: CHUNK_BYTES,
        created: chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
    }
}

/// Exports a plan of every table, index and large object of `database` into `folder`.
pub async fn export_all(
    server: &Server,
    database: &str,
    options: &ExportOptions,
    folder: &Path,
) -> Result<Exported, Error> {
    let mut snapshot = snapshot(server, database).await;
    let plan = plan(&mut snapshot).await;
    let sink = Arc::new(FolderSink::new(folder));
    let cancel = CancellationToken::new();
    export(&mut snapshot, plan, options, sink, Arc::new(Progress::default()), cancel).await
}

/// A plan of schema `public`: its tables, their constraints and indexes, all large objects.
pub async fn plan(snapshot: &mut Snapshot) -> Plan {
    let database = snapshot.database().clone();
    let session = snapshot.session();
    let mut entries = vec![
        entry(1, "ENCODING", "ENCODING", "SET client_encoding = 'UTF8';\n"),
        entry(2, "STDSTRINGS", "STDSTRINGS", "SET standard_conforming_strings = 'on';\n"),
        entry(
            3,
            "SEARCHPATH",
            "SEARCHPATH",
            "SELECT pg_catalog.set_config('search_path', '', false);\n",
        ),
    ];
    let mut tables = Vec::new();
    let mut next = 4;
    let mut id = || {
        next += 1;
        next - 1
    };
    let listed = session
        .rows(
            "listing tables",
            "SELECT c.oid, c.relname, c.reltuples, pg_catalog.pg_relation_size(c.oid) / 8192 AS pages, \
             pg_catalog.pg_table_size(c.oid) AS bytes FROM pg_catalog.pg_class c \
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname",
        )
        .await
        .unwrap();
    let mut table_ids = BTreeMap::new();
    for row in &listed {
        let (oid, name) = (row.oid("oid").unwrap(), row.get::<String>("relname").unwrap());
        let sql = format!(
            "SELECT a.attname, a.atttypid, coalesce(nullif(t.typbasetype, 0), t.oid) AS base, \
             pg_catalog.format_type(a.atttypid, a.atttypmod) AS type \
             FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
             WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        );
        let columns = session.rows("listing columns", &sql).await.unwrap();
        let definitions: Vec<String> = columns
            .iter()
            .map(|c| {
                let (name, kind) = (c.get::<String>("attname"), c.get::<String>("type"));
                format!("{} {}", quote_ident(&name.unwrap()), kind.unwrap())
            })
            .collect();
        let quoted = quote_qualified("public", &name);
        let (table_id, data_id) = (id(), id());
        table_ids.insert(oid, table_id);
        entries.push(Entry {
            drop_stmt: format!("DROP TABLE {quoted};\n"),
            namespace: Some("public".into()),
            ..entry(
                table_id,
                "TABLE",
                &name,
                &format!("CREATE TABLE {quoted} ({});\n", definitions.join(", ")),
            )
        });
        tables.push(TableData {
            data_id,
            table_id: Some(table_id),
            oid,
            schema: "public".into(),
            name,
            relkind: 'r',
            columns: columns
                .iter()
                .map(|c| Column {
                    name: c.get("attname").unwrap(),
                    type_oid: c.oid("atttypid").unwrap(),
                    base_type_oid: c.oid("base").unwrap(),
                })
                .collect(),
            condition: None,
            bytes: row.get::<i64>("bytes").unwrap().unsigned_abs(),
            pages: row.get::<i64>("pages").unwrap().unsigned_abs(),
            estimated_rows: row.get("reltuples").unwrap(),
            is_heap: true,
        });
    }
    let sql = "SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY oid";
    let large_objects: Vec<u32> = session
        .rows("listing large objects", sql)
        .await
        .unwrap()
        .iter()
        .map(|row| row.oid("oid").unwrap())
        .collect();
    for oid in &large_objects {
        let defn = format!("SELECT pg_catalog.lo_create('{oid}');\n");
        entries.push(Entry {
            drop_stmt: format!("SELECT pg_catalog.lo_unlink('{oid}');\n"),
            ..entry(id(), "BLOB", &oid.to_string(), &defn)
        });
    }
    for table in &tables {
        entries.push(Entry {
            section: Section::Data,
            namespace: Some("public".into()),
            dependencies: table.table_id.into_iter().collect(),
            ..entry(table.data_id, "TABLE DATA", &table.name, "")
        });
    }
    if !large_objects.is_empty() {
        entries.push(Entry { section: Section::Data, ..entry(id(), "BLOBS", "BLOBS", "") });
    }
    // Keys before foreign keys; an index that belongs to a constraint comes with it.
    let sql = "SELECT conrelid, confrelid, conname, contype, pg_catalog.pg_get_constraintdef(oid) AS def \
               FROM pg_catalog.pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f') \
               ORDER BY contype = 'f', conname";
    for row in session.rows("listing constraints", sql).await.unwrap() {
        let (oid, name) = (row.oid("conrelid").unwrap(), row.get::<String>("conname").unwrap());
        let table = tables.iter().find(|t| t.oid == oid).unwrap();
        let is_fk = row.char("contype").unwrap() == 'f';
        let mut dependencies = vec![table_ids[&oid]];
        if is_fk {
            let other = row.oid("confrelid").unwrap();
            dependencies.push(table_ids[&other]);
            let keys = entries.iter().filter(|e| e.desc == "CONSTRAINT").map(|e| e.dump_id);
            dependencies.extend(keys.collect::<Vec<_>>());
        }
        let defn = format!(
            "ALTER TABLE ONLY {} ADD CONSTRAINT {} {};\n",
            quote_qualified("public", &table.name),
            quote_ident(&name),
            row.get::<String>("def").unwrap()
        );
        let desc = if is_fk { "FK CONSTRAINT" } else { "CONSTRAINT" };
        entries.push(Entry {
            section: Section::PostData,
            namespace: Some("public".into()),
            dependencies,
            ..entry(id(), desc, &format!("{} {name}", table.name), &defn)
        });
    }
    let sql = "SELECT i.indrelid, c.relname, pg_catalog.pg_get_indexdef(i.indexrelid) AS def \
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
               WHERE c.relnamespace = 'public'::regnamespace AND NOT EXISTS \
               (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid) ORDER BY c.relname";
    for row in session.rows("listing indexes", sql).await.unwrap() {
        entries.push(Entry {
            section: Section::PostData,
            namespace: Some("public".into()),
            dependencies: vec![table_ids[&row.oid("indrelid").unwrap()]],
            ..entry(
                id(),
                "INDEX",
                &row.get::<String>("relname").unwrap(),
                &format!("{};\n", row.get::<String>("def").unwrap()),
            )
        });
    }
    Plan {
        database,
        entries,
        tables,
        large_objects,
        left_out: Vec::new(),
        object_counts: BTreeMap::new(),
        next_dump_id: next,
    }
}

fn entry(dump_id: i32, desc: &str, tag: &str, defn: &str) -> Entry {
    Entry {
        defn: defn.to_owned(),
        owner: Some("postgres".into()),
        ..Entry::new(dump_id, desc, tag, Section::PreData)
    }
}

/// What `pg_restore` prints and how it ends, reading `folder`.
pub fn pg_restore(
    client: &Client,
    server: &Server,
    database: &str,
    folder: &Path,
    args: &[&str],
) -> Output {
    let mut command = client.command("pg_restore");
    server.env(&mut command).args(["-d", database]).args(args).arg(folder).output().unwrap()
}

/// Rows of every table of schema `public`, each as a count and an order-independent digest.
pub fn fingerprint(server: &Server, database: &str) -> String {
    let tables = server
        .psql(database, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
        .unwrap();
    tables
        .lines()
        .map(|table| {
            let sql = format!(
                "SELECT {}, count(*), coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) FROM ONLY {} t",
                quote_literal(table),
                quote_qualified("public", table)
            );
            server.psql(database, &sql).unwrap() + "\n"
        })
        .collect()
}

/// An archive in a folder. What was begun and not finished leaves nothing.
pub struct FolderSink {
    folder: PathBuf,
    /// Files that were given up.
    pub aborted: Arc<AtomicUsize>,
    /// Files that were finished, in order.
    pub finished: Arc<Mutex<Vec<String>>>,
    /// Fails the write that would be this one, counting down.
    pub fail_after: Option<Arc<AtomicUsize>>,
}

impl FolderSink {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            aborted: Arc::default(),
            finished: Arc::default(),
            fail_after: None,
        }
    }
}

#[async_trait]
impl ArchiveSink for FolderSink {
    async fn create(&self, name: &str) -> Result<Box<dyn FileWriter>, StreamError> {
        let path = self.folder.join(name);
        assert!(!path.exists(), "{name} is begun twice");
        Ok(Box::new(FolderFile {
            file: std::fs::File::create(&path)?,
            path,
            name: name.to_owned(),
            size: 0,
            aborted: Arc::clone(&self.aborted),
            finished: Arc::clone(&self.finished),
            fail_after: self.fail_after.clone(),
        }))
    }
}

struct FolderFile {
    file: std::fs::File,
    path: PathBuf,
    name: String,
    size: u64,
    aborted: Arc<AtomicUsize>,
    finished: Arc<Mutex<Vec<String>>>,
    fail_after: Option<Arc<AtomicUsize>>,
}

#[async_trait]
impl FileWriter for FolderFile {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        if let Some(left) = &self.fail_after
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err()
        {
            return Err("no space left on device".into());
        }
        self.file.write_all(&bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<WrittenFile, StreamError> {
        self.finished.lock().unwrap().push(self.name);
        Ok(WrittenFile { size: self.size, sha256: [0; 32] })
    }

    async fn abort(self: Box<Self>) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
        std::fs::remove_file(&self.path).unwrap();
    }
}
