//! Default privileges: what `ALTER DEFAULT PRIVILEGES` set.

use pgarchive::{CatalogId, Section};

use super::{Catalog, Emit, Object, ObjectId, Rank, class, grants};
use crate::Error;
use crate::quote;

/// Reads `pg_default_acl`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    // An entry for all schemas replaces the built-in default, so it is the difference from that;
    // one for a schema can only add to it. `acldefault` knows sequences by another letter.
    let rows = cx
        .rows(
            "reading default privileges",
            "SELECT oid, defaclrole, defaclnamespace, defaclobjtype, \
                    defaclacl::text[] AS acl, \
                    CASE WHEN defaclnamespace = 0 THEN \
                         acldefault(CASE WHEN defaclobjtype = 'S' THEN 's' \
                                         ELSE defaclobjtype END, defaclrole)::text[] \
                         ELSE '{}' END AS acldefault \
             FROM pg_default_acl",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_DEFAULT_ACL, oid: row.oid("oid")? };
        let namespace = row.oid("defaclnamespace")?;
        let namespace = if namespace == 0 {
            if !cx.everything() {
                continue;
            }
            None
        } else {
            let namespace = cx.namespace(namespace)?;
            if namespace.contents != Emit::Everything {
                continue;
            }
            Some(namespace.name.clone())
        };
        let class = row.char("defaclobjtype")?;
        let kind = match class {
            'r' => "TABLES",
            'S' => "SEQUENCES",
            'f' => "FUNCTIONS",
            'T' => "TYPES",
            'n' => "SCHEMAS",
            'L' => "LARGE OBJECTS",
            other => {
                return Err(Error::Refused {
                    what: format!("default privileges for unknown class {other:?}"),
                    hint: "dump this database with its server's own pg_dump".into(),
                });
            }
        };
        let role = cx.role(row.oid("defaclrole")?);
        let mut prefix =
            format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} ", quote::quote_ident(&role));
        if let Some(namespace) = &namespace {
            prefix.push_str(&format!("IN SCHEMA {} ", quote::quote_ident(namespace)));
        }
        let target = grants::Target {
            kind,
            name: "",
            column: None,
            owner: Some(&role),
            prefix: &prefix,
            version: cx.version,
        };
        let defn = grants::difference(&target, &row.texts("acl")?, &row.texts("acldefault")?)?;
        objects.push(Object {
            tag: format!("DEFAULT PRIVILEGES FOR {kind}"),
            namespace,
            defn: defn.into(),
            order: vec![class.to_string(), role.clone()],
            owner: Some(role),
            ..Object::new(
                ObjectId::whole(id),
                "DEFAULT ACL",
                "",
                Section::PostData,
                Rank::DefaultAcl,
            )
        });
    }
    Ok(objects)
}
