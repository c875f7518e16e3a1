//! Connections, sessions and snapshots on real servers.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use harness::postgres::{PASSWORD, Server, Tls};
use harness::proxy::Proxy;
use postgres::Error;
use postgres::conninfo::{ConnInfo, Environment};
use postgres::session::{Session, SessionOptions};
use postgres::snapshot::Snapshot;

fn conninfo(text: &str) -> ConnInfo {
    ConnInfo::resolve(Some(text), &Environment::default()).unwrap()
}

async fn connect(text: &str) -> Result<Session, Error> {
    Session::connect(&conninfo(text)).await
}

/// The failure of a connection: what it says, its source, its hint.
async fn failure(text: &str) -> String {
    let error = connect(text).await.err().expect("this must not connect");
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    let printed = format!("{error}: {source}: {}", error.hint().expect("every failure has a hint"));
    assert!(!printed.contains("hush"), "{printed}");
    printed
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

/// Whether the session is encrypted, as the server has it.
async fn encrypted(session: &mut Session) -> bool {
    let sql = "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    session.row("asking for encryption", sql).await.unwrap().get("ssl").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_say_what_mends_them() {
    let server = Server::start(17).unwrap();
    server.createdb("closed").unwrap();
    server
        .psql(
            "postgres",
            "CREATE ROLE guest LOGIN PASSWORD 'guest'; REVOKE CONNECT ON DATABASE closed FROM PUBLIC; CREATE ROLE group_only; CREATE ROLE limited LOGIN PASSWORD 'guest' CONNECTION LIMIT 0")
        .unwrap();
    let port = server.port();
    let to = |rest: &str| format!("host=127.0.0.1 port={port} {rest}");
    let dbname = "dbname=postgres user=postgres";
    has(
        &failure(&to(&format!("{dbname} password=hush"))).await,
        &[
            "database \"postgres\" at 127.0.0.1",
            "password authentication failed",
            "is wrong",
            "PGPASSWORD",
        ],
    );
    has(&failure(&to(dbname)).await, &["no password was found", "PGPASSFILE"]);
    has(
        &failure(&to(&format!("dbname=missing user=postgres password={PASSWORD}"))).await,
        &["database \"missing\"", "there is no database"],
    );
    has(&failure(&to("dbname=closed user=guest password=guest")).await, &["GRANT CONNECT"]);
    has(&failure(&to("dbname=postgres user=limited password=guest")).await, &["connections"]);
    has(
        &failure(&format!(
            "host={} port={port} dbname=postgres user=group_only",
            server.socket_dir().display()
        ))
        .await,
        &["may LOGIN"],
    );
    has(
        &failure("host=127.0.0.1 port=1 dbname=d user=u").await,
        &["no server answers", "listen_addresses"],
    );
    has(&failure("host=/nonexistent dbname=d user=u").await, &["/nonexistent/.s.PGSQL.5432"]);
    has(
        &failure("host=no-such-host.invalid dbname=d user=u").await,
        &["no-such-host.invalid", "DNS"],
    );
    has(
        &failure(&to(&format!("{dbname} password={PASSWORD} sslmode=require"))).await,
        &["does not offer TLS"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_given_up_after_the_timeout() {
    let server = Server::start(17).unwrap();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).unwrap();
    proxy.stall();
    let text =
        format!("{}?connect_timeout=2", server.url_at("127.0.0.1", proxy.port(), "postgres"));
    let begun = std::time::Instant::now();
    has(&failure(&text).await, &["did not answer in time", "connect_timeout"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_tried_in_order_and_by_kind() {
    let server = Server::start(17).unwrap();
    let port = server.port();
    let to = |rest: &str| {
        format!("host=127.0.0.1,127.0.0.1 port=1,{port} dbname=postgres user=postgres {rest}")
    };
    let with_password = |rest: &str| to(&format!("password={PASSWORD} {rest}"));
    for kind in ["any", "read-write", "primary", "prefer-standby"] {
        connect(&with_password(&format!("target_session_attrs={kind}"))).await.unwrap();
    }
    for kind in ["read-only", "standby"] {
        has(
            &failure(&with_password(&format!("target_session_attrs={kind}"))).await,
            &["is a primary that takes writes", "target_session_attrs"],
        );
    }
    // A refused login ends the search: the port that nobody listens at is not reached.
    let text = format!(
        "host=127.0.0.1,127.0.0.1 port={port},1 dbname=postgres user=postgres password=hush"
    );
    has(&failure(&text).await, &["password authentication failed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_services_come_from_files() {
    let server = Server::start(17).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let port = server.port();
    let passfile = write("passfile", &format!("127.0.0.1:{port}:postgres:postgres:{PASSWORD}\n"));
    let services = write(
        "services",
        &format!("[here]\nhost=127.0.0.1\nport={port}\ndbname=postgres\nuser=postgres\n"),
    );
    let environment = |variables: &[(&str, &str)]| Environment {
        variables: variables
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect::<BTreeMap<_, _>>(),
        ..Environment::default()
    };
    let info = ConnInfo::resolve(
        None,
        &environment(&[
            ("PGSERVICE", "here"),
            ("PGSERVICEFILE", &services),
            ("PGPASSFILE", &passfile),
        ]),
    )
    .unwrap();
    Session::connect(&info).await.unwrap().close().await;

    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o644)).unwrap();
    let info = ConnInfo::resolve(
        None,
        &environment(&[
            ("PGSERVICE", "here"),
            ("PGSERVICEFILE", &services),
            ("PGPASSFILE", &passfile),
        ]),
    )
    .unwrap();
    let error = Session::connect(&info).await.err().unwrap();
    has(&error.hint().unwrap(), &["no password was found", "group or world access", "0600"]);

    let secret = write("secret", &format!("{PASSWORD}\n"));
    let info = ConnInfo::resolve(
        Some("service=here"),
        &environment(&[("PGSERVICEFILE", &services), ("PGPASSWORD_FILE", &secret)]),
    )
    .unwrap();
    Session::connect(&info).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_verified_as_far_as_sslmode_says() {
    let server = Server::options(17).tls(Tls::default()).start().unwrap();
    let stranger = Server::options(17).tls(Tls::default()).start().unwrap();
    let ca = |server: &Server| server.certificates().unwrap().ca.display().to_string();
    let (own, other) = (ca(&server), ca(&stranger));
    let to = |host: &str, rest: &str| {
        format!(
            "{host} port={} dbname=postgres user=postgres password={PASSWORD} {rest}",
            server.port()
        )
    };
    for (host, rest, tls) in [
        ("host=127.0.0.1", "sslmode=disable".to_owned(), false),
        ("host=127.0.0.1", "sslmode=allow".to_owned(), false),
        ("host=127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("host=127.0.0.1", "sslmode=require".to_owned(), true),
        ("host=127.0.0.1", format!("sslmode=require sslrootcert={own}"), true),
        ("host=127.0.0.1", format!("sslmode=verify-ca sslrootcert={own}"), true),
        ("host=127.0.0.1", format!("sslmode=verify-full sslrootcert={own}"), true),
        ("host=localhost", format!("sslmode=verify-full sslrootcert={own}"), true),
        (
            "host=localhost hostaddr=127.0.0.1",
            format!("sslmode=verify-full sslrootcert={own}"),
            true,
        ),
        (
            "host=elsewhere.example hostaddr=127.0.0.1",
            format!("sslmode=verify-ca sslrootcert={own}"),
            true,
        ),
    ] {
        let text = to(host, &rest);
        let mut session = connect(&text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(encrypted(&mut session).await, tls, "{text}");
        session.close().await;
    }

    let host = "host=127.0.0.1";
    has(
        &failure(&to(
            "host=elsewhere.example hostaddr=127.0.0.1",
            &format!("sslmode=verify-full sslrootcert={own}"),
        ))
        .await,
        &["another host name"],
    );
    for mode in ["require", "verify-ca", "verify-full"] {
        has(
            &failure(&to(host, &format!("sslmode={mode} sslrootcert={other}"))).await,
            &["an authority that sslrootcert does not hold"],
        );
    }
    has(&failure(&to(host, "sslrootcert=system")).await, &["certificate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_named_as_that() {
    let server = Server::options(17).tls(Tls { expired: true, ..Tls::default() }).start().unwrap();
    let ca = server.certificates().unwrap().ca.display().to_string();
    for mode in ["verify-ca", "verify-full"] {
        let text = format!("{}?sslmode={mode}&sslrootcert={ca}", server.url("postgres"));
        has(&failure(&text).await, &["has expired", "clock"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_encryption_is_required_the_weaker_modes_find_it_or_say_so() {
    let server = Server::options(17).tls(Tls { required: true, ..Tls::default() }).start().unwrap();
    for mode in ["allow", "prefer", "require"] {
        let text = format!("{}?sslmode={mode}", server.url("postgres"));
        assert!(encrypted(&mut connect(&text).await.unwrap()).await, "{mode}");
    }
    let text = format!("{}?sslmode=disable", server.url("postgres"));
    has(&failure(&text).await, &["pg_hba.conf", "sslmode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_shown_where_asked_for() {
    let tls = Tls { required: true, client_certificate: true, ..Tls::default() };
    let server = Server::options(17).tls(tls).start().unwrap();
    let files = server.certificates().unwrap();
    let url = server.url("postgres");
    let [ca, cert, key] = [&files.ca, &files.client_certificate, &files.client_key]
        .map(|path| path.display().to_string());
    for mode in ["require", "verify-full"] {
        let roots = if mode == "require" { String::new() } else { format!("&sslrootcert={ca}") };
        let text = format!("{url}?sslmode={mode}{roots}&sslcert={cert}&sslkey={key}");
        assert!(encrypted(&mut connect(&text).await.unwrap()).await, "{mode}");
    }
    let text = format!("{url}?sslmode=verify-full&sslrootcert={ca}");
    has(&failure(&text).await, &["certificate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_whole_through_a_verified_connection() {
    let server = Server::options(17).tls(Tls { required: true, ..Tls::default() }).start().unwrap();
    let ca = server.certificates().unwrap().ca.display().to_string();
    let text = format!("{}?sslmode=verify-full&sslrootcert={ca}", server.url("postgres"));
    let mut session = connect(&text).await.unwrap();
    let sql = "COPY (SELECT repeat(md5(i::text), 100) FROM generate_series(1, 10000) i) TO STDOUT";
    let mut copy = session.copy_out("copying", sql).await.unwrap();
    let mut bytes = 0;
    while let Some(row) = copy.next().await.unwrap() {
        bytes += row.len();
    }
    assert_eq!(bytes, 10_000 * 3201);
    drop(copy);
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_have_the_settings_of_a_faithful_export() {
    for major in harness::postgres::SERVER_MAJORS {
        let server = Server::start(major).unwrap();
        // A role's own settings must not show.
        server
            .psql(
                "postgres",
                "ALTER ROLE postgres SET statement_timeout = '1s'; ALTER ROLE postgres SET DateStyle = 'SQL, DMY'; \
                 ALTER ROLE postgres SET extra_float_digits = 0; ALTER ROLE postgres SET search_path = public; \
                 ALTER ROLE postgres SET bytea_output = escape; ALTER ROLE postgres SET standard_conforming_strings = off; \
                 ALTER ROLE postgres SET IntervalStyle = iso_8601; ALTER ROLE postgres SET lock_timeout = '1s'",
            )
            .unwrap();
        let info = conninfo(&server.socket_url("postgres"));
        let mut session = Session::open(&info, &SessionOptions::default()).await.unwrap();
        for (name, value) in [
            ("search_path", Some("")),
            ("client_encoding", Some("UTF8")),
            ("DateStyle", Some("ISO, MDY")),
            ("IntervalStyle", Some("postgres")),
            ("extra_float_digits", Some("3")),
            ("bytea_output", Some("hex")),
            ("standard_conforming_strings", Some("on")),
            ("synchronize_seqscans", Some("off")),
            ("row_security", Some("off")),
            ("statement_timeout", Some("0")),
            ("lock_timeout", Some("0")),
            ("idle_in_transaction_session_timeout", Some("0")),
            ("idle_session_timeout", (major >= 14).then_some("0")),
            ("transaction_timeout", (major >= 17).then_some("0")),
            ("restrict_nonsystem_relation_kind", Some("view, foreign-table")),
            ("application_name", Some("aidp-backup")),
        ] {
            let sql = format!("SELECT pg_catalog.current_setting('{name}', true) AS value");
            let row = session.row("reading a setting", &sql).await.unwrap();
            let found = row.get::<Option<String>>("value").unwrap();
            assert_eq!(found.as_deref(), value, "{name} on {major}");
        }
        assert_eq!(session.server_version_num() / 10_000, i32::from(major));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_of_a_snapshot_sees_the_same_rows() {
    let server = Server::start(17).unwrap();
    server.psql("postgres", "CREATE TABLE t AS SELECT 1 AS a").unwrap();
    let info = conninfo(&server.url("postgres"));
    let mut snapshot = Snapshot::open(&info, &SessionOptions::default()).await.unwrap();
    server.psql("postgres", "INSERT INTO t VALUES (2); ALTER TABLE t RENAME TO u").unwrap();
    let mut worker = snapshot.worker().await.unwrap();
    for session in [snapshot.session(), &mut worker] {
        let row = session.row("counting", "SELECT count(*) AS n FROM public.u").await.unwrap();
        assert_eq!(row.get::<i64>("n").unwrap(), 1);
        let sql = "SELECT count(*) AS n FROM pg_catalog.pg_class WHERE relname = 't'";
        assert_eq!(session.row("counting", sql).await.unwrap().get::<i64>("n").unwrap(), 1);
        assert!(session.execute("writing", "INSERT INTO public.u VALUES (3)").await.is_err());
    }
    let facts = snapshot.info().clone();
    assert!(!facts.standby);
    assert!(facts.lsn.unwrap().contains('/'));
    assert!(facts.system_identifier.unwrap().parse::<u64>().is_ok());
    assert!((chrono::Utc::now() - facts.time).num_seconds().abs() < 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_is_kept_alive_and_notices_that_its_server_is_gone() {
    let mut server = Server::start(17).unwrap();
    let info = conninfo(&server.url("postgres"));
    let mut snapshot = Snapshot::open(&info, &SessionOptions::default()).await.unwrap();
    snapshot.keep_alive().await.unwrap();
    server.restart().unwrap();
    let error = snapshot.keep_alive().await.unwrap_err();
    has(&error.hint().unwrap(), &["went away"]);
    // A worker of the old snapshot does not join a new run of the server.
    has(&snapshot.worker().await.err().unwrap().to_string(), &["another server, or restarted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_an_encoding_passes_bytes_and_refuses_odd_names() {
    let server = Server::start(17).unwrap();
    for database in [
        "bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
        "latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    ] {
        server.psql("postgres", &format!("CREATE DATABASE {database}")).unwrap();
    }
    let byte = "SELECT convert_from('\\xe9'::bytea, 'SQL_ASCII') AS t";
    server.psql("bytes", &format!("CREATE TABLE odd AS {byte}")).unwrap();
    let info = conninfo(&server.socket_url("bytes"));
    let mut session = Session::open(&info, &SessionOptions::default()).await.unwrap();
    assert_eq!(session.client_encoding(), "SQL_ASCII");
    let mut copy = session.copy_out("copying", "COPY public.odd TO STDOUT").await.unwrap();
    assert_eq!(copy.next().await.unwrap().unwrap().as_ref(), b"\xe9\n");
    assert!(copy.next().await.unwrap().is_none());
    drop(copy);
    let row = session.row("reading names", "SELECT t FROM public.odd").await.unwrap();
    let error = row.get::<String>("t").unwrap_err();
    has(&error.to_string(), &["reading names", "\"bytes\"", "not valid UTF-8"]);
    has(&error.hint().unwrap(), &["SQL_ASCII"]);

    server.psql("latin", "CREATE TABLE odd AS SELECT chr(233) AS t").unwrap();
    let info = conninfo(&server.socket_url("latin"));
    let mut session = Session::open(&info, &SessionOptions::default()).await.unwrap();
    assert_eq!(session.client_encoding(), "UTF8");
    let row = session.row("reading names", "SELECT t FROM public.odd").await.unwrap();
    assert_eq!(row.get::<String>("t").unwrap(), "é");
}
