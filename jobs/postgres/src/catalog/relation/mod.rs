//! Everything in `pg_class` and what is attached to it: tables, views, sequences; their
//! columns, defaults, constraints, indexes, triggers, rules, policies, statistics; their rows.
//!
//! Every reader asks once for the whole database, never once for a table: five thousand tables
//! are planned in seconds. PostgreSQL's own deparsers write the hard parts of the SQL.

mod class;
mod column;
mod constraint;
mod create;
mod data;
mod index;
mod inheritance;
mod inventory;
mod options;
mod policy;
mod privilege;
mod sequence;
mod statistics;
mod table;
mod trigger;
mod view;

use std::collections::{BTreeSet, HashSet};

use class::Kind;
use inventory::Relations;

use super::{Catalog, Emit, Object, Record};
use crate::Error;

/// Tables whose columns or indexes one query reads: what the server answers is held in memory.
const BATCH: usize = 1000;

/// Reads all relations, whose tables are locked.
///
/// # Errors
/// [`Error::Denied`] by name, [`Error::Refused`] when rows would be hidden or a table vanishes,
/// [`Error::Uncovered`] for what this version does not know.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let mut relations = Relations::read(cx).await?;
    inheritance::read(cx, &mut relations).await?;
    data::leave_out(cx, &relations);
    let copied: HashSet<u32> =
        data::sources(cx, &relations).iter().map(|table| table.oid).collect();

    privilege::check(cx, &relations, &copied).await?;
    let wanted = with_columns(&relations, &copied);
    column::read(cx, &mut relations, &wanted).await?;
    inheritance::mark(cx, &mut relations);

    let details = table::read_details(cx, &relations).await?;
    let checks = constraint::read_checks(cx, &relations).await?;
    let indexes = index::Indexes::read(cx, &relations).await?;

    let mut objects = grants(&relations);
    table::objects(&relations, &details, &checks, &mut objects)?;
    constraint::check_objects(&relations, &checks, &indexes, &mut objects);
    view::read(cx, &relations, &mut objects).await?;
    sequence::read(cx, &relations, &mut objects).await?;
    data::read(cx, &relations, &mut objects).await?;
    indexes.objects(&relations, &mut objects)?;
    constraint::read_foreign_keys(cx, &relations, &indexes, &mut objects).await?;
    statistics::read(cx, &relations, &mut objects).await?;
    trigger::read(cx, &relations, &indexes, &mut objects).await?;
    policy::read(cx, &relations, &mut objects).await?;
    Ok(objects)
}

/// Relations whose columns matter: those whose definition or rows are taken, and their parents.
fn with_columns(relations: &Relations, copied: &HashSet<u32>) -> Vec<u32> {
    let mut wanted: BTreeSet<u32> = copied.iter().copied().collect();
    for relation in relations.whole().filter(|relation| relation.kind != Kind::Sequence) {
        wanted.insert(relation.oid);
        wanted.extend(&relation.parents);
    }
    for owned in relations.whole().filter_map(|sequence| sequence.owned) {
        wanted.insert(owned.table);
    }
    wanted.into_iter().collect()
}

/// Relations of which only the grants are exported: members of extensions, system catalogs.
fn grants(relations: &Relations) -> Vec<Object> {
    relations
        .iter()
        .filter(|relation| relation.emit == Emit::Grants)
        .filter(|relation| relation.acl.is_some() || !relation.column_acls.is_empty())
        .map(class::Relation::object)
        .collect()
}

/// Runs a query that locks what it looks at, and gives those locks back: a server has room for
/// a limited number, and thousands of sequences and views may leave none for the tables.
async fn rows_and_no_locks(
    cx: &mut Catalog<'_>,
    doing: &str,
    sql: &str,
) -> Result<Vec<Record>, Error> {
    let sql = format!(
        "SAVEPOINT no_locks; {sql}; ROLLBACK TO SAVEPOINT no_locks; RELEASE SAVEPOINT no_locks"
    );
    cx.rows(doing, &sql).await
}

/// An array of OIDs for a query.
fn oid_array(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    format!("'{{{}}}'::oid[]", oids.join(","))
}
