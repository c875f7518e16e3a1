//! The S3 server and the fault proxy of the harness itself.

use std::time::Duration;

use harness::minio::Server;
use harness::proxy::{Direction, Proxy};
use harness::s3::{self, Bucket, Client, Program};
use harness::versitygw;

#[test]
fn minio_keeps_objects_over_a_kill_and_restarts_on_the_same_port() {
    keeps_objects_over_a_kill(&mut Server::start().unwrap());
}

#[test]
fn versitygw_keeps_objects_over_a_kill_and_restarts_on_the_same_port() {
    keeps_objects_over_a_kill(&mut versitygw::Server::start().unwrap());
}

fn keeps_objects_over_a_kill<P: Program>(server: &mut s3::Server<P>) {
    let endpoint = server.endpoint();
    server.create_bucket("backups").unwrap();
    let client = server.client();
    let keys = ["a/b c+d=.txt", "a/ü", "z"];
    for key in keys {
        client.put("backups", key, key.as_bytes()).unwrap();
    }
    server.kill9().unwrap();
    assert!(client.get("backups", "z").is_err());
    server.restart().unwrap();
    assert_eq!(server.endpoint(), endpoint);
    assert_eq!(client.list("backups", "").unwrap(), keys);
    for key in keys {
        assert_eq!(client.get("backups", key).unwrap(), key.as_bytes());
    }
    client.delete("backups", "z").unwrap();
    assert_eq!(client.list("backups", "a/").unwrap(), keys[..2]);
    assert!(client.unfinished_uploads("backups", "z").unwrap().is_empty());
}

#[test]
fn wrong_keys_are_refused() {
    let server = Server::start().unwrap();
    let stranger = Client::new(&server.address(), server.access_key(), "wrong");
    let answer = stranger.request("GET", "/", &[], &[], b"").unwrap();
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[test]
fn versioned_buckets_keep_what_is_deleted() {
    let server = Server::start().unwrap();
    let client = server.client();
    for (name, with) in [
        ("versions", Bucket { versioning: true, object_lock: false }),
        ("locked", Bucket { versioning: true, object_lock: true }),
    ] {
        client.create_bucket(name, with).unwrap();
        client.put(name, "key", b"one").unwrap();
        client.delete(name, "key").unwrap();
        assert!(client.list(name, "").unwrap().is_empty());
        let path = format!("/{name}");
        let versions = client.request("GET", &path, &[("versions", "")], &[], b"").unwrap();
        assert!(versions.text().contains("<DeleteMarker>"), "{}", versions.text());
    }
}

#[test]
fn proxy_cuts_after_the_byte_it_was_told_and_heals() {
    let server = Server::start().unwrap();
    server.create_bucket("bucket").unwrap();
    let proxy = Proxy::start(&server.address()).unwrap();
    // The signature covers the host name that the client used.
    let client = Client::new(&proxy.address(), server.access_key(), server.secret_key());
    let body = vec![7; 1 << 20];
    proxy.cut_after(Direction::Up, 300_000);
    assert!(client.put("bucket", "k", &body).is_err());
    assert_eq!(proxy.passed(Direction::Up), 300_000);
    assert!(proxy.wait_cuts(1, Duration::ZERO));
    assert!(server.client().list("bucket", "").unwrap().is_empty());

    client.put("bucket", "k", &body).unwrap();
    proxy.cut_after(Direction::Down, 500_000);
    assert!(client.get("bucket", "k").is_err());
    assert_eq!(client.get("bucket", "k").unwrap(), body);

    proxy.refuse();
    assert!(client.get("bucket", "k").is_err());
    proxy.heal();
    assert_eq!(client.get("bucket", "k").unwrap(), body);
    assert!(proxy.accepted() >= 5);
}

#[test]
fn proxy_stalls_until_healed_and_throttles() {
    let server = Server::start().unwrap();
    server.create_bucket("bucket").unwrap();
    let proxy = Proxy::start(&server.address()).unwrap();
    let client = Client::new(&proxy.address(), server.access_key(), server.secret_key());
    let body = vec![7; 100_000];
    proxy.throttle(200_000);
    let started = std::time::Instant::now();
    client.put("bucket", "k", &body).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
    proxy.heal();

    proxy.stall();
    let reader = std::thread::spawn({
        let client = client.clone();
        move || client.get("bucket", "k")
    });
    assert!(!proxy.wait_passed(Direction::Down, 100_000, Duration::from_millis(200)));
    proxy.heal();
    assert_eq!(reader.join().unwrap().unwrap(), body);
}
