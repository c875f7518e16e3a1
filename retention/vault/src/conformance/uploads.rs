//! Objects written piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::{content, key, keys, read, require_absent};
use crate::{Key, PutMode, Store, Uploaded};

/// More than two parts of any server's, and no whole number of them.
const LARGE: usize = (25 << 20) + 4_321;

async fn upload(store: &Arc<dyn Store>, at: &Key, bytes: &Bytes, piece: usize) -> Uploaded {
    let mut upload = store.begin(at).await.expect("an upload");
    for start in (0..bytes.len()).step_by(piece) {
        let piece = bytes.slice(start..bytes.len().min(start + piece));
        upload.write(piece).await.expect("a write");
    }
    upload.finish().await.expect("the object")
}

fn described(bytes: &Bytes) -> Uploaded {
    Uploaded { size: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
}

/// Nothing shows before `finish`, everything after.
pub async fn an_upload_is_invisible_until_finished(store: Arc<dyn Store>) {
    let (at, bytes) = (key("u/v/w"), content(1, LARGE));
    let mut upload = store.begin(&at).await.expect("an upload");
    require_absent(&store, &at).await;
    upload.write(bytes.clone()).await.expect("a write");
    require_absent(&store, &at).await;
    assert!(keys(&store, "").await.is_empty());
    assert_eq!(upload.finish().await.expect("the object"), described(&bytes));
    assert_eq!(store.head(&at).await.expect("a head").size, LARGE as u64);
    assert_eq!(keys(&store, "").await, ["u/v/w"]);
}

/// Nothing written is an empty object, not none.
pub async fn an_empty_upload_is_an_object(store: Arc<dyn Store>) {
    let at = key("u/empty");
    let mut upload = store.begin(&at).await.expect("an upload");
    upload.write(Bytes::new()).await.expect("a write of nothing");
    assert_eq!(upload.finish().await.expect("the object"), described(&Bytes::new()));
    assert_eq!(store.head(&at).await.expect("a head").size, 0);
}

/// Many parts come back in their order, whole and across their borders.
pub async fn a_large_upload_reads_back(store: Arc<dyn Store>) {
    let (at, bytes) = (key("u/large"), content(2, LARGE));
    assert_eq!(upload(&store, &at, &bytes, 1 << 20).await, described(&bytes));
    assert!(read(&store, &at, None).await.expect("a read") == bytes);
    for border in [8 << 20, 16 << 20, 24 << 20] {
        let range = border - 1_000..border + 1_000;
        let part = read(&store, &at, Some(range.start as u64..range.end as u64)).await;
        assert!(part.expect("a read") == bytes[range]);
    }
}

/// Pieces need not fit parts.
pub async fn pieces_of_any_size_may_be_written(store: Arc<dyn Store>) {
    for (number, piece) in [777, 1 << 20, (8 << 20) + 1, 40 << 20].into_iter().enumerate() {
        let at = key(&format!("u/pieces/{number}"));
        let bytes = content(number as u64, if piece < 1_000 { 300_000 } else { 17 << 20 });
        assert_eq!(upload(&store, &at, &bytes, piece).await, described(&bytes));
        assert!(read(&store, &at, None).await.expect("a read") == bytes);
    }
}

/// The old object stays until the new one is whole.
pub async fn an_upload_replaces_what_had_the_key(store: Arc<dyn Store>) {
    let at = key("u/again");
    store.put(&at, content(1, 10), PutMode::Overwrite).await.expect("a put");
    let mut upload = store.begin(&at).await.expect("an upload");
    upload.write(content(2, 1 << 20)).await.expect("a write");
    assert!(read(&store, &at, None).await.expect("a read") == content(1, 10));
    upload.finish().await.expect("the object");
    assert!(read(&store, &at, None).await.expect("a read") == content(2, 1 << 20));
}

/// What is given up is gone, and frees what it held.
pub async fn an_aborted_upload_leaves_nothing(store: Arc<dyn Store>) {
    let at = key("u/aborted");
    for size in [0, 10, LARGE] {
        let mut upload = store.begin(&at).await.expect("an upload");
        upload.write(content(1, size)).await.expect("a write");
        upload.abort().await.expect("an abort");
        require_absent(&store, &at).await;
    }
    let left = store.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.expect("an abort");
    assert_eq!(left, 0);
}

/// Dropped is given up, too.
pub async fn a_dropped_upload_leaves_nothing(store: Arc<dyn Store>) {
    let at = key("u/dropped");
    let mut upload = store.begin(&at).await.expect("an upload");
    upload.write(content(1, LARGE)).await.expect("a write");
    drop(upload);
    store.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.expect("an abort");
    require_absent(&store, &at).await;
}

/// As after a kill: nobody runs a destructor. The key is free for the next run.
pub async fn an_abandoned_upload_never_becomes_visible(store: Arc<dyn Store>) {
    let at = key("u/abandoned");
    let mut abandoned = store.begin(&at).await.expect("an upload");
    abandoned.write(content(1, LARGE)).await.expect("a write");
    std::mem::forget(abandoned);
    require_absent(&store, &at).await;
    store.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.expect("an abort");
    require_absent(&store, &at).await;
    let bytes = content(2, 100);
    assert_eq!(upload(&store, &at, &bytes, 100).await, described(&bytes));
    assert!(read(&store, &at, None).await.expect("a read") == bytes);
}

/// Several at once do not mix.
pub async fn uploads_run_side_by_side(store: Arc<dyn Store>) {
    let tasks = (0..5_u64).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let at = key(&format!("u/side/{number}"));
            let bytes = content(number, (10 << 20) + number as usize);
            assert_eq!(upload(&store, &at, &bytes, 300_000).await, described(&bytes));
            assert!(read(&store, &at, None).await.expect("a read") == bytes);
        })
    });
    for outcome in futures::future::join_all(tasks).await {
        outcome.expect("no panic");
    }
    assert_eq!(keys(&store, "u/side/").await.len(), 5);
}
