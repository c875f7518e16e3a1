//! Archived runs back into a Temporal that can be thrown away, to be looked at there.

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use serde::Serialize;
use temporal::connect::{self, Connection};

use super::bring::{Bringer, Came};
use super::{Lost, Query, find, throwaway};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Verdict};

/// Imports archived runs and reads each back.
#[derive(Debug, Clone)]
pub struct ImportRuns {
    /// Which.
    pub query: Query,
    /// How the Temporal is reached.
    pub temporal: connect::Options,
    /// The namespace to import into; that of the same name when not given.
    pub into: Option<String>,
}

/// What was imported.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportedRuns {
    /// The server.
    pub address: String,
    /// Namespaces that runs come from, and those that they went into.
    pub namespaces: BTreeMap<String, String>,
    /// Runs that the server has, as they are archived.
    pub runs: u64,
    /// Their events.
    pub events: u64,
    /// Runs among them whose first event has other times in `prevAutoResetPoints`, which the
    /// target's retention decides.
    pub reset_points: u64,
    /// Runs that did not come back as they are archived, or were not imported.
    pub failed: Vec<FailedRun>,
    /// What could not be read; runs of it are missing.
    pub damaged: Vec<Lost>,
    /// How long importing and reading back took.
    pub seconds: f64,
}

/// A run that is not there as it is archived.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRun {
    /// Namespace that it comes from.
    pub namespace: String,
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// `unfit` when its history is not the run's, `different` when the server has another one,
    /// `failed` when the server did not take it.
    pub outcome: &'static str,
    /// Why.
    pub reasons: Vec<String>,
}

impl Report for ImportedRuns {
    fn verdict(&self) -> Verdict {
        if !self.damaged.is_empty() || self.failed.iter().any(|run| run.outcome != "failed") {
            Verdict::Damaged
        } else if self.failed.is_empty() {
            Verdict::Done
        } else if self.runs > 0 {
            Verdict::PartDone
        } else {
            Verdict::Failed
        }
    }
}

#[async_trait]
impl Job for ImportRuns {
    type Report = ImportedRuns;
    type Access = Shared;
    const NAME: &'static str = "history import";

    async fn run(&self, context: &Context, _: &Shared) -> Result<ImportedRuns, Error> {
        let found = find::all(context, &self.query).await?;
        if found.hits.is_empty() && found.damaged.is_empty() {
            return Err(Error::Refused {
                what: "no archived run is meant by that".into(),
                hint: "`aidp-backup history search` takes the same words".into(),
            });
        }
        let mut wanted = throwaway::wanted(&found.hits);
        if let Some(into) = &self.into {
            if wanted.len() > 1 {
                let names: Vec<&str> = wanted.keys().map(String::as_str).collect();
                return Err(Error::Refused {
                    what: format!("runs of several namespaces are meant: {}", names.join(", ")),
                    hint: "say which with --namespace, or leave --into out".into(),
                });
            }
            wanted.values_mut().for_each(|wanted| wanted.name.clone_from(into));
        }
        let connection = Connection::open(&self.temporal).await.map_err(Error::temporal)?;
        throwaway::prove(&connection, &throwaway::sources(&found.hits), false).await?;
        let mut targets = BTreeMap::new();
        for (from, wanted) in wanted {
            targets.insert(from, throwaway::prepare(context, &connection, &wanted, &[]).await?);
        }
        let mut done = ImportedRuns {
            address: connection.address().to_owned(),
            namespaces: targets
                .iter()
                .map(|(from, into)| (from.clone(), into.name.clone()))
                .collect(),
            runs: 0,
            events: 0,
            reset_points: 0,
            failed: Vec::new(),
            damaged: found.damaged,
            seconds: 0.0,
        };
        let began = Instant::now();
        let bringer = Bringer::new(context, &connection, targets)?;
        let mut told = |hit: &find::Hit, came: Came| {
            let (outcome, reasons) = match came {
                Came::Back(back) => {
                    done.runs += 1;
                    done.events += back.events;
                    done.reset_points += u64::from(back.reset_points);
                    return;
                }
                Came::Damaged(damage) => {
                    done.damaged.push(damage.into());
                    return;
                }
                Came::Unfit(reasons) => ("unfit", reasons),
                Came::Different(reasons) => ("different", reasons),
                Came::Failed(reason) => ("failed", vec![reason]),
            };
            let run = &hit.entry.summary;
            done.failed.push(FailedRun {
                namespace: run.namespace.clone(),
                workflow_id: run.workflow_id.clone(),
                run_id: run.run_id.clone(),
                outcome,
                reasons,
            });
        };
        bringer.bring(found.hits, &mut told).await?;
        done.seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Ok(done)
    }
}
