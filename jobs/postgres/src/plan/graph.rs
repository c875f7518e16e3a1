//! What must come before what: objects, section boundaries and `pg_depend` as one graph.

use std::collections::{BTreeSet, HashMap, HashSet};

use pgarchive::{CatalogId, Section};

use crate::Error;
use crate::catalog::{Catalog, Emit, Object, ObjectId, Part, Rank};

/// The edge from data and post-data objects to everything that comes before table data.
pub(super) const PRE_DATA: usize = 0;
/// The edge from post-data objects to everything that comes before indexes and constraints.
pub(super) const POST_DATA: usize = 1;
/// Nodes below this number are boundaries; node `n` is object `n - FIRST_OBJECT`.
pub(super) const FIRST_OBJECT: usize = 2;

/// `pg_depend`, sub-objects folded into their row.
#[derive(Debug, Default)]
pub(super) struct RawEdges {
    /// Dependent row, row it depends on, and `deptype`, sorted.
    edges: Vec<(CatalogId, CatalogId, char)>,
}

impl RawEdges {
    /// Reads `pg_depend` whole. Pinned rows name no dependent object; membership of extensions
    /// is an edge like any other, because members exist once their extension does.
    pub(super) async fn load(catalog: &mut Catalog<'_>) -> Result<Self, Error> {
        let mut edges = Vec::new();
        catalog
            .each(
                "reading dependencies",
                "SELECT classid, objid, refclassid, refobjid, deptype FROM pg_depend \
                 WHERE deptype <> 'p' AND (classid, objid) <> (refclassid, refobjid)",
                |row| {
                    let from = CatalogId { catalog: row.oid("classid")?, oid: row.oid("objid")? };
                    let to =
                        CatalogId { catalog: row.oid("refclassid")?, oid: row.oid("refobjid")? };
                    edges.push((from, to, row.char("deptype")?));
                    Ok(())
                },
            )
            .await?;
        Ok(Self::of(edges))
    }

    /// Sorts edges given in any order.
    pub(super) fn of(edges: impl IntoIterator<Item = (CatalogId, CatalogId, char)>) -> Self {
        let mut edges: Vec<_> = edges.into_iter().collect();
        edges.sort_unstable();
        edges.dedup();
        Self { edges }
    }

    /// The edges of one row.
    pub(super) fn from(&self, row: CatalogId) -> &[(CatalogId, CatalogId, char)] {
        let start = self.edges.partition_point(|(from, ..)| *from < row);
        let len = self.edges[start..].partition_point(|(from, ..)| *from == row);
        &self.edges[start..start + len]
    }

    /// All edges.
    pub(super) fn iter(&self) -> impl Iterator<Item = (CatalogId, CatalogId, char)> {
        self.edges.iter().copied()
    }

    /// Extensions that a row was made to depend on by `ALTER ... DEPENDS ON EXTENSION`.
    pub(super) fn on_extension(&self, row: CatalogId) -> impl Iterator<Item = CatalogId> {
        self.from(row).iter().filter(|(.., kind)| *kind == 'x').map(|(_, to, _)| *to)
    }
}

/// Nodes that must come before another one: a set that costs little when it is small.
#[derive(Debug, Clone, Default)]
pub(super) struct Before(Vec<u32>);

impl Before {
    /// Adds a node.
    pub(super) fn insert(&mut self, node: usize) {
        let node = index(node);
        if let Err(place) = self.0.binary_search(&node) {
            self.0.insert(place, node);
        }
    }

    /// Takes a node out.
    pub(super) fn remove(&mut self, node: usize) {
        if let Ok(place) = self.0.binary_search(&index(node)) {
            self.0.remove(place);
        }
    }

    /// Whether it holds a node.
    pub(super) fn contains(&self, node: usize) -> bool {
        self.0.binary_search(&index(node)).is_ok()
    }

    /// The nodes, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|node| *node as usize)
    }
}

/// Nodes are fewer than OIDs, which have 32 bits.
fn index(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}

/// Objects and the edges between them.
#[derive(Debug)]
pub(super) struct Graph {
    /// The objects, in the order they were given.
    pub(super) objects: Vec<Object>,
    /// For each node, the nodes that must come before it.
    pub(super) edges: Vec<Before>,
    /// Inline objects that became entries of their own.
    pub(super) detached: HashSet<ObjectId>,
    by_id: HashMap<ObjectId, usize>,
    by_row: HashMap<CatalogId, usize>,
}

impl Graph {
    /// Connects the objects.
    pub(super) fn new(objects: Vec<Object>, raw: &RawEdges) -> Self {
        let mut by_id = HashMap::new();
        let mut by_row = HashMap::new();
        for (index, object) in objects.iter().enumerate() {
            let node = index + FIRST_OBJECT;
            by_id.insert(object.id, node);
            if object.id.part == Part::Whole {
                by_row.insert(object.id.row, node);
            }
            for row in &object.absorbs {
                by_row.insert(*row, node);
            }
        }
        let edges = vec![Before::default(); objects.len() + FIRST_OBJECT];
        let mut graph = Self { objects, edges, detached: HashSet::new(), by_id, by_row };
        graph.connect_catalog(raw);
        graph.connect_needs(raw);
        graph.connect_inline();
        graph.connect_boundaries();
        graph
    }

    /// The object behind a node; `None` for a boundary.
    pub(super) fn object(&self, node: usize) -> Option<&Object> {
        self.objects.get(node.checked_sub(FIRST_OBJECT)?)
    }

