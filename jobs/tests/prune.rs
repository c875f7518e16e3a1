//! Expiring backups: what goes, what stays, and what nothing may remove.

mod fixture;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fixture::World;
use jobs::prune::{PlanPrune, Prune, Pruned, Rules};
use jobs::runner::Job;
use jobs::{Context, Error, Verdict};
use retention::Policy;
use vault::faults::{Call, Fault, Faults};
use vault::manifest::Manifest;
use vault::{Key, PutMode, Store, StoreErrorKind};

fn rules(daily: u32) -> Rules {
    let policy = Policy { daily, ..Policy::none() };
    Rules { policy, orphan_grace: Duration::from_secs(24 * 3600) }
}

async fn run<J: Job>(job: J, context: &Context) -> Result<J::Report, Error> {
    jobs::run(&job, context).await.result
}

async fn apply(world: &World, daily: u32) -> Result<Pruned, Error> {
    run(Prune { rules: rules(daily), accept_smaller: None }, &world.context).await
}

async fn four_days(world: &World) {
    for day in 6..=9 {
        world.backup(&format!("2027-01-0{day}T02:00:00Z"), 50).await;
    }
}

#[tokio::test]
async fn a_plan_changes_nothing() {
    let world = World::new();
    four_days(&world).await;
    let before = world.keys("").await;
    let pruned = run(PlanPrune { rules: rules(2) }, &world.context).await.unwrap();
    assert_eq!(pruned.removals().len(), 2);
    assert!(pruned.applied.is_none());
    assert_eq!(world.keys("").await, before);
}

#[tokio::test]
async fn what_the_plan_removes_is_gone_with_its_objects() {
    let world = World::new();
    four_days(&world).await;
    let pruned = apply(&world, 2).await.unwrap();
    let freed = pruned.applied.as_ref().unwrap();
    assert_eq!((freed.backups.len(), freed.objects), (2, 12));
    let left = world.ids().await;
    assert_eq!(left.len(), 2);
    let objects = world.keys("exports/").await;
    assert_eq!(objects.len(), 12);
    assert!(objects.iter().all(|key| left.iter().any(|id| key.contains(id.as_str()))));
}

#[tokio::test]
async fn objects_that_another_backup_names_stay() {
    let world = World::new();
    let old = world.backup("2027-01-08T02:00:00Z", 50).await;
    let mut newer = fixture::manifest(&world.memory, "2027-01-09T02:00:00Z", "prod/shop", 50).await;
    newer.objects.push(old.objects[0].clone());
    newer.objects.sort_by(|a, b| a.key.cmp(&b.key));
    world.publish(newer).await;
    apply(&world, 1).await.unwrap();
    assert!(world.keys("exports/").await.contains(&old.objects[0].key.to_string()));
    assert_eq!(world.keys(&format!("exports/{}", old.id)).await.len(), 1);
}

#[tokio::test]
async fn a_small_newest_backup_freezes_pruning_until_an_operator_accepts_it() {
    let world = World::new();
    four_days(&world).await;
    world.backup("2027-01-10T02:00:00Z", 3).await;
    let pruned = apply(&world, 2).await.unwrap();
    assert_eq!(pruned.frozen().count(), 1);
    assert_eq!(world.ids().await.len(), 5);

    // The next small one is no better.
    world.backup("2027-01-10T03:00:00Z", 3).await;
    apply(&world, 2).await.unwrap();
    assert_eq!(world.ids().await.len(), 6);

    let accepted = Prune { rules: rules(2), accept_smaller: Some("20270110T03".into()) };
    let pruned = run(accepted, &world.context).await.unwrap();
    assert_eq!(pruned.frozen().count(), 0);
    assert_eq!(world.ids().await.len(), 2);

    // It stays accepted, and its mark goes with it.
    world.backup("2027-01-10T04:00:00Z", 3).await;
    apply(&world, 1).await.unwrap();
    assert_eq!(world.ids().await.len(), 1);
    assert_eq!(world.keys("accepted/").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_unreadable_manifest_stops_all_removal() {
    let world = World::new();
    four_days(&world).await;
    let key = Manifest::key(&world.ids().await[0]).unwrap();
    world.memory.tamper(&key, |bytes| bytes[20] ^= 1);
    let job = Prune { rules: rules(1), accept_smaller: None };
    let outcome = jobs::run(&job, &world.context).await;
    assert_eq!(outcome.verdict(), Verdict::Damaged);
    let pruned = outcome.result.unwrap();
    assert_eq!(pruned.unreadable[0].key, key);
    assert!(pruned.applied.is_none());
    assert_eq!(world.keys("exports/").await.len(), 24);
}

#[tokio::test]
async fn orphans_are_swept_after_their_grace_time_and_not_before() {
    let world = World::new();
    four_days(&world).await;
    let orphan = Key::new("exports/20270110T110000Z-aaaaaa/shop/1.dat").unwrap();
    let content = bytes::Bytes::from_static(b"left by a killed run");
    world.memory.put(&orphan, content, PutMode::Overwrite).await.unwrap();
    apply(&world, 7).await.unwrap();
    assert_eq!(world.keys("exports/20270110").await.len(), 1);
    world.clock.advance(TimeDelta::hours(25));
    let plan = run(PlanPrune { rules: rules(7) }, &world.context).await.unwrap();
    assert_eq!(plan.orphans, 1);
    apply(&world, 7).await.unwrap();
    assert_eq!(world.keys("exports/20270110").await.len(), 0);
    assert_eq!(world.ids().await.len(), 4);
}

#[tokio::test]
async fn a_prune_that_dies_anywhere_leaves_no_backup_without_its_objects() {
    for failing in 1..=6 {
        let world = World::new();
        four_days(&world).await;
        let faults = Faults::new(world.memory.clone());
        faults.on(Call::Delete, failing..=u64::MAX, Fault::Fail(StoreErrorKind::Unavailable));
        let context = world.through(Arc::new(faults));
        let _ = run(Prune { rules: rules(1), accept_smaller: None }, &context).await;
        for id in world.ids().await {
            let manifest = world.context.catalogue.load(&id).await.unwrap();
            for object in &manifest.objects {
                world.memory.head(&object.key).await.unwrap();
            }
        }
        // And the next one tidies up.
        world.clock.advance(TimeDelta::hours(25));
        apply(&world, 1).await.unwrap();
        assert_eq!(world.keys("exports/").await.len(), 6);
    }
}

#[tokio::test]
async fn rules_that_keep_nothing_remove_nothing() {
    let world = World::new();
    four_days(&world).await;
    let error = apply(&world, 0).await.unwrap_err();
    assert_eq!(error.verdict(), Verdict::Refused);
    assert_eq!(world.ids().await.len(), 4);
}
