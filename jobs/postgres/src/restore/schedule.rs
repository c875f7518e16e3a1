//! What may be restored when: `pg_restore`'s phases, passes, dependencies and lock rules,
//! as a pure state machine that the scheduler drives.
//!
//! The rules are those of `restore_toc_entries_parallel` and `fix_dependencies` in
//! `pg_backup_archiver.c`, with one difference: an entry of the post-data section waits for
//! *every* data entry of a table it depends on, so that a table may be split into chunks.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use pgarchive::{DumpId, Entry, Section};

use super::sql;

/// Entries are restored in three passes: grants come after everything that they could hinder,
/// event triggers and refreshes after the grants that they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pass {
    Main,
    Acl,
    PostAcl,
}

impl Pass {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.desc.as_str() {
            "ACL" | "DEFAULT ACL" => Self::Acl,
            "EVENT TRIGGER" | "MATERIALIZED VIEW DATA" => Self::PostAcl,
            "COMMENT" | "SECURITY LABEL" if entry.tag.starts_with("EVENT TRIGGER ") => {
                Self::PostAcl
            }
            "STATISTICS DATA" if entry.section == Section::PostData => Self::PostAcl,
            _ => Self::Main,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Main => Some(Self::Acl),
            Self::Acl => Some(Self::PostAcl),
            Self::PostAcl => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Restored in the first phase, one after the other.
    Serial,
    /// Waits for its dependencies or its pass.
    Pending,
    /// May start as soon as a session is free and no lock stands against it.
    Ready,
    Running,
    Done,
}

#[derive(Debug)]
struct Node {
    wanted: bool,
    pass: Pass,
    state: State,
    /// Bytes of data behind it; the largest first, so that no large one is left for the end.
    weight: u64,
    waits_for: usize,
    unlocks: Vec<usize>,
    /// Tables it uses, in any lock mode.
    tables: Vec<usize>,
    /// Whether it locks those tables exclusively.
    exclusive: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Restore the entry at this index; call [`Schedule::finish`] afterwards.
    Run(usize),
    /// Something that runs must finish first.
    Wait,
    /// All is done.
    Finished,
}

/// The order of one restore. Indices are positions in the archive's entries.
#[derive(Debug)]
pub(super) struct Schedule {
    nodes: Vec<Node>,
    pass: Pass,
    ready: BTreeSet<(Reverse<u64>, usize)>,
    running: BTreeSet<usize>,
}

impl Schedule {
    /// A schedule for `entries`, of which those that are not `wanted` only pass dependencies
    /// on. `weights` are the bytes of each entry's data file.
    pub(super) fn new(entries: &[Entry], wanted: &[bool], weights: &[u64]) -> Self {
        let by_id: HashMap<DumpId, usize> =
            entries.iter().enumerate().map(|(index, entry)| (entry.dump_id, index)).collect();
        let data = DataOfTables::new(entries, &by_id);
        let mut skipped_some = false;
        let mut nodes: Vec<Node> = Vec::with_capacity(entries.len());
        let mut waits: Vec<BTreeSet<usize>> = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let pass = Pass::of(entry);
            skipped_some |= matches!(entry.section, Section::Data | Section::PostData);
            let early = match entry.section {
                Section::PreData => true,
                Section::None => !skipped_some,
                Section::Data | Section::PostData => false,
            };
            let direct = entry.dependencies.iter().filter_map(|id| by_id.get(id));
            let mut waits_for: BTreeSet<usize> = BTreeSet::new();
            let mut tables: BTreeSet<usize> = BTreeSet::new();
            let mut weight = weights.get(index).copied().unwrap_or_default();
            for &needed in direct {
                waits_for.insert(needed);
                if entry.section != Section::PostData {
                    continue;
                }
                if let Some(table) = data.table_of(entries, needed) {
                    tables.insert(table);
                    for &chunk in data.of(table) {
                        waits_for.insert(chunk);
                        weight = weight.max(weights.get(chunk).copied().unwrap_or_default());
                    }
                }
            }
            if entry.section == Section::PostData && data.crosses_tables {
                waits_for.extend(data.all());
            }
            waits_for.remove(&index);
            nodes.push(Node {
                wanted: wanted.get(index).copied().unwrap_or(false),
                pass,
                state: if early && pass == Pass::Main { State::Serial } else { State::Pending },
                weight,
                waits_for: waits_for.len(),
                unlocks: Vec::new(),
                tables: tables.into_iter().collect(),
                exclusive: entry.section == Section::PostData && entry.desc != "INDEX",
            });
            waits.push(waits_for);
        }
        for (index, waits_for) in waits.iter().enumerate() {
            for &needed in waits_for {
                if let Some(node) = nodes.get_mut(needed) {
                    node.unlocks.push(index);
                }
            }
        }
        Self { nodes, pass: Pass::Main, ready: BTreeSet::new(), running: BTreeSet::new() }
    }

    /// Entries of the first phase, in archive order, to be restored one after the other.
    /// Counts them as done: what depends on them may start.
    pub(super) fn take_serial(&mut self) -> Vec<usize> {
        let serial: Vec<usize> = (0..self.nodes.len())
            .filter(|&index| self.state(index) == Some(State::Serial))
            .collect();
        for &index in &serial {
            self.complete(index);
        }
        self.enter_pass(Pass::Main);
        serial
            .into_iter()
            .filter(|&index| self.nodes.get(index).is_some_and(|node| node.wanted))
            .collect()
    }

