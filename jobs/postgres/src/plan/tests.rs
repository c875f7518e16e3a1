//! Orders and broken loops, on objects made up for the purpose.

use pgarchive::{CatalogId, Section};

use super::graph::{Graph, RawEdges};
use super::sort;
use crate::catalog::{Definition, Emit, Object, ObjectId, Part, Piece, Rank, class};

fn row(catalog: u32, oid: u32) -> CatalogId {
    CatalogId { catalog, oid }
}

fn object(catalog: u32, oid: u32, name: &str, section: Section, rank: Rank) -> Object {
    Object {
        namespace: Some("public".into()),
        ..Object::new(ObjectId::whole(row(catalog, oid)), "OBJECT", name, section, rank)
    }
}

fn table(oid: u32, name: &str) -> Object {
    object(class::PG_CLASS, oid, name, Section::PreData, Rank::Table)
}

fn function(oid: u32, name: &str) -> Object {
    let function = object(class::PG_PROC, oid, name, Section::PreData, Rank::Function);
    Object { postponable: true, ..function }
}

/// Sorts, and gives the names of entries in their order.
fn sorted(graph: &mut Graph) -> Vec<String> {
    let order = sort::sort(graph);
    let objects = order.iter().filter_map(|&node| graph.object(node));
    objects.filter(|object| graph.makes_entry(object)).map(|object| object.tag.clone()).collect()
}

fn graph(objects: Vec<Object>, edges: &[(CatalogId, CatalogId)]) -> Graph {
    Graph::new(objects, &RawEdges::of(edges.iter().map(|(from, to)| (*from, *to, 'n'))))
}

#[test]
fn classes_then_schemas_then_names_decide_where_nothing_else_does() {
    let other = Object { namespace: Some("other".into()), ..table(3, "z") };
    let mut graph = graph(vec![table(1, "b"), function(9, "f"), table(2, "a"), other], &[]);
    assert_eq!(sorted(&mut graph), ["f", "z", "a", "b"]);
}

#[test]
fn dependencies_hold_through_rows_that_no_object_stands_for() {
    let array = row(class::PG_TYPE, 70);
    let rowtype = row(class::PG_TYPE, 71);
    let (a, b) = (table(1, "a"), table(2, "b"));
    let edges = [(a.id.row, array), (array, rowtype), (rowtype, b.id.row)];
    let mut graph = graph(vec![a, b], &edges);
    assert_eq!(sorted(&mut graph), ["b", "a"]);
}

#[test]
fn a_type_and_its_functions_meet_in_the_shell() {
    let mut base = object(class::PG_TYPE, 1, "type", Section::PreData, Rank::Type);
    let shell_id = ObjectId::part(base.id.row, Part::Shell);
    base.shell = Some(shell_id);
    let shell = Object {
        emit: Emit::Nothing,
        ..Object::new(shell_id, "SHELL TYPE", "shell", Section::PreData, Rank::Type)
    };
    let (input, output) = (function(2, "input"), function(3, "output"));
    let mut edges = Vec::new();
    for function in [&input, &output] {
        edges.push((base.id.row, function.id.row));
        edges.push((function.id.row, base.id.row));
    }
    let mut graph = graph(vec![base, shell, input, output], &edges);
    assert_eq!(sorted(&mut graph), ["shell", "input", "output", "type"]);
}

/// A table whose column `default` is inline, as in `CREATE TABLE`.
fn table_with_default() -> (Object, Object) {
    let mut table = table(1, "table");
    let default = Object {
        inline_in: Some(table.id),
        ..object(class::PG_ATTRDEF, 2, "default", Section::PreData, Rank::Default)
    };
    table.defn = Definition(vec![
        Piece::Text("a".into()),
        Piece::Inline { object: default.id, attached: " inline".into(), detached: String::new() },
    ]);
    (table, default)
}

#[test]
fn a_default_stays_inline_until_a_loop_takes_it_out() {
    let (table, default) = table_with_default();
    let function = function(3, "function");
    let edges = [(default.id.row, table.id.row), (default.id.row, function.id.row)];
    let mut calm = graph(vec![table.clone(), default.clone(), function.clone()], &edges);
    assert_eq!(sorted(&mut calm), ["function", "table"]);
    assert_eq!(table.defn.sql(|id| calm.detached.contains(&id)), "a inline");

    let mut edges = edges.to_vec();
    edges.push((function.id.row, table.id.row)); // it takes the table's row type
    let mut looped = graph(vec![table.clone(), default, function], &edges);
    assert_eq!(sorted(&mut looped), ["table", "function", "default"]);
    assert_eq!(table.defn.sql(|id| looped.detached.contains(&id)), "a");
}

#[test]
fn views_that_need_each_other_get_a_placeholder_and_a_rule_after_data() {
    let view = |oid: u32, name: &str| {
        let view = table(oid, name);
        let rule = Object {
            inline_in: Some(view.id),
            ..object(class::PG_REWRITE, oid, &format!("{name}_rule"), Section::PostData, Rank::Rule)
        };
        (view, rule)
    };
    let ((a, a_rule), (b, b_rule)) = (view(1, "a"), view(2, "b"));
    let edges = [
        (a_rule.id.row, a.id.row),
        (b_rule.id.row, b.id.row),
        (a_rule.id.row, b.id.row),
        (b_rule.id.row, a.id.row),
    ];
    let mut graph = graph(vec![a, a_rule, b, b_rule], &edges);
    let order = sorted(&mut graph);
    assert_eq!(graph.detached.len(), 1, "one placeholder is enough: {order:?}");
    assert_eq!(order, ["a", "b", "a_rule"]);
}

#[test]
fn a_function_that_needs_a_key_comes_after_data() {
    let function = function(1, "function");
    let key = object(class::PG_CONSTRAINT, 2, "key", Section::PostData, Rank::Constraint);
    let table = table(3, "table");
    let edges = [(function.id.row, key.id.row), (key.id.row, table.id.row)];
    let mut graph = graph(vec![function.clone(), key, table], &edges);
    assert_eq!(sorted(&mut graph), ["table", "key", "function"]);
    let node = graph.node(function.id).unwrap();
    assert_eq!(graph.object(node).unwrap().section, Section::PostData);
}

#[test]
fn a_loop_without_a_way_out_is_broken_the_same_way_each_time() {
    let make = || {
        let (a, b, c) = (table(1, "a"), table(2, "b"), table(3, "c"));
        let edges = [(a.id.row, b.id.row), (b.id.row, c.id.row), (c.id.row, a.id.row)];
        graph(vec![a, b, c], &edges)
    };
    let first = sorted(&mut make());
    assert_eq!(first.len(), 3);
    assert_eq!(first, sorted(&mut make()));
}

#[test]
fn thousands_of_objects_in_one_chain_do_not_overflow_the_stack() {
    let count = 20_000;
    let objects: Vec<Object> = (1..=count).map(|oid| table(oid, &format!("t{oid:05}"))).collect();
    let id = |oid| row(class::PG_CLASS, oid);
    let mut edges: Vec<_> = (1..count).map(|oid| (id(oid), id(oid + 1))).collect();
    edges.push((id(count), id(1)));
    assert_eq!(sorted(&mut graph(objects, &edges)).len(), count as usize);
}
