//! From sorted objects to the archive's table of contents.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::take;

use pgarchive::{CatalogId, DumpId, Entry, Section};

use super::annotations::Annotations;
use super::graph::{Graph, RawEdges};
use super::{Plan, TableData};
use crate::Error;
use crate::catalog::grants;
use crate::catalog::{Acl, Address, Emit, Object, ObjectId, Rank, class};
use crate::quote;

/// Writes entries, numbering them from 1 in the order they are restored.
///
/// Objects are taken out of the graph as they are written, so that a large database is not held
/// twice.
pub(super) struct Writer<'a> {
    graph: &'a mut Graph,
    annotations: &'a mut Annotations,
    raw: &'a RawEdges,
    /// Quoted names of extensions.
    extensions: HashMap<CatalogId, String>,
    version: i32,
    entries: Vec<Entry>,
    tables: Vec<TableData>,
    large_objects: Vec<u32>,
    /// Dump id by node, of nodes that made an entry.
    dump_ids: HashMap<usize, DumpId>,
    /// Nodes inside an object's definition.
    inline: HashMap<ObjectId, Vec<usize>>,
    /// The grants on each schema that has any.
    schema_acls: HashMap<String, DumpId>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        graph: &'a mut Graph,
        annotations: &'a mut Annotations,
        raw: &'a RawEdges,
        version: i32,
    ) -> Self {
        let mut inline: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        let mut extensions = HashMap::new();
        for (node, object) in graph.nodes() {
            if object.id.row.catalog == class::PG_EXTENSION {
                extensions.insert(object.id.row, object.address.name.clone());
            }
            if let Some(parent) = object.inline_in.filter(|_| graph.is_inline(object)) {
                inline.entry(parent).or_default().push(node);
            }
        }
        let entries = graph.nodes().filter(|(_, object)| graph.makes_entry(object)).count()
            + annotations.comments.len();
        Self {
            graph,
            annotations,
            raw,
            extensions,
            version,
            entries: Vec::with_capacity(entries),
            tables: Vec::new(),
            large_objects: Vec::new(),
            dump_ids: HashMap::new(),
            inline,
            schema_acls: HashMap::new(),
        }
    }

    /// Writes the entries of the nodes, in their order.
    pub(super) fn write(&mut self, order: &[usize]) -> Result<(), Error> {
        for &node in order {
            self.write_node(node)?;
        }
        Ok(())
    }

    fn next_id(&self) -> Result<DumpId, Error> {
        DumpId::try_from(self.entries.len() + 1).map_err(|_| Error::Refused {
            what: "the database has more objects than an archive can number".into(),
            hint: "export it in parts with --table".into(),
        })
    }

    fn push(&mut self, entry: Entry) -> DumpId {
        let id = entry.dump_id;
        self.entries.push(entry);
        id
    }

    fn write_node(&mut self, node: usize) -> Result<(), Error> {
        let Some(object) = self.graph.object(node) else { return Ok(()) };
        if object.emit == Emit::Nothing || self.graph.is_inline(object) {
            return Ok(());
        }
        let dependencies = self.dependencies(node, object);
        let Some(mut object) = self.graph.take(node) else { return Ok(()) };
        let mut id = None;
        if object.emit == Emit::Everything {
            let entry = self.entry(&mut object, dependencies)?;
            if let Some(copy) = object.copy.take() {
                let table = object.needs.first().and_then(|id| self.graph.node(*id));
                let table_id = table.and_then(|node| self.dump_ids.get(&node)).copied();
                self.tables.push(TableData { data_id: entry.dump_id, table_id, ..*copy });
            }
            if object.desc == "BLOB" {
                self.large_objects.push(object.id.row.oid);
            }
            self.dump_ids.insert(node, entry.dump_id);
            id = Some(self.push(entry));
        }
        if object.emit != Emit::Grants {
            self.write_comments(&object, id)?;
            self.write_labels(&object, id)?;
        }
        self.write_acls(&object, id)?;
        // What is inside the definition has no entry, but may have a comment.
        for inline in self.inline.remove(&object.id).unwrap_or_default() {
            if object.emit != Emit::Grants
                && let Some(inline) = self.graph.take(inline)
            {
                self.write_comments(&inline, id)?;
            }
        }
        Ok(())
    }

    /// Whatever comes before an object in the order has its id by now. What has none comes
    /// later, after a loop that was broken by force, and is no dependency.
    fn dependencies(&self, node: usize, object: &Object) -> Vec<DumpId> {
        let id_of = |node: &usize| self.dump_ids.get(node).copied();
        if object.exact_needs {
            let needs = object.needs.iter().filter_map(|id| self.graph.node(*id));
            return needs.filter_map(|node| id_of(&node)).collect();
        }
        let before: BTreeSet<DumpId> =
            self.graph.entries_before(node).iter().filter_map(id_of).collect();
        before.into_iter().collect()
    }

    /// The object's own entry; takes the texts that nothing else needs.
    fn entry(&self, object: &mut Object, dependencies: Vec<DumpId>) -> Result<Entry, Error> {
        let mut defn = object.defn.sql(|id| self.graph.detached.contains(&id));
        defn.push_str(&self.depends_on_extensions(object));
        Ok(Entry {
            had_dumper: object.copy.is_some() || object.desc == "BLOBS",
            catalog_id: object.id.row,
            tag: object.tag.clone(),
            defn,
            drop_stmt: take(&mut object.drop_stmt),
            copy_stmt: take(&mut object.copy_stmt),
            namespace: object.namespace.clone(),
            tablespace: object.tablespace.take(),
            table_am: object.table_am.take(),
            relkind: object.relkind,
            owner: object.owner.clone(),
            dependencies,
            ..Entry::new(self.next_id()?, object.desc, "", object.section)
        })
    }

    /// `ALTER ... DEPENDS ON EXTENSION` for the object and the rows it stands for.
    fn depends_on_extensions(&self, object: &Object) -> String {
        let mut sql = String::new();
        for described in places(object).filter(|place| place.subid == 0) {
            for row in self.raw.on_extension(described.row) {
                if let Some(extension) = self.extensions.get(&row) {
                    sql.push_str(&format!(
                        "ALTER {} DEPENDS ON EXTENSION {extension};\n",
                        described.address.sql(),
                    ));
                }
            }
        }
        sql
    }

    /// An entry that belongs to another one and is restored in its section.
    fn attached(
        &self,
        desc: &str,
        object: &Object,
        tag: String,
        defn: String,
        dependencies: Vec<DumpId>,
    ) -> Result<Entry, Error> {
        Ok(Entry {
            tag,
            defn,
            namespace: object.namespace.clone(),
            owner: object.owner.clone(),
            dependencies,
            ..Entry::new(self.next_id()?, desc, "", Section::None)
        })
    }

    fn write_comments(&mut self, object: &Object, id: Option<DumpId>) -> Result<(), Error> {
        for described in places(object) {
            let place = (described.row, described.subid);
            let is_itself = described.row == object.id.row && described.subid == 0;
            let initial = object.initial_comment.filter(|_| is_itself);
            let comment = match (self.annotations.comments.remove(&place), initial) {
                (Some(comment), Some(initial)) if comment == initial => continue,
                (Some(comment), _) => comment,
                (None, Some(_)) => String::new(),
                (None, None) => continue,
            };
            let defn = format!(
                "COMMENT ON {} IS {};\n",
                described.address.sql(),
                quote::quote_literal(&comment)
            );
            let dependencies = id.into_iter().collect();
            let entry =
                self.attached("COMMENT", object, described.address.tag(), defn, dependencies)?;
            self.push(entry);
        }
        Ok(())
    }

    fn write_labels(&mut self, object: &Object, id: Option<DumpId>) -> Result<(), Error> {
        let mut defn = String::new();
        for described in places(object) {
            let place = (described.row, described.subid);
            for (provider, label) in self.annotations.labels.remove(&place).unwrap_or_default() {
                defn.push_str(&format!(
                    "SECURITY LABEL FOR {} ON {} IS {};\n",
                    quote::quote_ident(&provider),
                    described.address.sql(),
                    quote::quote_literal(&label)
                ));
            }
        }
        if !defn.is_empty() {
            let tag = object.address.tag();
            let dependencies = id.into_iter().collect();
            let entry = self.attached("SECURITY LABEL", object, tag, defn, dependencies)?;
            self.push(entry);
        }
        Ok(())
    }

    fn write_acls(&mut self, object: &Object, id: Option<DumpId>) -> Result<(), Error> {
        let mut own = None;
        for acl in &object.acls {
            let defn = self.grants(object, acl)?;
            if defn.is_empty() {
                continue;
            }
            let (_, short) = called(object, acl);
            let tag = match &acl.column {
                Some((_, column)) => format!("COLUMN {short}.{}", quote::quote_ident(column)),
                None => format!("{} {short}", acl.grant_kind),
            };
            let mut dependencies: Vec<DumpId> = id.into_iter().collect();
            if acl.column.is_some() {
                dependencies.extend(own);
            }
            // A statement that another grantor runs needs that role's rights on the schema,
            // which a parallel restore could otherwise grant later.
            let schema = object.namespace.as_ref().and_then(|name| self.schema_acls.get(name));
            dependencies.extend(schema);
            let entry = self.attached("ACL", object, tag, defn, dependencies)?;
            let acl_id = self.push(entry);
            if acl.column.is_none() {
                own = Some(acl_id);
            }
            if object.rank == Rank::Schema {
                self.schema_acls.insert(object.tag.clone(), acl_id);
            }
        }
        Ok(())
    }

    fn grants(&self, object: &Object, acl: &Acl) -> Result<String, Error> {
        let subid = acl.column.as_ref().map_or(0, |(number, _)| *number);
        let recorded = self.annotations.initial_grants.get(&(object.id.row, subid));
        let initial = acl.initial.as_ref().or(recorded);
        let current = match (&acl.current, initial) {
            (Some(current), _) => current,
            (None, Some(_)) => &acl.default,
            (None, None) => return Ok(String::new()),
        };
        let target = grants::Target {
            kind: acl.grant_kind,
            name: called(object, acl).0,
            column: acl.column.as_ref().map(|(_, name)| name.as_str()),
            owner: object.owner.as_deref(),
            prefix: "",
            version: self.version,
        };
        grants::difference(&target, current, initial.unwrap_or(&acl.default))
    }

    /// What was written.
    pub(super) fn finish(self, database: super::DatabaseInfo) -> Result<Plan, Error> {
        let next_dump_id = self.next_id()?;
        let mut object_counts = BTreeMap::new();
        for entry in &self.entries {
            *object_counts.entry(entry.desc.clone()).or_insert(0) += 1;
        }
        Ok(Plan {
            database,
            entries: self.entries,
            tables: self.tables,
            large_objects: self.large_objects,
            left_out: Vec::new(),
            object_counts,
            next_dump_id,
        })
    }
}

/// A place of an object that may have a comment or a label.
struct Place<'o> {
    row: CatalogId,
    subid: i32,
    address: &'o Address,
}

/// Every such place, the object itself first.
fn places(object: &Object) -> impl Iterator<Item = Place<'_>> {
    let itself = Place { row: object.id.row, subid: 0, address: &object.address };
    let others = object.described.iter().map(|described| Place {
        row: described.row,
        subid: described.subid,
        address: &described.address,
    });
    (!object.address.name.is_empty()).then_some(itself).into_iter().chain(others)
}

/// Qualified and short name for `GRANT`.
fn called<'o>(object: &'o Object, acl: &'o Acl) -> (&'o str, &'o str) {
    match &acl.called {
        Some((name, short)) => (name, short),
        None => (&object.address.name, &object.address.short),
    }
}
