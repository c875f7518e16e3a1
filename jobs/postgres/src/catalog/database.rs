//! The database itself: how to create it, its settings, and the session settings that the
//! rest of the archive is written for.

use pgarchive::{CatalogId, Section};

use super::config;
use super::{Address, Catalog, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// Reads `pg_database` and `pg_db_role_setting`: the entries that every archive starts with.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let provider = match cx.version {
        170_000.. => {
            "datlocprovider, datlocale AS locale, daticurules AS rules, datcollversion AS version"
        }
        160_000.. => {
            "datlocprovider, daticulocale AS locale, daticurules AS rules, \
             datcollversion AS version"
        }
        150_000.. => {
            "datlocprovider, daticulocale AS locale, NULL::text AS rules, \
             datcollversion AS version"
        }
        _ => {
            "'c'::\"char\" AS datlocprovider, NULL::text AS locale, NULL::text AS rules, \
             NULL::text AS version"
        }
    };
    let sql = format!(
        "SELECT oid, datname, datdba, pg_encoding_to_char(encoding)::text AS encoding, \
                current_setting('client_encoding') AS client_encoding, \
                datcollate::text, datctype::text, {provider}, datistemplate, datconnlimit, \
                (SELECT spcname FROM pg_tablespace t WHERE t.oid = dattablespace) AS tablespace, \
                datacl::text[] AS acl, acldefault('d', datdba)::text[] AS acldefault \
         FROM pg_database WHERE datname = current_database()"
    );
    let row = cx.row("reading the database's definition", &sql).await?;
    // The archive is in the session's encoding, whatever the database's own.
    let encoding = quote::quote_literal(&row.text("client_encoding")?);
    let mut objects = vec![
        setting(0, "ENCODING", format!("SET client_encoding = {encoding};\n")),
        setting(1, "STDSTRINGS", "SET standard_conforming_strings = 'on';\n".into()),
        setting(
            2,
            "SEARCHPATH",
            "SELECT pg_catalog.set_config('search_path', '', false);\n".into(),
        ),
    ];
    objects.push(database(cx, &row)?);
    objects.extend(properties(cx, &row).await?);
    Ok(objects)
}

/// An entry of the preamble; they stand in the order of `place`.
fn setting(place: u8, desc: &'static str, defn: String) -> Object {
    Object {
        defn: defn.into(),
        order: vec![place.to_string()],
        ..Object::new(
            ObjectId::whole(CatalogId::default()),
            desc,
            desc,
            Section::PreData,
            Rank::Preamble,
        )
    }
}

fn database(cx: &Catalog<'_>, row: &Record) -> Result<Object, Error> {
    let id = CatalogId { catalog: class::PG_DATABASE, oid: row.oid("oid")? };
    let name = row.text("datname")?;
    let quoted = quote::quote_ident(&name);
    Ok(Object {
        owner: Some(cx.role(row.oid("datdba")?)),
        defn: create_database(cx, row, &quoted)?.into(),
        drop_stmt: format!("DROP DATABASE {quoted};\n"),
        order: vec!["3".into()],
        address: Address::new("DATABASE", &quoted, &quoted),
        acls: vec![cx.acl("DATABASE", row)?],
        ..Object::new(ObjectId::whole(id), "DATABASE", name, Section::PreData, Rank::Preamble)
    })
}

/// What cannot be changed later: encoding, locale and tablespace.
fn create_database(cx: &Catalog<'_>, row: &Record, quoted: &str) -> Result<String, Error> {
    let literal = |column: &str| row.text(column).map(|text| quote::quote_literal(&text));
    let mut sql = format!(
        "CREATE DATABASE {quoted} WITH TEMPLATE = template0 ENCODING = {}",
        literal("encoding")?
    );
    let provider = row.char("datlocprovider")?;
    // A server older than 15 knows no providers and would not take the option.
    if cx.at_least(15) {
        sql.push_str(match provider {
            'c' => " LOCALE_PROVIDER = libc",
            'i' => " LOCALE_PROVIDER = icu",
            'b' => " LOCALE_PROVIDER = builtin",
            other => return Err(unknown_provider(other)),
        });
    }
    let (collate, ctype) = (literal("datcollate")?, literal("datctype")?);
    if collate == ctype {
        sql.push_str(&format!(" LOCALE = {collate}"));
    } else {
        sql.push_str(&format!(" LC_COLLATE = {collate} LC_CTYPE = {ctype}"));
    }
    if let Some(locale) = row.opt_text("locale")? {
        let option = if provider == 'b' { "BUILTIN_LOCALE" } else { "ICU_LOCALE" };
        sql.push_str(&format!(" {option} = {}", quote::quote_literal(&locale)));
    }
    if let Some(rules) = row.opt_text("rules")? {
        sql.push_str(&format!(" ICU_RULES = {}", quote::quote_literal(&rules)));
    }
    if let Some(tablespace) = row.opt_text("tablespace")?
        && tablespace != "pg_default"
    {
        sql.push_str(&format!(" TABLESPACE = {}", quote::quote_ident(&tablespace)));
    }
    sql.push_str(";\n");
    Ok(sql)
}

fn unknown_provider(provider: char) -> Error {
    Error::Refused {
        what: format!("the database's locale provider {provider:?} is unknown"),
        hint: "dump this database with its server's own pg_dump".into(),
    }
}

/// What can be changed, and must be after `CREATE DATABASE`, which wants a statement of its own.
async fn properties(cx: &mut Catalog<'_>, row: &Record) -> Result<Option<Object>, Error> {
    let name = row.text("datname")?;
    let quoted = quote::quote_ident(&name);
    let (mut defn, mut drop_stmt) = (String::new(), String::new());
    let limit = row.int4("datconnlimit")?;
    if limit != -1 {
        defn.push_str(&format!("ALTER DATABASE {quoted} CONNECTION LIMIT = {limit};\n"));
    }
    if row.bool("datistemplate")? {
        defn.push_str(&format!("ALTER DATABASE {quoted} IS_TEMPLATE = true;\n"));
        // A template cannot be dropped, and there is no ALTER DATABASE IF EXISTS.
        drop_stmt.push_str(&format!(
            "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = {};\n",
            quote::quote_literal(&name)
        ));
    }
    let sql = format!(
        "SELECT r.rolname, unnest(s.setconfig) AS setting \
         FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole \
         WHERE s.setdatabase = {} AND (s.setrole = 0 OR r.oid IS NOT NULL) \
         ORDER BY s.setrole <> 0, r.rolname",
        cx.database_oid
    );
    for setting in cx.rows("reading the database's settings", &sql).await? {
        let target = match setting.opt_text("rolname")? {
            None => format!("DATABASE {quoted}"),
            Some(role) => format!("ROLE {} IN DATABASE {quoted}", quote::quote_ident(&role)),
        };
        defn.push_str(&config::alter_set(&target, &setting.text("setting")?)?);
    }
    Ok((!defn.is_empty()).then(|| Object {
        owner: row.oid("datdba").ok().map(|owner| cx.role(owner)),
        defn: defn.into(),
        drop_stmt,
        order: vec!["4".into()],
        needs: vec![ObjectId::whole(CatalogId {
            catalog: class::PG_DATABASE,
            oid: cx.database_oid,
        })],
        ..Object::new(
            ObjectId::whole(CatalogId::default()),
            "DATABASE PROPERTIES",
            name,
            Section::PreData,
            Rank::Preamble,
        )
    }))
}
