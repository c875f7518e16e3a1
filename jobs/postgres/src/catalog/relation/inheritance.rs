//! Who inherits from whom, and what of a column its parents already say.

use std::collections::HashMap;

use super::column::{Column, Generated};
use super::inventory::Relations;
use crate::Error;
use crate::catalog::Catalog;

/// Reads `pg_inherits` into the relations' parents, in the order in which they were given.
pub(super) async fn read(cx: &mut Catalog<'_>, relations: &mut Relations) -> Result<(), Error> {
    let rows = cx
        .rows(
            "reading inheritance",
            "SELECT inhrelid, inhparent FROM pg_inherits ORDER BY inhrelid, inhseqno",
        )
        .await?;
    for row in &rows {
        relations.inherit(row.oid("inhrelid")?, row.oid("inhparent")?);
    }
    Ok(())
}

/// What changes in a column because of its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    not_null_is_local: Option<bool>,
    resets_default: bool,
    expression_is_inherited: bool,
}

/// Marks what a child need not, or must, say again: `NOT NULL`, `DEFAULT NULL`, generation
/// expressions.
pub(super) fn mark(cx: &Catalog<'_>, relations: &mut Relations) {
    let names_constraints = cx.at_least(18);
    let mut changes = Vec::new();
    // Columns of parents by name: a wide table may have thousands of children.
    let mut by_name: HashMap<u32, HashMap<&str, &Column>> = HashMap::new();
    for child in relations.whole().filter(|child| !child.parents.is_empty()) {
        for parent in child.parents.iter().filter_map(|&oid| relations.get(oid)) {
            by_name.entry(parent.oid).or_insert_with(|| {
                parent.columns.iter().map(|column| (column.name.as_str(), column)).collect()
            });
        }
        for column in &child.columns {
            let inherited: Vec<&Column> = (child.parents.iter())
                .filter_map(|parent| by_name.get(parent)?.get(column.name.as_str()).copied())
                .collect();
            let change = compare(column, &inherited, child.is_partition, names_constraints);
            changes.push((child.oid, column.number, change));
        }
    }
    drop(by_name);
    for (oid, number, change) in changes {
        let Some(child) = relations.get_mut(oid) else { continue };
        let Ok(at) = child.columns.binary_search_by_key(&number, |column| column.number) else {
            continue;
        };
        let Some(column) = child.columns.get_mut(at) else { continue };
        if let (Some(is_local), Some(not_null)) = (change.not_null_is_local, &mut column.not_null) {
            not_null.is_local = is_local;
        }
        column.resets_default = change.resets_default;
        if let Some(default) = &mut column.default {
            default.is_inherited = change.expression_is_inherited;
        }
    }
}

fn compare(
    column: &Column,
    inherited: &[&Column],
    is_partition: bool,
    names_constraints: bool,
) -> Change {
    let not_null_is_local = if names_constraints {
        // The catalog says it, but a constraint that is valid only here has to be declared
        // here: the parents' will come NOT VALID.
        (!inherited.iter().any(|parent| parent.not_null.is_some())).then_some(true)
    } else {
        inherited.iter().any(|parent| parent.not_null.is_some()).then_some(false)
    };
    let has_default = |parent: &&&Column| {
        parent.generated == Generated::Never
            && parent.default.as_ref().is_some_and(|default| default.sql != "NULL")
    };
    let mut generated =
        inherited.iter().filter(|parent| parent.generated != Generated::Never).peekable();
    let expression_is_inherited = generated.peek().is_some()
        && !is_partition
        && generated.all(|parent| match (&parent.default, &column.default) {
            (Some(theirs), Some(ours)) => theirs.sql == ours.sql,
            _ => false,
        });
    Change {
        not_null_is_local,
        resets_default: column.default.is_none() && inherited.iter().any(|p| has_default(&p)),
        expression_is_inherited,
    }
}
