//! Finding out what a server does, because several say one thing and do another: some ignore
//! conditions and overwrite, some let every racer win, some accept any checksum, and one
//! answers that the checksum is wrong and keeps the object.

use bytes::Bytes;
use futures::future::join_all;

use super::bucket::Bucket;
use crate::{Capabilities, Key, StoreError, StoreErrorKind};

/// Where the probe's objects are, for some moments.
pub(super) const FOLDER: &str = "probe/";

/// As many as it took for every server known to cheat to be caught.
const RACERS: usize = 16;

/// What was stored, to be taken away: every version of it.
type Stored = Vec<(Key, Option<String>)>;

pub(super) async fn run(bucket: &Bucket) -> Result<Capabilities, StoreError> {
    let mut stored = Stored::new();
    let found = try_out(bucket, &mut stored).await;
    for (key, version) in stored {
        let deleted = match bucket.delete(&key, version.clone()).await {
            // Deleting a version may need a permission that deleting does not.
            Err(error) if version.is_some() && error.kind == StoreErrorKind::Denied => {
                bucket.delete(&key, None).await
            }
            other => other,
        };
        if let Err(error) = deleted {
            tracing::warn!(
                %key,
                error = &error as &dyn std::error::Error,
                "an object that was stored to try out the server could not be deleted"
            );
        }
    }
    found
}

async fn try_out(bucket: &Bucket, stored: &mut Stored) -> Result<Capabilities, StoreError> {
    let conditional_put = try_race(bucket, stored).await?;
    let checksums = try_checksum(bucket, stored).await?;
    let found = Capabilities { conditional_put, checksums };
    tracing::debug!(store = bucket.context.store, ?found, "tried out the server");
    Ok(found)
}

fn new_key(name: &str) -> Result<Key, StoreError> {
    let text = format!("{FOLDER}{name}-{:016x}", rand::random::<u64>());
    Key::new(text).map_err(|error| {
        StoreError::new(StoreErrorKind::Other, "cannot name a trial object", "S3")
            .with_source(error)
    })
}

/// Several put the same key if it is absent; then one more, who comes too late.
async fn try_race(bucket: &Bucket, stored: &mut Stored) -> Result<bool, StoreError> {
    let key = new_key("race")?;
    let content = |racer: usize| Bytes::from(format!("racer {racer}"));
    let race = (0..RACERS).map(|racer| bucket.put(&key, content(racer), true));
    let mut outcomes = join_all(race).await;
    outcomes.push(bucket.put(&key, content(RACERS), true).await);

    let mut winners = Vec::new();
    let mut failure = None;
    for (racer, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(version) => {
                stored.push((key.clone(), version));
                winners.push(racer);
            }
            // 409 among racers says "not now", and is as good as a refusal.
            Err(lost) if matches!(lost.status(), 409 | 412 | 501) => {}
            Err(lost) => failure = Some(lost.error),
        }
    }
    match (winners.as_slice(), failure) {
        ([winner], None) if *winner < RACERS => {
            let body = bucket.get(&key, None).await?.body.collect().await;
            let body =
                body.map_err(|error| bucket.context.cut("cannot read a trial".into(), error))?;
            Ok(body.into_bytes() == content(*winner))
        }
        // An answer that was lost leaves open who won.
        (_, Some(error)) => Err(error),
        _ => Ok(false),
    }
}

/// A wrong checksum must be refused where right ones are taken, and nothing kept of what came
/// with it.
async fn try_checksum(bucket: &Bucket, stored: &mut Stored) -> Result<bool, StoreError> {
    let key = new_key("checksum")?;
    match bucket.put_wrong_checksum(&key).await {
        Ok(version) => {
            stored.push((key, version));
            return Ok(false);
        }
        Err(_) if bucket.checksum().is_none() => return Ok(false),
        Err(refused) if (400..500).contains(&refused.status()) => {}
        Err(unknown) if unknown.status() == 501 => return Ok(false),
        Err(failed) => return Err(failed.into()),
    }
    match bucket.head(&key).await {
        Ok(_) => {
            stored.push((key, None));
            Ok(false)
        }
        Err(absent) if absent.error.kind == StoreErrorKind::NotFound => Ok(true),
        Err(failed) => Err(failed.into()),
    }
}
