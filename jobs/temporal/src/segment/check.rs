//! Whether a segment and its index are whole, and right for each other.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::walk::{Expected, Observer, Walk, expectations};
use super::{Error, status_name};

/// Checks a segment against its index as its bytes come in: every frame, every line, every
/// entry. Memory is some MiB, however large the segment and its lines.
#[derive(Debug)]
pub struct Checker {
    walk: Walk,
    found: Checked,
}

/// What a segment was found to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Lines.
    pub runs: u64,
    /// Events of all histories.
    pub events: u64,
    /// Bytes of all lines, uncompressed, without line feeds.
    pub bytes: u64,
    /// Bytes of the segment.
    pub stored: u64,
    /// Runs by status, named as queries name it.
    pub statuses: BTreeMap<String, u64>,
    /// The earliest close; `None` without runs.
    pub first_close: Option<DateTime<Utc>>,
    /// The latest close.
    pub last_close: Option<DateTime<Utc>>,
}

impl Checker {
    /// A checker for the segment of this index, which is read first.
    ///
    /// # Errors
    /// What is wrong with the index.
    pub fn new(index: &[u8]) -> Result<Self, Error> {
        let mut found = Checked::default();
        let expected = expectations(index, |entry| {
            found.runs += 1;
            found.events = found.events.saturating_add(entry.at.events);
            found.bytes = found.bytes.saturating_add(entry.at.size);
            *found.statuses.entry(status_name(&entry.summary.status)).or_default() += 1;
            found.first_close = Some(entry.summary.close_time);
            found.last_close.get_or_insert(entry.summary.close_time);
        })?;
        Ok(Self { walk: Walk::new(expected), found })
    }

    /// The next piece of the segment.
    ///
    /// # Errors
    /// What is wrong with it; the checker is of no use afterwards.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.walk.feed(piece, &mut Nobody)
    }

    /// The segment has ended.
    ///
    /// # Errors
    /// When it should not have.
    pub fn finish(self) -> Result<Checked, Error> {
        Ok(Checked { stored: self.walk.finish()?, ..self.found })
    }
}

struct Nobody;

impl Observer for Nobody {
    fn piece(&mut self, _: &Expected, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
    fn end(&mut self, _: &Expected) -> Result<(), Error> {
        Ok(())
    }
}
