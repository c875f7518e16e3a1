//! Schemas.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// Role `pg_database_owner`, which owns schema `public` since PostgreSQL 15.
const DATABASE_OWNER: u32 = 6171;

/// Reads `pg_namespace`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading schemas",
            "SELECT oid, nspname, nspowner, nspacl::text[] AS acl, \
                    acldefault('n', nspowner)::text[] AS acldefault \
             FROM pg_namespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_NAMESPACE, oid: row.oid("oid")? };
        let name = row.text("nspname")?;
        let is_public = name == "public";
        let owner = row.oid("nspowner")?;
        let mut emit = cx.emit_in(id, id.oid)?;
        if emit == Emit::Nothing {
            continue;
        }
        // The definition of `public` is only its owner, which a new database has right.
        if is_public && emit == Emit::Everything && owner == DATABASE_OWNER {
            emit = Emit::WithoutDefinition;
        }
        let owner = cx.role(owner);
        let mut acl = cx.acl("SCHEMA", &row)?;
        if is_public && emit != Emit::Grants {
            acl.initial = Some(public_acl(&owner));
        }
        let quoted = quote::quote_ident(&name);
        let (defn, drop_stmt) = if is_public {
            (
                "-- *not* creating schema, since initdb creates it\n".to_owned(),
                "-- *not* dropping schema, since initdb creates it\n".to_owned(),
            )
        } else {
            (format!("CREATE SCHEMA {quoted};\n"), format!("DROP SCHEMA {quoted};\n"))
        };
        objects.push(Object {
            owner: Some(owner),
            emit,
            defn: defn.into(),
            drop_stmt,
            address: Address::new("SCHEMA", &quoted, &quoted),
            acls: vec![acl],
            initial_comment: is_public.then_some("standard public schema"),
            ..Object::new(ObjectId::whole(id), "SCHEMA", name, Section::PreData, Rank::Schema)
        });
    }
    Ok(objects)
}

/// What `public` grants in a new database of PostgreSQL 15 or later, once it has its owner.
/// `pg_init_privs` says what it granted in a new database of the source's version, and that is
/// not where a restore starts from.
fn public_acl(owner: &str) -> Vec<String> {
    let plain = owner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let role = if plain { owner.to_owned() } else { format!("\"{}\"", owner.replace('"', "\"\"")) };
    vec![format!("{role}=UC/{role}"), format!("=U/{role}")]
}
