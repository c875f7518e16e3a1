//! Whether a restored database is sound: what its catalogs and keys say of themselves.

use crate::Error;
use crate::quote::quote_ident;
use crate::session::{Row, Session};

/// Indexes that are not ready or not valid, by name.
///
/// # Errors
/// [`Error::Query`].
pub async fn invalid_indexes(session: &mut Session) -> Result<Vec<String>, Error> {
    let sql = "SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text AS name \
               FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
               WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) \
               AND c.relnamespace <> 'pg_toast'::pg_catalog.regnamespace ORDER BY 1";
    names(&session.rows("looking for invalid indexes", sql).await?)
}

/// Constraints that were never validated, by table and name.
///
/// # Errors
/// [`Error::Query`].
pub async fn unvalidated_constraints(session: &mut Session) -> Result<Vec<String>, Error> {
    let sql = "SELECT CASE WHEN conrelid = 0 THEN contypid::pg_catalog.regtype::pg_catalog.text \
               ELSE conrelid::pg_catalog.regclass::pg_catalog.text END || ': ' || conname AS name \
               FROM pg_catalog.pg_constraint WHERE NOT convalidated ORDER BY 1";
    names(&session.rows("looking for unvalidated constraints", sql).await?)
}

/// A foreign key, and whether every row has what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Table and name.
    pub name: String,
    /// Whether it holds; `None` for one over periods, which this does not look at.
    pub holds: Option<bool>,
}

/// Looks every foreign key up, as `ALTER TABLE … ADD FOREIGN KEY` does.
///
/// # Errors
/// [`Error::Query`].
pub async fn foreign_keys(session: &mut Session) -> Result<Vec<ForeignKey>, Error> {
    let period = if session.server_version_num() >= 18_00_00 { "c.conperiod" } else { "false" };
    let sql = format!("{FOREIGN_KEYS_1}{period}{FOREIGN_KEYS_2}");
    let rows = session.rows("reading foreign keys", &sql).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.get("name")?;
        let holds = match row.get::<Option<String>>("lookup")? {
            Some(lookup) => {
                let doing = format!("looking foreign key {name} up");
                Some(!session.row(&doing, &lookup).await?.get::<bool>("broken")?)
            }
            None => None,
        };
        keys.push(ForeignKey { name, holds });
    }
    Ok(keys)
}

/// Installed extensions, by name.
///
/// # Errors
/// [`Error::Query`].
pub async fn extensions(session: &mut Session) -> Result<Vec<String>, Error> {
    let sql = "SELECT extname::pg_catalog.text AS name FROM pg_catalog.pg_extension ORDER BY 1";
    names(&session.rows("reading extensions", sql).await?)
}

/// What amcheck found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amcheck {
    /// The server does not have it, or the role may not install it; why.
    Missing(String),
    /// It looked at so many indexes and tables; what is wrong with some of them.
    Looked {
        /// Indexes and tables.
        relations: u64,
        /// Each with what amcheck says.
        wrong: Vec<String>,
    },
}

/// Looks at every B-tree and, on PostgreSQL 14 and later, every heap with the extension amcheck,
/// which is installed into the database for it, in a schema of its own, and taken away again.
///
/// # Errors
/// [`Error::Query`].
pub async fn amcheck(session: &mut Session) -> Result<Amcheck, Error> {
    let doing = "looking for the extension amcheck";
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck') AS available";
    if !session.row(doing, sql).await?.get::<bool>("available")? {
        return Ok(Amcheck::Missing("the scratch server does not have the extension".into()));
    }
    let schema = quote_ident("aidp_backup_drill_amcheck");
    let install =
        format!("BEGIN; CREATE SCHEMA {schema}; CREATE EXTENSION amcheck SCHEMA {schema}; COMMIT");
    let installed = "SELECT n.nspname::pg_catalog.text AS name FROM pg_catalog.pg_extension AS e \
                     JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";
    let before = session.rows(doing, installed).await?;
    let (schema, ours) = match before.first() {
        Some(row) => (quote_ident(&row.get::<String>("name")?), false),
        None => match session.execute("installing the extension amcheck", &install).await {
            Ok(()) => (schema, true),
            Err(Error::Query { source, .. }) if source.as_database_error().is_some() => {
                session.execute(doing, "ROLLBACK").await?;
                let why = crate::server_message(&source).unwrap_or_else(|| source.to_string());
                return Ok(Amcheck::Missing(format!("it cannot be installed: {why}")));
            }
            Err(error) => return Err(error),
        },
    };
    let mut looked = look(session, &schema).await;
    if ours {
        let drop = format!("DROP EXTENSION amcheck; DROP SCHEMA {schema}");
        let dropped = session.execute("removing the extension amcheck", &drop).await;
        looked = looked.and_then(|found| dropped.map(|()| found));
    }
    looked
}