    /// Every object with its node.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (usize, &Object)> {
        self.objects.iter().enumerate().map(|(index, object)| (index + FIRST_OBJECT, object))
    }

    /// Takes the object behind a node, and leaves what the other methods ask of it.
    pub(super) fn take(&mut self, node: usize) -> Option<Object> {
        let object = self.objects.get_mut(node.checked_sub(FIRST_OBJECT)?)?;
        let rest = Object {
            emit: object.emit,
            inline_in: object.inline_in,
            ..Object::new(object.id, object.desc, "", object.section, object.rank)
        };
        Some(std::mem::replace(object, rest))
    }

    /// The object behind a node, to change it.
    pub(super) fn object_mut(&mut self, node: usize) -> Option<&mut Object> {
        self.objects.get_mut(node.checked_sub(FIRST_OBJECT)?)
    }

    /// The node that stands for a row.
    pub(super) fn node_of_row(&self, row: CatalogId) -> Option<usize> {
        self.by_row.get(&row).copied()
    }

    /// The node of an object.
    pub(super) fn node(&self, id: ObjectId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// Whether an object, or a larger one it is part of, stands for this row.
    pub(super) fn covers(&self, row: CatalogId) -> bool {
        self.by_row.contains_key(&row)
    }

    /// Whether the object is inside another one's definition.
    pub(super) fn is_inline(&self, object: &Object) -> bool {
        object.inline_in.is_some() && !self.detached.contains(&object.id)
    }

    /// Refuses defaults that would have to be entries of their own although no statement can
    /// say them there: the expression of a generated column that needs something which needs
    /// its table.
    ///
    /// # Errors
    /// [`Error::Uncovered`] by name.
    pub(super) fn check_defaults(&self, database: &str) -> Result<(), Error> {
        let objects: Vec<String> = (self.objects.iter())
            .filter(|object| object.rank == Rank::Default && self.makes_entry(object))
            .filter(|object| object.defn.0.is_empty())
            .map(|object| format!("generated column {}, which needs itself", object.label()))
            .collect();
        if objects.is_empty() {
            return Ok(());
        }
        Err(Error::Uncovered { database: database.to_owned(), objects })
    }

    /// Whether the object has an entry of its own.
    pub(super) fn makes_entry(&self, object: &Object) -> bool {
        object.emit == Emit::Everything && !self.is_inline(object)
    }

    /// Edges of `pg_depend`, through rows that no object stands for.
    fn connect_catalog(&mut self, raw: &RawEdges) {
        for edges in raw.edges.chunk_by(|(a, ..), (b, ..)| a == b) {
            let (from, ..) = edges[0];
            let Some(&node) = self.by_row.get(&from) else { continue };
            let mut reached = BTreeSet::new();
            let mut visited = HashSet::from([from]);
            for (_, to, _) in edges {
                self.reach(*to, raw, &mut visited, &mut reached);
            }
            reached.remove(&node);
            if let Some(object) = self.object(node) {
                for row in &object.ignores {
                    if let Some(ignored) = self.by_row.get(row) {
                        reached.remove(ignored);
                    }
                }
            }
            for before in reached {
                self.edges[node].insert(before);
            }
        }
    }

    fn reach(
        &self,
        row: CatalogId,
        raw: &RawEdges,
        visited: &mut HashSet<CatalogId>,
        reached: &mut BTreeSet<usize>,
    ) {
        let mut pending = vec![row];
        while let Some(row) = pending.pop() {
            if let Some(&node) = self.by_row.get(&row) {
                reached.insert(node);
            } else if visited.insert(row) {
                pending.extend(raw.from(row).iter().map(|(_, to, _)| *to));
            }
        }
    }

    fn connect_needs(&mut self, raw: &RawEdges) {
        for index in 0..self.objects.len() {
            let node = index + FIRST_OBJECT;
            let mut reached = BTreeSet::new();
            let object = &self.objects[index];
            for need in object.needs.iter().chain(&object.shell) {
                match self.by_id.get(need) {
                    Some(&needed) => {
                        reached.insert(needed);
                    }
                    None => self.reach(need.row, raw, &mut HashSet::new(), &mut reached),
                }
            }
            reached.remove(&node);
            for before in reached {
                self.edges[node].insert(before);
            }
        }
    }

    /// An object needs what is inside its definition; what is inside does not need it.
    fn connect_inline(&mut self) {
        for index in 0..self.objects.len() {
            let node = index + FIRST_OBJECT;
            let Some(parent) = self.objects[index].inline_in.and_then(|id| self.node(id)) else {
                continue;
            };
            self.edges[node].remove(parent);
            self.edges[parent].insert(node);
        }
    }

    fn connect_boundaries(&mut self) {
        self.edges[POST_DATA].insert(PRE_DATA);
        for index in 0..self.objects.len() {
            let node = index + FIRST_OBJECT;
            let object = &self.objects[index];
            match object.section {
                Section::PreData => {
                    self.edges[PRE_DATA].insert(node);
                }
                Section::Data => {
                    self.edges[node].insert(PRE_DATA);
                    self.edges[POST_DATA].insert(node);
                }
                Section::PostData if !self.is_inline(object) => {
                    self.edges[node].insert(POST_DATA);
                }
                Section::PostData | Section::None => {}
            }
        }
    }

    /// Entries that an object's entry depends on, by node: its edges, through objects that
    /// make no entry, never through a boundary.
    pub(super) fn entries_before(&self, node: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut visited = HashSet::from([node]);
        let mut pending: Vec<usize> = self.edges[node].iter().collect();
        while let Some(next) = pending.pop() {
            if !visited.insert(next) {
                continue;
            }
            match self.object(next) {
                Some(object) if self.makes_entry(object) => {
                    found.insert(next);
                }
                Some(_) => pending.extend(self.edges[next].iter()),
                None => {}
            }
        }
        found
    }
}
