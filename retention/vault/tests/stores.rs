//! The suite on every store that needs no server, bare and wrapped.

use std::sync::Arc;

use tempfile::TempDir;
use vault::faults::{Call, Fault, Faults};
use vault::retry::{Policy, Retry};
use vault::{DirStore, MemoryStore, Store, StoreErrorKind};

mod memory {
    use super::*;

    async fn fixture() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::new()), ())
    }

    vault::conformance_tests!(fixture);
}

mod directory {
    use super::*;

    pub async fn fixture() -> (Arc<dyn Store>, TempDir) {
        let folder = TempDir::new().unwrap();
        // Not created yet: the first write does that.
        let store = Arc::new(DirStore::new(folder.path().join("store")));
        store
            .put(&vault::Key::new("x").unwrap(), "".into(), vault::PutMode::Overwrite)
            .await
            .unwrap();
        store.delete(&[vault::Key::new("x").unwrap()]).await.unwrap();
        (store, folder)
    }

    vault::conformance_tests!(fixture);
}

/// Every third call of each kind fails once before it is made, and reads are cut.
mod unreliable {
    use super::*;

    async fn fixture() -> (Arc<dyn Store>, TempDir) {
        let (store, folder) = directory::fixture().await;
        let faults = Faults::new(store);
        let calls =
            [Call::Capabilities, Call::Put, Call::Begin, Call::Read, Call::Head, Call::List];
        for call in calls.into_iter().chain([Call::Delete, Call::AbortUploads]) {
            for number in (1..3_000).step_by(3) {
                faults.on(call, number..=number, Fault::Fail(StoreErrorKind::Unavailable));
            }
        }
        for number in (2..3_000).step_by(3) {
            faults.on(Call::Read, number..=number, Fault::Cut(1_500_000));
        }
        let quick = std::time::Duration::from_micros(10);
        // Two thirds of all reads fail, and chance deals the failures out.
        let policy =
            Policy { attempts: 500, first_wait: quick, longest_wait: quick, ..Policy::default() };
        (Arc::new(Retry::new(Arc::new(faults), policy)), folder)
    }

    vault::conformance_tests!(fixture);
}