async fn look(session: &mut Session, schema: &str) -> Result<Amcheck, Error> {
    let heaps = session.server_version_num() >= 14_00_00;
    let sql = "SELECT c.oid::pg_catalog.text AS oid, c.oid::pg_catalog.regclass::pg_catalog.text AS name, \
               c.relkind = 'i' AS is_index FROM pg_catalog.pg_class AS c \
               LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid \
               JOIN pg_catalog.pg_am AS a ON a.oid = c.relam \
               WHERE c.oid >= 16384 AND c.relpersistence <> 't' \
               AND (c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid \
               OR c.relkind IN ('r', 'm') AND a.amname = 'heap') ORDER BY 2";
    let mut wrong = Vec::new();
    let mut relations = 0;
    for row in session.rows("listing relations for amcheck", sql).await? {
        let (oid, name): (String, String) = (row.get("oid")?, row.get("name")?);
        let sql = match (row.get::<bool>("is_index")?, heaps) {
            (true, _) => format!(
                "SELECT {schema}.bt_index_check({oid}::pg_catalog.regclass)::pg_catalog.text AS message"
            ),
            (false, true) => format!(
                "SELECT pg_catalog.format('block %s: %s', blkno, msg) AS message FROM {schema}.verify_heapam({oid}::pg_catalog.regclass) LIMIT 3"
            ),
            (false, false) => continue,
        };
        relations += 1;
        match session.rows("checking a relation with amcheck", &sql).await {
            Ok(rows) => {
                for row in rows {
                    let message: String = row.get::<Option<String>>("message")?.unwrap_or_default();
                    if !message.is_empty() {
                        wrong.push(format!("{name}: {message}"));
                    }
                }
            }
            Err(Error::Query { source, .. }) if source.as_database_error().is_some() => {
                let message = crate::server_message(&source).unwrap_or_else(|| source.to_string());
                wrong.push(format!("{name}: {message}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Amcheck::Looked { relations, wrong })
}

/// Identifier of the cluster; `None` where the role may not ask.
///
/// # Errors
/// [`Error::Query`].
pub async fn system_identifier(session: &mut Session) -> Result<Option<String>, Error> {
    let doing = "asking for the cluster's identifier";
    let may = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may";
    if !session.row(doing, may).await?.get::<bool>("may")? {
        return Ok(None);
    }
    let sql = "SELECT system_identifier::pg_catalog.text AS id FROM pg_catalog.pg_control_system()";
    Ok(Some(session.row(doing, sql).await?.get("id")?))
}

fn names(rows: &[Row]) -> Result<Vec<String>, Error> {
    rows.iter().map(|row| row.get("name")).collect()
}

/// Every foreign key of its own (not those that partitions inherit), and the statement that
/// finds a row without what it refers to (`RI_Initial_Check` in `ri_triggers.c`).
const FOREIGN_KEYS_1: &str = "\
SELECT c.conrelid::pg_catalog.regclass::pg_catalog.text || ': ' || c.conname AS name,
  CASE WHEN ";
const FOREIGN_KEYS_2: &str = " THEN NULL ELSE pg_catalog.format(
    'SELECT EXISTS (SELECT FROM %s%s AS fk LEFT JOIN %s%s AS pk ON %s WHERE %s AND (%s)) AS broken',
    CASE WHEN f.relkind = 'p' THEN '' ELSE 'ONLY ' END, c.conrelid::pg_catalog.regclass,
    CASE WHEN p.relkind = 'p' THEN '' ELSE 'ONLY ' END, c.confrelid::pg_catalog.regclass,
    k.joined, k.unmatched, k.given) END AS lookup
FROM pg_catalog.pg_constraint AS c
JOIN pg_catalog.pg_class AS f ON f.oid = c.conrelid
JOIN pg_catalog.pg_class AS p ON p.oid = c.confrelid
CROSS JOIN LATERAL (
  SELECT pg_catalog.string_agg(pg_catalog.format('pk.%I OPERATOR(%I.%s) fk.%I', pa.attname, n.nspname, o.oprname, fa.attname), ' AND ') AS joined,
    pg_catalog.string_agg(pg_catalog.format('pk.%I IS NULL', pa.attname), ' AND ') AS unmatched,
    pg_catalog.string_agg(pg_catalog.format('fk.%I IS NOT NULL', fa.attname), CASE c.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END) AS given
  FROM ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop)) AS u(fk, pk, op)
  JOIN pg_catalog.pg_attribute AS fa ON fa.attrelid = c.conrelid AND fa.attnum = u.fk
  JOIN pg_catalog.pg_attribute AS pa ON pa.attrelid = c.confrelid AND pa.attnum = u.pk
  JOIN pg_catalog.pg_operator AS o ON o.oid = u.op
  JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
) AS k
WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY 1";
