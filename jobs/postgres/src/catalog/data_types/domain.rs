//! Domains and their constraints.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::{Details, Subject, Subjects, collation};
use crate::Error;
use crate::catalog::{Address, Catalog, Definition, Object, ObjectId, Piece, Rank, Record, class};
use crate::quote;

pub(super) async fn read(
    cx: &mut Catalog<'_>,
    subjects: &Subjects,
) -> Result<HashMap<u32, Details>, Error> {
    let mut constraints = constraints(cx, subjects).await?;
    let rows = cx
        .rows(
            "reading domains",
            "SELECT t.oid, t.typnotnull, format_type(t.typbasetype, t.typtypmod) AS base, \
                    pg_get_expr(t.typdefaultbin, 'pg_type'::regclass) AS default_expression, \
                    t.typdefault AS default_text, \
                    cn.nspname AS collation_schema, c.collname AS collation \
             FROM pg_type t JOIN pg_type b ON b.oid = t.typbasetype \
             LEFT JOIN pg_collation c ON c.oid = t.typcollation AND c.oid <> b.typcollation \
             LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace \
             WHERE t.typtype = 'd'",
        )
        .await?;
    let mut details = HashMap::new();
    for row in rows {
        let oid = row.oid("oid")?;
        let Some(subject) = subjects.get(&oid) else { continue };
        let constraints = constraints.remove(&oid).unwrap_or_default();
        let defn = definition(subject, &row, &constraints)?;
        let constraints = constraints.into_iter().map(|constraint| constraint.object).collect();
        details.insert(oid, Details { defn, constraints, ..Details::default() });
    }
    Ok(details)
}

/// One constraint of a domain.
struct Constraint {
    object: Object,
    /// How it reads inside `CREATE DOMAIN`; none when it must stay outside.
    inline: Option<String>,
    is_not_null: bool,
}

fn definition(
    subject: &Subject,
    row: &Record,
    constraints: &[Constraint],
) -> Result<Definition, Error> {
    let mut head = format!("CREATE DOMAIN {} AS {}", subject.qualified(), row.text("base")?);
    if let Some(collation) = collation(row)? {
        head.push_str(&format!(" COLLATE {collation}"));
    }
    let mut pieces = Vec::new();
    let not_null: Vec<&Constraint> =
        constraints.iter().filter(|constraint| constraint.is_not_null).collect();
    // Before PostgreSQL 17 the attribute is all there is.
    if not_null.is_empty() && row.bool("typnotnull")? {
        head.push_str(" NOT NULL");
    }
    pieces.push(Piece::Text(head));
    pieces.extend(not_null.into_iter().filter_map(piece));
    let default = match row.opt_text("default_expression")? {
        Some(expression) => Some(expression),
        None => row.opt_text("default_text")?.map(|text| quote::quote_literal(&text)),
    };
    if let Some(default) = default {
        pieces.push(Piece::Text(format!(" DEFAULT {default}")));
    }
    pieces
        .extend(constraints.iter().filter(|constraint| !constraint.is_not_null).filter_map(piece));
    pieces.push(Piece::Text(";\n".into()));
    Ok(Definition(pieces))
}

fn piece(constraint: &Constraint) -> Option<Piece> {
    Some(Piece::Inline {
        object: constraint.object.id,
        attached: constraint.inline.clone()?,
        detached: String::new(),
    })
}

async fn constraints(
    cx: &mut Catalog<'_>,
    subjects: &Subjects,
) -> Result<HashMap<u32, Vec<Constraint>>, Error> {
    let rows = cx
        .rows(
            "reading constraints of domains",
            "SELECT oid, conname, contypid, contype, convalidated, \
                    pg_get_constraintdef(oid) AS definition \
             FROM pg_constraint WHERE contypid <> 0 AND contype IN ('c', 'n') \
             ORDER BY conname",
        )
        .await?;
    let mut constraints: HashMap<u32, Vec<Constraint>> = HashMap::new();
    for row in rows {
        let domain = row.oid("contypid")?;
        let Some(subject) = subjects.get(&domain) else { continue };
        constraints.entry(domain).or_default().push(constraint(subject, &row)?);
    }
    Ok(constraints)
}

fn constraint(subject: &Subject, row: &Record) -> Result<Constraint, Error> {
    let id = CatalogId { catalog: class::PG_CONSTRAINT, oid: row.oid("oid")? };
    let name = row.text("conname")?;
    let quoted = quote::quote_ident(&name);
    let definition = row.text("definition")?;
    let is_not_null = row.char("contype")? == 'n';
    // One that was never validated may not hold for values that exist, so it comes after data.
    let validated = row.bool("convalidated")?;
    let inline = validated.then(|| {
        if is_not_null && name == format!("{}_not_null", subject.name) {
            " NOT NULL".to_owned() // the name that the server will choose again
        } else if is_not_null {
            format!(" CONSTRAINT {quoted} {definition}")
        } else {
            format!("\n\tCONSTRAINT {quoted} {definition}")
        }
    });
    let domain = subject.qualified();
    Ok(Constraint {
        object: Object {
            tag: format!("{} {name}", subject.name),
            namespace: Some(subject.namespace.clone()),
            owner: Some(subject.owner.clone()),
            defn: format!("ALTER DOMAIN {domain}\n    ADD CONSTRAINT {quoted} {definition};\n")
                .into(),
            drop_stmt: format!("ALTER DOMAIN {domain} DROP CONSTRAINT {quoted};\n"),
            inline_in: validated.then_some(ObjectId::whole(subject.id)),
            address: Address::new(
                format!("CONSTRAINT {quoted} ON DOMAIN"),
                domain,
                quote::quote_ident(&subject.name),
            ),
            // Constraints of domains come before those of tables of the same name.
            order: vec![name.clone(), String::new(), subject.name.clone()],
            ..Object::new(
                ObjectId::whole(id),
                if is_not_null { "CONSTRAINT" } else { "CHECK CONSTRAINT" },
                name,
                Section::PostData,
                Rank::Constraint,
            )
        },
        inline,
        is_not_null,
    })
}
