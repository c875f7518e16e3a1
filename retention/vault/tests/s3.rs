//! The suite, and what only a server can get wrong, on a real MinIO.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use harness::minio::Server;
use harness::proxy::{Direction, Proxy};
use harness::s3::Bucket;
use vault::retry::{Policy, Retry};
use vault::s3::{Options, S3Store};
use vault::{Environment, Key, PutMode, Store, StoreError, StoreErrorKind};

/// One server for all tests of this file.
static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start().unwrap());

/// How long a proxy may take to see what a test waits for.
const SOON: Duration = Duration::from_secs(60);

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn new_bucket(with: Bucket) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("bucket-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    SERVER.client().create_bucket(&name, with).unwrap();
    name
}

/// Fails fast, so that a test of a failure takes no minute.
fn options() -> Options {
    Options {
        connect: Duration::from_secs(2),
        call: Duration::from_secs(20),
        stalled: Duration::from_secs(2),
        retry: policy(),
        ..Options::default()
    }
}

fn policy() -> Policy {
    Policy {
        attempts: 8,
        first_wait: Duration::from_millis(50),
        longest_wait: Duration::from_secs(1),
        total: Duration::from_secs(60),
    }
}

async fn connect(bucket: &str, prefix: &str, with: &[(&str, &str)]) -> S3Store {
    let base = SERVER.env().into_iter().map(|(name, value)| (name.to_owned(), value));
    let with = with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = Environment::from_iter(base.chain(with));
    S3Store::connect(bucket, prefix, &environment, options()).await.unwrap()
}

/// A store that reaches the server through a proxy.
async fn through(proxy: &Proxy, bucket: &str) -> S3Store {
    let endpoint = format!("http://{}", proxy.address());
    connect(bucket, "p", &[("AWS_ENDPOINT_URL_S3", &endpoint)]).await
}

mod whole_bucket {
    use super::*;

    async fn fixture() -> (Arc<dyn Store>, ()) {
        let store = connect(&new_bucket(Bucket::default()), "", &[]).await;
        (Arc::new(Retry::new(Arc::new(store), policy())), ())
    }

    vault::conformance_tests!(fixture);
}

mod behind_a_prefix_with_versions {
    use super::*;

    async fn fixture() -> (Arc<dyn Store>, ()) {
        let bucket = new_bucket(Bucket { versioning: true, ..Bucket::default() });
        let client = SERVER.client();
        // A neighbour whose name begins alike must not be seen.
        client.put(&bucket, "backups/prod2/x", b"x").unwrap();
        let store = connect(&bucket, "backups/prod", &[]).await;
        (Arc::new(Retry::new(Arc::new(store), policy())), ())
    }

    vault::conformance_tests!(fixture);
}

#[tokio::test]
async fn minio_honours_conditions_and_checksums() {
    let store = connect(&new_bucket(Bucket::default()), "", &[]).await;
    let found = store.capabilities().await.unwrap();
    assert!(found.conditional_put && found.checksums, "{found:?}");
}

#[tokio::test]
async fn trying_out_a_bucket_with_versions_leaves_no_version() {
    let bucket = new_bucket(Bucket { versioning: true, ..Bucket::default() });
    let store = connect(&bucket, "", &[]).await;
    store.capabilities().await.unwrap();
    let versions = SERVER
        .client()
        .request("GET", &format!("/{bucket}"), &[("versions", "")], &[], b"")
        .unwrap();
    assert!(!versions.text().contains("probe/"), "{}", versions.text());
}

