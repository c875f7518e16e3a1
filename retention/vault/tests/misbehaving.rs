//! S3 as some servers and what lies before them really are.

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fake::{Answer, Fake, Objects, Request};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;
use vault::lease::{self, Holder, Timing};
use vault::retry::Policy;
use vault::s3::{Options, S3Store};
use vault::{Environment, Error, Key, PutMode, Store, StoreError, StoreErrorKind};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn store(fake: &Fake) -> S3Store {
    let environment = Environment::from_iter([
        ("AWS_ENDPOINT_URL_S3", fake.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "the-secret-key"),
    ]);
    let quick = Duration::from_millis(1);
    let retry =
        Policy { attempts: 3, first_wait: quick, longest_wait: quick, total: quick * 9_000 };
    S3Store::connect("bucket", "", &environment, Options { retry, ..Options::default() })
        .await
        .unwrap()
}

async fn upload(store: &S3Store, bytes: Vec<u8>) -> Result<(), StoreError> {
    let mut upload = store.begin(&key("a")).await?;
    upload.write(bytes.into()).await?;
    upload.finish().await.map(drop)
}

async fn read(store: &S3Store, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>, StoreError> {
    let pieces: Vec<_> = store.read(&key("a"), range).await?.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn answers_fall_into_the_classes_that_decide_what_happens_next() {
    use StoreErrorKind::{AlreadyExists, Denied, Full, Invalid, NotFound, Other, Unavailable};
    let cases = [
        (403, "AccessDenied", Denied, "s3:PutObject"),
        (403, "InvalidAccessKeyId", Denied, "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", Denied, "AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", Denied, "session token"),
        (403, "RequestTimeTooSkewed", Denied, "clock"),
        (404, "NoSuchBucket", Invalid, "create the bucket bucket"),
        (301, "PermanentRedirect", Invalid, "AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", Invalid, "AWS_REGION"),
        (503, "SlowDown", Unavailable, ""),
        (429, "TooManyRequests", Unavailable, ""),
        (500, "InternalError", Unavailable, ""),
        (502, "", Unavailable, ""),
        (408, "RequestTimeout", Unavailable, ""),
        (400, "BadDigest", Unavailable, ""),
        (409, "ConditionalRequestConflict", Unavailable, ""),
        (412, "PreconditionFailed", AlreadyExists, ""),
        (507, "XMinioStorageFull", Full, "free space"),
        (400, "EntityTooLarge", Full, "free space"),
        (404, "NoSuchKey", NotFound, ""),
        (418, "Teapot", Other, ""),
    ];
    for (status, code, kind, hint) in cases {
        let fake = Fake::start(move |_, _| Some(Answer::error(status, code))).await;
        let store = store(&fake).await;
        let error = store.put(&key("a"), "x".into(), PutMode::Overwrite).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {code}: {error:?}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{status} {code}: {error:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(&status.to_string()) && cause.contains(code), "{cause}");
        assert!(!format!("{error:?}").contains("the-secret-key"));
        assert_eq!(fake.requests("PUT", "").len(), 1, "a call is one request");
    }
}

#[tokio::test]
async fn what_is_no_s3_server_is_named() {
    for status in [200, 404, 302] {
        let fake =
            Fake::start(move |_, _| Some(Answer::new(status, "<html>Welcome!</html>"))).await;
        let error = store(&fake).await.list("").await.unwrap_err();
        assert_ne!(error.kind, StoreErrorKind::Unavailable, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn what_is_sent_is_signed_and_carries_a_checksum_as_a_header() {
    let fake = Fake::start(|_, _| None).await;
    let store = store(&fake).await;
    store.put(&key("b"), "x".into(), PutMode::Overwrite).await.unwrap();
    upload(&store, vec![1; 20 << 20]).await.unwrap();
    let sent = fake.requests("PUT", "");
    assert_eq!(sent.len(), 4);
    for request in sent {
        assert_eq!(request.header("x-amz-content-sha256").unwrap().len(), 64, "{request:?}");
        assert!(request.header("x-amz-checksum-crc32").is_some());
        assert!(request.header("x-amz-trailer").is_none());
        assert!(request.header("content-encoding").is_none());
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_and_checksums_is_seen_through() {
    let fake = Fake::start(|_, _| None).await;
    let store = store(&fake).await;
    let found = store.capabilities().await.unwrap();
    assert!(!found.conditional_put && !found.checksums, "{found:?}");
    assert!(fake.names().is_empty(), "{:?}", fake.names());
    // The next best: looked at before it is written.
    store.put(&key("a"), "x".into(), PutMode::IfAbsent).await.unwrap();
    let error = store.put(&key("a"), "y".into(), PutMode::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
    assert_eq!(read(&store, None).await.unwrap(), b"x");
}

/// Refuses a wrong checksum, but has stored the object already.
fn stores_what_it_refuses(request: &Request, objects: &mut Objects) -> Option<Answer> {
    if request.header("x-amz-checksum-crc32") == Some("AAAAAA==") {
        objects.insert(request.path.clone(), request.body.clone());
        return Some(Answer::error(400, "BadDigest"));
    }
    None
}

/// Refuses a taken key, but not among racers.
fn refuses_latecomers(seen: &AtomicU32, request: &Request, objects: &Objects) -> Option<Answer> {
    let late = request.header("if-none-match").is_some() && objects.contains_key(&request.path);
    (late && seen.fetch_add(1, Ordering::Relaxed) > 3)
        .then(|| Answer::error(412, "PreconditionFailed"))
}

#[tokio::test]
async fn half_truths_are_seen_through_too() {
    let seen = AtomicU32::new(0);
    let fake = Fake::start(move |request, objects| {
        stores_what_it_refuses(request, objects)
            .or_else(|| refuses_latecomers(&seen, request, objects))
    })
    .await;
    let found = store(&fake).await.capabilities().await.unwrap();
    assert!(!found.conditional_put && !found.checksums, "{found:?}");
    assert!(fake.names().is_empty(), "{:?}", fake.names());
}

#[tokio::test]
async fn a_probe_that_fails_says_so_and_is_made_again() {
    let seen = AtomicU32::new(0);
    let fake = Fake::start(move |_, _| {
        (seen.fetch_add(1, Ordering::Relaxed) < 5).then(|| Answer::error(503, "SlowDown"))
    })
    .await;
    let store = store(&fake).await;
    assert_eq!(store.capabilities().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert!(fake.names().is_empty());
    store.capabilities().await.unwrap();
}

#[tokio::test]
async fn one_of_two_holds_a_lease_where_conditions_are_ignored() {
    let fake = Fake::start(|_, _| None).await;
    let timing = Timing { settle: Duration::from_millis(300), ..Timing::default() };
    let stores: [Arc<dyn Store>; 2] = [Arc::new(store(&fake).await), Arc::new(store(&fake).await)];
    let cancel = CancellationToken::new();
    let take = |store: &Arc<dyn Store>| {
        lease::acquire(Arc::clone(store), "export", Holder::this_process(), timing, &cancel)
    };
    let (first, second) = tokio::join!(take(&stores[0]), take(&stores[1]));
    let (winner, loser) = match (first, second) {
        (Ok(guard), Err(error)) | (Err(error), Ok(guard)) => (guard, error),
        other => panic!("{other:?}"),
    };
    assert!(matches!(loser, Error::LeaseHeld { .. }), "{loser}");
    winner.check().await.unwrap();
    winner.release().await;
    take(&stores[1]).await.unwrap().release().await;
}

#[tokio::test]
async fn a_server_without_checksum_headers_still_takes_uploads() {
    let fake = Fake::start(|request, _| {
        let header = request.headers.keys().any(|name| name.contains("checksum"));
        header.then(|| Answer::error(501, "NotImplemented"))
    })
    .await;
    let store = store(&fake).await;
    upload(&store, vec![1; 20 << 20]).await.unwrap();
    store.put(&key("b"), "x".into(), PutMode::IfAbsent).await.unwrap();
    assert!(!store.capabilities().await.unwrap().checksums);
}

#[tokio::test]
async fn a_truncated_object_is_found_out() {
    let cut = |request: &Request, objects: &mut Objects| {
        if request.method != "PUT" || !request.path.ends_with("/a") {
            return None;
        }
        objects.insert(request.path.clone(), request.body[..10].to_vec());
        Some(Answer::new(200, "").with("etag", "\"e\""))
    };
    let fake = Fake::start(cut).await;
    let error = upload(&store(&fake).await, vec![1; 1_000]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("1000 bytes were sent and 10 are stored"), "{error}");
}

#[tokio::test]
async fn joining_parts_whose_answer_was_lost_is_no_failure() {
    let seen = AtomicU32::new(0);
    let fake = Fake::start(move |request, objects| {
        let join = request.method == "POST" && request.query.starts_with("uploadId");
        if !join || seen.fetch_add(1, Ordering::Relaxed) > 0 {
            return None;
        }
        let parts: Vec<_> =
            objects.keys().filter(|name| name.starts_with('\u{1}')).cloned().collect();
        let whole = parts.iter().flat_map(|name| objects.remove(name).unwrap()).collect();
        objects.insert(request.path.clone(), whole);
        Some(Answer::error(500, "InternalError"))
    })
    .await;
    let store = store(&fake).await;
    upload(&store, vec![1; 20 << 20]).await.unwrap();
    assert_eq!(fake.requests("POST", "uploadId").len(), 2);
    assert_eq!(store.head(&key("a")).await.unwrap().size, 20 << 20);
}

#[tokio::test]
async fn parts_are_sent_again_and_an_upload_that_fails_is_given_up() {
    let seen = AtomicU32::new(0);
    let fake = Fake::start(move |request, _| {
        let part = request.query.contains("partNumber=2");
        (part && seen.fetch_add(1, Ordering::Relaxed) < 5).then(|| Answer::error(503, "SlowDown"))
    })
    .await;
    let store = store(&fake).await;
    let error = upload(&store, vec![1; 20 << 20]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("cannot write part 2 of a after 3 attempts"), "{error}");
    tokio::time::timeout(Duration::from_secs(20), async {
        while fake.requests("DELETE", "uploadId").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the upload is given up");
    upload(&store, vec![1; 20 << 20]).await.unwrap();
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_a_cut_connection() {
    let fake = Fake::start(|request, _| {
        (request.method == "GET")
            .then(|| Answer { announced: Some(1_000), ..Answer::new(200, "short") })
    })
    .await;
    let error = read(&store(&fake).await, None).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_whole_object_is_not_taken_for_a_range() {
    let fake = Fake::start(|_, _| None).await;
    let store = store(&fake).await;
    upload(&store, vec![1; 100]).await.unwrap();
    let error = read(&store, Some(10..20)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid, "{error:?}");
}

#[tokio::test]
async fn a_listing_that_repeats_itself_ends() {
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
    let fake = Fake::start(move |_, _| Some(Answer::new(200, page))).await;
    let error = store(&fake).await.list("").await.unwrap_err();
    assert!(error.to_string().contains("repeats a page"), "{error}");
}

#[tokio::test]
async fn objects_are_deleted_one_by_one_where_batches_are_unknown() {
    let fake = Fake::start(|_, _| None).await;
    let store = store(&fake).await;
    let keys: Vec<_> = (0..30).map(|n| key(&format!("k/{n}"))).collect();
    for key in &keys {
        store.put(key, "x".into(), PutMode::Overwrite).await.unwrap();
    }
    store.delete(&keys).await.unwrap();
    store.delete(&keys).await.unwrap();
    assert!(fake.names().is_empty());
    assert_eq!(fake.requests("POST", "delete").len(), 1, "asked once");
}

#[tokio::test]
async fn any_refusal_of_a_deletion_is_a_lock() {
    for (status, code) in
        [(400, "InvalidRequest"), (403, "AccessDenied"), (409, "Whatever"), (405, "X")]
    {
        let fake = Fake::start(move |request, _| {
            (request.method == "DELETE").then(|| Answer::error(status, code))
        })
        .await;
        let error = store(&fake).await.delete(&[key("a")]).await.unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("lock"), "{status} {code}: {error:?}");
        assert_eq!(error.kind, StoreErrorKind::Denied, "{status} {code}");
    }
}

#[tokio::test]
async fn a_batch_refused_in_part_names_the_object() {
    let fake = Fake::start(|request, _| {
        let page = "<DeleteResult>\
            <Error><Key>x</Key><Code>NoSuchKey</Code></Error>\
            <Error><Key>locked</Key><Code>AccessDenied</Code><Message>kept</Message></Error>\
            </DeleteResult>";
        (request.method == "POST").then(|| Answer::new(200, page))
    })
    .await;
    let error = store(&fake).await.delete(&[key("x"), key("locked")]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert!(error.to_string().starts_with("cannot delete locked in "), "{error}");
    assert!(error.hint().unwrap().contains("lock"));
}
