//! Large objects: one entry for each, with its owner and grants, and one for all their data.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Object, ObjectId, Part, Rank, class};
use crate::Error;

/// Reads `pg_largeobject_metadata`.
///
/// # Errors
/// [`Error::Refused`] for a large object that the role may not read.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    if !cx.everything() || cx.chosen.schema_only {
        return Ok(Vec::new());
    }
    // `pg_read_all_data` does not reach large objects, and before PostgreSQL 18 there is no
    // function to ask: this is what the server itself checks.
    let rows = cx
        .rows(
            "reading large objects",
            "SELECT m.oid, m.lomowner, m.lomacl::text[] AS acl, \
                    acldefault('L', m.lomowner)::text[] AS acldefault, \
                    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \
                    OR current_setting('lo_compat_privileges')::bool \
                    OR EXISTS (SELECT FROM aclexplode(coalesce(m.lomacl, \
                                               acldefault('L', m.lomowner))) a \
                               WHERE a.privilege_type = 'SELECT' \
                                 AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))) \
                    AS readable \
             FROM pg_largeobject_metadata m ORDER BY m.oid",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_LARGEOBJECT, oid: row.oid("oid")? };
        let name = id.oid.to_string();
        if !row.bool("readable")? {
            return Err(Error::Refused {
                what: format!(
                    "role {:?} may not read large object {name} in database {:?}",
                    cx.current_role, cx.database
                ),
                hint: format!(
                    "pg_read_all_data does not reach large objects: GRANT SELECT ON LARGE OBJECT \
                     {name}, or export as their owner or a superuser"
                ),
            });
        }
        objects.push(Object {
            owner: Some(cx.role(row.oid("lomowner")?)),
            defn: format!("SELECT pg_catalog.lo_create('{name}');\n").into(),
            drop_stmt: format!("SELECT pg_catalog.lo_unlink('{name}');\n"),
            address: Address::new("LARGE OBJECT", &name, &name),
            acls: vec![cx.acl("LARGE OBJECT", &row)?],
            ..Object::new(ObjectId::whole(id), "BLOB", name, Section::PreData, Rank::LargeObject)
        });
    }
    if !objects.is_empty() {
        let id = ObjectId::part(CatalogId::default(), Part::Data);
        objects.push(Object::new(id, "BLOBS", "BLOBS", Section::Data, Rank::LargeObjectData));
    }
    Ok(objects)
}
