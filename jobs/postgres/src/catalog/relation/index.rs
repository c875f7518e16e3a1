//! Indexes, and the primary key, unique and exclusion constraints that are made of one.

use std::collections::HashMap;
use std::fmt::Write as _;

use pgarchive::{CatalogId, Section};

use super::class::{Attached, Relation};
use super::inventory::Relations;
use super::{BATCH, oid_array, options};
use crate::Error;
use crate::catalog::{
    Address, Catalog, Described, Emit, Object, ObjectId, Part, Rank, Record, class,
};
use crate::quote;

/// A constraint that an index carries.
#[derive(Debug)]
struct Constraint {
    oid: u32,
    name: String,
    contype: char,
    /// As `pg_get_constraintdef` has it.
    sql: String,
    is_deferrable: bool,
    is_deferred: bool,
    /// `WITHOUT OVERLAPS`.
    is_temporal: bool,
}

#[derive(Debug)]
struct Index {
    oid: u32,
    table: u32,
    name: String,
    /// Qualified and quoted.
    sql: String,
    definition: String,
    /// Columns of the table, keys first; zero for an expression.
    columns: Vec<i16>,
    keys: usize,
    is_usable: bool,
    is_clustered: bool,
    is_replica_identity: bool,
    nulls_not_distinct: bool,
    tablespace: String,
    options: Vec<String>,
    /// (column number, target).
    statistics: Vec<(i16, i32)>,
    parent: Option<u32>,
    constraint: Option<Constraint>,
}

impl Index {
    fn new(row: &Record, schema: &str) -> Result<Self, Error> {
        let name = row.text("relname")?;
        let oid = u32::try_from(row.int8("constraint_oid")?).unwrap_or_default();
        let constraint = (oid != 0).then(|| {
            Ok::<_, Error>(Constraint {
                oid,
                name: row.text("conname")?,
                contype: row.char("contype")?,
                sql: row.text("constraint_sql")?,
                is_deferrable: row.bool("condeferrable")?,
                is_deferred: row.bool("condeferred")?,
                is_temporal: row.bool("is_temporal")?,
            })
        });
        let parent = u32::try_from(row.int8("parent")?).unwrap_or_default();
        let columns = row.text("columns")?;
        let columns = columns.split_whitespace().filter_map(|number| number.parse().ok());
        Ok(Self {
            oid: row.oid("oid")?,
            table: row.oid("indrelid")?,
            sql: quote::quote_qualified(schema, &name),
            name,
            definition: row.text("definition")?,
            columns: columns.collect(),
            keys: usize::try_from(row.int2("indnkeyatts")?).unwrap_or_default(),
            is_usable: row.bool("is_usable")?,
            is_clustered: row.bool("indisclustered")?,
            is_replica_identity: row.bool("indisreplident")?,
            nulls_not_distinct: row.bool("nulls_not_distinct")?,
            tablespace: row.opt_text("spcname")?.unwrap_or_default(),
            options: row.texts("reloptions")?,
            statistics: Vec::new(),
            parent: (parent != 0).then_some(parent),
            constraint: constraint.transpose()?,
        })
    }

    fn row(&self) -> CatalogId {
        CatalogId { catalog: class::PG_CLASS, oid: self.oid }
    }

    /// The object that creates it.
    fn id(&self) -> ObjectId {
        match &self.constraint {
            Some(constraint) => {
                ObjectId::whole(CatalogId { catalog: class::PG_CONSTRAINT, oid: constraint.oid })
            }
            None => ObjectId::whole(self.row()),
        }
    }

    fn attach_id(&self) -> ObjectId {
        ObjectId::part(self.row(), Part::Attach)
    }

    fn address(&self) -> Address {
        Address::new("INDEX", &*self.sql, quote::quote_ident(&self.name))
    }

    /// What has to be said of an index besides its definition.
    fn push_properties(&self, sql: &mut String, table: &Relation) {
        let name = quote::quote_ident(&self.name);
        if self.is_clustered {
            let _ = writeln!(sql, "\nALTER TABLE {} CLUSTER ON {name};", table.sql);
        }
        for (column, target) in &self.statistics {
            let index = &self.sql;
            let _ =
                writeln!(sql, "ALTER INDEX {index} ALTER COLUMN {column} SET STATISTICS {target};");
        }
        if self.is_replica_identity {
            let _ = writeln!(
                sql,
                "\nALTER TABLE ONLY {} REPLICA IDENTITY USING INDEX {name};",
                table.sql
            );
        }
    }

