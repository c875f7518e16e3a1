//! The databases that are measured, made anew from fixed seeds.

use std::io::{BufWriter, Write};
use std::process::Stdio;

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::Error;
use crate::postgres::{Server, client};
use crate::progress::Step;

/// Database `bench`: Temporal's `history_node` with `megabytes` of row data, six rows in ten
/// text-like, the rest incompressible, and a small `executions` beside it.
pub fn temporal_shaped(server: &Server, megabytes: u64) -> Result<(), Error> {
    let step = Step::start(format!("generating {megabytes} MB of history_node"));
    server.createdb("bench")?;
    server.psql(
        "bench",
        "CREATE TABLE history_node (
            shard_id integer NOT NULL, tree_id bytea NOT NULL, branch_id bytea NOT NULL,
            node_id bigint NOT NULL, txn_id bigint NOT NULL, prev_txn_id bigint NOT NULL DEFAULT 0,
            data bytea NOT NULL, data_encoding character varying(16) NOT NULL);
         CREATE TABLE executions (
            shard_id integer NOT NULL, namespace_id bytea NOT NULL, workflow_id character varying(255) NOT NULL,
            run_id bytea NOT NULL, next_event_id bigint NOT NULL, last_write_version bigint NOT NULL,
            data bytea NOT NULL, data_encoding character varying(16) NOT NULL,
            state bytea NOT NULL, state_encoding character varying(16) NOT NULL,
            db_record_version bigint NOT NULL DEFAULT 0);",
    )?;
    let mut rng = SmallRng::seed_from_u64(42);
    let target = megabytes * 1_000_000;
    let mut trees: Vec<([u8; 16], [u8; 16])> = Vec::new();
    copy(server, "bench", "history_node", |out| {
        let mut written = 0;
        let mut node = 0u64;
        let mut branch = ([0; 16], [0; 16]);
        while written < target {
            if node.is_multiple_of(33) {
                rng.fill_bytes(&mut branch.0);
                rng.fill_bytes(&mut branch.1);
                trees.push(branch);
            }
            let data = payload(&mut rng);
            written += data.len() as u64 + 96;
            binary_row(
                out,
                &[
                    &((trees.len() % 4) as i32 + 1).to_be_bytes(),
                    &branch.0,
                    &branch.1,
                    &((node % 33 + 1) as i64).to_be_bytes(),
                    &(node as i64 + 1_048_576).to_be_bytes(),
                    &(node as i64 + 1_048_575).to_be_bytes(),
                    &data,
                    b"Proto3",
                ],
            )?;
            node += 1;
        }
        Ok(())
    })?;
    copy(server, "bench", "executions", |out| {
        for (i, (tree, branch)) in trees.iter().enumerate() {
            let state = payload(&mut rng);
            binary_row(
                out,
                &[
                    &((i % 4) as i32 + 1).to_be_bytes(),
                    b"0123456789abcdef",
                    format!("pipeline-{i:08}").as_bytes(),
                    branch,
                    &34i64.to_be_bytes(),
                    &0i64.to_be_bytes(),
                    tree,
                    b"Proto3",
                    state.get(..state.len().min(400)).unwrap_or_default(),
                    b"Proto3",
                    &1i64.to_be_bytes(),
                ],
            )?;
        }
        Ok(())
    })?;
    server.psql(
        "bench",
        "ALTER TABLE history_node ADD PRIMARY KEY (shard_id, tree_id, branch_id, node_id, txn_id);
         ALTER TABLE executions ADD PRIMARY KEY (shard_id, namespace_id, workflow_id, run_id);",
    )?;
    settle(server, "bench")?;
    step.done();
    Ok(())
}

/// Database `tables`: many small tables, each with a key, a second index and ten rows.
pub fn many_tables(server: &Server, count: u32) -> Result<(), Error> {
    let step = Step::start(format!("creating {count} small tables"));
    server.createdb("tables")?;
    // Each batch is a transaction of its own: one of 5,000 tables would outgrow the lock table.
    for first in (0..count).step_by(200) {
        let last = (first + 200).min(count) - 1;
        server.psql(
            "tables",
            &format!(
                "DO $$ BEGIN FOR i IN {first}..{last} LOOP
                   EXECUTE format('CREATE TABLE t_%s (id bigint PRIMARY KEY, name text NOT NULL, made timestamptz DEFAULT now())', i);
                   EXECUTE format('CREATE INDEX ON t_%s (name)', i);
                   EXECUTE format('INSERT INTO t_%s SELECT n, ''row '' || n FROM generate_series(1, 10) n', i);
                 END LOOP; END $$"
            ),
        )?;
    }
    settle(server, "tables")?;
    step.done();
    Ok(())
}

