//! The same life of a backup in an S3 bucket, and what a server of objects can do to it.

mod stage;

use std::time::Duration;

use harness::minio;
use harness::proxy::{Direction, Proxy};
use harness::s3;
use harness::versitygw::Versitygw;
use stage::{SHOP_ROWS, Stage};

const BUCKET: &str = "backups";

/// A stage whose store is in a bucket of its own server.
fn stage() -> (Stage, minio::Server) {
    let server = minio::Server::start().unwrap();
    server.create_bucket(BUCKET).unwrap();
    let mut stage = Stage::new();
    for (name, value) in server.env() {
        stage.set(name, value);
    }
    stage.set("AIDP_BACKUP_STORE", format!("s3://{BUCKET}/some/prefix"));
    (stage, server)
}

/// Puts a proxy between the command and the server.
fn through_proxy(stage: &mut Stage, server: &minio::Server) -> Proxy {
    let proxy = Proxy::start(&server.address()).unwrap();
    stage.set("AWS_ENDPOINT_URL_S3", format!("http://{}", proxy.address()));
    proxy
}

#[test]
fn a_backup_in_a_bucket_is_restored_from_there() {
    let (stage, server) = stage();
    let id = stage.export(&[]);
    assert_eq!(stage.json(&["verify", &id])["backups"][0]["rows"], SHOP_ROWS);
    stage.json(&["restore", "latest", "--into", &stage.url("copy"), "--create"]);
    stage.assert_equal("shop", "copy");

    let dir = stage.path("fetched");
    let fetched = stage.json(&["fetch", "latest", dir.to_str().unwrap()]);
    stage.server.createdb("stock").unwrap();
    let folder = fetched["databases"][0]["path"].as_str().unwrap();
    stage.stock("pg_restore", &["--exit-on-error", "-d", "stock", folder]);
    stage.assert_equal("shop", "stock");

    let second = stage.export(&["--keep-last", "1"]);
    assert_eq!(stage.ids(), std::slice::from_ref(&second));
    let objects = server.client().list(BUCKET, "some/prefix/exports/").unwrap();
    assert!(objects.iter().all(|key| key.contains(&second)), "{objects:?}");
}

#[test]
fn an_object_changed_in_the_bucket_is_named() {
    let (stage, server) = stage();
    let id = stage.export(&[]);
    let client = server.client();
    for key in client.list(BUCKET, &format!("some/prefix/exports/{id}/")).unwrap() {
        let whole = client.get(BUCKET, &key).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        client.put(BUCKET, &key, &changed).unwrap();
        let ran = stage.run(&["verify", &id]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        let name = key.rsplit('/').next().unwrap();
        assert!(ran.stdout.contains(name), "{ran:?}");
        client.put(BUCKET, &key, &whole).unwrap();
    }
}

#[test]
fn wrong_keys_and_missing_buckets_are_named_as_such() {
    let (mut stage, _server) = stage();
    stage.set("AIDP_BACKUP_STORE", "s3://no-such-bucket/x");
    stage.run(&["list"]).assert_fails(2, &["no-such-bucket", "hint: "]);
    stage.set("AIDP_BACKUP_STORE", format!("s3://{BUCKET}/x"));
    stage.set("AWS_SECRET_ACCESS_KEY", "wrong-secret");
    let ran = stage.run(&["now", "export", "-d", "shop"]);
    ran.assert_fails(1, &["AWS_SECRET_ACCESS_KEY", "hint: "]);
    assert!(!ran.stderr.contains("wrong-secret"));
}

#[test]
fn a_cut_upload_is_sent_again() {
    let (mut stage, server) = stage();
    let proxy = through_proxy(&mut stage, &server);
    stage.export(&[]);
    let sent = proxy.passed(Direction::Up);
    proxy.cut_after(Direction::Up, sent / 2);
    let id = stage.export(&["--keep-last", "9"]);
    assert!(proxy.cuts() > 0);
    stage.json(&["verify", &id]);
}

#[test]
fn a_server_that_is_down_fails_the_export_and_loses_nothing() {
    let (mut stage, server) = stage();
    let good = stage.export(&[]);
    let proxy = through_proxy(&mut stage, &server);
    proxy.refuse();
    let ran = stage.run(&["now", "export", "-d", "shop"]);
    ran.assert_fails(1, &["s3://backups/some/prefix", "hint: "]);
    proxy.heal();
    assert_eq!(stage.ids(), [good]);
}

#[test]
fn a_slow_server_is_waited_for() {
    let (mut stage, server) = stage();
    let proxy = through_proxy(&mut stage, &server);
    proxy.throttle(300_000);
    proxy.delay(Duration::from_millis(20));
    let id = stage.export(&[]);
    stage.json(&["verify", &id]);
}

#[test]
fn a_server_that_cuts_every_upload_fails_the_export_and_the_next_one_completes() {
    let (mut stage, server) = stage();
    let good = stage.export(&[]);
    stage.server.psql(
        "shop",
        "CREATE TABLE public.large AS SELECT md5(i::text) AS what FROM generate_series(1, 60000) i",
    )
    .unwrap();
    let proxy = through_proxy(&mut stage, &server);
    // Small objects pass; nothing of the table ever does.
    proxy.cut_each_after(Direction::Up, 100_000);
    let ran = stage.run(&["now", "export", "-d", "shop"]);
    ran.assert_fails(1, &["s3://backups/some/prefix", "hint: "]);
    assert!(proxy.cuts() > 0);
    assert_eq!(stage.ids(), std::slice::from_ref(&good));
    let unfinished = server.client().unfinished_uploads(BUCKET, "some/prefix/").unwrap();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    proxy.heal();
    let next = stage.export(&["--keep-last", "9"]);
    stage.json(&["verify", "--all"]);
    assert_eq!(stage.ids(), [good, next]);
}

#[test]
fn a_server_that_refuses_uploads_fails_the_export_and_can_be_read_all_the_same() {
    let mut server = s3::Server::<Versitygw>::start().unwrap();
    server.create_bucket(BUCKET).unwrap();
    let mut stage = Stage::new();
    for (name, value) in server.env() {
        stage.set(name, value);
    }
    stage.set("AIDP_BACKUP_STORE", format!("s3://{BUCKET}/some/prefix"));
    let good = stage.export(&[]);
    server.restart_with(&[("VGW_READ_ONLY", "true")]).unwrap();
    let ran = stage.run(&["now", "export", "-d", "shop"]);
    ran.assert_fails(1, &["AccessDenied", "hint: "]);
    assert_eq!(stage.ids(), std::slice::from_ref(&good));
    stage.json(&["verify", &good]);
    server.restart_with(&[]).unwrap();
    let next = stage.export(&["--keep-last", "9"]);
    assert_eq!(stage.ids(), [good, next]);
}
