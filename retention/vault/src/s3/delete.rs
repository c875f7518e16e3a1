//! Deleting, and what keeps objects from being deleted.

use std::sync::atomic::Ordering;

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::bucket::Bucket;
use super::error::Failure;
use crate::{Key, StoreError, StoreErrorKind};

const LOCKED: &str = "a lock, a retention period or a policy of the bucket keeps it; wait until it \
                      ends, or ask whoever runs the bucket";

impl Bucket {
    /// Deletes one object, or one version of it.
    pub(super) async fn delete(
        &self,
        key: &Key,
        version: Option<String>,
    ) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&self.name).key(self.full(key));
        match request.set_version_id(version).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failure = self.context.failure(format!("cannot delete {key}"), error);
                match failure.error.kind {
                    StoreErrorKind::NotFound => Ok(()),
                    _ => Err(refused_deletion(failure)),
                }
            }
        }
    }

    /// Deletes up to 1000 objects by one call; false when the server cannot.
    pub(super) async fn delete_batch(&self, keys: &[Key]) -> Result<bool, StoreError> {
        if !self.batches.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let action = || match keys {
            [key] => format!("cannot delete {key}"),
            [key, rest @ ..] => format!("cannot delete {key} and {} more", rest.len()),
            [] => "cannot delete nothing".to_owned(),
        };
        let objects: Result<Vec<_>, _> = keys
            .iter()
            .map(|key| ObjectIdentifier::builder().key(self.full(key)).build())
            .collect();
        let delete = objects
            .and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|error| {
            self.context.error(StoreErrorKind::Other, action()).with_source(error)
        })?;
        let outcome = self
            .client
            .delete_objects()
            .bucket(&self.name)
            .delete(delete)
            .customize()
            .config_override(Builder::new().timeout_config(self.options.working()))
            .send()
            .await;
        let output = match outcome {
            Ok(output) => output,
            Err(error) => {
                let failure = self.context.failure(action(), error);
                // Some servers know no batches, or want an MD5 that others refuse.
                let unknown = failure.status() == 501
                    || ["NotImplemented", "MissingContentMD5", "MethodNotAllowed", "MalformedXML"]
                        .into_iter()
                        .any(|code| failure.is(code));
                if unknown {
                    self.batches.store(false, Ordering::Relaxed);
                    return Ok(false);
                }
                return Err(refused_deletion(failure));
            }
        };
        let refusal = output.errors().iter().find(|error| error.code() != Some("NoSuchKey"));
        match refusal {
            None => Ok(true),
            Some(refusal) => {
                let full = refusal.key().unwrap_or_default();
                let name = full.strip_prefix(&self.prefix).unwrap_or(full);
                let reason = format!(
                    "{} {}",
                    refusal.code().unwrap_or_default(),
                    refusal.message().unwrap_or_default()
                );
                let transient = ["InternalError", "SlowDown", "ServiceUnavailable"]
                    .contains(&refusal.code().unwrap_or_default());
                let kind =
                    if transient { StoreErrorKind::Unavailable } else { StoreErrorKind::Denied };
                let error = self.context.error(kind, format!("cannot delete {name}"));
                let error = error.with_source(reason.trim().to_owned());
                Err(if transient { error } else { error.with_hint(LOCKED) })
            }
        }
    }
}

/// A deletion that fails for a reason of ours alone (4xx) is a lock's refusal, whatever code
/// the server has for it.
fn refused_deletion(failure: Failure) -> StoreError {
    let refusal = (400..500).contains(&failure.status());
    let mut error = failure.error;
    if refusal
        && matches!(
            error.kind,
            StoreErrorKind::Other | StoreErrorKind::Invalid | StoreErrorKind::AlreadyExists
        )
        && error.hint.is_none()
    {
        error.kind = StoreErrorKind::Denied;
    }
    if refusal && error.kind == StoreErrorKind::Denied {
        let hint = error.hint.take().map(|hint| format!("{LOCKED}; otherwise {hint}"));
        error.hint = Some(hint.unwrap_or_else(|| LOCKED.to_owned()));
    }
    error
}
