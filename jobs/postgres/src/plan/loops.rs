//! Breaking dependency loops as `pg_dump` does.

use pgarchive::Section;

use super::graph::{Graph, POST_DATA, PRE_DATA};
use crate::catalog::{Emit, Rank};

/// Breaks at least one loop among the nodes that could not be sorted. Loops that share no node
/// are broken together; of loops that overlap only the first, since that may mend the others.
pub(super) fn repair(graph: &mut Graph, stuck: &[usize]) {
    let mut processed = vec![false; graph.edges.len()];
    let mut fruitless = vec![usize::MAX; graph.edges.len()];
    let mut found_any = false;
    for &start in stuck {
        match find(graph, start, &processed, &mut fruitless) {
            Some(members) => {
                break_one(graph, &members);
                found_any = true;
                for member in members {
                    processed[member] = true;
                }
            }
            None => processed[start] = true,
        }
    }
    debug_assert!(found_any, "a topological sort failed without a loop");
}

/// A loop through `start` that touches no processed node: each member depends on the next, the
/// last on the first. `fruitless[n] == start` marks nodes with no way back to `start`.
fn find(
    graph: &Graph,
    start: usize,
    processed: &[bool],
    fruitless: &mut [usize],
) -> Option<Vec<usize>> {
    if processed[start] {
        return None;
    }
    let mut path = vec![start];
    let mut on_path = vec![false; graph.edges.len()];
    on_path[start] = true;
    let mut branches = vec![graph.edges[start].iter()];
    while let Some(branch) = branches.last_mut() {
        let Some(next) = branch.next() else {
            branches.pop();
            if let Some(node) = path.pop() {
                fruitless[node] = start;
                on_path[node] = false;
            }
            continue;
        };
        if processed[next] || on_path[next] || fruitless[next] == start {
            continue;
        }
        path.push(next);
        on_path[next] = true;
        if graph.edges[next].contains(start) {
            return Some(path);
        }
        branches.push(graph.edges[next].iter());
    }
    None
}

fn break_one(graph: &mut Graph, members: &[usize]) {
    if let [a, b] = *members
        && (shell_instead(graph, a, b) || shell_instead(graph, b, a))
    {
        return;
    }
    let repaired = detach(graph, members, |rank| rank == Rank::Rule)
        || postpone(graph, members, Rank::Table)
        || postpone(graph, members, Rank::Function)
        || detach(graph, members, |rank| rank == Rank::Constraint)
        || detach(graph, members, |rank| rank == Rank::Default)
        || detach(graph, members, |_| true);
    if !repaired {
        break_anywhere(graph, members);
    }
}

/// A type and its I/O or canonical function need each other: let the function need the shell.
fn shell_instead(graph: &mut Graph, type_node: usize, function_node: usize) -> bool {
    let (Some(type_object), Some(function)) =
        (graph.object(type_node), graph.object(function_node))
    else {
        return false;
    };
    if type_object.rank != Rank::Type || function.rank != Rank::Function {
        return false;
    }
    let wanted = function.emit != Emit::Nothing;
    let shell = type_object.shell.and_then(|id| graph.node(id));
    graph.edges[function_node].remove(type_node);
    if let Some(shell) = shell {
        graph.edges[function_node].insert(shell);
        if let Some(object) = graph.object_mut(shell)
            && wanted
        {
            object.emit = Emit::Everything;
        }
    }
    true
}

/// Takes an object out of the definition of another one in the loop.
fn detach(graph: &mut Graph, members: &[usize], of_rank: impl Fn(Rank) -> bool) -> bool {
    for &node in members {
        let Some(object) = graph.object(node) else { continue };
        let Some(parent) = object.inline_in.and_then(|id| graph.node(id)) else { continue };
        if !graph.is_inline(object) || !of_rank(object.rank) || !members.contains(&parent) {
            continue;
        }
        let (id, section) = (object.id, object.section);
        graph.detached.insert(id);
        graph.edges[parent].remove(node);
        graph.edges[node].insert(parent);
        if section == Section::PostData {
            graph.edges[node].insert(POST_DATA);
        }
        return true;
    }
    false
}

/// Lets a function or materialized view that needs post-data objects be one itself. What the
/// boundary needs next in the loop need not be that object: then its turn comes with a later loop.
fn postpone(graph: &mut Graph, members: &[usize], rank: Rank) -> bool {
    let Some(boundary) = members.iter().position(|&node| node == PRE_DATA) else { return false };
    let movable = |node: usize| {
        graph.object(node).is_some_and(|object| object.postponable && object.rank == rank)
    };
    if !members.iter().any(|&node| movable(node)) {
        return false;
    }
    let next = members[(boundary + 1) % members.len()];
    let moves = movable(next);
    graph.edges[PRE_DATA].remove(next);
    if moves && let Some(object) = graph.object_mut(next) {
        object.section = Section::PostData;
    }
    true
}

/// No principled way: say so, and cut the first edge.
fn break_anywhere(graph: &mut Graph, members: &[usize]) {
    let names: Vec<String> = members
        .iter()
        .map(|&node| match (node, graph.object(node)) {
            (_, Some(object)) => object.label(),
            (PRE_DATA, None) => "the boundary before table data".to_owned(),
            (_, None) => "the boundary after table data".to_owned(),
        })
        .collect();
    tracing::warn!(
        objects = names.join(", "),
        "these objects need each other; the archive may not restore without help"
    );
    let (from, to) = (members[0], members[1 % members.len()]);
    graph.edges[from].remove(to);
}
