//! Any job is run the same way: lease, run, record, release.

mod fixture;

use std::sync::Arc;

use async_trait::async_trait;
use fixture::{World, timing};
use jobs::runner::{Exclusive, Job, Report};
use jobs::status::Status;
use jobs::{Context, Error, Verdict};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vault::PutMode;
use vault::lease::{self, Holder};
use vault::{Key, Store};

/// Says when it has begun, then waits to be told to stop; stubborn ones do not listen.
struct Waiting {
    begun: Arc<Notify>,
    stubborn: bool,
}

struct Nothing;

impl Report for Nothing {
    fn verdict(&self) -> Verdict {
        Verdict::Done
    }
}

#[async_trait]
impl Job for Waiting {
    type Report = Nothing;
    type Access = Exclusive;
    const NAME: &'static str = "waiting";

    fn recorded_as(&self) -> Option<String> {
        Some("prod".into())
    }

    async fn run(&self, context: &Context, _: &Exclusive) -> Result<Nothing, Error> {
        self.begun.notify_one();
        if self.stubborn {
            std::future::pending::<()>().await;
        }
        context.cancel.cancelled().await;
        Err(Error::Cancelled)
    }
}

/// Ends at once.
struct Quick;

#[async_trait]
impl Job for Quick {
    type Report = Nothing;
    type Access = Exclusive;
    const NAME: &'static str = "quick";

    async fn run(&self, _: &Context, _: &Exclusive) -> Result<Nothing, Error> {
        Ok(Nothing)
    }
}

#[tokio::test]
async fn two_jobs_that_change_a_store_never_overlap() {
    let world = World::new();
    let begun = Arc::new(Notify::new());
    let waiting = Waiting { begun: begun.clone(), stubborn: false };
    let context = world.context.clone();
    let first = tokio::spawn(async move { jobs::run(&waiting, &context).await.verdict() });
    begun.notified().await;
    let other = Context { cancel: CancellationToken::new(), ..world.context.clone() };
    let second = jobs::run(&Quick, &other).await;
    assert_eq!(second.verdict(), Verdict::LeaseHeld);
    world.context.cancel.cancel();
    assert_eq!(first.await.unwrap(), Verdict::Failed);
    assert_eq!(jobs::run(&Quick, &other).await.verdict(), Verdict::Done);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_stop_is_dropped_and_the_lease_released() {
    let world = World::new();
    let begun = Arc::new(Notify::new());
    let waiting = Waiting { begun: begun.clone(), stubborn: true };
    let context = world.context.clone();
    let running = tokio::spawn(async move { jobs::run(&waiting, &context).await.result });
    begun.notified().await;
    world.context.cancel.cancel();
    assert!(matches!(running.await.unwrap(), Err(Error::Cancelled)));
    let fresh = Context { cancel: CancellationToken::new(), ..world.context.clone() };
    assert_eq!(jobs::run(&Quick, &fresh).await.verdict(), Verdict::Done);
}

#[tokio::test]
async fn a_job_that_loses_its_lease_stops_and_says_so() {
    let world = World::new();
    let begun = Arc::new(Notify::new());
    let waiting = Waiting { begun: begun.clone(), stubborn: false };
    let context = world.context.clone();
    let running = tokio::spawn(async move { jobs::run(&waiting, &context).await.result });
    begun.notified().await;
    // Another run has come past us, by a higher number.
    let place = Key::new("leases/exports.0000000099.json").unwrap();
    let ours = Key::new(world.keys("leases/").await.remove(0)).unwrap();
    let record = vault::read_small(&*world.memory, &ours, 65_536).await.unwrap();
    world.memory.put(&place, record, PutMode::IfAbsent).await.unwrap();
    let error = running.await.unwrap().err().unwrap();
    assert!(matches!(error, Error::Vault(vault::Error::LeaseLost { .. })), "{error}");
}

#[tokio::test]
async fn reading_jobs_need_no_lease() {
    let world = World::new();
    let cancel = CancellationToken::new();
    let holder = Holder::this_process();
    let guard =
        lease::acquire(world.memory.clone(), "exports", holder, timing(), &cancel).await.unwrap();
    let listed = jobs::run(&jobs::list::List::default(), &world.context).await;
    assert_eq!(listed.verdict(), Verdict::Done);
    guard.release().await;
}

#[tokio::test]
async fn a_failed_run_is_recorded_for_status() {
    let world = World::new();
    world.backup("2027-01-10T02:00:00Z", 5).await;
    let begun = Arc::new(Notify::new());
    let waiting = Waiting { begun, stubborn: false };
    world.context.cancel.cancel();
    assert_eq!(jobs::run(&waiting, &world.context).await.verdict(), Verdict::Failed);
    // Before the lease nothing is recorded; the run that held it says what became of it.
    let fresh = Context { cancel: CancellationToken::new(), ..world.context.clone() };
    let begun = Arc::new(Notify::new());
    let waiting = Waiting { begun: begun.clone(), stubborn: false };
    let cancel = fresh.cancel.clone();
    let running = tokio::spawn(async move { jobs::run(&waiting, &fresh).await.verdict() });
    begun.notified().await;
    cancel.cancel();
    running.await.unwrap();
    let status =
        Status { overdue_after: chrono::TimeDelta::hours(26), groups: vec![], histories: None };
    let context = Context { cancel: CancellationToken::new(), ..world.context.clone() };
    let standing = jobs::run(&status, &context).await.result.unwrap();
    assert_eq!(standing.failing.len(), 1);
    assert_eq!(standing.failing[0].error.as_deref(), Some("stopped on request"));
    assert_eq!(standing.failing[0].source, "prod");
}

#[tokio::test]
async fn a_group_is_overdue_when_its_last_good_export_is_too_old() {
    let world = World::new();
    world.backup("2027-01-09T11:00:00Z", 5).await;
    let job =
        Status { overdue_after: chrono::TimeDelta::hours(26), groups: vec![], histories: None };
    let fresh = jobs::run(&job, &world.context).await;
    assert_eq!(fresh.verdict(), Verdict::Done);
    world.clock.advance(chrono::TimeDelta::hours(2));
    // A part-done export does not help.
    let part = fixture::manifest(&world.memory, "2027-01-10T12:00:00Z", "prod/shop", 5).await;
    world.publish(fixture::part_done(part)).await;
    let late = jobs::run(&job, &world.context).await;
    assert_eq!(late.verdict(), Verdict::Overdue);
    let standing = late.result.unwrap();
    assert!(standing.groups[0].part_done_since.is_some());
    assert_eq!(standing.groups[0].age_seconds, Some(27 * 3600));
}

#[tokio::test]
async fn a_store_without_backups_is_overdue() {
    let world = World::new();
    let job =
        Status { overdue_after: chrono::TimeDelta::hours(26), groups: vec![], histories: None };
    assert_eq!(jobs::run(&job, &world.context).await.verdict(), Verdict::Overdue);
}
