//! Foreign-data wrappers, foreign servers and user mappings.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// SQL for the options in column `options` as `name 'value', ...`; NULL when there are none.
fn options(column: &str) -> String {
    format!(
        "(SELECT string_agg(quote_ident(option_name) || ' ' || quote_literal(option_value), \
                            E',\\n    ' ORDER BY option_name) \
          FROM pg_options_to_table({column}))"
    )
}

fn clause(options: Option<String>) -> String {
    options.map(|options| format!(" OPTIONS (\n    {options}\n)")).unwrap_or_default()
}

/// Reads `pg_foreign_data_wrapper`, `pg_foreign_server` and `pg_user_mapping`.
///
/// # Errors
/// [`Error::Refused`] for a user mapping whose options, usually a password, the role may not see.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let mut objects = wrappers(cx).await?;
    let servers = servers(cx).await?;
    let named: HashMap<u32, Object> = servers
        .iter()
        .filter(|server| server.emit == Emit::Everything)
        .map(|server| (server.id.row.oid, server.clone()))
        .collect();
    objects.extend(servers);
    if !named.is_empty() {
        objects.extend(user_mappings(cx, &named).await?);
    }
    Ok(objects)
}

async fn wrappers(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let sql = format!(
        "SELECT oid, fdwname, fdwowner, \
                nullif(fdwhandler, 0)::regproc::text AS handler, \
                nullif(fdwvalidator, 0)::regproc::text AS validator, \
                {} AS options, \
                fdwacl::text[] AS acl, acldefault('F', fdwowner)::text[] AS acldefault \
         FROM pg_foreign_data_wrapper",
        options("fdwoptions")
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading foreign-data wrappers", &sql).await? {
        let id = CatalogId { catalog: class::PG_FOREIGN_DATA_WRAPPER, oid: row.oid("oid")? };
        let emit = cx.emit_global(id);
        if emit == Emit::Nothing {
            continue;
        }
        let name = row.text("fdwname")?;
        let quoted = quote::quote_ident(&name);
        let mut defn = format!("CREATE FOREIGN DATA WRAPPER {quoted}");
        for (clause, column) in [("HANDLER", "handler"), ("VALIDATOR", "validator")] {
            if let Some(function) = row.opt_text(column)? {
                defn.push_str(&format!(" {clause} {function}"));
            }
        }
        defn.push_str(&clause(row.opt_text("options")?));
        defn.push_str(";\n");
        objects.push(Object {
            owner: Some(cx.role(row.oid("fdwowner")?)),
            emit,
            defn: defn.into(),
            drop_stmt: format!("DROP FOREIGN DATA WRAPPER {quoted};\n"),
            address: Address::new("FOREIGN DATA WRAPPER", &quoted, &quoted),
            acls: vec![cx.acl("FOREIGN DATA WRAPPER", &row)?],
            ..Object::new(
                ObjectId::whole(id),
                "FOREIGN DATA WRAPPER",
                name,
                Section::PreData,
                Rank::ForeignDataWrapper,
            )
        });
    }
    Ok(objects)
}

async fn servers(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let sql = format!(
        "SELECT s.oid, s.srvname, s.srvowner, s.srvtype, s.srvversion, w.fdwname, \
                {} AS options, \
                s.srvacl::text[] AS acl, acldefault('S', s.srvowner)::text[] AS acldefault \
         FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw",
        options("s.srvoptions")
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading foreign servers", &sql).await? {
        let id = CatalogId { catalog: class::PG_FOREIGN_SERVER, oid: row.oid("oid")? };
        let emit = cx.emit_global(id);
        if emit == Emit::Nothing {
            continue;
        }
        let name = row.text("srvname")?;
        let quoted = quote::quote_ident(&name);
        let mut defn = format!("CREATE SERVER {quoted}");
        for (clause, column) in [("TYPE", "srvtype"), ("VERSION", "srvversion")] {
            if let Some(value) = row.opt_text(column)?.filter(|value| !value.is_empty()) {
                defn.push_str(&format!(" {clause} {}", quote::quote_literal(&value)));
            }
        }
        defn.push_str(&format!(
            " FOREIGN DATA WRAPPER {}{};\n",
            quote::quote_ident(&row.text("fdwname")?),
            clause(row.opt_text("options")?)
        ));
        objects.push(Object {
            owner: Some(cx.role(row.oid("srvowner")?)),
            emit,
            defn: defn.into(),
            drop_stmt: format!("DROP SERVER {quoted};\n"),
            address: Address::new("SERVER", &quoted, &quoted),
            acls: vec![cx.acl("FOREIGN SERVER", &row)?],
            ..Object::new(
                ObjectId::whole(id),
                "SERVER",
                name,
                Section::PreData,
                Rank::ForeignServer,
            )
        });
    }
    Ok(objects)
}

async fn user_mappings(
    cx: &mut Catalog<'_>,
    servers: &HashMap<u32, Object>,
) -> Result<Vec<Object>, Error> {
    let readable = cx
        .row(
            "asking for the right to read user mappings",
            "SELECT has_table_privilege('pg_user_mapping', 'SELECT') AS readable",
        )
        .await?
        .bool("readable")?;
    let options = options("m.umoptions");
    let sql = if readable {
        format!(
            "SELECT m.oid AS umid, m.umserver AS srvid, \
                    CASE WHEN m.umuser = 0 THEN 'public' ELSE pg_get_userbyid(m.umuser) END \
                        AS usename, \
                    {options} AS options, true AS readable \
             FROM pg_user_mapping m"
        )
    } else {
        // The view hides options, without saying so, from whoever does not satisfy what its
        // definition asks, which is repeated here.
        format!(
            "SELECT m.umid, m.srvid, m.usename, {options} AS options, \
                    (m.umuser <> 0 AND m.usename = current_user \
                     AND (pg_has_role(s.srvowner, 'USAGE') \
                          OR has_server_privilege(s.oid, 'USAGE')) \
                     OR m.umuser = 0 AND pg_has_role(s.srvowner, 'USAGE')) AS readable \
             FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid"
        )
    };
    let mut objects = Vec::new();
    for row in cx.rows("reading user mappings", &sql).await? {
        let Some(server) = servers.get(&row.oid("srvid")?) else { continue };
        let id = CatalogId { catalog: class::PG_USER_MAPPING, oid: row.oid("umid")? };
        let user = row.text("usename")?;
        let name = format!("USER MAPPING {user} SERVER {}", server.tag);
        if !row.bool("readable")? {
            return Err(Error::Refused {
                what: format!(
                    "role {:?} may not read the options of {name} in database {:?}",
                    cx.current_role, cx.database
                ),
                hint: "GRANT pg_read_all_data to the role (PostgreSQL 14 and later), or export as \
                       a superuser"
                    .into(),
            });
        }
        // `public` stands for everybody here, and is a name that no role can have.
        let quoted = format!("{} SERVER {}", quote::quote_ident(&user), server.address.name);
        objects.push(Object {
            owner: server.owner.clone(),
            defn: format!(
                "CREATE USER MAPPING FOR {quoted}{};\n",
                clause(row.opt_text("options")?)
            )
            .into(),
            drop_stmt: format!("DROP USER MAPPING FOR {quoted};\n"),
            needs: vec![server.id],
            order: vec![server.tag.clone(), "USER MAPPING".into(), user],
            ..Object::new(
                ObjectId::whole(id),
                "USER MAPPING",
                name,
                Section::PreData,
                Rank::ForeignServer,
            )
        });
    }
    Ok(objects)
}
