//! Publications, with their tables and schemas.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// A publication that is exported.
struct Publication {
    name: String,
    owner: String,
}

/// Reads `pg_publication`, `pg_publication_rel` and `pg_publication_namespace`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let generated = if cx.at_least(18) { "pubgencols" } else { "'n'::\"char\" AS pubgencols" };
    let sql = format!(
        "SELECT oid, pubname, pubowner, puballtables, pubinsert, pubupdate, pubdelete, \
                pubtruncate, pubviaroot, {generated} \
         FROM pg_publication"
    );
    let mut objects = Vec::new();
    let mut publications = HashMap::new();
    for row in cx.rows("reading publications", &sql).await? {
        let id = CatalogId { catalog: class::PG_PUBLICATION, oid: row.oid("oid")? };
        if cx.emit_global(id) != Emit::Everything {
            continue; // publications have no grants
        }
        let name = row.text("pubname")?;
        let owner = cx.role(row.oid("pubowner")?);
        let quoted = quote::quote_ident(&name);
        objects.push(Object {
            owner: Some(owner.clone()),
            defn: format!("CREATE PUBLICATION {quoted}{};\n", options(&row)?).into(),
            drop_stmt: format!("DROP PUBLICATION {quoted};\n"),
            address: Address::new("PUBLICATION", &quoted, &quoted),
            ..Object::new(
                ObjectId::whole(id),
                "PUBLICATION",
                name.clone(),
                Section::PostData,
                Rank::Publication,
            )
        });
        publications.insert(id.oid, Publication { name, owner });
    }
    if !publications.is_empty() {
        objects.extend(tables(cx, &publications).await?);
        if cx.at_least(15) {
            objects.extend(schemas(cx, &publications).await?);
        }
    }
    Ok(objects)
}

fn options(row: &Record) -> Result<String, Error> {
    let mut published = Vec::new();
    for (column, operation) in [
        ("pubinsert", "insert"),
        ("pubupdate", "update"),
        ("pubdelete", "delete"),
        ("pubtruncate", "truncate"),
    ] {
        if row.bool(column)? {
            published.push(operation);
        }
    }
    let mut sql = String::new();
    if row.bool("puballtables")? {
        sql.push_str(" FOR ALL TABLES");
    }
    sql.push_str(&format!(" WITH (publish = '{}'", published.join(", ")));
    if row.bool("pubviaroot")? {
        sql.push_str(", publish_via_partition_root = true");
    }
    match row.char("pubgencols")? {
        'n' => {}
        's' => sql.push_str(", publish_generated_columns = stored"),
        other => {
            return Err(Error::Refused {
                what: format!(
                    "publication {:?} treats generated columns in an unknown way {other:?}",
                    row.text("pubname")?
                ),
                hint: "dump this database with its server's own pg_dump".into(),
            });
        }
    }
    sql.push(')');
    Ok(sql)
}

async fn tables(
    cx: &mut Catalog<'_>,
    publications: &HashMap<u32, Publication>,
) -> Result<Vec<Object>, Error> {
    // Row filters and column lists came with PostgreSQL 15.
    let details = if cx.at_least(15) {
        "pg_get_expr(r.prqual, r.prrelid) AS filter, \
         CASE WHEN r.prattrs IS NOT NULL THEN \
              array(SELECT a.attname FROM unnest(r.prattrs) WITH ORDINALITY AS k (number, place) \
                    JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = k.number \
                    ORDER BY k.place) END AS columns"
    } else {
        "NULL::text AS filter, NULL::text[] AS columns"
    };
    let sql = format!(
        "SELECT r.oid, r.prpubid, r.prrelid, c.relname, c.relnamespace, {details} \
         FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid"
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading tables of publications", &sql).await? {
        let Some(publication) = publications.get(&row.oid("prpubid")?) else { continue };
        if cx.chosen.excluded.contains(&row.oid("prrelid")?) {
            continue;
        }
        let id = CatalogId { catalog: class::PG_PUBLICATION_REL, oid: row.oid("oid")? };
        let namespace = cx.namespace(row.oid("relnamespace")?)?.name.clone();
        let name = row.text("relname")?;
        let mut defn = format!(
            "ALTER PUBLICATION {} ADD TABLE ONLY {}",
            quote::quote_ident(&publication.name),
            quote::quote_qualified(&namespace, &name)
        );
        if let Some(columns) = row.opt_texts("columns")? {
            let columns = quote::quote_ident_list(columns.iter().map(String::as_str));
            defn.push_str(&format!(" ({columns})"));
        }
        if let Some(filter) = row.opt_text("filter")? {
            // The server leaves the parentheses out where an expression needs none.
            defn.push_str(&format!(" WHERE ({filter})"));
        }
        defn.push_str(";\n");
        objects.push(Object {
            namespace: Some(namespace),
            tag: format!("{} {name}", publication.name),
            defn: defn.into(),
            order: vec![name.clone(), publication.name.clone()],
            // No drop: it goes with the table. The owner is who may run the statement.
            owner: Some(publication.owner.clone()),
            ..Object::new(
                ObjectId::whole(id),
                "PUBLICATION TABLE",
                name,
                Section::PostData,
                Rank::PublicationTable,
            )
        });
    }
    Ok(objects)
}

async fn schemas(
    cx: &mut Catalog<'_>,
    publications: &HashMap<u32, Publication>,
) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading schemas of publications",
            "SELECT oid, pnpubid, pnnspid FROM pg_publication_namespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let Some(publication) = publications.get(&row.oid("pnpubid")?) else { continue };
        let id = CatalogId { catalog: class::PG_PUBLICATION_NAMESPACE, oid: row.oid("oid")? };
        let schema = cx.namespace(row.oid("pnnspid")?)?.name.clone();
        objects.push(Object {
            namespace: Some(schema.clone()),
            tag: format!("{} {schema}", publication.name),
            defn: format!(
                "ALTER PUBLICATION {} ADD TABLES IN SCHEMA {};\n",
                quote::quote_ident(&publication.name),
                quote::quote_ident(&schema)
            )
            .into(),
            order: vec![schema.clone(), publication.name.clone()],
            owner: Some(publication.owner.clone()),
            ..Object::new(
                ObjectId::whole(id),
                "PUBLICATION TABLES IN SCHEMA",
                schema,
                Section::PostData,
                Rank::PublicationSchema,
            )
        });
    }
    Ok(objects)
}
