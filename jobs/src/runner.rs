//! The one way in which any job runs: lease, run, record, release.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use vault::lease::{self, Guard};

use crate::record::{self, NamespaceRecord, Record};
use crate::{Context, Error, Verdict};

/// Name of the lease that every job which changes backups takes: one at a time per store.
pub(crate) const LEASE: &str = "exports";

/// How long a job may take to stop by itself before it is dropped where it stands, and how
/// long the tidying up after it may take.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// Something that is done to backups, the same way by a command, a schedule or a test.
#[async_trait]
pub trait Job: Send + Sync {
    /// What it found or made.
    type Report: Report;
    /// [`Exclusive`] when it changes the store, [`Shared`] when it only reads.
    type Access: Access;
    /// Its name, for messages and records.
    const NAME: &'static str;
    /// The lease it takes when it changes the store.
    const LEASE: &'static str = LEASE;

    /// The source by whose name the outcome is recorded in the store for `status`; `None` when
    /// it is not.
    fn recorded_as(&self) -> Option<String> {
        None
    }

    /// The databases that it is to copy, for its record.
    fn databases(&self) -> Vec<String> {
        Vec::new()
    }

    /// Does it.
    async fn run(&self, context: &Context, access: &Self::Access) -> Result<Self::Report, Error>;
}

/// What a job found or made.
pub trait Report: Send {
    /// How that is to be judged.
    fn verdict(&self) -> Verdict;
    /// The backup it made, when it made one.
    fn backup(&self) -> Option<&str> {
        None
    }
    /// The group of that.
    fn group(&self) -> Option<&str> {
        None
    }
    /// What went wrong though the job did not fail, on one line.
    fn complaint(&self) -> Option<String> {
        None
    }
    /// How it stands with each namespace, for a job that is about those.
    fn namespaces(&self) -> Vec<NamespaceRecord> {
        Vec::new()
    }
}

/// How a job gets at the store.
#[async_trait]
pub trait Access: Send + Sync + Sized {
    /// Waits for access or fails; `lease` is what keeps others out.
    async fn acquire(context: &Context, lease: &str) -> Result<Self, Error>;
    /// Cancelled when access is lost.
    fn lost(&self) -> CancellationToken;
    /// Why access was lost.
    async fn why_lost(&self) -> Option<Error>;
    /// Gives access back.
    async fn release(self);
}

/// Access of one job at a time, by the store's lease.
#[derive(Debug)]
pub struct Exclusive(Guard);

impl Exclusive {
    /// The lease.
    pub fn guard(&self) -> &Guard {
        &self.0
    }
}

#[async_trait]
impl Access for Exclusive {
    async fn acquire(context: &Context, lease: &str) -> Result<Self, Error> {
        let store = context.catalogue.store().clone();
        let (holder, timing) = (context.holder.clone(), context.timing);
        match lease::acquire(store, lease, holder, timing, &context.cancel).await {
            Ok(guard) => Ok(Self(guard)),
            Err(vault::Error::Interrupted { .. }) => Err(Error::Cancelled),
            Err(error) => Err(error.into()),
        }
    }

    fn lost(&self) -> CancellationToken {
        self.0.lost()
    }

    async fn why_lost(&self) -> Option<Error> {
        if !self.0.lost().is_cancelled() {
            return None;
        }
        self.0.check().await.err().map(Error::from)
    }

    async fn release(self) {
        self.0.release().await;
    }
}

/// Access of a job that only reads: it needs no lease.
#[derive(Debug)]
pub struct Shared(CancellationToken);

#[async_trait]
impl Access for Shared {
    async fn acquire(_: &Context, _: &str) -> Result<Self, Error> {
        Ok(Self(CancellationToken::new()))
    }

    fn lost(&self) -> CancellationToken {
        self.0.clone()
    }

    async fn why_lost(&self) -> Option<Error> {
        None
    }

    async fn release(self) {}
}

/// How a job ended.
#[derive(Debug)]
pub struct Outcome<R> {
    /// The job's name.
    pub job: &'static str,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// What the store had recorded of the run before; `None` when it is not known.
    pub before: Option<Record>,
    /// What came of it.
    pub result: Result<R, Error>,
}

impl<R: Report> Outcome<R> {
    /// How that is to be judged.
    pub fn verdict(&self) -> Verdict {
        match &self.result {
            Ok(report) => report.verdict(),
            Err(error) => error.verdict(),
        }
    }
}

/// Runs a job.
pub async fn run<J: Job>(job: &J, context: &Context) -> Outcome<J::Report> {
    let started = context.clock.now();
    let result = match J::Access::acquire(context, J::LEASE).await {
        Ok(access) => {
            let result = with_access(job, context, &access).await;
            let finished = context.clock.now();
            let mut outcome = Outcome { job: J::NAME, started, finished, before: None, result };
            // Still under the lease, so that records of two runs cannot pass each other.
            keep_record(job, context, &mut outcome).await;
            access.release().await;
            return outcome;
        }
        Err(error) => Err(error),
    };
    Outcome { job: J::NAME, started, finished: context.clock.now(), before: None, result }
}

/// Runs it until it ends, is told to stop, or loses its access.
async fn with_access<J: Job>(
    job: &J,
    context: &Context,
    access: &J::Access,
) -> Result<J::Report, Error> {
    let lost = access.lost();
    let cancel = context.cancel.child_token();
    let inner = Context { cancel: cancel.clone(), ..context.clone() };
    let result = tokio::select! {
        result = job.run(&inner, access) => result,
        () = deadline(&cancel, &lost) => Err(Error::Cancelled),
    };
    match result {
        Err(Error::Cancelled) => Err(access.why_lost().await.unwrap_or(Error::Cancelled)),
        other => other,
    }
}

/// Passes the loss of access on as a request to stop, and returns when a job that was asked to
/// stop has had its time.
async fn deadline(cancel: &CancellationToken, lost: &CancellationToken) {
    tokio::select! {
        () = lost.cancelled() => cancel.cancel(),
        () = cancel.cancelled() => {}
    }
    tokio::time::sleep(STOP_WITHIN).await;
}

/// Leaves word in the store of how it went, in place of how the run before went.
async fn keep_record<J: Job>(job: &J, context: &Context, outcome: &mut Outcome<J::Report>) {
    let Some(source) = job.recorded_as() else { return };
    let store = context.catalogue.store().as_ref();
    let replaced = async {
        let mut record = Record::of(&source, job.databases(), context, outcome);
        outcome.before = record::before(store, &record).await?;
        record.carry(outcome.before.as_ref());
        record::put(store, &record).await
    };
    within_seconds("recording the outcome", replaced).await;
}

/// Does something that helps the next run but must not hold up or fail this one.
pub(crate) async fn within_seconds(
    doing: &'static str,
    task: impl Future<Output = Result<(), Error>>,
) {
    match tokio::time::timeout(STOP_WITHIN, task).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{doing} failed: {}", crate::chain(&error)),
        Err(_) => tracing::warn!("{doing} took too long and was given up"),
    }
}