#[tokio::test]
async fn a_bucket_with_object_lock_takes_small_and_large_objects() {
    let bucket = new_bucket(Bucket { object_lock: true, ..Bucket::default() });
    let store = connect(&bucket, "", &[]).await;
    store.put(&key("a"), "x".into(), PutMode::IfAbsent).await.unwrap();
    let mut upload = store.begin(&key("b")).await.unwrap();
    upload.write(vec![1; 9 << 20].into()).await.unwrap();
    upload.finish().await.unwrap();
    assert_eq!(store.list("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn killed_upload_leaves_no_object_and_its_parts_are_given_up() {
    let bucket = new_bucket(Bucket::default());
    let store = connect(&bucket, "p", &[]).await;
    let mut upload = store.begin(&key("a/b")).await.unwrap();
    upload.write(vec![1; 40 << 20].into()).await.unwrap();
    std::mem::forget(upload);
    let unfinished = || SERVER.client().unfinished_uploads(&bucket, "p/a/b").unwrap().len();
    assert_eq!(unfinished(), 1);
    assert_eq!(store.abort_uploads(Utc::now() - TimeDelta::hours(1)).await.unwrap(), 0);
    assert_eq!(store.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.unwrap(), 1);
    assert_eq!(unfinished(), 0);
    assert!(store.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn uploads_of_other_prefixes_are_not_given_up() {
    let bucket = new_bucket(Bucket::default());
    let (ours, theirs) = (connect(&bucket, "p", &[]).await, connect(&bucket, "p2", &[]).await);
    let mut upload = theirs.begin(&key("a")).await.unwrap();
    upload.write(vec![1; 9 << 20].into()).await.unwrap();
    assert_eq!(ours.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.unwrap(), 0);
    upload.finish().await.unwrap();
}

#[tokio::test]
async fn a_dropped_upload_is_given_up_in_the_background() {
    let bucket = new_bucket(Bucket::default());
    let store = connect(&bucket, "p", &[]).await;
    let mut upload = store.begin(&key("a")).await.unwrap();
    upload.write(vec![1; 9 << 20].into()).await.unwrap();
    drop(upload);
    let client = SERVER.client();
    tokio::time::timeout(SOON, async {
        while !client.unfinished_uploads(&bucket, "p/a").unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the upload is given up");
}

async fn upload(store: &dyn Store, at: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let mut upload = store.begin(&key(at)).await?;
    for piece in bytes.chunks(1 << 20) {
        upload.write(piece.to_vec().into()).await?;
    }
    upload.finish().await.map(drop)
}

async fn read(store: &dyn Store, at: &str) -> Result<Vec<u8>, StoreError> {
    let pieces: Vec<_> = store.read(&key(at), None).await?.try_collect().await?;
    Ok(pieces.concat())
}

fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_cut_connections() {
    let bucket = new_bucket(Bucket::default());
    let proxy = Proxy::start(&SERVER.address()).unwrap();
    let store = through(&proxy, &bucket).await;
    let bytes = content(30 << 20);
    let trouble = async {
        for cut in 1..=3 {
            proxy.cut_after(Direction::Up, 5 << 20);
            let waiting = tokio::task::block_in_place(|| proxy.wait_cuts(cut, SOON));
            assert!(waiting, "cut {cut}");
        }
        proxy.heal();
    };
    let (outcome, ()) = tokio::join!(
        async {
            tokio::spawn({
                let bytes = bytes.clone();
                async move { upload(&store, "a", &bytes).await.map(|()| store) }
            })
            .await
            .unwrap()
        },
        trouble
    );
    let store = outcome.unwrap();
    assert!(read(&store, "a").await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_survives_cut_connections() {
    let bucket = new_bucket(Bucket::default());
    let bytes = content(30 << 20);
    upload(&connect(&bucket, "p", &[]).await, "a", &bytes).await.unwrap();
    let proxy = Proxy::start(&SERVER.address()).unwrap();
    let store = through(&proxy, &bucket).await;
    proxy.cut_after(Direction::Down, 10 << 20);
    let bare = read(&store, "a").await.unwrap_err();
    assert_eq!(bare.kind, StoreErrorKind::Unavailable, "{bare:?}");
    proxy.heal();

    let store = Retry::new(Arc::new(store), policy());
    let cuts = proxy.cuts();
    proxy.cut_after(Direction::Down, 10 << 20);
    let reader = tokio::spawn(async move { read(&store, "a").await });
    tokio::task::block_in_place(|| assert!(proxy.wait_cuts(cuts + 1, SOON)));
    proxy.heal();
    assert!(reader.await.unwrap().unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stalls_is_given_up_and_tried_again() {
    let bucket = new_bucket(Bucket::default());
    let proxy = Proxy::start(&SERVER.address()).unwrap();
    let endpoint = format!("http://{}", proxy.address());
    let variables = SERVER.env().into_iter().map(|(name, value)| (name.to_owned(), value));
    let with = [("AWS_ENDPOINT_URL_S3".to_owned(), endpoint)];
    let environment = Environment::from_iter(variables.chain(with));
    // Sockets swallow a whole part, so that only the missing answer tells.
    let hasty = Options { call: Duration::from_secs(2), slowest: 4 << 20, ..options() };
    let store = S3Store::connect(&bucket, "p", &environment, hasty).await.unwrap();
    let bytes = content(20 << 20);
    proxy.stall();
    let accepted = proxy.accepted();
    let writer = tokio::spawn({
        let bytes = bytes.clone();
        async move { upload(&store, "a", &bytes).await.map(|()| store) }
    });
    tokio::time::timeout(SOON, async {
        // The connection that stalls is left, and another tried.
        while proxy.accepted() < accepted + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("a new connection");
    proxy.heal();
    let store = writer.await.unwrap().unwrap();
    assert!(read(&store, "a").await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_stalls_is_given_up() {
    let bucket = new_bucket(Bucket::default());
    upload(&connect(&bucket, "p", &[]).await, "a", &content(30 << 20)).await.unwrap();
    let proxy = Proxy::start(&SERVER.address()).unwrap();
    let store = through(&proxy, &bucket).await;
    let mut pieces = store.read(&key("a"), None).await.unwrap();
    pieces.try_next().await.unwrap().unwrap();
    proxy.stall();
    let outcome = tokio::time::timeout(SOON, pieces.try_collect::<Vec<_>>()).await;
    let error = outcome.expect("the store gives up").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_unavailable_with_a_hint() {
    let store = connect("bucket", "", &[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")]).await;
    let error = store.list("").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    assert!(error.hint().unwrap().contains("nothing listens at http://127.0.0.1:1"), "{error:?}");
}

#[tokio::test]
async fn an_unknown_host_is_final_with_a_hint() {
    let endpoint = "http://no-such-host.invalid:9000";
    let store = connect("bucket", "", &[("AWS_ENDPOINT_URL_S3", endpoint)]).await;
    let error = store.list("").await.unwrap_err();
    // Depends on the machine: with no name server at all the failure may be a passing one.
    assert!(matches!(error.kind, StoreErrorKind::Invalid | StoreErrorKind::Unavailable));
    assert!(error.hint().unwrap().contains("has no address"), "{error:?}");
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let store = connect("no-such-bucket", "", &[]).await;
    for error in [
        store.list("").await.unwrap_err(),
        store.put(&key("a"), "x".into(), PutMode::Overwrite).await.unwrap_err(),
        upload(&store, "a", &[1; 9 << 20]).await.unwrap_err(),
        store.capabilities().await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{error:?}");
        assert!(error.hint().unwrap().contains("no-such-bucket"), "{error:?}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_never_shown() {
    let bucket = new_bucket(Bucket::default());
    let secret = "not-the-secret-of-anyone";
    for with in [
        [("AWS_SECRET_ACCESS_KEY", secret), ("AWS_ACCESS_KEY_ID", SERVER.access_key())],
        [("AWS_SECRET_ACCESS_KEY", secret), ("AWS_ACCESS_KEY_ID", "nobody-at-all")],
    ] {
        let store = connect(&bucket, "", &with).await;
        for error in [
            store.list("").await.unwrap_err(),
            store.put(&key("a"), "x".into(), PutMode::Overwrite).await.unwrap_err(),
            store.delete(&[key("a")]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind, StoreErrorKind::Denied, "{error:?}");
            assert!(error.hint().unwrap().contains("AWS_"), "{error:?}");
            assert!(!format!("{error:?} {store:?}").contains(secret));
        }
    }
}

#[tokio::test]
async fn a_server_restarted_in_mid_upload_loses_nothing() {
    let mut server = Server::start().unwrap();
    server.create_bucket("bucket").unwrap();
    let environment = Environment::from_iter(server.env());
    let store = S3Store::connect("bucket", "", &environment, options()).await.unwrap();
    let bytes = content(30 << 20);
    let mut upload = store.begin(&key("a")).await.unwrap();
    upload.write(bytes[..12 << 20].to_vec().into()).await.unwrap();
    server.kill9().unwrap();
    let writer = tokio::spawn({
        let rest = bytes[12 << 20..].to_vec();
        async move {
            upload.write(rest.into()).await?;
            upload.finish().await
        }
    });
    let restarted = tokio::task::spawn_blocking(move || server.restart().map(|()| server));
    let _server = restarted.await.unwrap().unwrap();
    assert_eq!(writer.await.unwrap().unwrap().size, 30 << 20);
    assert!(read(&store, "a").await.unwrap() == bytes);
}

#[tokio::test]
async fn a_backup_lives_and_dies_in_a_bucket() {
    use tokio_util::sync::CancellationToken;
    use vault::lease::{Holder, Timing, acquire};
    use vault::{Catalogue, Error};

    let environment = Environment::from_iter(SERVER.env());
    let url = format!("s3://{}/prod", new_bucket(Bucket::default()));
    let store = vault::open(&url, &environment).await.unwrap();
    let take = |holder| {
        let store = Arc::clone(&store);
        async move {
            acquire(store, "export", holder, Timing::default(), &CancellationToken::new()).await
        }
    };
    let lease = take(Holder::this_process()).await.unwrap();
    assert!(matches!(take(Holder::this_process()).await, Err(Error::LeaseHeld { .. })));

    let golden = include_bytes!("golden/manifest-v1.json");
    let manifest = vault::manifest::Manifest::decode(golden).unwrap();
    for object in &manifest.objects {
        store.put(&object.key, "x".into(), PutMode::IfAbsent).await.unwrap();
    }
    let catalogue = Catalogue::new(Arc::clone(&store));
    catalogue.publish(&manifest, &lease).await.unwrap();
    assert_eq!(catalogue.load("latest").await.unwrap(), manifest);
    let later = Utc::now() + TimeDelta::days(1);
    assert!(catalogue.orphans(TimeDelta::zero(), later).await.unwrap().is_empty());
    let removed = catalogue.remove(std::slice::from_ref(&manifest.id), &lease).await.unwrap();
    assert_eq!(removed.objects, 4);
    lease.release().await;
    take(Holder::this_process()).await.unwrap().release().await;
    let left = store.list("").await.unwrap();
    assert_eq!(left.len(), 1, "the lease's last record: {left:?}");
}
