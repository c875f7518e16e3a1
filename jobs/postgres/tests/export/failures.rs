//! What an export does when something goes wrong under it: nothing is taken for whole, the
//! first failure is the one reported, and everybody stops.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{FolderSink, conninfo, fingerprint, options, pg_restore, plan, snapshot};
use harness::postgres::{Server, client};
use harness::proxy::{Direction, Proxy};
use postgres::Error;
use postgres::export::{ExportOptions, Exported, export};
use postgres::lock::LockTarget;
use postgres::progress::Progress;
use postgres::session::{Session, SessionOptions};
use postgres::snapshot::Snapshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const TABLES: &str = "
CREATE TABLE big (id bigint PRIMARY KEY, payload bytea NOT NULL);
INSERT INTO big SELECT i, decode(repeat(md5(i::text), 60), 'hex') FROM generate_series(1, 20000) i;
CREATE TABLE small (id int);
INSERT INTO small VALUES (1), (2);
";

fn filled() -> Server {
    let server = Server::start(17).unwrap();
    server.createdb("source").unwrap();
    server.psql("source", TABLES).unwrap();
    server
}

fn small_chunks() -> ExportOptions {
    ExportOptions { chunk_bytes: 256 << 10, ..options() }
}

/// An export under way in a task of its own.
struct Running {
    task: JoinHandle<Result<Exported, Error>>,
    progress: Arc<Progress>,
    cancel: CancellationToken,
    aborted: Arc<AtomicUsize>,
}

async fn begin(mut snapshot: Snapshot, folder: &Path) -> Running {
    let plan = plan(&mut snapshot).await;
    let sink = FolderSink::new(folder);
    let (progress, cancel) = (Arc::<Progress>::default(), CancellationToken::new());
    let aborted = Arc::clone(&sink.aborted);
    let task = tokio::spawn({
        let (progress, cancel) = (Arc::clone(&progress), cancel.clone());
        async move {
            export(&mut snapshot, plan, &small_chunks(), Arc::new(sink), progress, cancel).await
        }
    });
    Running { task, progress, cancel, aborted }
}

/// Nothing but finished files is left, and nothing that says it is an archive.
#[track_caller]
fn nothing_published(folder: &Path) {
    assert!(!folder.join("toc.dat").exists());
}