/// Database `wide`: one table of 60 columns of the common types.
pub fn wide_table(server: &Server, rows: u64) -> Result<(), Error> {
    let step = Step::start(format!("filling a table of 60 columns with {rows} rows"));
    server.createdb("wide")?;
    let kinds = [
        ("integer", "(n * 7 + {i}) % 100000"),
        ("bigint", "n::bigint * 1000003 + {i}"),
        ("text", "'value ' || (n * {i} % 5003)"),
        ("numeric(12,2)", "((n + {i}) % 1000000) / 100.0"),
        ("timestamptz", "'2026-01-01'::timestamptz + (n * {i} || ' seconds')::interval"),
        ("boolean", "(n + {i}) % 3 = 0"),
    ];
    let column = |i: usize| kinds[i % kinds.len()];
    let definitions: Vec<String> = (1..=60).map(|i| format!("c{i} {}", column(i).0)).collect();
    let values: Vec<String> =
        (1..=60).map(|i| column(i).1.replace("{i}", &i.to_string())).collect();
    server.psql(
        "wide",
        &format!(
            "CREATE TABLE wide ({});
             INSERT INTO wide SELECT {} FROM generate_series(1, {rows}) n;
             ALTER TABLE wide ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;",
            definitions.join(", "),
            values.join(", ")
        ),
    )?;
    settle(server, "wide")?;
    step.done();
    Ok(())
}

/// Leaves the database as a quiet one is found: vacuumed, checkpointed, hint bits set.
fn settle(server: &Server, database: &str) -> Result<(), Error> {
    server.psql(database, "VACUUM (ANALYZE)")?;
    server.psql(database, "CHECKPOINT")?;
    Ok(())
}

/// One event batch: 200 bytes to 4 kB, text-like six times out of ten.
fn payload(rng: &mut SmallRng) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "activityTaskScheduled",
        "\"payloads\":[{",
        "metadata",
        "encoding",
        "anNvbi9wbGFpbg==",
        "plan",
        "implement",
        "review",
        "fix",
        "workflowTaskCompleted",
        "identity",
        "aidp-worker",
        "\"taskQueue\":",
        "eventTime",
        "2026-11-23T",
        "attempt",
    ];
    let length = rng.random_range(200..4_000usize);
    if rng.random_range(0..10) < 4 {
        let mut bytes = vec![0; length];
        rng.fill_bytes(&mut bytes);
        return bytes;
    }
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        bytes.extend_from_slice(WORDS[rng.random_range(0..WORDS.len())].as_bytes());
        bytes.extend_from_slice(format!(":{:x},", rng.random::<u32>()).as_bytes());
    }
    bytes
}

/// Streams binary COPY rows into a table through psql.
fn copy(
    server: &Server,
    database: &str,
    table: &str,
    rows: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Error> {
    let doing = format!("cannot fill {table}");
    let mut command = client(server.major().max(15))?.command("psql");
    let statement = format!("COPY {table} FROM STDIN WITH (FORMAT binary)");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", &statement]);
    let mut child =
        server.env(&mut command).stdin(Stdio::piped()).spawn().map_err(Error::io(&doing))?;
    if let Some(stdin) = child.stdin.take() {
        let mut out = BufWriter::with_capacity(1 << 20, stdin);
        out.write_all(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0").map_err(Error::io(&doing))?;
        rows(&mut out).map_err(Error::io(&doing))?;
        out.write_all(&(-1i16).to_be_bytes())
            .and_then(|()| out.flush())
            .map_err(Error::io(&doing))?;
    }
    let status = child.wait().map_err(Error::io(&doing))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        doing,
        command: statement,
        status: status.to_string(),
        output: String::new(),
    })
}

fn binary_row(out: &mut dyn Write, fields: &[&[u8]]) -> std::io::Result<()> {
    out.write_all(&(fields.len() as i16).to_be_bytes())?;
    for field in fields {
        out.write_all(&(field.len() as i32).to_be_bytes())?;
        out.write_all(field)?;
    }
    Ok(())
}
