//! Publishing, finding, removing and sweeping windows.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use vault::faults::{Call, Fault};
use vault::lease::Holder;
use vault::manifest::MAX_BYTES;
use vault::window::{Window, Windows};
use vault::{Error, MemoryStore, PutMode, Store, StoreErrorKind};

use crate::fixture::{
    empty_window, fixture, joined, key, manifest_key, take_lease, window, window_of,
};

#[tokio::test]
async fn a_published_window_is_found_by_its_name_alone() {
    let at = fixture().await;
    let (a, b) = (window(3, 1), window_of("other space", 4, 2));
    at.publish(&a).await;
    at.publish(&b).await;
    at.publish(&empty_window(9, 3)).await;
    let reads = at.faults.made(Call::Read);
    let references = at.windows.references(None).await.unwrap();
    assert_eq!(at.faults.made(Call::Read), reads, "names are enough");
    assert_eq!(references.len(), 3);
    let other = at.windows.references(Some("other space")).await.unwrap();
    assert_eq!((other.len(), &other[0].id), (1, &b.id));
    assert_eq!(at.windows.load(&other[0]).await.unwrap(), Some(b.clone()));
    assert!(at.windows.references(Some("other")).await.unwrap().is_empty());
    assert!(at.windows.is_published("default", &a.id).await.unwrap());
    assert!(!at.windows.is_published("other space", &a.id).await.unwrap());
    let listing = at.windows.of_namespace("default", &a.namespace.id).await.unwrap();
    assert_eq!(listing.windows, [a.clone(), empty_window(9, 3)]);
    let former = at.windows.of_namespace("default", "another id").await.unwrap();
    assert!(former.windows.is_empty() && former.damaged.is_empty());
}

#[tokio::test]
async fn a_window_is_published_once() {
    let at = fixture().await;
    let first = window(3, 1);
    at.publish(&first).await;
    let mut second = first.clone();
    second.host = "another".into();
    let error = at.windows.publish(&second, &at.lease).await.unwrap_err();
    assert!(
        matches!(&error, Error::Store(e) if e.kind == StoreErrorKind::AlreadyExists),
        "{error}"
    );
    let references = at.windows.references(None).await.unwrap();
    assert_eq!(at.windows.load(&references[0]).await.unwrap(), Some(first));
}

#[tokio::test]
async fn a_manifest_that_was_not_stored_whole_is_taken_back() {
    let at = fixture().await;
    at.faults.on(Call::Read, 1..=1, Fault::Cut(100));
    at.windows.publish(&window(3, 1), &at.lease).await.unwrap_err();
    assert!(at.keys("manifests/").await.is_empty());
    at.faults.on(Call::Put, 2..=2, Fault::FailAfter(StoreErrorKind::Unavailable));
    at.windows.publish(&window(3, 1), &at.lease).await.unwrap_err();
    assert!(at.keys("manifests/").await.is_empty());
}

#[tokio::test]
async fn a_run_that_lost_its_lease_publishes_and_removes_nothing() {
    let me = Holder::this_process();
    // The record of our lease, seen by a later holder as a dead process's.
    let dead = Holder { process_start: Some(1), ..me.clone() };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = take_lease(store.clone(), dead).await.unwrap();
    let second = take_lease(store.clone(), me).await.unwrap();
    let windows = Windows::new(store.clone());
    let window = window(3, 1);
    let error = windows.publish(&window, &first).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
    assert!(store.list("manifests/").await.unwrap().is_empty());
    windows.publish(&window, &second).await.unwrap();
    let error = windows.remove(std::slice::from_ref(&window), &first).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
    assert!(windows.is_published("default", &window.id).await.unwrap());
}

#[tokio::test]
async fn a_damaged_manifest_hides_no_other() {
    let at = fixture().await;
    for hour in [3, 4, 5] {
        at.publish(&window(hour, 1)).await;
    }
    at.memory.tamper(&manifest_key(&window(4, 1)), |bytes| bytes[200] ^= 1);
    // And one under another's name.
    let document = window(5, 1).encode().unwrap();
    let name = manifest_key(&window(6, 1));
    at.memory.put(&name, document.into(), PutMode::Overwrite).await.unwrap();
    let references = at.windows.references(None).await.unwrap();
    let listing = at.windows.read(references).await.unwrap();
    let ids: Vec<_> = listing.windows.iter().map(|window| &window.id).collect();
    assert_eq!(ids, [&window(3, 1).id, &window(5, 1).id]);
    let damaged: Vec<_> = listing.damaged.iter().map(|damaged| damaged.key.clone()).collect();
    assert_eq!(damaged, [manifest_key(&window(4, 1)), name]);
}