    /// Entries that are still to be restored.
    pub(super) fn unfinished(&self) -> usize {
        self.nodes.iter().filter(|node| node.wanted && node.state != State::Done).count()
    }

    /// The next entry that may start now.
    pub(super) fn next(&mut self) -> Next {
        loop {
            let free = self.ready.iter().find(|&&(_, index)| !self.conflicts(index)).copied();
            if let Some(key) = free {
                self.ready.remove(&key);
                let (_, index) = key;
                if self.nodes.get(index).is_some_and(|node| node.wanted) {
                    self.set_state(index, State::Running);
                    self.running.insert(index);
                    return Next::Run(index);
                }
                self.complete(index);
            } else if !self.running.is_empty() {
                return Next::Wait;
            } else if let Some(stuck) = self.stuck() {
                // A loop of dependencies, which a sound archive does not have: take the
                // first of it, in archive order, and let the server judge.
                self.make_ready(stuck);
            } else if let Some(pass) = self.pass.next() {
                self.enter_pass(pass);
            } else {
                return Next::Finished;
            }
        }
    }

    /// Entry `index` has been restored.
    pub(super) fn finish(&mut self, index: usize) {
        self.running.remove(&index);
        self.complete(index);
    }

    fn state(&self, index: usize) -> Option<State> {
        self.nodes.get(index).map(|node| node.state)
    }

    fn set_state(&mut self, index: usize, state: State) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.state = state;
        }
    }

    fn complete(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        node.state = State::Done;
        for unlocked in std::mem::take(&mut node.unlocks) {
            if let Some(node) = self.nodes.get_mut(unlocked) {
                node.waits_for = node.waits_for.saturating_sub(1);
                if node.waits_for == 0 && node.state == State::Pending && node.pass == self.pass {
                    self.make_ready(unlocked);
                }
            }
        }
    }

    fn enter_pass(&mut self, pass: Pass) {
        self.pass = pass;
        for index in 0..self.nodes.len() {
            if let Some(node) = self.nodes.get(index)
                && node.state == State::Pending
                && node.pass == pass
                && node.waits_for == 0
            {
                self.make_ready(index);
            }
        }
    }

    fn make_ready(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.state = State::Ready;
            self.ready.insert((Reverse(node.weight), index));
        }
    }

    /// First entry of this pass that still waits although nothing runs.
    fn stuck(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.state == State::Pending && node.pass == self.pass)
    }

    /// Whether a running entry uses a table that this one locks exclusively, or the reverse.
    fn conflicts(&self, index: usize) -> bool {
        let Some(node) = self.nodes.get(index) else {
            return false;
        };
        self.running
            .iter()
            .filter_map(|&running| self.nodes.get(running))
            .filter(|running| running.exclusive || node.exclusive)
            .any(|running| running.tables.iter().any(|table| node.tables.contains(table)))
    }
}

/// Which data entries belong to which table. Chunks of a split table have no dependencies
/// (stock `pg_restore` would truncate between them), so they are found by name.
struct DataOfTables<'a> {
    by_table: HashMap<usize, Vec<usize>>,
    tables_by_name: HashMap<(&'a str, &'a str), usize>,
    /// Whether rows of one table's data may land in another (`--load-via-partition-root`).
    crosses_tables: bool,
}

impl<'a> DataOfTables<'a> {
    fn new(entries: &'a [Entry], by_id: &HashMap<DumpId, usize>) -> Self {
        let tables_by_name: HashMap<_, _> = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.desc == "TABLE")
            .map(|(index, entry)| (name_of(entry), index))
            .collect();
        let mut by_table: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut crosses_tables = false;
        for (index, entry) in entries.iter().enumerate() {
            if entry.desc != "TABLE DATA" {
                continue;
            }
            crosses_tables |= loads_via_partition_root(entry);
            let depended = entry
                .dependencies
                .iter()
                .filter_map(|id| by_id.get(id).copied())
                .find(|&needed| entries.get(needed).is_some_and(|e| e.desc == "TABLE"));
            if let Some(table) = depended.or_else(|| tables_by_name.get(&name_of(entry)).copied()) {
                by_table.entry(table).or_default().push(index);
            }
        }
        Self { by_table, tables_by_name, crosses_tables }
    }

    /// The table that entry `index` is, or whose rows it holds.
    fn table_of(&self, entries: &[Entry], index: usize) -> Option<usize> {
        let entry = entries.get(index)?;
        match entry.desc.as_str() {
            "TABLE" => Some(index),
            "TABLE DATA" => self.tables_by_name.get(&name_of(entry)).copied(),
            _ => None,
        }
    }

    fn of(&self, table: usize) -> &[usize] {
        self.by_table.get(&table).map_or(&[], Vec::as_slice)
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        self.by_table.values().flatten().copied()
    }
}

fn name_of(entry: &Entry) -> (&str, &str) {
    (entry.namespace.as_deref().unwrap_or_default(), &entry.tag)
}

/// Whether this data was dumped with `--load-via-partition-root`. `pg_dump` marks it with a
/// comment in the definition; versions before 2023 leave only a `COPY` into another table.
pub(super) fn loads_via_partition_root(entry: &Entry) -> bool {
    entry.defn.starts_with("-- load via partition root ")
        || sql::copied_table(&entry.copy_stmt).is_some_and(|table| table != entry.tag)
}

#[cfg(test)]
mod tests;
