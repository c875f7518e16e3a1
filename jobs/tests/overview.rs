//! What a watcher sees of a store.

mod fixture;

use fixture::World;
use jobs::Verdict;
use jobs::overview::Look;
use vault::lease::{self, Holder};

#[tokio::test]
async fn a_second_look_reads_only_what_is_new_and_forgets_what_is_gone() {
    let world = World::new();
    let first = world.backup("2027-01-08T02:00:00Z", 5).await;
    let seen = jobs::run(&Look::default(), &world.context).await.result.unwrap();
    assert_eq!(seen.backups.len(), 1);
    assert_eq!(seen.backups[0].parts[0].rows, 10);
    assert_eq!(seen.backups[0].parts[0].stored_bytes, first.stored_bytes());
    assert_eq!(seen.store_bytes, None);

    let second = world.backup("2027-01-09T02:00:00Z", 6).await;
    let look = Look { known: seen.backups, measure: true };
    let seen = jobs::run(&look, &world.context).await.result.unwrap();
    let ids: Vec<&str> = seen.backups.iter().map(|kept| kept.summary.id.as_str()).collect();
    assert_eq!(ids, [&first.id, &second.id]);
    assert!(seen.store_bytes.unwrap() >= first.stored_bytes() + second.stored_bytes());

    let key = vault::manifest::Manifest::key(&first.id).unwrap();
    world.context.catalogue.store().delete(&[key]).await.unwrap();
    let look = Look { known: seen.backups, measure: false };
    let seen = jobs::run(&look, &world.context).await.result.unwrap();
    assert_eq!(seen.backups.len(), 1);
}

#[tokio::test]
async fn whoever_holds_the_lease_is_seen_without_being_disturbed() {
    let world = World::new();
    let holder = Holder::this_process();
    let guard = lease::acquire(
        world.memory.clone(),
        "exports",
        holder.clone(),
        fixture::timing(),
        &world.context.cancel,
    );
    let guard = guard.await.unwrap();
    let outcome = jobs::run(&Look::default(), &world.context).await;
    assert_eq!(outcome.verdict(), Verdict::Done);
    let held = outcome.result.unwrap().lease.unwrap();
    assert_eq!(held.holder, holder.to_string());
    guard.release().await;
    let free = jobs::run(&Look::default(), &world.context).await.result.unwrap();
    assert_eq!(free.lease, None);
}
