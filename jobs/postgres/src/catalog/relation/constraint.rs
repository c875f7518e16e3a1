//! `CHECK`, unvalidated `NOT NULL` and foreign key constraints. Those that an index carries
//! come with their index.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::class::{Attached, Kind, Relation};
use super::index::Indexes;
use super::inventory::Relations;
use super::oid_array;
use crate::Error;
use crate::catalog::{Catalog, Definition, Described, Object, ObjectId, Piece, Rank, class};
use crate::quote;

/// A `CHECK` constraint, or a `NOT NULL` that is not validated.
#[derive(Debug)]
pub(super) struct Check {
    oid: u32,
    name: String,
    sql: String,
    is_check: bool,
    is_local: bool,
    is_validated: bool,
    /// It needs nothing that a user made, and so can be in no dependency loop.
    is_alone: bool,
    /// What a child's constraint merges with: by name for `CHECK`, by column for `NOT NULL`.
    merges_as: String,
}

impl Check {
    /// Row of `pg_constraint`.
    pub(super) fn row(&self) -> CatalogId {
        CatalogId { catalog: class::PG_CONSTRAINT, oid: self.oid }
    }

    fn id(&self) -> ObjectId {
        ObjectId::whole(self.row())
    }

    /// Whether `CREATE TABLE` contains it. Unvalidated ones wait until the rows are there that
    /// may not satisfy them; inherited ones come from the parents, but a partition is created
    /// alone and has to bring them.
    pub(super) fn is_inline(&self, table: &Relation) -> bool {
        self.is_validated && (self.is_local || table.is_partition)
    }

    /// Its place in the list of `CREATE TABLE`.
    pub(super) fn inline(&self, table: &Relation) -> Option<Definition> {
        self.is_inline(table).then(|| {
            let attached = format!("CONSTRAINT {} {}", quote::quote_ident(&self.name), self.sql);
            if self.is_alone {
                return attached.into();
            }
            Definition(vec![Piece::Inline { object: self.id(), attached, detached: String::new() }])
        })
    }

    /// Whether it can be nowhere but in `CREATE TABLE`.
    pub(super) fn is_absorbed(&self, table: &Relation) -> bool {
        self.is_inline(table) && self.is_alone
    }

    /// How comments call it when it is absorbed.
    pub(super) fn described(&self, table: &Relation) -> Described {
        let address = table.attached_address("CONSTRAINT", &self.name);
        Described { row: self.row(), subid: 0, address }
    }

    /// Whether it is an entry of its own from the start.
    fn is_apart(&self) -> bool {
        !self.is_validated && self.is_local
    }

    fn object(&self, table: &Relation) -> Object {
        let alter = table.kind.alter();
        let name = quote::quote_ident(&self.name);
        let desc = if self.is_check { "CHECK CONSTRAINT" } else { "CONSTRAINT" };
        let is_inline = self.is_inline(table);
        Object {
            // Without ONLY: what belongs to the parent belongs to its children.
            defn: format!("{alter} {}\n    ADD CONSTRAINT {name} {};\n", table.sql, self.sql)
                .into(),
            drop_stmt: format!("{alter} {} DROP CONSTRAINT {name};\n", table.sql),
            inline_in: is_inline.then(|| table.id()),
            ..table.attached(
                self.row(),
                Attached { desc, keyword: "CONSTRAINT", rank: Rank::Constraint },
                &self.name,
                Section::PostData,
            )
        }
    }
}

/// Reads the constraints of all tables whose definition is taken, by table.
pub(super) async fn read_checks(
    cx: &mut Catalog<'_>,
    relations: &Relations,
) -> Result<HashMap<u32, Vec<Check>>, Error> {
    let rows = cx
        .rows(
            "reading CHECK constraints",
            &format!(
                "SELECT c.oid, c.conrelid, c.conname, c.contype, c.conislocal, c.convalidated, \
                   coalesce(array_to_string(c.conkey, ' '), '') AS columns, \
                   pg_get_constraintdef(c.oid) AS sql, \
                   NOT EXISTS (\
                     SELECT FROM pg_depend o WHERE o.classid = 'pg_constraint'::regclass \
                       AND o.objid = c.oid AND (o.refclassid, o.refobjid) \
                         <> ('pg_class'::regclass, c.conrelid)) AS is_alone \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_constraint c ON c.conrelid = wanted.oid \
                 WHERE c.contype = 'c' OR c.contype = 'n' AND NOT c.convalidated \
                 ORDER BY c.conrelid, c.conname",
                oid_array(&tables(relations))
            ),
        )
        .await?;
    let mut checks: HashMap<u32, Vec<Check>> = HashMap::new();
    for row in &rows {
        let is_check = row.char("contype")? == 'c';
        let name = row.text("conname")?;
        checks.entry(row.oid("conrelid")?).or_default().push(Check {
            oid: row.oid("oid")?,
            sql: row.text("sql")?,
            is_check,
            is_local: row.bool("conislocal")?,
            is_validated: row.bool("convalidated")?,
            is_alone: row.bool("is_alone")?,
            merges_as: if is_check { name.clone() } else { row.text("columns")? },
            name,
        });
    }
    Ok(checks)
}

