//! What every store must do, as tests that run alike on each of them.
//!
//! [`conformance_tests!`](crate::conformance_tests) makes one test of each function here. A
//! fixture is an async function without arguments that returns an empty store and whatever
//! must live as long as the test.

mod objects;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;

use crate::{Key, Store, StoreError, StoreErrorKind};

pub use objects::*;
pub use uploads::*;

/// Runs the whole suite on the stores that the fixture makes.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:path) => {
        $crate::conformance_tests! { @each $fixture:
            a_put_object_reads_back,
            an_empty_object_is_an_object,
            a_put_replaces_or_refuses_as_told,
            of_racing_puts_exactly_one_wins,
            ranges_are_cut_at_the_end,
            what_is_absent_is_not_found,
            deleting_is_idempotent,
            deleted_objects_are_gone_and_others_stay,
            more_than_a_page_is_listed_and_deleted,
            a_listing_is_ordered_by_key,
            a_prefix_is_a_plain_string,
            every_character_of_the_alphabet_may_be_in_a_key,
            trying_the_store_out_leaves_nothing,
            an_upload_is_invisible_until_finished,
            an_empty_upload_is_an_object,
            a_large_upload_reads_back,
            pieces_of_any_size_may_be_written,
            an_upload_replaces_what_had_the_key,
            an_aborted_upload_leaves_nothing,
            a_dropped_upload_leaves_nothing,
            an_abandoned_upload_never_becomes_visible,
            uploads_run_side_by_side,
        }
    };
    (@each $fixture:path: $($name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (store, _keep) = $fixture().await;
                $crate::conformance::$name(store).await;
            }
        )*
    };
}

fn key(text: &str) -> Key {
    Key::new(text).expect("a valid key")
}

/// `length` bytes that repeat nowhere, the same for the same seed.
fn content(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

async fn read(
    store: &Arc<dyn Store>,
    key: &Key,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, StoreError> {
    let mut pieces = store.read(key, range).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn keys(store: &Arc<dyn Store>, prefix: &str) -> Vec<String> {
    let listed = store.list(prefix).await.expect("a listing");
    listed.into_iter().map(|info| info.key.to_string()).collect()
}

async fn require_absent(store: &Arc<dyn Store>, key: &Key) {
    assert_eq!(store.head(key).await.expect_err("no object").kind, StoreErrorKind::NotFound);
    assert_eq!(read(store, key, None).await.expect_err("no object").kind, StoreErrorKind::NotFound);
    assert!(!keys(store, "").await.contains(&key.to_string()));
}
