//! `CREATE TABLE` and `CREATE FOREIGN TABLE`, and the defaults of columns.

use std::fmt::Write as _;

use pgarchive::{CatalogId, Section};

use super::class::{Kind, Persistence, Relation};
use super::column::{Column, Expression, Generated};
use super::constraint::Check;
use super::inventory::Relations;
use super::options;
use super::table::{self, Details};
use crate::catalog::{Address, Definition, Object, ObjectId, Piece, Rank, class};
use crate::quote;

/// Whether `CREATE TABLE` names the column: not if only its parents declare it, for then it
/// would become local. A partition is created alone and names all.
fn is_printed(table: &Relation, column: &Column) -> bool {
    column.is_local || table.is_partition
}

/// `CREATE TABLE` and what follows it.
pub(super) fn definition(
    relations: &Relations,
    table: &Relation,
    details: &Details,
    checks: &[Check],
) -> Definition {
    // Partitioned tables have no storage to be unlogged; PostgreSQL 18 refuses the word.
    let is_unlogged = table.persistence == Persistence::Unlogged && table.kind != Kind::Partitioned;
    let unlogged = if is_unlogged { "UNLOGGED " } else { "" };
    let mut head = format!("CREATE {unlogged}{} {}", table.kind.keyword(), table.sql);
    if let Some(of_type) = &details.of_type {
        let _ = write!(head, " OF {of_type}");
    }
    let mut items = Vec::new();
    let columns = table.columns.iter();
    for item in columns.filter_map(|column| item(table, column, details.of_type.is_some())) {
        push_item(&mut items, item);
    }
    for check in checks.iter().filter_map(|check| check.inline(table)) {
        push_item(&mut items, check);
    }
    let empty = if details.of_type.is_some() { "" } else { " (\n)" };
    let mut tail = String::new();
    if !table.parents.is_empty() && !table.is_partition {
        let parents: Vec<&str> = (table.parents.iter())
            .filter_map(|&parent| relations.get(parent))
            .map(|parent| parent.sql.as_str())
            .collect();
        let _ = write!(tail, "\nINHERITS ({})", parents.join(", "));
    }
    if let Some(key) = &details.partition_key {
        let _ = write!(tail, "\nPARTITION BY {key}");
    }
    if let Some((server, _)) = &details.server {
        let _ = write!(tail, "\nSERVER {}", quote::quote_ident(server));
    }
    options::push_with(&mut tail, "\n", &table.options, &table.toast_options);
    if let Some((_, options)) = &details.server
        && !options.is_empty()
    {
        let _ = write!(tail, "\nOPTIONS (\n    {options}\n)");
    }
    tail.push_str(";\n");
    push_column_properties(&mut tail, table);
    push_table_properties(&mut tail, table);
    Definition(vec![Piece::Text(head), Piece::List { items, empty }, Piece::Text(tail)])
}

/// A column in the list of `CREATE TABLE`, or a `NOT NULL` that the table adds to a column
/// that it inherits.
fn item(table: &Relation, column: &Column, is_typed: bool) -> Option<Definition> {
    let name = quote::quote_ident(&column.name);
    if !is_printed(table, column) {
        let not_null = column.not_null.as_ref().filter(|not_null| not_null.is_local)?;
        let chosen = (not_null.name.as_ref())
            .map(|chosen| format!("CONSTRAINT {} ", quote::quote_ident(chosen)))
            .unwrap_or_default();
        // Before version 18 it is no constraint of its own: see `push_column_properties`.
        column.not_null_constraint?;
        let no_inherit = if not_null.no_inherit { " NO INHERIT" } else { "" };
        return Some(format!("{chosen}NOT NULL {name}{no_inherit}").into());
    }
    let default = default_piece(column);
    let not_null =
        column.not_null.as_ref().filter(|not_null| not_null.is_local || table.is_partition);
    if is_typed && default.is_none() && not_null.is_none() {
        return None;
    }
    let mut pieces = vec![Piece::Text(name)];
    if !is_typed {
        push_text(&mut pieces, &[" ", &column.type_sql]);
        if let Some(collation) = &column.collation {
            push_text(&mut pieces, &[" COLLATE ", collation]);
        }
    }
    match default {
        Some(Piece::Text(text)) => push_text(&mut pieces, &[&text]),
        other => pieces.extend(other),
    }
    if let Some(not_null) = not_null {
        if let Some(name) = &not_null.name {
            push_text(&mut pieces, &[" CONSTRAINT ", &quote::quote_ident(name)]);
        }
        push_text(&mut pieces, &[" NOT NULL"]);
        if not_null.no_inherit {
            push_text(&mut pieces, &[" NO INHERIT"]);
        }
    }
    Some(Definition(pieces))
}

/// Text after text is one piece: of thousands of tables, most have no others.
fn push_text(pieces: &mut Vec<Piece>, texts: &[&str]) {
    let text = texts.concat();
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(&text),
        _ => pieces.push(Piece::Text(text)),
    }
}

