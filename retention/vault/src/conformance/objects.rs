//! Small objects, listing, deleting.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures::{StreamExt, stream};

use super::{content, key, keys, read, require_absent};
use crate::{PutMode, Store, StoreErrorKind};

/// What is put is what is read, with its size and about the time it was put.
pub async fn a_put_object_reads_back(store: Arc<dyn Store>) {
    let (at, bytes) = (key("a/b/object.json"), content(1, 100_000));
    store.put(&at, bytes.clone(), PutMode::Overwrite).await.expect("a put");
    assert!(read(&store, &at, None).await.expect("a read") == bytes);
    let info = store.head(&at).await.expect("a head");
    assert_eq!((info.key.clone(), info.size), (at.clone(), 100_000));
    assert!((Utc::now() - info.modified).abs() < TimeDelta::minutes(10), "{}", info.modified);
    let listed = store.list("a/").await.expect("a listing");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].key, listed[0].size), (&at, 100_000));
}

/// No bytes are bytes too.
pub async fn an_empty_object_is_an_object(store: Arc<dyn Store>) {
    let at = key("empty");
    store.put(&at, Bytes::new(), PutMode::IfAbsent).await.expect("a put");
    assert!(read(&store, &at, None).await.expect("a read") == b"");
    assert!(read(&store, &at, Some(0..10)).await.expect("a read") == b"");
    assert_eq!(store.head(&at).await.expect("a head").size, 0);
    assert_eq!(keys(&store, "").await, ["empty"]);
}

/// `IfAbsent` refuses a taken key and leaves its object alone.
pub async fn a_put_replaces_or_refuses_as_told(store: Arc<dyn Store>) {
    let at = key("x/y");
    store.put(&at, content(1, 10), PutMode::IfAbsent).await.expect("the first put");
    let error = store.put(&at, content(2, 20), PutMode::IfAbsent).await.expect_err("taken");
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
    assert!(read(&store, &at, None).await.expect("a read") == content(1, 10));
    store.put(&at, content(3, 30), PutMode::Overwrite).await.expect("a replacement");
    assert!(read(&store, &at, None).await.expect("a read") == content(3, 30));
}

