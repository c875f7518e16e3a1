//! Operator classes and families.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// Operators and support functions, in the words of `CREATE OPERATOR CLASS`, by the row of
/// `pg_opclass` or `pg_opfamily` that `pg_depend` ties them to.
type Members = HashMap<CatalogId, Vec<String>>;

/// Reads `pg_opfamily`, `pg_opclass`, `pg_amop` and `pg_amproc`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let mut members = Members::new();
    let mut absorbed: HashMap<u32, Vec<CatalogId>> = HashMap::new();
    operators(cx, &mut members, &mut absorbed).await?;
    functions(cx, &mut members, &mut absorbed).await?;
    let mut objects = families(cx, &mut members, absorbed).await?;
    objects.extend(classes(cx, &mut members).await?);
    Ok(objects)
}

async fn operators(
    cx: &mut Catalog<'_>,
    members: &mut Members,
    absorbed: &mut HashMap<u32, Vec<CatalogId>>,
) -> Result<(), Error> {
    let rows = cx
        .rows(
            "reading operators of operator classes",
            "SELECT o.oid, o.amopfamily AS family, d.refclassid, d.refobjid, \
                    o.amopstrategy, o.amopopr::regoperator::text AS operator, \
                    f.opfname, n.nspname \
             FROM pg_amop o \
             LEFT JOIN pg_depend d ON d.classid = 'pg_amop'::regclass AND d.objid = o.oid \
                  AND (d.refclassid = 'pg_opclass'::regclass \
                       OR d.refclassid = 'pg_opfamily'::regclass \
                          AND d.refobjid = o.amopfamily) \
             LEFT JOIN pg_opfamily f ON f.oid = o.amopsortfamily \
             LEFT JOIN pg_namespace n ON n.oid = f.opfnamespace \
             WHERE o.oid >= 16384 \
             ORDER BY o.amopstrategy, operator",
        )
        .await?;
    for row in rows {
        let mut text = format!("OPERATOR {} {}", row.int2("amopstrategy")?, row.text("operator")?);
        if let (Some(name), Some(schema)) = (row.opt_text("opfname")?, row.opt_text("nspname")?) {
            text.push_str(&format!(" FOR ORDER BY {}", quote::quote_qualified(&schema, &name)));
        }
        add(&row, class::PG_AMOP, text, members, absorbed)?;
    }
    Ok(())
}

async fn functions(
    cx: &mut Catalog<'_>,
    members: &mut Members,
    absorbed: &mut HashMap<u32, Vec<CatalogId>>,
) -> Result<(), Error> {
    let rows = cx
        .rows(
            "reading functions of operator classes",
            "SELECT p.oid, p.amprocfamily AS family, d.refclassid, d.refobjid, \
                    p.amprocnum, p.amproc::regprocedure::text AS function, \
                    format_type(p.amproclefttype, NULL) AS left_type, \
                    format_type(p.amprocrighttype, NULL) AS right_type \
             FROM pg_amproc p \
             LEFT JOIN pg_depend d ON d.classid = 'pg_amproc'::regclass AND d.objid = p.oid \
                  AND (d.refclassid = 'pg_opclass'::regclass \
                       OR d.refclassid = 'pg_opfamily'::regclass \
                          AND d.refobjid = p.amprocfamily) \
             WHERE p.oid >= 16384 \
             ORDER BY p.amprocnum, left_type, right_type",
        )
        .await?;
    for row in rows {
        // The types are said even where the server could tell: it could not for the sort
        // support of a comparison across types.
        let text = format!(
            "FUNCTION {} ({}, {}) {}",
            row.int2("amprocnum")?,
            row.text("left_type")?,
            row.text("right_type")?,
            row.text("function")?
        );
        add(&row, class::PG_AMPROC, text, members, absorbed)?;
    }
    Ok(())
}

fn add(
    row: &Record,
    catalog: u32,
    text: String,
    members: &mut Members,
    absorbed: &mut HashMap<u32, Vec<CatalogId>>,
) -> Result<(), Error> {
    let family = row.oid("family")?;
    let holder = match (row.opt_oid("refclassid")?, row.opt_oid("refobjid")?) {
        (Some(catalog), Some(oid)) => CatalogId { catalog, oid },
        // Members that nothing ties down are the family's own.
        _ => CatalogId { catalog: class::PG_OPFAMILY, oid: family },
    };
    members.entry(holder).or_default().push(text);
    absorbed.entry(family).or_default().push(CatalogId { catalog, oid: row.oid("oid")? });
    Ok(())
}