fn tables(relations: &Relations) -> Vec<u32> {
    let is_table = |kind| matches!(kind, Kind::Table | Kind::Partitioned | Kind::Foreign);
    relations.whole().filter(|table| is_table(table.kind)).map(|table| table.oid).collect()
}

/// The constraints of [`read_checks`] as objects.
pub(super) fn check_objects(
    relations: &Relations,
    checks: &HashMap<u32, Vec<Check>>,
    indexes: &Indexes,
    objects: &mut Vec<Object>,
) {
    // A parent's constraint merges with a child's own, but not the other way round: the
    // child's has to be there first.
    let mut merging: HashMap<(u32, bool, &str), Vec<ObjectId>> = HashMap::new();
    let all = || {
        (relations.whole())
            .filter_map(|table| Some((table, checks.get(&table.oid)?)))
            .flat_map(|(table, checks)| checks.iter().map(move |check| (table, check)))
    };
    for (table, check) in all().filter(|(_, check)| check.is_apart()) {
        for &parent in &table.parents {
            let key = (parent, check.is_check, check.merges_as.as_str());
            merging.entry(key).or_default().push(check.id());
        }
    }
    let has_object = |(table, check): &(&Relation, &Check)| {
        check.is_apart() || check.is_inline(table) && !check.is_alone
    };
    for (table, check) in all().filter(has_object) {
        let mut object = check.object(table);
        let key = (table.oid, check.is_check, check.merges_as.as_str());
        if let Some(children) = merging.remove(&key) {
            object.needs.extend(children);
        }
        if check.is_apart() {
            object.needs.extend(indexes.before_recursion(relations, table.oid));
        }
        objects.push(object);
    }
}

/// Foreign keys.
pub(super) async fn read_foreign_keys(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    indexes: &Indexes,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let rows = cx
        .rows(
            "reading foreign keys",
            &format!(
                "SELECT c.oid, c.conrelid, c.conname, c.confrelid, \
                   pg_get_constraintdef(c.oid) AS sql \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_constraint c ON c.conrelid = wanted.oid \
                 WHERE c.contype = 'f' AND c.conparentid = 0",
                oid_array(&tables(relations))
            ),
        )
        .await?;
    for row in &rows {
        let Some(table) = relations.get(row.oid("conrelid")?) else { continue };
        let row_id = CatalogId { catalog: class::PG_CONSTRAINT, oid: row.oid("oid")? };
        let name = row.text("conname")?;
        // On a partitioned table it belongs to the partitions too, elsewhere to this one only.
        let only = if table.kind == Kind::Partitioned { "" } else { "ONLY " };
        let target = format!("{} {only}{}", table.kind.alter(), table.sql);
        let quoted = quote::quote_ident(&name);
        let referenced = row.oid("confrelid")?;
        let is_partitioned = |oid| relations.get(oid).is_some_and(|t| t.kind == Kind::Partitioned);
        let mut needs = Vec::new();
        for oid in [table.oid, referenced] {
            if is_partitioned(oid) {
                needs.extend(indexes.before_recursion(relations, oid));
            }
        }
        objects.push(Object {
            defn: format!("{target}\n    ADD CONSTRAINT {quoted} {};\n", row.text("sql")?).into(),
            drop_stmt: format!("{target} DROP CONSTRAINT {quoted};\n"),
            // The attachments of the referenced index among them: only they make it valid.
            needs,
            ..table.attached(
                row_id,
                Attached { desc: "FK CONSTRAINT", keyword: "CONSTRAINT", rank: Rank::ForeignKey },
                &name,
                Section::PostData,
            )
        });
    }
    Ok(())
}
