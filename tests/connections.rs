//! The ways in which libpq finds a server and proves who is who, on the command line.

mod stage;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::postgres::{PASSWORD, Server, Tls};
use stage::{MAJOR, Ran, Stage, run};

/// A server that takes nobody over TCP without a certificate of his own.
fn guarded() -> Stage {
    let tls = Tls { required: true, client_certificate: true, ..Tls::default() };
    let stage = Stage::on(Server::options(MAJOR).tls(tls).start().unwrap());
    stage.shop("shop");
    stage
}

/// An export with nothing but these variables besides the store.
fn export(stage: &Stage, database: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command =
        stage.command(&["now", "export", "--schema-only", "--no-prune", "-d", database]);
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    run(command)
}

#[test]
fn every_way_of_libpq_leads_to_the_server() {
    let stage = guarded();
    let files = stage.server.certificates().unwrap();
    let [ca, cert, key] = [&files.ca, &files.client_certificate, &files.client_key]
        .map(|path| path.display().to_string());
    let port = stage.server.port();
    let written = |name: &str, text: String| {
        let path = stage.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let passwords = written("passwords", format!("*:{port}:shop:postgres:{PASSWORD}\n"));
    let secret = written("secret", format!("{PASSWORD}\n"));
    let services = written(
        "services",
        format!(
            "[backup]\nhost=127.0.0.1,127.0.0.1\nport=1,{port}\ndbname=shop\nuser=postgres\n\
             sslmode=verify-full\nsslrootcert={ca}\nsslcert={cert}\nsslkey={key}\n"
        ),
    );
    let url = format!("postgresql://postgres@127.0.0.1:{port}/shop?sslcert={cert}&sslkey={key}");
    let socket = stage.server.socket_dir().display().to_string();
    let port = port.to_string();
    for (database, variables) in [
        (format!("{url}&sslmode=require"), vec![("PGPASSWORD", PASSWORD)]),
        (format!("{url}&sslmode=verify-ca&sslrootcert={ca}"), vec![("PGPASSFILE", &*passwords)]),
        (
            format!("{url}&sslmode=verify-full&sslrootcert={ca}"),
            vec![("PGPASSWORD_FILE", &*secret)],
        ),
        // The system's authorities, which are these for once.
        (
            format!("{url}&sslrootcert=system"),
            vec![("PGPASSWORD", PASSWORD), ("SSL_CERT_FILE", &*ca)],
        ),
        // The first of the two hosts does not answer.
        (
            "service=backup".to_owned(),
            vec![("PGSERVICEFILE", &*services), ("PGPASSFILE", &*passwords)],
        ),
        (format!("host={socket} port={port} user=postgres dbname=shop"), vec![]),
        ("shop".to_owned(), vec![("PGHOST", &*socket), ("PGPORT", &*port), ("PGUSER", "postgres")]),
    ] {
        let ran = export(&stage, &database, &variables);
        assert_eq!(ran.code, Some(0), "{database}: {ran:?}");
    }

    let stranger = format!("{url}&sslrootcert=system");
    export(&stage, &stranger, &[("PGPASSWORD", PASSWORD)])
        .assert_fails(1, &["certificate", "hint: "]);
    let nobody = format!("postgresql://postgres@127.0.0.1:{port}/shop?sslmode=require");
    export(&stage, &nobody, &[("PGPASSWORD", PASSWORD)])
        .assert_fails(1, &["certificate", "hint: "]);
}
