//! Large objects, read in pieces.

use bytes::Bytes;

use super::copy::Source;
use crate::Error;
use crate::session::{Session, sql_state};

/// Bytes asked for at a time.
const PIECE: u32 = 1 << 20;

/// Reads one large object from its start.
pub(super) struct LargeObjectSource<'s> {
    session: &'s mut Session,
    oid: u32,
    /// Where the next piece begins; `None` after the last.
    offset: Option<u64>,
}

impl<'s> LargeObjectSource<'s> {
    /// The large object `oid` as the session's snapshot sees it.
    pub fn new(session: &'s mut Session, oid: u32) -> Self {
        Self { session, oid, offset: Some(0) }
    }
}

impl Source for LargeObjectSource<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(offset) = self.offset else {
            return Ok(None);
        };
        let read = self.session.large_object(self.oid, offset, PIECE).await;
        let piece = read.map_err(|error| match error {
            Error::Query { database, source, .. }
                if sql_state(&source).as_deref() == Some("42501") =>
            {
                let object = format!("large object {}", self.oid);
                Error::Denied { database, role: self.session.role().to_owned(), object }
            }
            error => error,
        })?;
        // Only the last piece is short: a hole in a large object reads as zeros.
        let full = piece.len() as u64 == u64::from(PIECE);
        self.offset = full.then_some(offset + u64::from(PIECE));
        Ok((!piece.is_empty()).then(|| piece.into()))
    }
}
