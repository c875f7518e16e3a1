//! The part of compose.yaml that is ours: our image and a store in containers, started by
//! podman-compose. The images of the other services cannot be had here; PostgreSQL stands outside.

mod stage;

use std::path::Path;

use harness::podman::Podman;
use harness::postgres::PASSWORD;
use harness::s3::Client;
use stage::Stage;

#[test]
fn podman_compose_runs_the_sidecar_and_a_store() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compose = top.join("compose.yaml");
    let text = std::fs::read_to_string(&compose).unwrap();
    let minio = text.lines().find_map(|line| line.trim().strip_prefix("image: minio/")).unwrap();

    let stage = Stage::empty();
    for name in ["temporal", "temporal_visibility"] {
        stage.shop(name);
    }
    let podman = Podman::start("aidp-temporal-network").unwrap();
    podman.load_ours().unwrap();
    podman.load_minio(&format!("minio/{minio}")).unwrap();
    let (page, s3) = (free_port(), free_port());
    let variables = [
        ("POSTGRES_PASSWORD", PASSWORD),
        ("AIDP_BACKUP_STORE", "s3://backups/compose"),
        ("AWS_ACCESS_KEY_ID", "compose-access"),
        ("AWS_SECRET_ACCESS_KEY", "compose-secret-key"),
        ("AWS_ENDPOINT_URL_S3", "http://minio:9000"),
        ("AIDP_BACKUP_PORT", &page.to_string()),
        ("AIDP_S3_PORT", &s3.to_string()),
    ];

    let said =
        podman.compose(&[&compose], &variables, &["up", "-d", "--no-deps", "minio"]).unwrap();
    let running = || podman.run(&["ps", "--format", "{{.Names}}"]).unwrap();
    assert!(running().contains("minio"), "{said}");
    let client = Client::new(&format!("127.0.0.1:{s3}"), "compose-access", "compose-secret-key");
    let mut made = client.create_bucket("backups", harness::s3::Bucket::default());
    for _ in 0..600 {
        if made.is_ok() {
            break;
        }
        // It has no other way to say that it is ready than to answer.
        std::thread::sleep(std::time::Duration::from_millis(100));
        made = client.create_bucket("backups", harness::s3::Bucket::default());
    }
    made.unwrap();

    // PostgreSQL is at another address than in the stack.
    let database = podman.offer(stage.server.port()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let elsewhere = scratch.path().join("elsewhere.yaml");
    let (host, port) =
        database.address().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    std::fs::write(
        &elsewhere,
        format!(
            "services:\n  aidp-backup:\n    environment:\n      PGHOST: {host}\n      \
             PGPORT: \"{port}\"\n      PGUSER: postgres\n"
        ),
    )
    .unwrap();
    let files = [compose.as_path(), elsewhere.as_path()];
    let up = ["up", "-d", "--no-deps", "aidp-backup"];
    let said = podman.compose(&files, &variables, &up).unwrap();
    assert!(running().contains("aidp-temporal-backup"), "{said}");

    // The sidecar answers on the published port, and its first run is the one that was missed.
    let inside = |words: &[&str]| {
        let exec = ["exec", "aidp-temporal-backup", "/usr/bin/aidp-backup"];
        podman.run(&[&exec[..], words].concat())
    };
    let health = format!("http://127.0.0.1:{page}/healthz");
    let answered = std::process::Command::new("curl")
        .args(["--silent", "--fail", "--retry", "30", "--retry-all-errors", "--retry-delay", "1"])
        .arg(&health)
        .status()
        .unwrap();
    assert!(answered.success(), "{health}");
    // It waits for the lease, should that run still hold it.
    let exported = (0..600).find_map(|_| inside(&["now", "export"]).ok());
    assert!(exported.is_some(), "{:?}", inside(&["now", "export"]));
    inside(&["verify", "--all"]).unwrap();
    assert!(!client.list("backups", "compose/manifests/").unwrap().is_empty());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
