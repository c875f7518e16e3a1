//! A `COPY ... TO STDOUT` under way.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::Context;
use crate::Error;

/// The stream of one copy; see [`Session::copy_out`](super::Session::copy_out).
pub struct CopyOut<'s> {
    pub(super) stream: BoxStream<'s, Result<Bytes, sqlx::Error>>,
    pub(super) busy: &'s mut bool,
    pub(super) context: Context,
}

impl CopyOut<'_> {
    /// The next piece, one row in both formats as servers send it; `None` at the end, after
    /// which the session may be used again.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.stream.next().await {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(source)) => Err(self.context.error(source)),
            None => {
                *self.busy = false;
                Ok(None)
            }
        }
    }
}