#[tokio::test]
async fn a_manifest_that_is_too_large_hides_no_other() {
    let at = fixture().await;
    let (a, b) = (window(3, 1), window(4, 2));
    at.publish(&a).await;
    at.publish(&b).await;
    at.memory.tamper(&manifest_key(&a), |bytes| bytes.resize(MAX_BYTES + 1, 0));
    let listing = at.windows.read(at.windows.references(None).await.unwrap()).await.unwrap();
    assert_eq!(listing.windows, [b]);
    assert_eq!(listing.damaged.len(), 1);
    assert_eq!(listing.damaged[0].key, manifest_key(&a));
}

#[tokio::test]
async fn a_store_that_fails_is_not_taken_for_one_without_windows() {
    let at = fixture().await;
    at.publish(&window(3, 1)).await;
    let references = at.windows.references(None).await.unwrap();
    at.faults.always(Call::Read, Fault::Fail(StoreErrorKind::Unavailable));
    at.windows.read(references).await.unwrap_err();
    at.faults.always(Call::List, Fault::Fail(StoreErrorKind::Unavailable));
    at.windows.references(None).await.unwrap_err();
}

#[tokio::test]
async fn a_replaced_window_does_not_count_and_keeps_its_objects_until_it_is_removed() {
    let at = fixture().await;
    let (a, b) = (window(3, 1), window(5, 2));
    let c = joined(&a, &b, 3);
    for window in [&a, &b, &c] {
        at.publish(window).await;
    }
    assert_eq!(at.ids().await, std::slice::from_ref(&c.id));
    let listing = at.windows.of_namespace("default", &a.namespace.id).await.unwrap();
    assert_eq!(listing.replaced, [a.clone(), b.clone()]);
    let later = Utc::now() + TimeDelta::hours(1);
    at.windows.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap();
    assert_eq!(at.keys("histories/").await.len(), 6);
    // One that takes the place of the one that took their place.
    let mut d = joined(&a, &b, 4);
    d.replaces = vec![c.id.clone()];
    at.publish(&d).await;
    assert_eq!(at.ids().await, [d.id]);
    // A window of the same identity in another namespace is another window.
    at.publish(&window_of("other", 3, 1)).await;
    assert_eq!(at.ids().await.len(), 2);
}

