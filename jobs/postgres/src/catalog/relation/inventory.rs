//! All rows of `pg_class`, before their columns and parts are read.

use std::collections::{BTreeSet, HashMap};

use super::class::{Kind, Persistence, Relation};
use crate::Error;
use crate::catalog::{Acl, Catalog, Emit};

/// All relations of the database, by OID.
#[derive(Debug)]
pub(super) struct Relations {
    all: Vec<Relation>,
    index: HashMap<u32, usize>,
    /// Children by parent.
    children: HashMap<u32, Vec<u32>>,
}

impl Relations {
    /// Reads `pg_class`, and nothing that needs a lock.
    ///
    /// # Errors
    /// [`Error::Uncovered`] for a kind of relation that no reader knows.
    pub(super) async fn read(cx: &mut Catalog<'_>) -> Result<Self, Error> {
        let rows = cx
            .rows(
                "reading relations",
                "SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relpersistence, c.relowner, \
                   array_remove(array_remove(c.reloptions, 'check_option=local'), \
                                'check_option=cascaded') AS options, \
                   CASE WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL' \
                        WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED' \
                   END AS check_option, \
                   toast.reloptions AS toast_options, s.spcname, am.amname, \
                   coalesce(am.amhandler = 'pg_catalog.heap_tableam_handler'::regproc, false) \
                     AS is_heap, \
                   c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, \
                   c.relispopulated, c.reltuples, \
                   d.refobjid::int8 AS owning_table, d.refobjsubid AS owning_column, \
                   d.deptype = 'i' AS is_identity, \
                   c.relacl::text[] AS acl, \
                   acldefault(CASE WHEN c.relkind = 'S' THEN 's'::\"char\" ELSE 'r' END, \
                              c.relowner)::text[] AS acldefault \
                 FROM pg_class c \
                 LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid \
                 LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
                 LEFT JOIN pg_am am ON am.oid = c.relam \
                 LEFT JOIN pg_depend d ON c.relkind = 'S' AND d.classid = 'pg_class'::regclass \
                   AND d.objid = c.oid AND d.objsubid = 0 \
                   AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
                 WHERE c.relkind NOT IN ('i', 'I', 't', 'c') \
                 ORDER BY c.oid",
            )
            .await?;
        let mut all = Vec::with_capacity(rows.len());
        let mut unknown = Vec::new();
        for row in &rows {
            let relkind = row.char("relkind")?;
            match Kind::of(relkind) {
                Some(kind) => all.push(Relation::new(cx, row, kind, relkind)?),
                None => {
                    unknown.push(format!("relation of kind {relkind:?} {}", row.text("relname")?))
                }
            }
        }
        if !unknown.is_empty() {
            return Err(Error::Uncovered { database: cx.database.clone(), objects: unknown });
        }
        // Temporary relations belong to a session and never to the database.
        all.retain(|relation| relation.persistence != Persistence::Temporary);
        let mut relations = Self {
            index: all.iter().enumerate().map(|(at, relation)| (relation.oid, at)).collect(),
            children: HashMap::new(),
            all,
        };
        relations.take_owned_sequences();
        relations.read_column_acls(cx).await?;
        relations.read_described(cx).await?;
        Ok(relations)
    }

    /// The relation of that OID.
    pub(super) fn get(&self, oid: u32) -> Option<&Relation> {
        self.index.get(&oid).and_then(|&at| self.all.get(at))
    }

    /// The relation of that OID.
    pub(super) fn get_mut(&mut self, oid: u32) -> Option<&mut Relation> {
        self.index.get(&oid).and_then(|&at| self.all.get_mut(at))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Relation> {
        self.all.iter()
    }

    /// Those whose definition goes into the archive.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Relation> {
        self.all.iter().filter(|relation| relation.is_whole())
    }

    /// Makes one inherit from another, after those it inherits from already.
    pub(super) fn inherit(&mut self, child: u32, parent: u32) {
        // Indexes inherit too; they are no relations of this module.
        if let Some(relation) = self.get_mut(child) {
            relation.parents.push(parent);
            self.children.entry(parent).or_default().push(child);
        }
    }

    /// Whatever inherits from it, at all levels.
    pub(super) fn descendants(&self, oid: u32) -> Vec<&Relation> {
        let mut found = BTreeSet::new();
        let mut pending = vec![oid];
        while let Some(parent) = pending.pop() {
            for &child in self.children.get(&parent).into_iter().flatten() {
                if found.insert(child) {
                    pending.push(child);
                }
            }
        }
        found.into_iter().filter_map(|oid| self.get(oid)).collect()
    }

    /// An identity sequence goes where its table goes; another owned sequence goes at least
    /// where its table goes.
    fn take_owned_sequences(&mut self) {
        let taken: Vec<(usize, Emit)> = (self.all.iter().enumerate())
            .filter_map(|(at, sequence)| {
                let owned = sequence.owned?;
                let table = self.get(owned.table)?;
                (owned.is_identity || table.is_whole()).then_some((at, table.emit))
            })
            .collect();
        for (at, emit) in taken {
            if let Some(sequence) = self.all.get_mut(at) {
                sequence.emit = emit;
            }
        }
    }

    async fn read_column_acls(&mut self, cx: &mut Catalog<'_>) -> Result<(), Error> {
        let rows = cx
            .rows(
                "reading grants on columns",
                "SELECT attrelid, attnum, attname, attacl::text[] AS acl FROM pg_attribute \
                 WHERE NOT attisdropped AND (attacl IS NOT NULL OR (attrelid, attnum) IN (\
                   SELECT objoid, objsubid FROM pg_init_privs \
                   WHERE classoid = 'pg_class'::regclass AND objsubid <> 0)) \
                 ORDER BY attrelid, attnum",
            )
            .await?;
        for row in &rows {
            if let Some(relation) = self.get_mut(row.oid("attrelid")?) {
                let column = Some((i32::from(row.int2("attnum")?), row.text("attname")?));
                relation.column_acls.push(Acl {
                    grant_kind: "TABLE",
                    column,
                    current: row.opt_texts("acl")?,
                    default: Vec::new(),
                    initial: None,
                    called: None,
                });
            }
        }
        Ok(())
    }

    async fn read_described(&mut self, cx: &mut Catalog<'_>) -> Result<(), Error> {
        let rows = cx
            .rows(
                "reading which columns have comments",
                "SELECT a.attrelid, a.attnum, a.attname FROM pg_attribute a \
                 WHERE (a.attrelid, a.attnum) IN (\
                   SELECT objoid, objsubid FROM pg_description \
                   WHERE classoid = 'pg_class'::regclass AND objsubid <> 0 \
                   UNION SELECT objoid, objsubid FROM pg_seclabel \
                   WHERE classoid = 'pg_class'::regclass AND objsubid <> 0) \
                 ORDER BY a.attrelid, a.attnum",
            )
            .await?;
        for row in &rows {
            if let Some(relation) = self.get_mut(row.oid("attrelid")?) {
                let described =
                    relation.column_described(row.int2("attnum")?.into(), &row.text("attname")?);
                relation.described.push(described);
            }
        }
        Ok(())
    }
}
