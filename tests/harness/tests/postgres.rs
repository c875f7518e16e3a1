//! The PostgreSQL part of the harness itself.

use harness::postgres::{SERVER_MAJORS, Server, Tls, clients};

#[test]
fn every_major_starts_answers_restarts_and_has_btree_gin() {
    for major in SERVER_MAJORS {
        let mut server = Server::start(major).unwrap();
        let version = server.psql("postgres", "SHOW server_version_num").unwrap();
        assert_eq!(version[..2], major.to_string(), "{version}");
        server.createdb("app").unwrap();
        server.psql("app", "CREATE EXTENSION btree_gin; CREATE TABLE t(a int)").unwrap();
        server.restart().unwrap();
        server.kill9().unwrap();
        server.restart().unwrap();
        assert_eq!(server.psql("app", "SELECT count(*) FROM t").unwrap(), "0");
    }
}

#[test]
fn every_stock_client_dumps_its_own_major_over_tcp_with_a_password() {
    for client in clients().unwrap() {
        let server = Server::start(client.major).unwrap();
        let dump = client.command("pg_dump").arg(server.url("postgres")).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let wrong = server.url("postgres").replace(":harness@", ":wrong@");
        let dump = client.command("pg_dump").arg(wrong).output().unwrap();
        assert!(!dump.status.success());
        assert!(String::from_utf8_lossy(&dump.stderr).contains("password"));
    }
}

#[test]
fn certificates_are_checked_expire_and_can_be_demanded() {
    let client = clients().unwrap().into_iter().find(|client| client.tls()).unwrap();
    let connect = |server: &Server, more: &str| {
        let ca = server.certificates().unwrap().ca.display().to_string();
        let url = format!(
            "{}?sslmode=verify-full&sslrootcert={ca}{more}",
            server.url_at("localhost", server.port(), "postgres")
        );
        let done = client.command("psql").args(["-X", "-c", "SELECT 1", &url]).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };

    let good = Server::options(16).tls(Tls { required: true, ..Tls::default() }).start().unwrap();
    assert_eq!(connect(&good, ""), (true, String::new()));
    let plain = format!("{}?sslmode=disable", good.url("postgres"));
    assert!(!client.command("psql").args(["-X", &plain]).output().unwrap().status.success());

    let expired = Server::options(16).tls(Tls { expired: true, ..Tls::default() }).start().unwrap();
    let (connected, message) = connect(&expired, "");
    assert!(!connected && message.contains("certificate verify failed"), "{message}");
    let unverified = format!("{}?sslmode=require", expired.url("postgres"));
    let done = client.command("psql").args(["-X", "-c", "SELECT 1", &unverified]).output().unwrap();
    assert!(done.status.success());

    let mutual = Server::options(16)
        .tls(Tls { client_certificate: true, ..Tls::default() })
        .start()
        .unwrap();
    assert!(!connect(&mutual, "").0);
    let own = mutual.certificates().unwrap();
    let shown = format!(
        "&sslcert={}&sslkey={}",
        own.client_certificate.display(),
        own.client_key.display()
    );
    assert_eq!(connect(&mutual, &shown), (true, String::new()));
}

#[test]
fn dropped_server_leaves_no_process_and_no_folder() {
    let server = Server::start(17).unwrap();
    let (pid, data) = (server.pid().unwrap(), server.data_dir());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!data.exists());
}