/// Sessions of the database besides the one that asks.
fn sessions(server: &Server) -> String {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'source' AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    server.psql("source", sql).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_stops_every_worker_and_gives_its_file_up() {
    let server = filled();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).unwrap();
    let info = conninfo(&server.url_at("127.0.0.1", proxy.port(), "source"));
    let snapshot = Snapshot::open(&info, &SessionOptions::default()).await.unwrap();
    proxy.throttle(2 << 20);
    let folder = tempfile::tempdir().unwrap();
    let running = begin(snapshot, folder.path()).await;
    until("both workers copy", || running.progress.reading().copied_bytes > 1 << 20).await;
    running.cancel.cancel();
    let error = running.task.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error:?}");
    assert!(running.aborted.load(Ordering::SeqCst) >= 1);
    nothing_published(folder.path());
    until("the server has no session left", || sessions(&server) == "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_is_the_error_that_is_reported() {
    let server = filled();
    let mut snapshot = snapshot(&server, "source").await;
    let plan = plan(&mut snapshot).await;
    let folder = tempfile::tempdir().unwrap();
    let mut sink = FolderSink::new(folder.path());
    sink.fail_after = Some(Arc::new(AtomicUsize::new(7)));
    let aborted = Arc::clone(&sink.aborted);
    let (progress, cancel) = (Arc::<Progress>::default(), CancellationToken::new());
    let outcome =
        export(&mut snapshot, plan, &small_chunks(), Arc::new(sink), progress, cancel.clone())
            .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::File { doing: "write", .. }), "{error:?}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no space left on device");
    assert!(aborted.load(Ordering::SeqCst) >= 1);
    assert!(!cancel.is_cancelled(), "the caller's token is the caller's");
    nothing_published(folder.path());
    drop(snapshot);
    until("the server has no session left", || sessions(&server) == "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_mid_copy_is_an_error_with_a_hint() {
    let server = filled();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).unwrap();
    let info = conninfo(&server.url_at("127.0.0.1", proxy.port(), "source"));
    let snapshot = Snapshot::open(&info, &SessionOptions::default()).await.unwrap();
    proxy.cut_after(Direction::Down, 3 << 20);
    let folder = tempfile::tempdir().unwrap();
    let error = begin(snapshot, folder.path()).await.task.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Query { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("went away"), "{error:?}");
    nothing_published(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_copy_is_an_error_and_a_new_export_succeeds() {
    let mut server = filled();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).unwrap();
    let info = conninfo(&server.url_at("127.0.0.1", proxy.port(), "source"));
    let snapshot = Snapshot::open(&info, &SessionOptions::default()).await.unwrap();
    proxy.throttle(2 << 20);
    let folder = tempfile::tempdir().unwrap();
    let running = begin(snapshot, folder.path()).await;
    until("workers copy", || running.progress.reading().copied_bytes > 1 << 20).await;
    server.kill9().unwrap();
    let error = running.task.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Query { .. } | Error::Connect { .. }), "{error:?}");
    assert!(error.hint().is_some());
    nothing_published(folder.path());

    server.restart().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let snapshot = crate::support::snapshot(&server, "source").await;
    begin(snapshot, folder.path()).await.task.await.unwrap().unwrap();
    assert!(folder.path().join("toc.dat").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_table_does_not_stop_the_export() {
    let server = filled();
    let expected = fingerprint(&server, "source");
    let mut snapshot = snapshot(&server, "source").await;
    let plan = plan(&mut snapshot).await;
    let targets: Vec<LockTarget> =
        plan.tables.iter().map(|t| LockTarget::new(t.oid, &t.schema, &t.name)).collect();
    snapshot.session().lock_tables(&targets).await.unwrap();

    // Queued behind the leader; every new session would queue behind it.
    let url = server.socket_url("source");
    let migration = tokio::spawn(async move {
        let mut session = Session::connect(&conninfo(&url)).await.unwrap();
        session.execute("altering", "ALTER TABLE big ADD COLUMN later int").await
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    until("the migration waits", || server.psql("postgres", waits).unwrap() == "1").await;

    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(FolderSink::new(folder.path()));
    let (progress, cancel) = (Arc::<Progress>::default(), CancellationToken::new());
    export(&mut snapshot, plan, &small_chunks(), sink, progress, cancel).await.unwrap();
    snapshot.close().await;
    migration.await.unwrap().unwrap();

    server.createdb("target").unwrap();
    let output = pg_restore(&client(17).unwrap(), &server, "target", folder.path(), &["-j2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fingerprint(&server, "target"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_written_after_the_snapshot_are_not_in_it_and_none_before_are_lost() {
    let server = filled();
    let expected = fingerprint(&server, "source");
    let mut snapshot = snapshot(&server, "source").await;
    let mut plan = plan(&mut snapshot).await;
    let more = "INSERT INTO big SELECT i, '\\x00' FROM generate_series(20001, 40000) i; \
                UPDATE big SET payload = '\\x01' WHERE id % 2 = 0; DELETE FROM small";
    server.psql("source", more).unwrap();
    // As if the table had been much smaller when its pages were counted: the last chunk has
    // no end.
    for table in &mut plan.tables {
        table.pages = table.pages.div_ceil(3);
    }
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(FolderSink::new(folder.path()));
    let (progress, cancel) = (Arc::<Progress>::default(), CancellationToken::new());
    let exported =
        export(&mut snapshot, plan, &small_chunks(), sink, progress, cancel).await.unwrap();
    assert!(exported.tables.iter().any(|t| t.chunks.len() > 3));
    assert_eq!(exported.tables.iter().map(|t| t.rows).sum::<u64>(), 20_002);

    server.createdb("target").unwrap();
    let output = pg_restore(&client(17).unwrap(), &server, "target", folder.path(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fingerprint(&server, "target"), expected);
}

/// Plans, lets `change` happen, exports.
async fn export_after(server: &Server, change: &str) -> Error {
    let mut snapshot = snapshot(server, "source").await;
    let plan = plan(&mut snapshot).await;
    server.psql("source", change).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(FolderSink::new(folder.path()));
    let (progress, cancel) = (Arc::<Progress>::default(), CancellationToken::new());
    let outcome = export(&mut snapshot, plan, &options(), sink, progress, cancel).await;
    nothing_published(folder.path());
    outcome.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changed_before_it_was_locked_is_an_error_by_name() {
    let server = filled();
    for (change, message) in [
        ("TRUNCATE small", "table public.small in database \"source\" was truncated or rewritten"),
        (
            "ALTER TABLE small ALTER COLUMN id TYPE bigint",
            "table public.small in database \"source\" was truncated or rewritten",
        ),
        (
            "DROP TABLE small; CREATE TABLE small (id int)",
            "table public.small in database \"source\" was dropped or renamed",
        ),
        (
            "ALTER TABLE small RENAME TO other",
            "table public.small in database \"source\" was dropped or renamed",
        ),
        ("DROP TABLE other", "table public.other in database \"source\" was dropped or renamed"),
    ] {
        let error = export_after(&server, change).await;
        assert!(error.to_string().starts_with(message), "{change}: {error}");
        assert!(error.hint().unwrap().contains("run again"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_holds_is_an_error_that_names_him() {
    let server = filled();
    let mut holder = Session::connect(&conninfo(&server.socket_url("source"))).await.unwrap();
    let pid = holder.pid();
    let sql = "BEGIN; LOCK TABLE small IN ACCESS EXCLUSIVE MODE";
    holder.execute("holding a table", sql).await.unwrap();
    let options = SessionOptions { lock_timeout: Some(Duration::from_millis(50)), role: None };
    let info = conninfo(&server.socket_url("source"));
    let mut snapshot = Snapshot::open(&info, &options).await.unwrap();
    let row = snapshot.session().row("x", "SELECT 'small'::regclass::oid AS oid").await;
    // `search_path` is empty in such sessions.
    assert!(row.is_err());
    let mut snapshot = Snapshot::open(&info, &options).await.unwrap();
    let row = snapshot.session().row("x", "SELECT 'public.small'::regclass::oid AS oid").await;
    let target = LockTarget::new(row.unwrap().oid("oid").unwrap(), "public", "small");
    let error = snapshot.session().lock_tables(&[target]).await.unwrap_err();
    let expected = format!(
        "could not lock table public.small (process {pid} holds ACCESS EXCLUSIVE) in database \"source\" within the lock timeout"
    );
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("--lock-timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_read_is_an_error_by_name() {
    let server = filled();
    server
        .psql(
            "source",
            "CREATE ROLE reader LOGIN; GRANT SELECT ON small TO reader; SELECT lo_from_bytea(4711, 'x')",
        )
        .unwrap();
    let url = server.socket_url("source").replace("postgres@", "reader@");
    let error = |message: &'static str, url: String| async move {
        let mut snapshot =
            Snapshot::open(&conninfo(&url), &SessionOptions::default()).await.unwrap();
        let plan = plan(&mut snapshot).await;
        let folder = tempfile::tempdir().unwrap();
        let sink = Arc::new(FolderSink::new(folder.path()));
        let (progress, cancel) = (Arc::<Progress>::default(), CancellationToken::new());
        let outcome = export(&mut snapshot, plan, &options(), sink, progress, cancel).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().unwrap().contains("GRANT"));
    };
    error("role \"reader\" may not read table public.big in database \"source\"", url.clone())
        .await;
    server.psql("source", "GRANT SELECT ON big TO reader").unwrap();
    error("role \"reader\" may not read large object 4711 in database \"source\"", url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_dropped_copy_leaves_a_session_that_refuses_to_go_on() {
    let server = filled();
    let mut session = Session::connect(&conninfo(&server.socket_url("source"))).await.unwrap();
    {
        let mut copy = session.copy_out("copying", "COPY public.big TO STDOUT").await.unwrap();
        assert!(copy.next().await.unwrap().is_some());
    }
    let error = session.row("asking", "SELECT 1 AS one").await.unwrap_err();
    assert_eq!(error.to_string(), "asking failed in database \"source\"");
    let mut session = Session::connect(&conninfo(&server.socket_url("source"))).await.unwrap();
    let mut copy = session.copy_out("copying", "COPY public.small TO STDOUT").await.unwrap();
    while copy.next().await.unwrap().is_some() {}
    drop(copy);
    let row = session.row("asking", "SELECT 1 AS one").await.unwrap();
    assert_eq!(row.get::<i64>("one").unwrap(), 1);
}
