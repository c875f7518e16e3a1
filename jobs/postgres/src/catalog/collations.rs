//! Collations and conversions between encodings.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// Reads `pg_collation`.
pub async fn read_collations(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    // Before PostgreSQL 15 both were of type name, empty rather than NULL, and ICU's locale was
    // kept in them.
    let locale = match cx.version {
        170_000.. => "collcollate, collctype, colllocale AS locale, collicurules AS rules",
        160_000.. => "collcollate, collctype, colliculocale AS locale, collicurules AS rules",
        150_000.. => "collcollate, collctype, colliculocale AS locale, NULL::text AS rules",
        _ => {
            "nullif(collcollate, '')::text AS collcollate, \
             nullif(collctype, '')::text AS collctype, \
             CASE WHEN collprovider = 'i' THEN collcollate::text END AS locale, \
             NULL::text AS rules"
        }
    };
    let sql = format!(
        "SELECT oid, collname, collnamespace, collowner, collencoding, collprovider, \
                collisdeterministic, {locale} \
         FROM pg_collation WHERE collnamespace <> 'pg_catalog'::regnamespace"
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading collations", &sql).await? {
        let id = CatalogId { catalog: class::PG_COLLATION, oid: row.oid("oid")? };
        let namespace = row.oid("collnamespace")?;
        if cx.emit_in(id, namespace)? != Emit::Everything {
            continue; // collations have no grants
        }
        let namespace = cx.namespace(namespace)?.name.clone();
        let name = row.text("collname")?;
        let qualified = quote::quote_qualified(&namespace, &name);
        objects.push(Object {
            namespace: Some(namespace),
            owner: Some(cx.role(row.oid("collowner")?)),
            defn: create_collation(&qualified, &row)?.into(),
            drop_stmt: format!("DROP COLLATION {qualified};\n"),
            address: Address::new("COLLATION", &qualified, quote::quote_ident(&name)),
            order: vec![name.clone(), format!("{:03}", row.int4("collencoding")?)],
            ..Object::new(ObjectId::whole(id), "COLLATION", name, Section::PreData, Rank::Collation)
        });
    }
    Ok(objects)
}

/// The version of the locale's rules is left out: the target's library has its own.
fn create_collation(qualified: &str, row: &Record) -> Result<String, Error> {
    let code = row.char("collprovider")?;
    let provider = match code {
        'b' => "builtin",
        'c' => "libc",
        'i' => "icu",
        _ => {
            return Err(Error::Refused {
                what: format!("collation {qualified} has unknown provider {code:?}"),
                hint: "dump this database with its server's own pg_dump".into(),
            });
        }
    };
    let mut sql = format!("CREATE COLLATION {qualified} (provider = {provider}");
    if !row.bool("collisdeterministic")? {
        sql.push_str(", deterministic = false");
    }
    let collate = row.opt_text("collcollate")?;
    let ctype = row.opt_text("collctype")?;
    let mut option = |name: &str, value: &str| {
        sql.push_str(&format!(", {name} = {}", quote::quote_literal(value)));
    };
    match (code, row.opt_text("locale")?, &collate, &ctype) {
        ('b' | 'i', Some(locale), _, _) => option("locale", &locale),
        ('c', None, Some(collate), Some(ctype)) if collate == ctype => option("locale", collate),
        ('c', None, Some(collate), Some(ctype)) => {
            option("lc_collate", collate);
            option("lc_ctype", ctype);
        }
        _ => {
            return Err(Error::Refused {
                what: format!("collation {qualified} has no locale"),
                hint: "the catalogs are damaged; drop the collation or make it again".into(),
            });
        }
    }
    if let Some(rules) = row.opt_text("rules")? {
        option("rules", &rules);
    }
    sql.push_str(");\n");
    Ok(sql)
}

/// Reads `pg_conversion`.
pub async fn read_conversions(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading conversions",
            "SELECT oid, conname, connamespace, conowner, condefault, \
                    pg_encoding_to_char(conforencoding)::text AS from_encoding, \
                    pg_encoding_to_char(contoencoding)::text AS to_encoding, \
                    conproc::regproc::text AS function \
             FROM pg_conversion WHERE connamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_CONVERSION, oid: row.oid("oid")? };
        let namespace = row.oid("connamespace")?;
        if cx.emit_in(id, namespace)? != Emit::Everything {
            continue; // conversions have no grants
        }
        let namespace = cx.namespace(namespace)?.name.clone();
        let name = row.text("conname")?;
        let qualified = quote::quote_qualified(&namespace, &name);
        let default = if row.bool("condefault")? { "DEFAULT " } else { "" };
        let defn = format!(
            "CREATE {default}CONVERSION {qualified} FOR {} TO {} FROM {};\n",
            quote::quote_literal(&row.text("from_encoding")?),
            quote::quote_literal(&row.text("to_encoding")?),
            row.text("function")?
        );
        objects.push(Object {
            namespace: Some(namespace),
            owner: Some(cx.role(row.oid("conowner")?)),
            defn: defn.into(),
            drop_stmt: format!("DROP CONVERSION {qualified};\n"),
            address: Address::new("CONVERSION", &qualified, quote::quote_ident(&name)),
            ..Object::new(
                ObjectId::whole(id),
                "CONVERSION",
                name,
                Section::PreData,
                Rank::Conversion,
            )
        });
    }
    Ok(objects)
}
