//! Trying again: when, how often, and what must not be done twice.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use tokio::time::Instant;
use vault::faults::{Call, Fault, Faults};
use vault::retry::{Policy, Retry};
use vault::{Key, MemoryStore, PutMode, Store, StoreErrorKind};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn stores() -> (MemoryStore, Faults, Retry) {
    let memory = MemoryStore::new();
    let faults = Faults::new(Arc::new(memory.clone()));
    let retry = Retry::new(Arc::new(faults.clone()), Policy::default());
    (memory, faults, retry)
}

#[tokio::test(start_paused = true)]
async fn transient_failures_are_tried_again_with_growing_waits() {
    let (memory, faults, retry) = stores();
    faults.on(Call::Put, 1..=5, Fault::Fail(StoreErrorKind::Unavailable));
    let begun = Instant::now();
    retry.put(&key("a"), "x".into(), PutMode::Overwrite).await.unwrap();
    assert_eq!(faults.made(Call::Put), 6);
    assert!(memory.head(&key("a")).await.is_ok());
    // 250 ms, doubled five times, each cut by at most a half.
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_millis(3_875) && waited <= Duration::from_millis(7_760),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_and_time_are_bounded() {
    let (_, faults, retry) = stores();
    faults.always(Call::List, Fault::Fail(StoreErrorKind::Unavailable));
    let error = retry.list("").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("after 8 attempts"), "{error}");
    assert_eq!(faults.made(Call::List), 8);

    let hasty = Policy { total: Duration::from_secs(1), ..Policy::default() };
    let begun = Instant::now();
    Retry::new(Arc::new(faults.clone()), hasty).list("").await.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn final_failures_are_reported_at_once() {
    use StoreErrorKind::{AlreadyExists, Corrupt, Denied, Full, Invalid, NotFound, Other};
    for kind in [AlreadyExists, Corrupt, Denied, Full, Invalid, NotFound, Other] {
        let (_, faults, retry) = stores();
        faults.always(Call::Delete, Fault::Fail(kind));
        assert_eq!(retry.delete(&[key("a")]).await.unwrap_err().kind, kind);
        assert_eq!(faults.made(Call::Delete), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_read_goes_on_where_it_was_cut() {
    let (memory, faults, retry) = stores();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    memory.put(&key("a"), bytes.clone().into(), PutMode::Overwrite).await.unwrap();
    faults.on(Call::Read, 1..=3, Fault::Cut(100_001));
    faults.on(Call::Read, 4..=5, Fault::Fail(StoreErrorKind::Unavailable));
    faults.on(Call::Read, 6..=6, Fault::Cut(0));
    let range = 7..900_000_u64;
    let pieces = retry.read(&key("a"), Some(range)).await.unwrap();
    let read: Vec<_> = pieces.try_collect().await.unwrap();
    assert!(read.concat() == bytes[7..900_000]);
    assert_eq!(faults.made(Call::Read), 7);
}

#[tokio::test(start_paused = true)]
async fn a_read_cut_behind_its_last_byte_ends() {
    let (memory, faults, retry) = stores();
    memory.put(&key("a"), vec![5; 1_000].into(), PutMode::Overwrite).await.unwrap();
    faults.on(Call::Read, 1..=1, Fault::Cut(1_000));
    let read: Vec<_> = retry.read(&key("a"), None).await.unwrap().try_collect().await.unwrap();
    assert_eq!(read.concat(), vec![5; 1_000]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_never_gets_on_fails() {
    let (memory, faults, retry) = stores();
    memory.put(&key("a"), vec![5; 1_000].into(), PutMode::Overwrite).await.unwrap();
    faults.always(Call::Read, Fault::Cut(0));
    let pieces = retry.read(&key("a"), None).await.unwrap();
    let outcome: Result<Vec<_>, _> = pieces.try_collect().await;
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(faults.made(Call::Read), 8);
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_answer_was_lost_is_not_taken_for_anothers() {
    let (_, faults, retry) = stores();
    faults.on(Call::Put, 1..=1, Fault::FailAfter(StoreErrorKind::Unavailable));
    retry.put(&key("a"), "mine".into(), PutMode::IfAbsent).await.unwrap();
    assert_eq!(faults.made(Call::Put), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_taken_by_another_meanwhile_is_refused() {
    let (memory, faults, retry) = stores();
    faults.on(Call::Put, 1..=1, Fault::Fail(StoreErrorKind::Unavailable));
    memory.put(&key("a"), "theirs".into(), PutMode::Overwrite).await.unwrap();
    let error = retry.put(&key("a"), "mine".into(), PutMode::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
}