/// Items that nothing is ever taken out of are one item.
fn push_item(items: &mut Vec<Definition>, item: Definition) {
    if let Some(Definition(last)) = items.last_mut()
        && let ([Piece::Text(last)], [Piece::Text(text)]) = (last.as_mut_slice(), item.0.as_slice())
    {
        last.push_str(",\n    ");
        last.push_str(text);
    } else {
        items.push(item);
    }
}

fn default_piece(column: &Column) -> Option<Piece> {
    if column.resets_default {
        return Some(Piece::Text(" DEFAULT NULL".into()));
    }
    let default = column.default.as_ref().filter(|default| !default.is_inherited)?;
    let sql = match column.generated {
        Generated::Never => format!(" DEFAULT {}", default.sql),
        Generated::Stored => format!(" GENERATED ALWAYS AS ({}) STORED", default.sql),
        Generated::Virtual => format!(" GENERATED ALWAYS AS ({})", default.sql),
    };
    Some(if default.is_alone {
        Piece::Text(sql)
    } else {
        Piece::Inline { object: default_id(default), attached: sql, detached: String::new() }
    })
}

fn default_id(default: &Expression) -> ObjectId {
    ObjectId::whole(CatalogId { catalog: class::PG_ATTRDEF, oid: default.oid })
}

/// The defaults of a table's or view's columns.
pub(super) fn defaults(table: &Relation) -> impl Iterator<Item = Object> {
    table.columns.iter().filter_map(|column| {
        let default = column.default.as_ref().filter(|default| !default.is_inherited)?;
        let is_inline = table::is_table(table.kind) && is_printed(table, column);
        if is_inline && default.is_alone {
            return None;
        }
        let alter = table.kind.alter();
        let name = quote::quote_ident(&column.name);
        // There is no statement that makes a column generated later on: without a definition
        // the planner refuses to have it apart.
        let mut defn = Definition::default();
        let mut drop_stmt = String::new();
        if column.generated == Generated::Never {
            defn = format!(
                "{alter} ONLY {} ALTER COLUMN {name} SET DEFAULT {};\n",
                table.sql, default.sql
            )
            .into();
            drop_stmt = format!("{alter} {} ALTER COLUMN {name} DROP DEFAULT;\n", table.sql);
        }
        Some(Object {
            tag: format!("{} {}", table.name, column.name),
            order: vec![table.name.clone(), format!("{:05}", column.number)],
            defn,
            drop_stmt,
            inline_in: is_inline.then(|| table.id()),
            address: Address::default(),
            ..table.part(default_id(default), "DEFAULT", Section::PreData, Rank::Default)
        })
    })
}

/// Properties of columns that only `ALTER TABLE` can set.
pub(super) fn push_column_properties(sql: &mut String, table: &Relation) {
    for column in &table.columns {
        let is_inherited = table::is_table(table.kind) && !is_printed(table, column);
        let sets_not_null = is_inherited
            && column.not_null_constraint.is_none()
            && column.not_null.as_ref().is_some_and(|not_null| not_null.is_local);
        let alter = format!(
            "{} ONLY {} ALTER COLUMN {}",
            table.kind.alter(),
            table.sql,
            quote::quote_ident(&column.name)
        );
        if column.resets_default && is_inherited {
            let _ = writeln!(sql, "{alter} SET DEFAULT NULL;");
        }
        if sets_not_null {
            let _ = writeln!(sql, "{alter} SET NOT NULL;");
        }
        if column.statistics >= 0 {
            let _ = writeln!(sql, "{alter} SET STATISTICS {};", column.statistics);
        }
        if let Some(storage) = column.storage {
            let _ = writeln!(sql, "{alter} SET STORAGE {storage};");
        }
        if let Some(compression) = column.compression {
            let _ = writeln!(sql, "{alter} SET COMPRESSION {compression};");
        }
        if !column.options.is_empty() {
            let _ = writeln!(sql, "{alter} SET ({});", options::list(&column.options, ""));
        }
        if table.kind == Kind::Foreign && !column.fdw_options.is_empty() {
            let _ = writeln!(sql, "{alter} OPTIONS (\n    {}\n);", column.fdw_options);
        }
    }
}

/// Properties of tables and materialized views that only `ALTER TABLE` can set. An index that
/// is the replica identity says so itself.
pub(super) fn push_table_properties(sql: &mut String, table: &Relation) {
    let identity = match table.replica_identity {
        'n' => Some("NOTHING"),
        'f' => Some("FULL"),
        _ => None,
    };
    if table.kind != Kind::Foreign
        && let Some(identity) = identity
    {
        let _ = writeln!(sql, "\nALTER TABLE ONLY {} REPLICA IDENTITY {identity};", table.sql);
    }
    if table.force_row_security {
        let _ = writeln!(sql, "\nALTER TABLE ONLY {} FORCE ROW LEVEL SECURITY;", table.sql);
    }
}
