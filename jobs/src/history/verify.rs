//! Reading archived histories back: every object of every window.

use async_trait::async_trait;
use serde::Serialize;
use vault::window::{Window, Windows};

use super::part;
use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict};

/// Verifies every window.
#[derive(Debug, Clone, Copy)]
pub struct VerifyHistories;

/// What verification found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedHistories {
    /// Windows read.
    pub windows: u64,
    /// Runs in them that are whole.
    pub runs: u64,
    /// Their events.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Everything that is wrong, by object.
    pub damage: Vec<Damage>,
}

impl Report for VerifiedHistories {
    fn verdict(&self) -> Verdict {
        if self.damage.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}

#[async_trait]
impl Job for VerifyHistories {
    type Report = VerifiedHistories;
    type Access = Shared;
    const NAME: &'static str = "verify histories";

    async fn run(&self, context: &Context, _: &Shared) -> Result<VerifiedHistories, Error> {
        let store = context.catalogue.store();
        let windows = Windows::new(store.clone());
        let mut verified = VerifiedHistories::default();
        let meter = context.progress.begin("verifying histories");
        for reference in windows.references(None).await? {
            context.go_on()?;
            let window: Window = match windows.load(&reference).await {
                Ok(Some(window)) => window,
                // Joined with others meanwhile.
                Ok(None) => continue,
                Err(error @ vault::Error::Manifest { .. }) => {
                    verified.damage.push(Damage::unusable(&reference.key, &error));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let found = part::check(store, &window, &context.cancel).await?;
            // A window that is gone now was removed while it was read: that is no damage.
            if !found.damage.is_empty()
                && !windows.is_published(&window.namespace.name, &window.id).await?
            {
                continue;
            }
            meter.add(found.bytes, found.runs);
            verified.windows += 1;
            verified.runs += found.runs;
            verified.events += found.events;
            verified.bytes += found.bytes;
            verified.damage.extend(found.damage);
        }
        Ok(verified)
    }
}
