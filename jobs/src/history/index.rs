//! Indexes of segments, read from a store.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use vault::Store;
use vault::manifest::Object;

use crate::{Damage, Error, source};

/// Largest index that is held.
const MAX_BYTES: u64 = 256 << 20;

/// An index whole, checked against its digest.
pub(crate) async fn read(store: &dyn Store, object: &Object) -> Result<Bytes, Error> {
    if object.size > MAX_BYTES {
        let what = format!("has {} bytes, more than any index", object.size);
        return Err(Error::object(Damage::new(&object.key, what)));
    }
    let failed = |error| source::error(object, error);
    let mut pieces = source::open(store, object).await.map_err(failed)?;
    let mut content = BytesMut::new();
    while let Some(piece) = pieces.try_next().await.map_err(failed)? {
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}