/// Where the store says so, `IfAbsent` is one step. A store that says it is not is as right,
/// but then it must at least refuse one after the other.
pub async fn of_racing_puts_exactly_one_wins(store: Arc<dyn Store>) {
    let atomic = store.capabilities().await.expect("capabilities").conditional_put;
    let contenders = if atomic { 16 } else { 1 };
    for round in 0..4_u64 {
        let at = key(&format!("race/{round}"));
        let puts = (0..contenders).map(|seed| {
            let (store, at) = (Arc::clone(&store), at.clone());
            tokio::spawn(async move {
                store.put(&at, content(seed, 5_000), PutMode::IfAbsent).await.map(|()| seed)
            })
        });
        let mut winners = Vec::new();
        for outcome in futures::future::join_all(puts).await {
            match outcome.expect("no panic") {
                Ok(seed) => winners.push(seed),
                Err(error) => assert_eq!(error.kind, StoreErrorKind::AlreadyExists, "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert!(read(&store, &at, None).await.expect("a read") == content(winners[0], 5_000));
    }
}

/// Ranges are half open, and what lies behind the end is nothing.
pub async fn ranges_are_cut_at_the_end(store: Arc<dyn Store>) {
    let (at, bytes) = (key("r"), content(7, 3_000_000));
    store.put(&at, bytes.clone(), PutMode::Overwrite).await.expect("a put");
    let ranges = [0..1, 0..3_000_000, 1_048_575..1_048_577, 2_999_999..3_000_000, 5..5];
    for range in ranges {
        let want = &bytes[range.start as usize..range.end as usize];
        assert!(read(&store, &at, Some(range.clone())).await.expect("a read") == want, "{range:?}");
    }
    let rest = read(&store, &at, Some(2_999_990..u64::MAX)).await.expect("a read");
    assert_eq!(rest, bytes[2_999_990..]);
    for range in [3_000_000..3_000_001, 9_000_000..9_000_009, u64::MAX - 1..u64::MAX] {
        assert!(read(&store, &at, Some(range)).await.expect("a read") == b"");
    }
}

/// Whole, in part or by its size: what is not there is not found.
pub async fn what_is_absent_is_not_found(store: Arc<dyn Store>) {
    require_absent(&store, &key("no/such/object")).await;
    let part = read(&store, &key("no/such/object"), Some(0..1)).await.expect_err("no object");
    assert_eq!(part.kind, StoreErrorKind::NotFound);
    let nothing = read(&store, &key("no/such/object"), Some(4..4)).await.expect_err("no object");
    assert_eq!(nothing.kind, StoreErrorKind::NotFound);
    assert!(keys(&store, "no/").await.is_empty());
}

/// Deleting what is gone, or never was, is success.
pub async fn deleting_is_idempotent(store: Arc<dyn Store>) {
    let at = key("d/e/f");
    store.put(&at, content(1, 1), PutMode::Overwrite).await.expect("a put");
    store.delete(&[at.clone(), key("d/never")]).await.expect("a removal");
    store.delete(std::slice::from_ref(&at)).await.expect("a second removal");
    store.delete(&[]).await.expect("a removal of nothing");
    require_absent(&store, &at).await;
    store.put(&at, content(2, 2), PutMode::IfAbsent).await.expect("the key is free again");
}

/// Only what is named is deleted.
pub async fn deleted_objects_are_gone_and_others_stay(store: Arc<dyn Store>) {
    for name in ["p/q/1", "p/q/2", "p/r", "s"] {
        store.put(&key(name), content(1, 9), PutMode::Overwrite).await.expect("a put");
    }
    store.delete(&[key("p/q/1"), key("p/r")]).await.expect("a removal");
    assert_eq!(keys(&store, "").await, ["p/q/2", "s"]);
    store.delete(&[key("p/q/2")]).await.expect("a removal");
    assert_eq!(keys(&store, "").await, ["s"]);
}

/// Servers list and delete by pages of 1000.
pub async fn more_than_a_page_is_listed_and_deleted(store: Arc<dyn Store>) {
    let all: Vec<_> = (0..1_205).map(|n| key(&format!("page/{n:05}"))).collect();
    let mut puts = stream::iter(&all)
        .map(|at| store.put(at, Bytes::from_static(b"x"), PutMode::Overwrite))
        .buffer_unordered(16);
    while let Some(outcome) = puts.next().await {
        outcome.expect("a put");
    }
    let names: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(keys(&store, "page/").await, names);
    assert_eq!(keys(&store, "page/012").await, names[1_200..]);
    store.delete(&all[..1_204]).await.expect("a removal");
    assert_eq!(keys(&store, "").await, names[1_204..]);
}

/// By the bytes of the whole key, which is not how folders are walked.
pub async fn a_listing_is_ordered_by_key(store: Arc<dyn Store>) {
    let mut names = ["b", "a/b/c", "a/b-c", "a/b.c", "a=/x", "A", "a0/1", "a-/z", "_", "+", "9"];
    for name in names {
        store.put(&key(name), content(1, 1), PutMode::Overwrite).await.expect("a put");
    }
    names.sort_unstable();
    assert_eq!(keys(&store, "").await, names);
}

/// A prefix need not end at a slash, and what is no prefix of a key lists nothing.
pub async fn a_prefix_is_a_plain_string(store: Arc<dyn Store>) {
    for name in ["exports/20261123T/a", "exports/20261124T/b", "exports2/c", "other"] {
        store.put(&key(name), content(1, 1), PutMode::Overwrite).await.expect("a put");
    }
    assert_eq!(keys(&store, "exports/").await, ["exports/20261123T/a", "exports/20261124T/b"]);
    assert_eq!(keys(&store, "exports/20261123").await, ["exports/20261123T/a"]);
    assert_eq!(keys(&store, "exports").await.len(), 3);
    assert_eq!(keys(&store, "exports2/c").await, ["exports2/c"]);
    for none in ["exports/2026/", "x", "exports2/c/", "../", "/", "exports//", "."] {
        assert!(keys(&store, none).await.is_empty(), "{none:?}");
    }
}

/// The characters that URLs and XML treat specially arrive as they are.
pub async fn every_character_of_the_alphabet_may_be_in_a_key(store: Arc<dyn Store>) {
    let at = key("AZaz09._-+=/=2E.+x=y/a+b=c._-");
    store.put(&at, content(4, 44), PutMode::IfAbsent).await.expect("a put");
    assert_eq!(keys(&store, "AZaz09._-+=/=2E.+").await, [at.to_string()]);
    assert!(read(&store, &at, None).await.expect("a read") == content(4, 44));
    store.delete(std::slice::from_ref(&at)).await.expect("a removal");
    require_absent(&store, &at).await;
}

/// The probe is gone when it answers, and answers the same again.
pub async fn trying_the_store_out_leaves_nothing(store: Arc<dyn Store>) {
    let first = store.capabilities().await.expect("capabilities");
    assert_eq!(store.capabilities().await.expect("capabilities"), first);
    assert!(keys(&store, "").await.is_empty());
}
