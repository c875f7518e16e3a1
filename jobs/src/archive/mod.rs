//! Archiving histories: every closed execution once, before Temporal deletes it.
//!
//! Namespace by namespace: what no published window covers is listed, cut into windows, and each
//! window is fetched, written, read back and published. Published windows are the only
//! checkpoint. Then small windows of past days are joined, and what has outlived its own retention is
//! removed.

mod audit;
mod choose;
mod compact;
mod compare;
pub(crate) mod expire;
mod known;
mod listing;
mod namespace;
pub(crate) mod outlook;
mod plan;
mod report;
mod rule;
mod window;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use temporal::connect::{self, Connection};
use temporal::segment::Codec;
use vault::window::Windows;

use crate::runner::{Exclusive, Job};
use crate::{Context, Error};

pub use choose::{Chosen, choose};
pub use compare::{Compared, compare};
pub use outlook::{Expiring, outlook};
pub use report::{Archived, ArchivedNamespace, Vanished};
pub use rule::{NamespaceRule, Pattern};

/// The lease of everything that changes archived histories. It is not that of exports: histories
/// are archived every few minutes, and an export may take hours.
pub const LEASE: &str = "histories";

/// Archives the histories of closed executions.
#[derive(Debug, Clone)]
pub struct Archive {
    /// How Temporal is reached.
    pub temporal: connect::Options,
    /// Which namespaces, and what of each; the first rule that matches a namespace counts.
    pub namespaces: Vec<NamespaceRule>,
    /// Compression of segments.
    pub codec: Codec,
    /// Age at which a closed execution is taken to be listed by visibility.
    pub settle: TimeDelta,
    /// How much of what is covered is listed again, for what was listed late.
    pub overlap: TimeDelta,
    /// How far ahead expiring histories are looked for.
    pub expiry_warning: TimeDelta,
    /// Age at which what dead runs left is swept.
    pub orphan_grace: Duration,
    /// Windows of a day that is not over yet are joined when there are so many.
    pub join_windows: usize,
    /// Lists everything that Temporal remembers again.
    pub full: bool,
    /// Whether histories that have outlived their retention are removed.
    pub prune: bool,
}

#[async_trait]
impl Job for Archive {
    type Report = Archived;
    type Access = Exclusive;
    const NAME: &'static str = "archive";
    const LEASE: &'static str = LEASE;

    fn recorded_as(&self) -> Option<String> {
        Some("temporal".to_owned())
    }

    async fn run(&self, context: &Context, access: &Exclusive) -> Result<Archived, Error> {
        // Which namespaces there are, and the rule of each.
        let connection = Connection::open(&self.temporal).await.map_err(Error::temporal)?;
        let chosen = choose(&connection, &self.namespaces).await?;
        let windows = Windows::new(context.catalogue.store().clone());

        // Each for itself: what fails in one is no reason to lose another's.
        let meter = context.progress.begin("archiving histories");
        let mut report = Archived::new(connection.address());
        report.missing(chosen.missing);
        for (namespace, rule) in chosen.namespaces {
            context.go_on()?;
            let task = namespace::Task {
                job: self,
                context,
                lease: access.guard(),
                connection: &connection,
                windows: &windows,
                namespace,
                rule,
                meter: &meter,
            };
            report.add(task.run().await?);
        }

        // What was left by dead runs; nothing is decided by this.
        context.go_on()?;
        let grace = TimeDelta::from_std(self.orphan_grace).unwrap_or(TimeDelta::MAX);
        let swept = windows.sweep(grace, context.clock.now(), access.guard()).await?;
        report.swept = swept.objects;
        report.calls = connection.calls();
        Ok(report)
    }
}

/// Before anything can have closed.
pub(crate) fn epoch() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}
