//! A safe order that stays as close as it can to the order of classes and names.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::graph::{Before, Graph, POST_DATA, PRE_DATA};
use super::loops;
use crate::catalog::Rank;

/// Sorts the graph's nodes, boundaries included, breaking loops where there are any.
pub(super) fn sort(graph: &mut Graph) -> Vec<usize> {
    let by_name = by_class_and_name(graph);
    loop {
        match topological(graph, &by_name) {
            Ok(order) => return order,
            Err(stuck) => loops::repair(graph, &stuck),
        }
    }
}

/// The order that people expect to read: by class, schema and name.
fn by_class_and_name(graph: &Graph) -> Vec<usize> {
    let mut nodes: Vec<usize> = (0..graph.edges.len()).collect();
    nodes.sort_by(|&a, &b| {
        rank(graph, a).cmp(&rank(graph, b)).then_with(|| match (graph.object(a), graph.object(b)) {
            (Some(a), Some(b)) => by_namespace(a.namespace.as_ref(), b.namespace.as_ref())
                .then_with(|| a.order.cmp(&b.order))
                .then_with(|| a.desc.cmp(b.desc))
                .then_with(|| a.id.cmp(&b.id)),
            _ => a.cmp(&b),
        })
    });
    nodes
}

fn rank(graph: &Graph, node: usize) -> Rank {
    match (node, graph.object(node)) {
        (PRE_DATA, _) => Rank::PreDataBoundary,
        (POST_DATA, _) | (_, None) => Rank::PostDataBoundary,
        (_, Some(object)) => object.rank,
    }
}

/// Objects without a schema come after those with one.
fn by_namespace(a: Option<&String>, b: Option<&String>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// Knuth's topological sort from the end: of all nodes that nothing left must follow, the one
/// that stands last in `preferred` goes last. Nodes that could not be placed are the error.
fn topological(graph: &Graph, preferred: &[usize]) -> Result<Vec<usize>, Vec<usize>> {
    let mut followers = vec![0_usize; graph.edges.len()];
    for before in graph.edges.iter().flat_map(Before::iter) {
        followers[before] += 1;
    }
    let mut place = vec![0_usize; graph.edges.len()];
    for (index, &node) in preferred.iter().enumerate() {
        place[node] = index;
    }
    let mut ready: BinaryHeap<usize> =
        (0..preferred.len()).filter(|&index| followers[preferred[index]] == 0).collect();
    let mut order = Vec::with_capacity(preferred.len());
    while let Some(index) = ready.pop() {
        let node = preferred[index];
        order.push(node);
        for before in graph.edges[node].iter() {
            followers[before] -= 1;
            if followers[before] == 0 {
                ready.push(place[before]);
            }
        }
    }
    if order.len() < preferred.len() {
        return Err((0..followers.len()).filter(|&node| followers[node] > 0).collect());
    }
    order.reverse();
    Ok(order)
}
