//! Text search parsers, templates, dictionaries and configurations.

use std::collections::HashMap;

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// Reads `pg_ts_parser`, `pg_ts_template`, `pg_ts_dict` and `pg_ts_config`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let mut objects = parsers(cx).await?;
    objects.extend(templates(cx).await?);
    objects.extend(dictionaries(cx).await?);
    objects.extend(configurations(cx).await?);
    Ok(objects)
}

/// What all four share: columns `oid`, `namespace`, `name`, and `owner`, which is NULL for
/// parsers and templates; `None` when it is not exported.
fn object(
    cx: &Catalog<'_>,
    catalog: u32,
    desc: &'static str,
    rank: Rank,
    row: &Record,
) -> Result<Option<Object>, Error> {
    let id = CatalogId { catalog, oid: row.oid("oid")? };
    let namespace = row.oid("namespace")?;
    if cx.emit_in(id, namespace)? != Emit::Everything {
        return Ok(None); // they have no grants
    }
    let namespace = cx.namespace(namespace)?.name.clone();
    let name = row.text("name")?;
    let qualified = quote::quote_qualified(&namespace, &name);
    Ok(Some(Object {
        namespace: Some(namespace),
        owner: row.opt_oid("owner")?.map(|owner| cx.role(owner)),
        drop_stmt: format!("DROP {desc} {qualified};\n"),
        address: Address::new(desc, qualified, quote::quote_ident(&name)),
        ..Object::new(ObjectId::whole(id), desc, name, Section::PreData, rank)
    }))
}

async fn parsers(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading text search parsers",
            "SELECT oid, prsname AS name, prsnamespace AS namespace, NULL::oid AS owner, \
                    prsstart::regproc::text AS start, prstoken::regproc::text AS token, \
                    prsend::regproc::text AS end, \
                    nullif(prsheadline, 0)::regproc::text AS headline, \
                    prslextype::regproc::text AS lextypes \
             FROM pg_ts_parser WHERE prsnamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let (desc, rank) = ("TEXT SEARCH PARSER", Rank::TextSearchParser);
        let Some(mut object) = object(cx, class::PG_TS_PARSER, desc, rank, &row)? else {
            continue;
        };
        let mut options = vec![
            format!("START = {}", row.text("start")?),
            format!("GETTOKEN = {}", row.text("token")?),
            format!("END = {}", row.text("end")?),
        ];
        options.extend(row.opt_text("headline")?.map(|name| format!("HEADLINE = {name}")));
        options.push(format!("LEXTYPES = {}", row.text("lextypes")?));
        object.defn = create(&object, &options);
        objects.push(object);
    }
    Ok(objects)
}

async fn templates(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading text search templates",
            "SELECT oid, tmplname AS name, tmplnamespace AS namespace, NULL::oid AS owner, \
                    nullif(tmplinit, 0)::regproc::text AS init, \
                    tmpllexize::regproc::text AS lexize \
             FROM pg_ts_template WHERE tmplnamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let (desc, rank) = ("TEXT SEARCH TEMPLATE", Rank::TextSearchTemplate);
        let Some(mut object) = object(cx, class::PG_TS_TEMPLATE, desc, rank, &row)? else {
            continue;
        };
        let mut options = Vec::new();
        options.extend(row.opt_text("init")?.map(|name| format!("INIT = {name}")));
        options.push(format!("LEXIZE = {}", row.text("lexize")?));
        object.defn = create(&object, &options);
        objects.push(object);
    }
    Ok(objects)
}

async fn dictionaries(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading text search dictionaries",
            "SELECT d.oid, d.dictname AS name, d.dictnamespace AS namespace, \
                    d.dictowner AS owner, d.dictinitoption, t.tmplname, n.nspname \
             FROM pg_ts_dict d JOIN pg_ts_template t ON t.oid = d.dicttemplate \
             JOIN pg_namespace n ON n.oid = t.tmplnamespace \
             WHERE d.dictnamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let (desc, rank) = ("TEXT SEARCH DICTIONARY", Rank::TextSearchDictionary);
        let Some(mut object) = object(cx, class::PG_TS_DICT, desc, rank, &row)? else {
            continue;
        };
        let template = quote::quote_qualified(&row.text("nspname")?, &row.text("tmplname")?);
        let mut options = vec![format!("TEMPLATE = {template}")];
        // The server keeps the options as the text of a list.
        options.extend(row.opt_text("dictinitoption")?);
        object.defn = create(&object, &options);
        objects.push(object);
    }
    Ok(objects)
}

async fn configurations(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let mut mappings = mappings(cx).await?;
    let rows = cx
        .rows(
            "reading text search configurations",
            "SELECT c.oid, c.cfgname AS name, c.cfgnamespace AS namespace, c.cfgowner AS owner, \
                    p.prsname, n.nspname \
             FROM pg_ts_config c JOIN pg_ts_parser p ON p.oid = c.cfgparser \
             JOIN pg_namespace n ON n.oid = p.prsnamespace \
             WHERE c.cfgnamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let (desc, rank) = ("TEXT SEARCH CONFIGURATION", Rank::TextSearchConfiguration);
        let Some(mut object) = object(cx, class::PG_TS_CONFIG, desc, rank, &row)? else {
            continue;
        };
        let qualified = &object.address.name;
        let parser = quote::quote_qualified(&row.text("nspname")?, &row.text("prsname")?);
        let mut defn = format!("CREATE {desc} {qualified} (\n    PARSER = {parser} );\n");
        for (token, dictionaries) in mappings.remove(&object.id.row.oid).unwrap_or_default() {
            defn.push_str(&format!(
                "\nALTER {desc} {qualified}\n    ADD MAPPING FOR {} WITH {};\n",
                quote::quote_ident(&token),
                dictionaries.join(", ")
            ));
        }
        object.defn = defn.into();
        objects.push(object);
    }
    Ok(objects)
}

/// Dictionaries by token type, in their order, by configuration.
async fn mappings(cx: &mut Catalog<'_>) -> Result<HashMap<u32, Vec<(String, Vec<String>)>>, Error> {
    let rows = cx
        .rows(
            "reading mappings of text search configurations",
            "SELECT c.oid, t.alias AS token, \
                    array_agg(m.mapdict::regdictionary::text ORDER BY m.mapseqno) \
                        AS dictionaries \
             FROM pg_ts_config c JOIN pg_ts_config_map m ON m.mapcfg = c.oid, \
                  LATERAL ts_token_type(c.cfgparser) t \
             WHERE t.tokid = m.maptokentype \
               AND c.cfgnamespace <> 'pg_catalog'::regnamespace \
             GROUP BY c.oid, t.tokid, t.alias ORDER BY c.oid, t.tokid",
        )
        .await?;
    let mut mappings: HashMap<u32, Vec<(String, Vec<String>)>> = HashMap::new();
    for row in rows {
        let mapping = (row.text("token")?, row.texts("dictionaries")?);
        mappings.entry(row.oid("oid")?).or_default().push(mapping);
    }
    Ok(mappings)
}

fn create(object: &Object, options: &[String]) -> super::Definition {
    format!(
        "CREATE {} {} (\n    {} );\n",
        object.desc,
        object.address.name,
        options.join(",\n    ")
    )
    .into()
}
