//! The plan of one database's export: every entry in restore order, and what to copy.

use std::collections::BTreeMap;

use pgarchive::{DumpId, Entry};

use crate::Error;
use crate::catalog::{self, Catalog, Object};
use crate::selection::Selection;
use crate::session::Session;

mod annotations;
mod coverage;
mod entries;
mod graph;
mod locks;
mod loops;
mod sort;
#[cfg(test)]
mod tests;

/// Plans the export of the database that the session is connected to: locks the chosen tables,
/// reads the catalogs, orders what it finds, and proves that nothing is left out.
///
/// The session must be in the transaction whose snapshot the rows are copied from; the locks
/// last until it ends.
///
/// # Errors
/// [`Error::Uncovered`] when the catalogs hold objects that the plan does not stand for,
/// [`Error::Denied`], [`Error::Locked`] and [`Error::Changed`] by name, [`Error::Refused`] for servers and
/// selections that make no sense.
pub async fn plan(session: &mut Session, selection: &Selection) -> Result<Plan, Error> {
    let database = session.database_info().clone();
    let mut catalog = Catalog::open(session, selection).await?;
    locks::lock_tables(&mut catalog).await?;
    let objects = read_all(&mut catalog).await?;
    let raw = graph::RawEdges::load(&mut catalog).await?;
    let mut annotations = annotations::Annotations::load(&mut catalog).await?;

    let mut graph = graph::Graph::new(objects, &raw);
    if catalog.everything() {
        coverage::check(&mut catalog, &graph, &raw).await?;
    }
    let order = sort::sort(&mut graph);
    graph.check_defaults(&catalog.database)?;

    let mut writer = entries::Writer::new(&mut graph, &mut annotations, &raw, catalog.version);
    writer.write(&order)?;
    let mut plan = writer.finish(database)?;
    plan.left_out = std::mem::take(&mut catalog.left_out);
    if catalog.everything() {
        coverage::check_annotations(&mut catalog, &graph, &annotations).await?;
    }
    Ok(plan)
}

/// Every object of every class.
async fn read_all(catalog: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    // By far the most; the others are added without copying these.
    let mut objects = catalog::relation::read(catalog).await?;
    let others = [
        catalog::database::read(catalog).await?,
        catalog::schemas::read(catalog).await?,
        catalog::extensions::read(catalog).await?,
        catalog::languages::read(catalog).await?,
        catalog::data_types::read(catalog).await?,
        catalog::routines::read(catalog).await?,
        catalog::casts::read_casts(catalog).await?,
        catalog::casts::read_transforms(catalog).await?,
        catalog::collations::read_collations(catalog).await?,
        catalog::collations::read_conversions(catalog).await?,
        catalog::access_methods::read(catalog).await?,
        catalog::operators::read(catalog).await?,
        catalog::operator_families::read(catalog).await?,
        catalog::text_search::read(catalog).await?,
        catalog::foreign::read(catalog).await?,
        catalog::large_objects::read(catalog).await?,
        catalog::publications::read(catalog).await?,
        catalog::subscriptions::read(catalog).await?,
        catalog::event_triggers::read(catalog).await?,
        catalog::default_acls::read(catalog).await?,
    ];
    let total = objects.len() + others.iter().map(Vec::len).sum::<usize>();
    objects.shrink_to(total);
    objects.reserve_exact(total - objects.len());
    objects.extend(others.into_iter().flatten());
    Ok(objects)
}

/// A checked plan: it covers every user object of the snapshot it was made from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The database.
    pub database: DatabaseInfo,
    /// Entries in restore order, definitions and everything else that is not bulk data.
    /// `TABLE DATA` and `BLOBS` entries stand at their place too, one per table, with the
    /// usual dependencies and without a file; the copier gives them files, or replaces one
    /// by several chunk entries.
    pub entries: Vec<Entry>,
    /// Tables whose rows are copied, one per `TABLE DATA` entry.
    pub tables: Vec<TableData>,
    /// Large objects by OID, owner order irrelevant; copied under the `BLOBS` entry.
    pub large_objects: Vec<u32>,
    /// What is left out although it was not asked to be, by name: rows that a standby lacks.
    pub left_out: Vec<String>,
    /// Number of objects of each class (`TABLE`, `INDEX`, ...).
    pub object_counts: BTreeMap<String, u64>,
    /// One past the highest dump id in use; chunk entries are numbered from here.
    pub next_dump_id: DumpId,
}

/// The database a plan was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Its name.
    pub name: String,
    /// Its encoding, by PostgreSQL's name (`UTF8`).
    pub encoding: String,
    /// `server_version`, such as `17.11`.
    pub server_version: String,
    /// `server_version_num`, such as 170011.
    pub server_version_num: i32,
}

/// One table whose rows are copied.
#[derive(Debug, Clone, PartialEq)]
pub struct TableData {
    /// The `TABLE DATA` entry.
    pub data_id: DumpId,
    /// The `TABLE` entry it belongs to; none for the configuration tables of an extension,
    /// which `CREATE EXTENSION` makes.
    pub table_id: Option<DumpId>,
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema, unquoted.
    pub schema: String,
    /// Name, unquoted.
    pub name: String,
    /// `relkind`: `r`, `p`, `m` never, foreign tables never.
    pub relkind: char,
    /// Columns to copy, in order: no generated and no dropped ones.
    pub columns: Vec<Column>,
    /// `WHERE ...` condition of an extension's configuration table.
    pub condition: Option<String>,
    /// Bytes of the main fork and TOAST together, now.
    pub bytes: u64,
    /// `relpages` of the main fork by `pg_relation_size`, now: the range of ctids.
    pub pages: u64,
    /// Planner's estimate of rows; negative when never analysed.
    pub estimated_rows: f64,
    /// Whether the table's access method is heap, so that ctid ranges may split it.
    pub is_heap: bool,
}

/// One column of a copied table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name, unquoted.
    pub name: String,
    /// Type OID.
    pub type_oid: u32,
    /// Base type's OID once domains are unwrapped.
    pub base_type_oid: u32,
}