    fn object(&self, table: &Relation) -> Result<Object, Error> {
        if let Some(constraint) = &self.constraint {
            return self.constraint_object(table, constraint);
        }
        let mut defn = format!("{};\n", self.definition);
        self.push_properties(&mut defn, table);
        Ok(Object {
            namespace: Some(table.schema.clone()),
            owner: Some(table.owner.clone()),
            // One that failed to build, or whose build is under way, is none.
            emit: if self.is_usable { table.emit } else { Emit::Nothing },
            defn: defn.into(),
            // The server drops a partition's index only together with its parent's.
            drop_stmt: match self.parent {
                None => format!("DROP INDEX {};\n", self.sql),
                Some(_) => String::new(),
            },
            tablespace: Some(self.tablespace.clone()),
            address: self.address(),
            ..Object::new(self.id(), "INDEX", &self.name, Section::PostData, Rank::Index)
        })
    }

    fn constraint_object(
        &self,
        table: &Relation,
        constraint: &Constraint,
    ) -> Result<Object, Error> {
        let target = format!("{} ONLY {}", table.kind.alter(), table.sql);
        let name = quote::quote_ident(&constraint.name);
        let sql = match constraint.contype {
            'x' => constraint.sql.clone(),
            _ => self.key_constraint(table, constraint)?,
        };
        let mut defn = format!("{target}\n    ADD CONSTRAINT {name} {sql};\n");
        self.push_properties(&mut defn, table);
        Ok(Object {
            defn: defn.into(),
            drop_stmt: format!("{target} DROP CONSTRAINT {name};\n"),
            tablespace: Some(self.tablespace.clone()),
            absorbs: vec![self.row()],
            described: vec![Described { row: self.row(), subid: 0, address: self.address() }],
            ..table.attached(
                self.id().row,
                Attached { desc: "CONSTRAINT", keyword: "CONSTRAINT", rank: Rank::Constraint },
                &constraint.name,
                Section::PostData,
            )
        })
    }

    /// `PRIMARY KEY` or `UNIQUE`. `pg_get_constraintdef` leaves the storage parameters out.
    fn key_constraint(&self, table: &Relation, constraint: &Constraint) -> Result<String, Error> {
        let names = |numbers: &[i16]| {
            let name = |number: &i16| Some(quote::quote_ident(&table.column(*number)?.name));
            numbers.iter().map(name).collect::<Option<Vec<_>>>().map(|names| names.join(", "))
        };
        let (keys, included) = self.columns.split_at_checked(self.keys).unwrap_or_default();
        let (Some(keys), Some(included)) = (names(keys), names(included)) else {
            return Err(Error::Refused {
                what: format!(
                    "constraint {:?} of table {} has columns that the table does not have",
                    constraint.name, table.sql
                ),
                hint: "the catalogs changed while they were read, or are damaged: run again".into(),
            });
        };
        let is_primary = constraint.contype == 'p';
        let mut sql = String::from(if is_primary { "PRIMARY KEY" } else { "UNIQUE" });
        // The server refuses the words for a primary key, whose columns are never NULL.
        if self.nulls_not_distinct && !is_primary {
            sql.push_str(" NULLS NOT DISTINCT");
        }
        let temporal = if constraint.is_temporal { " WITHOUT OVERLAPS" } else { "" };
        let _ = write!(sql, " ({keys}{temporal})");
        if !included.is_empty() {
            let _ = write!(sql, " INCLUDE ({included})");
        }
        options::push_with(&mut sql, " ", &self.options, &[]);
        if constraint.is_deferrable {
            sql.push_str(" DEFERRABLE");
            if constraint.is_deferred {
                sql.push_str(" INITIALLY DEFERRED");
            }
        }
        Ok(sql)
    }

    fn attach_object(&self, table: &Relation, parent: &Self, parent_table: &Relation) -> Object {
        Object {
            namespace: Some(table.schema.clone()),
            owner: Some(parent_table.owner.clone()),
            emit: table.emit,
            defn: format!("ALTER INDEX {} ATTACH PARTITION {};\n", parent.sql, self.sql).into(),
            // The tables too, so that a parallel restore does nothing else to them meanwhile.
            needs: vec![self.id(), parent.id(), table.id(), parent_table.id()],
            ..Object::new(
                self.attach_id(),
                "INDEX ATTACH",
                &self.name,
                Section::PostData,
                Rank::IndexAttach,
            )
        }
    }
}

/// The indexes of all tables and materialized views whose definition is taken.
#[derive(Debug)]
pub(super) struct Indexes {
    all: Vec<Index>,
    index: HashMap<u32, usize>,
    /// Indexes that are attached to others, by their table.
    attached: HashMap<u32, Vec<usize>>,
}

