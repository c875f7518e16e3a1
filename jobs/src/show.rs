//! One backup in full.

use async_trait::async_trait;
use vault::manifest::Manifest;

use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Verdict};

/// Shows a backup.
#[derive(Debug, Clone)]
pub struct Show {
    /// An identity, the beginning of one, or `latest`.
    pub id: String,
}

#[async_trait]
impl Job for Show {
    type Report = Manifest;
    type Access = Shared;
    const NAME: &'static str = "show";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Manifest, Error> {
        Ok(context.catalogue.load(&self.id).await?)
    }
}

impl Report for Manifest {
    fn verdict(&self) -> Verdict {
        Verdict::Done
    }
}
