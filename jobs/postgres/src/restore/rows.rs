//! Rows restored, beside rows expected.

use std::collections::BTreeMap;

use crate::Error;

/// Rows that a table must have after the restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedTable {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
}

/// Rows that went into a table, as the server counted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredTable {
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
}

/// Compares table by table; an empty `expected` expects nothing.
///
/// # Errors
/// [`Error::Rows`] names every difference.
pub(super) fn compare(
    restored: &[RestoredTable],
    expected: &[ExpectedTable],
    database: &str,
) -> Result<(), Error> {
    if expected.is_empty() {
        return Ok(());
    }
    let found: BTreeMap<(&str, &str), u64> = restored
        .iter()
        .map(|table| ((table.schema.as_str(), table.name.as_str()), table.rows))
        .collect();
    let wanted: BTreeMap<(&str, &str), u64> = expected
        .iter()
        .map(|table| ((table.schema.as_str(), table.name.as_str()), table.rows))
        .collect();
    let mut differences = Vec::new();
    for (&(schema, name), &rows) in &wanted {
        match found.get(&(schema, name)) {
            Some(&found) if found == rows => {}
            Some(found) => differences.push(format!("{schema}.{name} got {found} rows of {rows}")),
            None => differences.push(format!("{schema}.{name} got none of its {rows} rows")),
        }
    }
    for (&(schema, name), rows) in &found {
        if !wanted.contains_key(&(schema, name)) {
            differences.push(format!("{schema}.{name} got {rows} rows and none were expected"));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Rows { database: database.to_owned(), differences })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named() {
        let table =
            |name: &str, rows| RestoredTable { schema: "s".into(), name: name.into(), rows };
        let want = |name: &str, rows| ExpectedTable { schema: "s".into(), name: name.into(), rows };
        let restored = [table("same", 1), table("less", 2), table("more", 5)];
        compare(&restored, &[], "d").unwrap();
        compare(&restored[..1], &[want("same", 1)], "d").unwrap();
        let error = compare(&restored, &[want("same", 1), want("less", 3), want("gone", 4)], "d")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "rows differ after the restore into database \"d\": s.gone got none of its 4 rows; \
             s.less got 2 rows of 3; s.more got 5 rows and none were expected"
        );
    }
}