async fn families(
    cx: &mut Catalog<'_>,
    members: &mut Members,
    mut absorbed: HashMap<u32, Vec<CatalogId>>,
) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading operator families",
            "SELECT f.oid, f.opfname AS name, f.opfnamespace AS namespace, f.opfowner AS owner, \
                    a.amname, \
                    array(SELECT c.oid FROM pg_opclass c WHERE c.opcfamily = f.oid) AS classes \
             FROM pg_opfamily f JOIN pg_am a ON a.oid = f.opfmethod \
             WHERE f.oid >= 16384",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_OPFAMILY, oid: row.oid("oid")? };
        let Some(mut object) = object(cx, id, "OPERATOR FAMILY", &row)? else { continue };
        let name = object.address.name.clone();
        let mut defn = format!("CREATE OPERATOR FAMILY {name};\n");
        if let Some(loose) = members.remove(&id) {
            defn.push_str(&format!(
                "ALTER OPERATOR FAMILY {name} ADD\n    {};\n",
                loose.join(" ,\n    ")
            ));
        }
        object.defn = defn.into();
        // A class depends on its family. Its members' edges are the family's, so that what they
        // call exists before either; only the edge back to the class would make a loop.
        object.absorbs = absorbed.remove(&id.oid).unwrap_or_default();
        object.ignores = row
            .oids("classes")?
            .into_iter()
            .map(|oid| CatalogId { catalog: class::PG_OPCLASS, oid })
            .collect();
        objects.push(object);
    }
    Ok(objects)
}

async fn classes(cx: &mut Catalog<'_>, members: &mut Members) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading operator classes",
            "SELECT c.oid, c.opcname AS name, c.opcnamespace AS namespace, c.opcowner AS owner, \
                    a.amname, c.opcdefault, format_type(c.opcintype, NULL) AS type, \
                    CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END AS key, \
                    f.opfname, n.nspname \
             FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod \
             JOIN pg_opfamily f ON f.oid = c.opcfamily \
             JOIN pg_namespace n ON n.oid = f.opfnamespace \
             WHERE c.oid >= 16384",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_OPCLASS, oid: row.oid("oid")? };
        let Some(mut object) = object(cx, id, "OPERATOR CLASS", &row)? else { continue };
        let data_type = row.text("type")?;
        let mut parts: Vec<String> = Vec::new();
        parts.extend(row.opt_text("key")?.map(|key| format!("STORAGE {key}")));
        parts.extend(members.remove(&id).unwrap_or_default());
        if parts.is_empty() {
            // The list cannot be empty, and storing the type as itself says nothing.
            parts.push(format!("STORAGE {data_type}"));
        }
        let namespace = object.namespace.clone().unwrap_or_default();
        object.defn = format!(
            "CREATE OPERATOR CLASS {}\n    {}FOR TYPE {data_type} USING {} FAMILY {} AS\n    {};\n",
            quote::quote_qualified(&namespace, &object.tag),
            if row.bool("opcdefault")? { "DEFAULT " } else { "" },
            quote::quote_ident(&row.text("amname")?),
            quote::quote_qualified(&row.text("nspname")?, &row.text("opfname")?),
            parts.join(" ,\n    ")
        )
        .into();
        objects.push(object);
    }
    Ok(objects)
}

/// What classes and families share; `None` when it is not exported.
fn object(
    cx: &Catalog<'_>,
    id: CatalogId,
    desc: &'static str,
    row: &Record,
) -> Result<Option<Object>, Error> {
    let namespace = row.oid("namespace")?;
    if cx.emit_in(id, namespace)? != Emit::Everything {
        return Ok(None); // they have no grants
    }
    let namespace = cx.namespace(namespace)?.name.clone();
    let name = row.text("name")?;
    let method = row.text("amname")?;
    let using = quote::quote_ident(&method);
    let qualified = format!("{} USING {using}", quote::quote_qualified(&namespace, &name));
    Ok(Some(Object {
        owner: Some(cx.role(row.oid("owner")?)),
        namespace: Some(namespace),
        drop_stmt: format!("DROP {desc} {qualified};\n"),
        address: Address::new(
            desc,
            qualified,
            format!("{} USING {using}", quote::quote_ident(&name)),
        ),
        order: vec![name.clone(), desc.to_owned(), method],
        ..Object::new(ObjectId::whole(id), desc, name, Section::PreData, Rank::OperatorFamily)
    }))
}
