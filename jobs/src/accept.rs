//! Sizes that an operator has taken for right: `accepted/ID.json`, empty objects whose
//! presence says it all. They go with their backups.

use std::collections::BTreeSet;

use bytes::Bytes;
use vault::{Key, PutMode, Store, StoreErrorKind};

use crate::Error;

const PREFIX: &str = "accepted/";
const SUFFIX: &str = ".json";

fn key(id: &str) -> Result<Key, Error> {
    Key::new(format!("{PREFIX}{id}{SUFFIX}")).map_err(|error| {
        let action = "cannot accept the size of a backup";
        let error =
            vault::StoreError::new(StoreErrorKind::Invalid, action, "the store").with_source(error);
        vault::Error::from(error).into()
    })
}

/// Takes the size of backup `id` for right.
pub(crate) async fn put(store: &dyn Store, id: &str) -> Result<(), Error> {
    let content = Bytes::from_static(b"{}\n");
    Ok(store.put(&key(id)?, content, PutMode::Overwrite).await.map_err(vault::Error::from)?)
}

/// The backups whose size was accepted.
pub(crate) async fn all(store: &dyn Store) -> Result<BTreeSet<String>, Error> {
    let listed = store.list(PREFIX).await.map_err(vault::Error::from)?;
    let id = |key: &Key| Some(key.as_str().strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.to_owned());
    Ok(listed.iter().filter_map(|info| id(&info.key)).collect())
}

/// Forgets those of removed backups.
pub(crate) async fn forget(store: &dyn Store, ids: &[String]) -> Result<(), Error> {
    let keys = ids.iter().map(|id| key(id)).collect::<Result<Vec<_>, _>>()?;
    Ok(store.delete(&keys).await.map_err(vault::Error::from)?)
}