impl Indexes {
    /// Reads `pg_index`.
    pub(super) async fn read(cx: &mut Catalog<'_>, relations: &Relations) -> Result<Self, Error> {
        let tables: Vec<u32> = relations.whole().map(|table| table.oid).collect();
        let mut all: Vec<Index> = Vec::new();
        for batch in tables.chunks(BATCH) {
            for row in &read_rows(cx, batch).await? {
                if let Some(table) = relations.get(row.oid("indrelid")?) {
                    all.push(Index::new(row, &table.schema)?);
                }
            }
        }
        let index = all.iter().enumerate().map(|(at, index)| (index.oid, at)).collect();
        let mut attached: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, child) in all.iter().enumerate() {
            if child.parent.is_some() && child.is_usable {
                attached.entry(child.table).or_default().push(at);
            }
        }
        let mut indexes = Self { all, index, attached };
        indexes.read_statistics(cx).await?;
        Ok(indexes)
    }

    /// Statistics targets of expressions in indexes.
    async fn read_statistics(&mut self, cx: &mut Catalog<'_>) -> Result<(), Error> {
        let rows = cx
            .rows(
                "reading statistics targets of indexes",
                "SELECT a.attrelid, a.attnum, a.attstattarget::int4 AS target \
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                 WHERE c.relkind IN ('i', 'I') AND a.attstattarget >= 0 \
                 ORDER BY a.attrelid, a.attnum",
            )
            .await?;
        for row in &rows {
            let at = self.index.get(&row.oid("attrelid")?);
            if let Some(index) = at.and_then(|&at| self.all.get_mut(at)) {
                index.statistics.push((row.int2("attnum")?, row.int4("target")?));
            }
        }
        Ok(())
    }

    /// What a statement needs that changes a table and all that inherits from it. It locks
    /// them one by one, as does attaching their indexes: in a parallel restore the two would
    /// deadlock, so it waits for the attachments, and names the tables as what it locks.
    pub(super) fn before_recursion(&self, relations: &Relations, oid: u32) -> Vec<ObjectId> {
        let mut needs = Vec::new();
        for table in relations.descendants(oid) {
            needs.push(table.id());
            for &at in self.attached.get(&table.oid).into_iter().flatten() {
                needs.extend(self.all.get(at).map(Index::attach_id));
            }
        }
        needs
    }

    /// Indexes, their constraints, and their attachments to the indexes of partitioned tables.
    pub(super) fn objects(
        &self,
        relations: &Relations,
        objects: &mut Vec<Object>,
    ) -> Result<(), Error> {
        for index in &self.all {
            let Some(table) = relations.get(index.table) else { continue };
            objects.push(index.object(table)?);
            let parent = index.parent.and_then(|parent| self.all.get(*self.index.get(&parent)?));
            if let Some(parent) = parent.filter(|_| table.is_partition && index.is_usable)
                && let Some(parent_table) = relations.get(parent.table)
            {
                objects.push(index.attach_object(table, parent, parent_table));
            }
        }
        Ok(())
    }
}

async fn read_rows(cx: &mut Catalog<'_>, tables: &[u32]) -> Result<Vec<Record>, Error> {
    let nulls = if cx.at_least(15) { "i.indnullsnotdistinct" } else { "false" };
    let temporal = if cx.at_least(18) { "coalesce(co.conperiod, false)" } else { "false" };
    cx.rows(
        "reading indexes",
        &format!(
            "SELECT c.oid, i.indrelid, c.relname, pg_get_indexdef(i.indexrelid) AS definition, \
               i.indkey::text AS columns, i.indnkeyatts, \
               (i.indisvalid OR t.relkind = 'p') AND i.indisready AS is_usable, \
               i.indisclustered, i.indisreplident, {nulls} AS nulls_not_distinct, \
               s.spcname, c.reloptions, coalesce(inh.inhparent::int8, 0) AS parent, \
               coalesce(co.oid::int8, 0) AS constraint_oid, co.conname, co.contype, \
               co.condeferrable, co.condeferred, {temporal} AS is_temporal, \
               CASE WHEN co.oid IS NOT NULL THEN pg_get_constraintdef(co.oid) END \
                 AS constraint_sql \
             FROM unnest({}) AS wanted (oid) \
             JOIN pg_index i ON i.indrelid = wanted.oid \
             JOIN pg_class c ON c.oid = i.indexrelid \
             JOIN pg_class t ON t.oid = i.indrelid \
             LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             LEFT JOIN pg_constraint co ON co.conrelid = i.indrelid \
               AND co.conindid = i.indexrelid AND co.contype IN ('p', 'u', 'x') \
             LEFT JOIN pg_inherits inh ON inh.inhrelid = i.indexrelid \
             ORDER BY i.indrelid, c.relname",
            oid_array(tables)
        ),
    )
    .await
}
