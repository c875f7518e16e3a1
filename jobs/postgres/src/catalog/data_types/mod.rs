//! Data types: base, shell, enum, range, domain and composite ones.
//!
//! Array types, multiranges and the row types of tables come with what they belong to.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Definition, Described, Emit, Object, ObjectId, Part, Rank, class};
use crate::Error;
use crate::quote;

mod base;
mod composite;
mod domain;
mod enumeration;
mod range;

/// What a family of types adds to the bare object.
#[derive(Debug, Default)]
struct Details {
    defn: Definition,
    /// `DROP TYPE ... CASCADE`: base types and their functions can go only together.
    drop_cascades: bool,
    /// Whether a shell may be wanted before it.
    has_shell: bool,
    absorbs: Vec<CatalogId>,
    described: Vec<Described>,
    /// Constraints of a domain.
    constraints: Vec<Object>,
}

/// A type whose definition is wanted.
#[derive(Debug)]
struct Subject {
    id: CatalogId,
    /// Schema and name, unquoted.
    namespace: String,
    name: String,
    owner: String,
}

impl Subject {
    /// `schema.name`, quoted.
    fn qualified(&self) -> String {
        quote::quote_qualified(&self.namespace, &self.name)
    }
}

/// Types whose definition is wanted, by OID.
type Subjects = HashMap<u32, Subject>;

/// Reads `pg_type` and its satellites.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    // Of what initdb made only changed grants matter, and those are never NULL.
    let rows = cx
        .rows(
            "reading types",
            "SELECT t.oid, t.typname, t.typnamespace, t.typowner, t.typtype, t.typisdefined, \
                    t.typacl::text[] AS acl, acldefault('T', t.typowner)::text[] AS acldefault \
             FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid \
             WHERE (t.typnamespace <> 'pg_catalog'::regnamespace OR t.typacl IS NOT NULL) \
               AND t.typtype <> 'm' AND coalesce(c.relkind = 'c', true) \
               AND NOT EXISTS (SELECT FROM pg_type e \
                               WHERE e.oid = t.typelem AND e.typarray = t.oid) \
             ORDER BY t.oid",
        )
        .await?;
    let mut objects = Vec::new();
    let mut subjects = Subjects::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_TYPE, oid: row.oid("oid")? };
        let namespace = row.oid("typnamespace")?;
        let emit = cx.emit_in(id, namespace)?;
        if emit == Emit::Nothing {
            continue;
        }
        let subject = Subject {
            id,
            namespace: cx.namespace(namespace)?.name.clone(),
            name: row.text("typname")?,
            owner: cx.role(row.oid("typowner")?),
        };
        let desc = if row.char("typtype")? == 'd' { "DOMAIN" } else { "TYPE" };
        let short = quote::quote_ident(&subject.name);
        let mut object = Object {
            namespace: Some(subject.namespace.clone()),
            owner: Some(subject.owner.clone()),
            emit,
            drop_stmt: format!("DROP {desc} {};\n", subject.qualified()),
            address: Address::new(desc, subject.qualified(), short),
            acls: vec![cx.acl("TYPE", &row)?],
            ..Object::new(
                ObjectId::whole(id),
                desc,
                subject.name.clone(),
                Section::PreData,
                Rank::Type,
            )
        };
        if emit == Emit::Everything {
            if row.bool("typisdefined")? {
                subjects.insert(id.oid, subject);
            } else {
                // A shell that nobody filled in.
                object.defn = format!("CREATE TYPE {};\n", subject.qualified()).into();
            }
        }
        objects.push(object);
    }
    let mut details = HashMap::new();
    if !subjects.is_empty() {
        details.extend(enumeration::read(cx, &subjects).await?);
        details.extend(range::read(cx, &subjects).await?);
        details.extend(base::read(cx, &subjects).await?);
        details.extend(domain::read(cx, &subjects).await?);
        details.extend(composite::read(cx, &subjects).await?);
    }
    complete(objects, &subjects, details)
}

fn complete(
    objects: Vec<Object>,
    subjects: &Subjects,
    mut details: HashMap<u32, Details>,
) -> Result<Vec<Object>, Error> {
    let mut complete = Vec::with_capacity(objects.len());
    for mut object in objects {
        let Some(subject) = subjects.get(&object.id.row.oid) else {
            complete.push(object);
            continue;
        };
        let details = details.remove(&subject.id.oid).ok_or_else(|| Error::Refused {
            what: format!("type {} is of a kind that is unknown here", subject.qualified()),
            hint: "dump this database with its server's own pg_dump".into(),
        })?;
        if details.has_shell {
            let shell = shell(subject);
            object.shell = Some(shell.id);
            complete.push(shell);
        }
        object.defn = details.defn;
        if details.drop_cascades {
            object.drop_stmt = format!("DROP TYPE {} CASCADE;\n", subject.qualified());
        }
        object.absorbs = details.absorbs;
        object.described = details.described;
        complete.push(object);
        complete.extend(details.constraints);
    }
    Ok(complete)
}

/// The shell of a type; the planner emits it when a function must name the type first. It has
/// no drop statement, because `pg_restore` would take that as leave to set its owner, and a
/// shell's owner cannot be set.
fn shell(subject: &Subject) -> Object {
    Object {
        namespace: Some(subject.namespace.clone()),
        owner: Some(subject.owner.clone()),
        emit: Emit::Nothing,
        defn: format!("CREATE TYPE {};\n", subject.qualified()).into(),
        ..Object::new(
            ObjectId::part(subject.id, Part::Shell),
            "SHELL TYPE",
            subject.name.clone(),
            Section::PreData,
            Rank::Type,
        )
    }
}

/// A collation's qualified name, from columns `collation_schema` and `collation` of a query
/// that leaves them NULL when the type's own collation applies.
fn collation(row: &super::Record) -> Result<Option<String>, Error> {
    Ok(match (row.opt_text("collation_schema")?, row.opt_text("collation")?) {
        (Some(schema), Some(name)) => Some(quote::quote_qualified(&schema, &name)),
        _ => None,
    })
}
