//! Which tables an export takes, in `pg_dump`'s terms.

/// What to take of a database; the default takes everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `--table`: patterns as `pg_dump -t` has them; none means all.
    pub tables: Vec<String>,
    /// `--exclude-table`: patterns as `pg_dump -T` has them.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-data`: definitions are kept, rows are not.
    pub exclude_table_data: Vec<String>,
    /// `--schema-only`: no rows, no large objects, no sequence values.
    pub schema_only: bool,
}