#[tokio::test]
async fn removing_takes_the_manifest_first_and_shared_objects_never() {
    let at = fixture().await;
    let a = window(3, 1);
    let mut b = window(3, 2);
    b.segments = a.segments.clone();
    let c = window_of("other", 5, 3);
    for window in [&a, &b, &c] {
        at.publish(window).await;
    }
    at.faults.on(Call::Delete, 2..=2, Fault::Fail(StoreErrorKind::Denied));
    at.windows.remove(&[a.clone(), c.clone()], &at.lease).await.unwrap_err();
    assert_eq!(at.ids().await, [b.id.clone()], "the manifests are gone first");
    assert_eq!(at.keys("histories/other/").await.len(), 2, "the objects are still there");
    let later = Utc::now() + TimeDelta::hours(1);
    let swept = at.windows.sweep(TimeDelta::minutes(1), later, &at.lease).await.unwrap();
    assert_eq!(swept.objects, 2);
    assert_eq!(at.keys("histories/").await.len(), 2, "what another window shares stays");
    let removed = at.windows.remove(&[b], &at.lease).await.unwrap();
    assert_eq!((removed.windows, removed.objects), (1, 2));
    assert!(at.keys("histories/").await.is_empty());
    assert_eq!(at.windows.remove(&[], &at.lease).await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_window_leaves_after_those_whose_place_it_took() {
    // A kill before the removal of the joined ones, and then the joined window expires. Whatever
    // call fails then, none of the old ones counts again.
    for number in 1..6 {
        let at = fixture().await;
        let (a, b) = (window(3, 1), window(5, 2));
        let c = joined(&a, &b, 3);
        let mut d = joined(&a, &b, 4);
        d.replaces = vec![c.id.clone()];
        for window in [&a, &b, &c, &d] {
            at.publish(window).await;
        }
        at.faults.on(Call::Delete, number..=u64::MAX, Fault::Fail(StoreErrorKind::Denied));
        let outcome = at.windows.remove(std::slice::from_ref(&d), &at.lease).await;
        let left = at.ids().await;
        assert!(left.is_empty() || left == [d.id.clone()], "{number}: {left:?}");
        // Two old ones, the one in their place, the one in its place, and all objects.
        assert_eq!(outcome.is_ok(), number > 4, "{number}");
        if let Ok(removed) = outcome {
            assert_eq!((removed.windows, removed.objects), (4, 8));
            assert!(at.keys("histories/").await.is_empty());
        }
    }
}

#[tokio::test]
async fn no_object_is_removed_while_a_manifest_is_unreadable() {
    let at = fixture().await;
    let (a, b) = (window(3, 1), window(5, 2));
    at.publish(&a).await;
    at.publish(&b).await;
    at.store_objects(&window(7, 3)).await;
    at.memory.tamper(&manifest_key(&b), |bytes| bytes[50] ^= 0x20);
    let removed = at.windows.remove(&[a], &at.lease).await.unwrap();
    assert_eq!((removed.windows, removed.objects), (1, 0));
    let later = Utc::now() + TimeDelta::hours(1);
    let error = at.windows.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap_err();
    assert!(matches!(error, Error::NeedUnknown { .. }), "{error}");
    assert!(error.to_string().contains(&b.id.to_string()) && error.hint().is_some(), "{error}");
    assert_eq!(at.keys("histories/").await.len(), 6);
}

#[tokio::test]
async fn a_stray_name_among_the_manifests_stops_the_sweep() {
    let at = fixture().await;
    let a = window(3, 1);
    at.store_objects(&a).await;
    let stray = key("manifests/histories/default/copy of it.json".replace(' ', "_").as_str());
    let document = a.encode().unwrap();
    at.memory.put(&stray, document.into(), PutMode::Overwrite).await.unwrap();
    let later = Utc::now() + TimeDelta::hours(1);
    let error = at.windows.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap_err();
    assert!(matches!(error, Error::NeedUnknown { .. }), "{error}");
    assert_eq!(at.keys("histories/").await.len(), 2);
    at.memory.delete(&[stray]).await.unwrap();
    let swept = at.windows.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap();
    assert_eq!(swept.objects, 2);
}

#[tokio::test]
async fn fresh_objects_without_a_manifest_are_a_live_runs() {
    let at = fixture().await;
    at.store_objects(&window(3, 1)).await;
    // Another namespace's window of the same identity protects nothing.
    at.publish(&window_of("other", 3, 1)).await;
    let grace = TimeDelta::hours(24);
    let swept = at.windows.sweep(grace, Utc::now(), &at.lease).await.unwrap();
    assert_eq!(swept.objects, 0);
    let later = Utc::now() + TimeDelta::hours(25);
    let swept = at.windows.sweep(grace, later, &at.lease).await.unwrap();
    assert_eq!(swept.objects, 2);
    assert_eq!(at.keys("histories/").await.len(), 2);
}

/// Joins two windows, as the archive does: objects, manifest, then the old ones.
async fn join(
    windows: &Windows,
    lease: &vault::lease::Guard,
    old: &[Window],
    new: &Window,
) -> Result<(), Error> {
    windows.publish(new, lease).await?;
    windows.remove(old, lease).await?;
    Ok(())
}

#[tokio::test]
async fn a_join_that_is_killed_at_any_call_leaves_every_run_once() {
    let mut steps = 0;
    for call in [Call::Put, Call::Read, Call::List, Call::Delete] {
        for number in 1..10 {
            for after in [false, true] {
                let at = fixture().await;
                let (a, b) = (window(3, 1), window(5, 2));
                let c = joined(&a, &b, 3);
                at.publish(&a).await;
                at.publish(&b).await;
                at.store_objects(&c).await;
                let made = at.faults.made(call);
                let kind = StoreErrorKind::Other;
                // From then on nothing works any more.
                let first = if after { Fault::FailAfter(kind) } else { Fault::Fail(kind) };
                at.faults.on(call, made + number..=made + number, first);
                at.faults.on(call, made + number + 1..=u64::MAX, Fault::Fail(kind));
                if call != Call::Delete {
                    at.faults.always(Call::Delete, Fault::Fail(kind));
                }
                let old = [a.clone(), b.clone()];
                let outcome = join(&at.windows, &at.lease, &old, &c).await;
                let reached = at.faults.made(call) >= made + number;
                steps += u32::from(reached);
                assert!(outcome.is_err() || !reached, "{call:?} {number}");
                at.faults.heal();

                let count =
                    |windows: &[Window]| windows.iter().map(|window| window.runs).sum::<u64>();
                let listing = at.windows.of_namespace("default", &a.namespace.id).await.unwrap();
                assert_eq!(count(&listing.windows), 20, "{call:?} {number} {after}");
                let keys = at.keys("histories/").await;
                for object in listing.windows.iter().flat_map(Window::objects) {
                    assert!(keys.contains(&object.key.to_string()), "{}", object.key);
                }
                // The next run ends what was begun, and sweeps.
                at.windows.remove(&listing.replaced, &at.lease).await.unwrap();
                let later = Utc::now() + TimeDelta::hours(1);
                at.windows.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap();
                let listing = at.windows.of_namespace("default", &a.namespace.id).await.unwrap();
                assert_eq!(count(&listing.windows), 20);
                assert!(listing.replaced.is_empty());
                assert_eq!(at.keys("histories/").await.len(), 2 * listing.windows.len());
            }
        }
    }
    assert!(steps >= 8, "{steps}");
}
