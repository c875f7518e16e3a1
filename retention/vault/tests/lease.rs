//! Two runs, one lease. Time is tokio's, paused: it moves when everybody waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vault::faults::{Call, Fault, Faults};
use vault::lease::{Guard, Holder, Timing, acquire};
use vault::{DirStore, Error, Key, MemoryStore, PutMode, Store, StoreErrorKind};

fn here() -> Holder {
    Holder::this_process()
}

/// A process on another machine: nothing can be known of it but what it writes.
fn elsewhere() -> Holder {
    Holder { host: "elsewhere".into(), boot_id: Some("another".into()), ..here() }
}

/// A process of this machine that has ended: its number is now another's.
fn dead_here() -> Holder {
    Holder { process_start: Some(1), ..here() }
}

async fn take(store: &Arc<dyn Store>, holder: Holder) -> Result<Guard, Error> {
    let cancel = CancellationToken::new();
    acquire(Arc::clone(store), "export", holder, Timing::default(), &cancel).await
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

async fn names(store: &Arc<dyn Store>) -> Vec<String> {
    let listed = store.list("leases/").await.unwrap();
    listed.into_iter().map(|info| info.key.to_string()).collect()
}

/// Stops a holder dead: its record stays, nobody renews it.
async fn abandon(store: &Arc<dyn Store>, holder: Holder) {
    let guard = take(store, holder).await.unwrap();
    let at = store.list("leases/").await.unwrap().pop().unwrap().key;
    let record = vault::read_small(&**store, &at, 1 << 20).await.unwrap();
    guard.release().await;
    store.put(&at, record, PutMode::Overwrite).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_free_at_once() {
    let store = memory();
    for generation in 1..=3 {
        let begun = Instant::now();
        let guard = take(&store, here()).await.unwrap();
        assert_eq!(guard.generation(), generation);
        guard.check().await.unwrap();
        guard.release().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(names(&store).await.len(), 1, "older records are removed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_the_last_number_there_is_blocks_nothing_once_it_is_free() {
    let store = memory();
    let guard = take(&store, here()).await.unwrap();
    let name = store.list("leases/").await.unwrap().pop().unwrap().key;
    guard.release().await;
    let record = vault::read_small(&*store, &name, 1 << 20).await.unwrap();
    for (forged, generation) in [(record, 2), ("garbage".into(), 3)] {
        let last = Key::new(format!("leases/export.{}.json", u64::MAX)).unwrap();
        store.put(&last, forged, PutMode::IfAbsent).await.unwrap();
        let guard = take(&store, here()).await.unwrap();
        assert_eq!(guard.generation(), generation);
        guard.check().await.unwrap();
        guard.release().await;
        assert_eq!(names(&store).await, [format!("leases/export.{generation:010}.json")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_guard_releases_too() {
    let store = memory();
    drop(take(&store, here()).await.unwrap());
    tokio::time::sleep(Duration::from_millis(1)).await;
    take(&store, elsewhere()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_living_process_of_this_host_keeps_its_lease() {
    let store = memory();
    let guard = take(&store, here()).await.unwrap();
    let begun = Instant::now();
    let error = take(&store, here()).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO, "known at once");
    let Error::LeaseHeld { holder, acquired, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, here().to_string());
    assert!(acquired.is_some() && error.hint().is_some());
    guard.check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_of_this_host_is_replaced_at_once() {
    let store = memory();
    abandon(&store, dead_here()).await;
    let begun = Instant::now();
    assert_eq!(take(&store, here()).await.unwrap().generation(), 2);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_of_another_host_is_replaced_within_a_minute() {
    let store = memory();
    abandon(&store, elsewhere()).await;
    let begun = Instant::now();
    take(&store, here()).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(60), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_living_process_of_another_host_is_noticed_by_its_renewals() {
    let store = memory();
    let guard = take(&store, elsewhere()).await.unwrap();
    let begun = Instant::now();
    let error = take(&store, here()).await.unwrap_err();
    assert!(matches!(error, Error::LeaseHeld { .. }), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}", begun.elapsed());
    guard.check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_released_while_it_is_watched_is_taken() {
    let store = memory();
    let guard = take(&store, elsewhere()).await.unwrap();
    let contender = tokio::spawn({
        let store = Arc::clone(&store);
        async move { take(&store, here()).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    guard.release().await;
    assert_eq!(contender.await.unwrap().unwrap().generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_held_lease_outlives_many_take_over_times() {
    let store = memory();
    let guard = take(&store, elsewhere()).await.unwrap();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert!(matches!(take(&store, here()).await, Err(Error::LeaseHeld { .. })));
    }
    guard.check().await.unwrap();
    assert!(!guard.lost().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn of_many_contenders_one_holds_the_lease() {
    let store = memory();
    abandon(&store, elsewhere()).await;
    let contenders = (0..12).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { take(&store, here()).await })
    });
    let outcomes = futures::future::join_all(contenders).await;
    let guards: Vec<_> = outcomes.into_iter().filter_map(|outcome| outcome.unwrap().ok()).collect();
    assert_eq!(guards.len(), 1);
    guards[0].check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_contenders_for_a_directory_one_holds_the_lease() {
    let folder = tempfile::TempDir::new().unwrap();
    for _ in 0..20 {
        let contenders = (0..8).map(|_| {
            // Each its own store, as in processes of their own.
            let store: Arc<dyn Store> = Arc::new(DirStore::new(folder.path()));
            tokio::spawn(async move { take(&store, here()).await })
        });
        let outcomes = futures::future::join_all(contenders).await;
        let mut guards: Vec<_> = outcomes.into_iter().filter_map(|o| o.unwrap().ok()).collect();
        assert_eq!(guards.len(), 1);
        guards.pop().unwrap().release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_overwrites_taken_keys_still_has_one_holder() {
    let store: Arc<dyn Store> = Arc::new(Overwriting(MemoryStore::new()));
    for _ in 0..5 {
        let contenders = (0..12_u64).map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 700)).await;
                take(&store, here()).await
            })
        });
        let outcomes = futures::future::join_all(contenders).await;
        let mut guards: Vec<_> = outcomes.into_iter().filter_map(|o| o.unwrap().ok()).collect();
        assert_eq!(guards.len(), 1);
        let guard = guards.pop().unwrap();
        guard.check().await.unwrap();
        guard.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_cut_off_from_the_store_gives_up_before_it_is_replaced() {
    let inner = memory();
    let faults = Faults::new(Arc::clone(&inner));
    let store: Arc<dyn Store> = Arc::new(faults.clone());
    let guard = take(&store, elsewhere()).await.unwrap();
    faults.always(Call::Put, Fault::Fail(StoreErrorKind::Unavailable));
    let begun = Instant::now();
    let successor = tokio::spawn(async move {
        let guard = take(&inner, here()).await;
        (guard, Instant::now())
    });
    guard.lost().cancelled().await;
    let lost = Instant::now();
    assert!(lost - begun >= Duration::from_secs(20), "one failure is not the end");
    let (successor, taken) = successor.await.unwrap();
    assert!(lost < taken, "lost after {:?}, taken after {:?}", lost - begun, taken - begun);
    successor.unwrap().check().await.unwrap();
    faults.heal();
    assert!(matches!(guard.check().await, Err(Error::LeaseLost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_noticed_too() {
    let faults = Faults::new(memory());
    let store: Arc<dyn Store> = Arc::new(faults.clone());
    let guard = take(&store, elsewhere()).await.unwrap();
    faults.always(Call::List, Fault::Hang);
    let begun = Instant::now();
    guard.lost().cancelled().await;
    assert!(begun.elapsed() <= Duration::from_secs(25), "{:?}", begun.elapsed());
    guard.release().await;
}

#[tokio::test(start_paused = true)]
async fn short_outages_are_survived() {
    let faults = Faults::new(memory());
    let store: Arc<dyn Store> = Arc::new(faults.clone());
    let guard = take(&store, elsewhere()).await.unwrap();
    for _ in 0..5 {
        faults.always(Call::Put, Fault::Fail(StoreErrorKind::Unavailable));
        tokio::time::sleep(Duration::from_secs(12)).await;
        faults.heal();
        tokio::time::sleep(Duration::from_secs(12)).await;
    }
    guard.check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_paused_holder_learns_that_it_was_replaced() {
    let store = memory();
    // The new holder sees a dead process where the old one is in truth only paused.
    let paused = take(&store, dead_here()).await.unwrap();
    let now = take(&store, here()).await.unwrap();
    let error = paused.check().await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }) && error.hint().is_some(), "{error}");
    assert!(paused.lost().is_cancelled());
    paused.release().await;
    now.check().await.unwrap();
    now.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_replaced_holder_learns_of_it_although_its_successor_is_gone_again() {
    let store = memory();
    let paused = take(&store, dead_here()).await.unwrap();
    take(&store, here()).await.unwrap().release().await;
    assert!(matches!(paused.check().await, Err(Error::LeaseLost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_holder_is_told_within_a_renewal() {
    let store = memory();
    let paused = take(&store, dead_here()).await.unwrap();
    let _now = take(&store, here()).await.unwrap();
    let begun = Instant::now();
    paused.lost().cancelled().await;
    assert!(begun.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_record_nobody_can_read_is_watched_and_replaced() {
    let store = memory();
    let at = Key::new("leases/export.0000000041.json").unwrap();
    store.put(&at, Bytes::from_static(b"{\"formatVersion\":9}"), PutMode::IfAbsent).await.unwrap();
    let begun = Instant::now();
    assert_eq!(take(&store, here()).await.unwrap().generation(), 42);
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn waiting_can_be_interrupted() {
    let store = memory();
    abandon(&store, elsewhere()).await;
    let cancel = CancellationToken::new();
    let waiting = tokio::spawn({
        let (store, cancel) = (Arc::clone(&store), cancel.clone());
        async move { acquire(store, "export", here(), Timing::default(), &cancel).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    cancel.cancel();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Interrupted { .. })));
    assert_eq!(names(&store).await, ["leases/export.0000000001.json"]);
}

#[tokio::test(start_paused = true)]
async fn leases_of_different_names_do_not_meet() {
    let store = memory();
    let cancel = CancellationToken::new();
    let take = |name| acquire(Arc::clone(&store), name, here(), Timing::default(), &cancel);
    let first = take("export").await.unwrap();
    let second = take("export2").await.unwrap();
    first.check().await.unwrap();
    second.check().await.unwrap();
    assert!(take("a b").await.is_err(), "no name for a key");
}

/// Like servers that ignore conditions: the last of several puts stays.
#[derive(Debug)]
struct Overwriting(MemoryStore);

#[async_trait::async_trait]
impl Store for Overwriting {
    fn describe(&self) -> String {
        self.0.describe()
    }
    async fn capabilities(&self) -> Result<vault::Capabilities, vault::StoreError> {
        Ok(vault::Capabilities { conditional_put: false, checksums: false })
    }
    async fn put(&self, key: &Key, content: Bytes, _: PutMode) -> Result<(), vault::StoreError> {
        // Writes take their time, each another.
        tokio::time::sleep(Duration::from_millis(u64::from(content[content.len() / 2]) * 9)).await;
        self.0.put(key, content, PutMode::Overwrite).await
    }
    async fn begin(&self, key: &Key) -> Result<Box<dyn vault::Upload>, vault::StoreError> {
        self.0.begin(key).await
    }
    async fn read(
        &self,
        key: &Key,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<vault::ByteStream, vault::StoreError> {
        self.0.read(key, range).await
    }
    async fn head(&self, key: &Key) -> Result<vault::ObjectInfo, vault::StoreError> {
        self.0.head(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<vault::ObjectInfo>, vault::StoreError> {
        self.0.list(prefix).await
    }
    async fn delete(&self, keys: &[Key]) -> Result<(), vault::StoreError> {
        self.0.delete(keys).await
    }
    async fn abort_uploads(
        &self,
        before: chrono::DateTime<chrono::Utc>,
    ) -> Result<u64, vault::StoreError> {
        self.0.abort_uploads(before).await
    }
}
