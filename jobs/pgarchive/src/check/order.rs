//! Numbers and dependencies.

use std::collections::BTreeMap;

use super::{Problem, label};
use crate::{DumpId, Toc};

/// Numbers are unique, and dependencies lead to entries and never in a circle.
pub(super) fn check(toc: &Toc) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut places: BTreeMap<DumpId, usize> = BTreeMap::new();
    for (at, entry) in toc.entries.iter().enumerate() {
        if places.insert(entry.dump_id, at).is_some() {
            problems.push(Problem::DuplicateId { entry: label(entry) });
        }
    }
    for entry in &toc.entries {
        for dependency in entry.dependencies.iter().filter(|id| !places.contains_key(id)) {
            problems
                .push(Problem::MissingDependency { entry: label(entry), dependency: *dependency });
        }
    }
    problems.extend(cycle(toc, &places));
    problems
}

/// Takes away, again and again, entries that wait for nothing; what stays waits for itself.
fn cycle(toc: &Toc, places: &BTreeMap<DumpId, usize>) -> Option<Problem> {
    let mut waiting = vec![0_usize; toc.entries.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); toc.entries.len()];
    for (at, entry) in toc.entries.iter().enumerate() {
        for dependency in entry.dependencies.iter().filter_map(|id| places.get(id)) {
            if let (Some(count), Some(list)) =
                (waiting.get_mut(at), dependents.get_mut(*dependency))
            {
                *count += 1;
                list.push(at);
            }
        }
    }
    let mut free: Vec<usize> =
        waiting.iter().enumerate().filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
    let mut left = toc.entries.len();
    while let Some(at) = free.pop() {
        left -= 1;
        for dependent in dependents.get(at).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(*dependent) {
                *count -= 1;
                if *count == 0 {
                    free.push(*dependent);
                }
            }
        }
    }
    let stuck = toc.entries.iter().zip(&waiting).find(|(_, count)| **count > 0)?;
    Some(Problem::Cycle { entry: label(stuck.0), others: left.saturating_sub(1) })
}
