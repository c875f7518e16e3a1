//! How a large table is split, so that several connections copy it at once.
//!
//! A chunk is a range of pages of the main fork, read by a TID range scan (PostgreSQL 14 and
//! later; older servers would read the whole table for each). The first range has no lower
//! and the last no upper bound, so together they hold every row that there can be: a row that
//! the snapshot sees lies in a page that existed when the pages were counted, which was after
//! the snapshot was taken; and the file does not shrink under the lock.

use crate::plan::TableData;

/// The oldest server that reads a range of ctids without reading the whole table.
const TID_RANGE_SCAN: i32 = 14_00_00;

/// Chunks of one table, at most about this many whatever its size: every index of the table
/// names each of them.
const MOST: u64 = 1024;

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// First page; `None`: from the start.
    pub first: Option<u64>,
    /// Page after the last; `None`: to the end.
    pub end: Option<u64>,
    /// Its share of the table's bytes.
    pub bytes: u64,
}

impl Chunk {
    /// The whole of a table.
    pub fn whole(bytes: u64) -> Self {
        Self { first: None, end: None, bytes }
    }

    /// `ctid` condition, or `None` for the whole table.
    pub fn condition(&self) -> Option<String> {
        let bound =
            |operator: &str, page: u64| format!("ctid {operator} '({page},0)'::pg_catalog.tid");
        match (self.first, self.end) {
            (None, None) => None,
            (Some(first), None) => Some(bound(">=", first)),
            (None, Some(end)) => Some(bound("<", end)),
            (Some(first), Some(end)) => {
                Some(format!("{} AND {}", bound(">=", first), bound("<", end)))
            }
        }
    }
}

/// Splits `table` into chunks of about `target` bytes. Towards the end of the table they get
/// smaller, down to a quarter, so that the workers end at about the same time.
pub(super) fn split(table: &TableData, target: u64, server_version_num: i32) -> Vec<Chunk> {
    let target = target.max(1).max(table.bytes / MOST);
    let least = (target / 4).max(1);
    // Without a `TABLE` entry, what needs the table cannot be told apart from what does not.
    if table.table_id.is_none()
        || !table.is_heap
        || table.condition.is_some()
        || server_version_num < TID_RANGE_SCAN
        || table.pages < 2
        || table.bytes < 2 * least
    {
        return vec![Chunk::whole(table.bytes)];
    }
    // TOAST is taken to be spread evenly over the pages.
    let pages_of = |bytes: u64| {
        let pages = u128::from(bytes) * u128::from(table.pages) / u128::from(table.bytes.max(1));
        u64::try_from(pages).unwrap_or(u64::MAX).max(1)
    };
    let (most_pages, least_pages) = (pages_of(target), pages_of(least));
    let mut chunks = Vec::new();
    let mut first = 0;
    let mut given = 0;
    while first < table.pages {
        let left = table.pages - first;
        let mut pages = (left / 8).clamp(least_pages, most_pages).min(left);
        if left - pages < least_pages {
            pages = left;
        }
        let end = first + pages;
        let share = u128::from(table.bytes) * u128::from(end) / u128::from(table.pages);
        let share = u64::try_from(share).unwrap_or(table.bytes);
        chunks.push(Chunk {
            first: (first > 0).then_some(first),
            end: (end < table.pages).then_some(end),
            bytes: share - given,
        });
        given = share;
        first = end;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn table(pages: u64, bytes: u64) -> TableData {
        TableData {
            data_id: 2,
            table_id: Some(1),
            oid: 1,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            relkind: 'r',
            columns: Vec::new(),
            condition: None,
            bytes,
            pages,
            estimated_rows: -1.0,
            is_heap: true,
        }
    }

    /// Every page is in exactly one chunk, pages beyond the count are in the last, and the
    /// bytes add up.
    #[track_caller]
    fn whole(chunks: &[Chunk], bytes: u64) {
        assert_eq!(chunks.first().unwrap().first, None);
        assert_eq!(chunks.last().unwrap().end, None);
        for pair in chunks.windows(2) {
            assert!(pair[0].end.is_some());
            assert_eq!(pair[0].end, pair[1].first);
            assert!(pair[0].first.unwrap_or(0) < pair[0].end.unwrap());
        }
        assert_eq!(chunks.iter().map(|c| c.bytes).sum::<u64>(), bytes);
    }

    #[test]
    fn chunks_cover_a_table_of_any_size_once() {
        for pages in [0, 1, 2, 3, 7, 100, 4096, 100_000, 4_000_000_000] {
            for per_page in [1, 8192, 20_000, 5_000_000] {
                for target in [1, 8192, MIB, 64 * MIB] {
                    let bytes = pages * per_page;
                    let chunks = split(&table(pages, bytes), target, 17_00_00);
                    whole(&chunks, bytes);
                    assert!(chunks.len() <= 2 * usize::try_from(MOST * 4).unwrap());
                }
            }
        }
    }

    #[test]
    fn chunks_are_of_the_asked_size_and_end_small() {
        let chunks = split(&table(200_000, 1600 * MIB), 64 * MIB, 17_00_00);
        assert!(chunks.iter().all(|c| c.bytes <= 65 * MIB && c.bytes >= 15 * MIB));
        assert!(chunks.last().unwrap().bytes < 33 * MIB);
        assert!(chunks.len() < 50, "{}", chunks.len());
    }

    #[test]
    fn what_cannot_be_split_is_copied_whole() {
        let large = table(200_000, 1600 * MIB);
        let is_whole = |table: &TableData, version| {
            let chunks = split(table, 64 * MIB, version);
            chunks.len() == 1 && chunks[0].condition().is_none()
        };
        assert!(is_whole(&large, 13_00_15));
        assert!(is_whole(&TableData { is_heap: false, ..large.clone() }, 17_00_00));
        assert!(is_whole(&TableData { table_id: None, ..large.clone() }, 17_00_00));
        assert!(is_whole(&TableData { condition: Some("WHERE a".to_owned()), ..large }, 17_00_00));
        assert!(is_whole(&table(100, MIB), 17_00_00));
        assert!(is_whole(&table(1, 1600 * MIB), 17_00_00));
    }

    #[test]
    fn conditions_name_the_bounds_that_there_are() {
        let chunk = |first, end| Chunk { first, end, bytes: 0 }.condition();
        assert_eq!(chunk(None, None), None);
        assert_eq!(
            chunk(Some(3), Some(5)).unwrap(),
            "ctid >= '(3,0)'::pg_catalog.tid AND ctid < '(5,0)'::pg_catalog.tid"
        );
        assert_eq!(chunk(None, Some(5)).unwrap(), "ctid < '(5,0)'::pg_catalog.tid");
        assert_eq!(chunk(Some(5), None).unwrap(), "ctid >= '(5,0)'::pg_catalog.tid");
    }
}
