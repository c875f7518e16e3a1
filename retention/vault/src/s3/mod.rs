//! S3, and the many servers that speak it.
//!
//! What is sent is always signed with its SHA-256, and a CRC-32 goes with it as a header where
//! the server knows that, so an upload that is cut or damaged on its way is refused and not
//! stored. What else a server can do is tried out, not assumed.

mod bucket;
mod connect;
mod delete;
mod error;
mod parts;
mod probe;
mod upload;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

use crate::open::Environment;
use crate::{
    ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, StoreErrorKind, Upload,
};
use bucket::Bucket;
pub use connect::Options;
use error::Context;
use parts::Begun;
use upload::S3Upload;

/// Objects S3 deletes by one call.
const BATCH: usize = 1000;

/// Single deletions at the same time, where a server knows no batches.
const DELETIONS: usize = 8;

/// A store in a bucket.
#[derive(Debug)]
pub struct S3Store {
    bucket: Arc<Bucket>,
    capabilities: OnceCell<Capabilities>,
}

impl S3Store {
    /// The store in `bucket`, all its objects behind `prefix`. Nothing is asked of the server
    /// yet. Fails on settings that make no sense.
    pub async fn connect(
        bucket: &str,
        prefix: &str,
        environment: &Environment,
        options: Options,
    ) -> Result<Self, StoreError> {
        let prefix = prefix.trim_matches('/');
        let store = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
        let invalid = |hint: &str| {
            let action = "cannot open a store";
            Err(StoreError::new(StoreErrorKind::Invalid, action, &store).with_hint(hint))
        };
        if !connect::is_bucket(bucket) {
            return invalid("write s3://bucket/prefix, the bucket by its plain name");
        }
        if !prefix.is_empty() && Key::new(prefix).is_err() {
            return invalid("a prefix is made of letters, digits and . _ - + = between slashes");
        }
        let endpoint = "Amazon S3".to_owned();
        let mut context = Context { store: store.clone(), bucket: bucket.to_owned(), endpoint };
        let client = connect::client(environment, &options, &mut context).await?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let bucket = Bucket::new(client, bucket.to_owned(), prefix, options, context);
        Ok(Self { bucket: Arc::new(bucket), capabilities: OnceCell::new() })
    }

    /// The body of an answer as a stream that fails when it is shorter than announced.
    fn stream(
        &self,
        key: &Key,
        output: aws_sdk_s3::operation::get_object::GetObjectOutput,
    ) -> ByteStream {
        let left = output.content_length().and_then(|length| u64::try_from(length).ok());
        let (context, key) = (self.bucket.context.clone(), key.clone());
        let state = (output.body, left, context, key);
        stream::try_unfold(state, |(mut body, left, context, key)| async move {
            match body.try_next().await {
                Ok(Some(piece)) => {
                    let left = left.map(|left| left.saturating_sub(piece.len() as u64));
                    Ok(Some((piece, (body, left, context, key))))
                }
                Ok(None) => match left {
                    Some(left) if left > 0 => {
                        let reason = format!("the connection ended {left} bytes early");
                        Err(context.cut(format!("cannot read {key}"), reason))
                    }
                    _ => Ok(None),
                },
                Err(error) => Err(context.cut(format!("cannot read {key}"), error)),
            }
        })
        .boxed()
    }

    /// The uploads of this store that were begun and not finished.
    async fn begun_uploads(&self) -> Result<Vec<Begun>, StoreError> {
        let prefix = self.bucket.prefix.as_str();
        let found = match self.bucket.begun_uploads(prefix).await {
            // A server without the call keeps no list either.
            Err(failure) if failure.status() == 501 => return Ok(Vec::new()),
            other => other?,
        };
        if !found.is_empty() || prefix.is_empty() {
            return Ok(found);
        }
        // MinIO finds uploads by a whole key or by nothing, and not by a prefix.
        match self.bucket.begun_uploads("").await {
            Ok(mut all) => {
                all.retain(|upload| upload.key.starts_with(prefix));
                Ok(all)
            }
            // These credentials may look behind their prefix only.
            Err(failure) if failure.error.kind == StoreErrorKind::Denied => Ok(Vec::new()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Removes what a probe that was killed has left.
    async fn remove_old_probes(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        let left = self.bucket.list(probe::FOLDER).await?;
        let old: Vec<_> =
            left.into_iter().filter(|info| info.modified < before).map(|info| info.key).collect();
        self.delete(&old).await
    }
}

#[async_trait]
impl Store for S3Store {
    fn describe(&self) -> String {
        self.bucket.context.store.clone()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        self.capabilities.get_or_try_init(|| probe::run(&self.bucket)).await.cloned()
    }

    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let mut conditional = false;
        if mode == PutMode::IfAbsent {
            conditional = self.capabilities().await?.conditional_put;
            if !conditional {
                match self.bucket.head(key).await {
                    Ok(_) => {
                        let action = format!("cannot write {key}: the key is taken");
                        return Err(self
                            .bucket
                            .context
                            .error(StoreErrorKind::AlreadyExists, action));
                    }
                    Err(absent) if absent.error.kind == StoreErrorKind::NotFound => {}
                    Err(failure) => return Err(failure.into()),
                }
            }
        }
        Ok(self.bucket.put(key, content, conditional).await.map(drop)?)
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        let checked = self.capabilities.get().is_some_and(|found| found.checksums);
        Ok(Box::new(S3Upload::new(Arc::clone(&self.bucket), key.clone(), !checked)))
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        // S3 has no empty ranges, and servers ignore those beyond what they can count; the object
        // must be there all the same.
        let nothing = |range: &Range<u64>| range.is_empty() || range.start > i64::MAX as u64;
        if range.as_ref().is_some_and(nothing) {
            self.bucket.head(key).await?;
            return Ok(stream::empty().boxed());
        }
        match self.bucket.get(key, range).await {
            Ok(output) => Ok(self.stream(key, output)),
            // The range lies behind the end.
            Err(failure) if failure.status() == 416 => Ok(stream::empty().boxed()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        Ok(self.bucket.head(key).await?)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.bucket.list(prefix).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        for batch in keys.chunks(BATCH) {
            if batch.len() > 1 && self.bucket.delete_batch(batch).await? {
                continue;
            }
            let single: Vec<_> = batch.iter().map(|key| self.bucket.delete(key, None)).collect();
            stream::iter(single).buffer_unordered(DELETIONS).try_collect::<Vec<()>>().await?;
        }
        Ok(())
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut begun = self.begun_uploads().await?;
        begun.retain(|upload| upload.initiated.is_some_and(|time| time < before));
        for upload in &begun {
            self.bucket.abort_parts(&upload.key, &upload.id).await?;
        }
        self.remove_old_probes(before).await?;
        Ok(begun.len() as u64)
    }
}
