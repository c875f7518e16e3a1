//! Columns and their defaults.

use std::collections::HashMap;

use super::class::Kind;
use super::inventory::Relations;
use super::{BATCH, oid_array};
use crate::Error;
use crate::catalog::{Catalog, Record};

/// `pg_attribute.attgenerated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generated {
    Never,
    Stored,
    Virtual,
}

/// A column's `NOT NULL`, if it is validated; one that is not is an object of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotNull {
    /// The name to print, where the server would not choose the same one by itself.
    pub(super) name: Option<String>,
    /// `NO INHERIT`.
    pub(super) no_inherit: bool,
    /// Declared here and not only inherited.
    pub(super) is_local: bool,
}

/// A column's default or generation expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    /// Row of `pg_attrdef`.
    pub(super) oid: u32,
    pub(super) sql: String,
    /// The same generation expression comes from every parent, which says it for this column.
    pub(super) is_inherited: bool,
    /// It needs nothing that a user made, and so can be in no dependency loop.
    pub(super) is_alone: bool,
}

/// A column that was not dropped.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) number: i16,
    pub(super) name: String,
    /// As SQL writes the type, with its modifiers.
    pub(super) type_sql: String,
    pub(super) type_oid: u32,
    pub(super) base_type_oid: u32,
    /// Qualified and quoted, where it is not the type's own.
    pub(super) collation: Option<String>,
    /// Negative for the default.
    pub(super) statistics: i32,
    /// Where it is not the type's own.
    pub(super) storage: Option<&'static str>,
    pub(super) compression: Option<&'static str>,
    pub(super) options: Vec<String>,
    /// Inside of `OPTIONS (...)`; empty for none.
    pub(super) fdw_options: String,
    pub(super) identity: Option<&'static str>,
    pub(super) generated: Generated,
    /// Declared here and not only inherited.
    pub(super) is_local: bool,
    pub(super) not_null: Option<NotNull>,
    /// Row of `pg_constraint` of a validated `NOT NULL` (PostgreSQL 18).
    pub(super) not_null_constraint: Option<u32>,
    pub(super) default: Option<Expression>,
    /// It has no default although a parent has one: `DEFAULT NULL` keeps it so.
    pub(super) resets_default: bool,
}

/// Reads the columns of every relation whose definition or rows are taken, and of their
/// parents, which say what is inherited.
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &mut Relations,
    wanted: &[u32],
) -> Result<(), Error> {
    let domains = read_domains(cx).await?;
    for batch in wanted.chunks(BATCH) {
        read_batch(cx, relations, batch, &domains).await?;
        read_defaults(cx, relations, batch).await?;
    }
    Ok(())
}

async fn read_batch(
    cx: &mut Catalog<'_>,
    relations: &mut Relations,
    wanted: &[u32],
    domains: &HashMap<u32, u32>,
) -> Result<(), Error> {
    let not_null = if cx.at_least(18) {
        "co.conname AS not_null_name, co.conname IS NOT NULL AS has_not_null, \
         coalesce(co.oid::int8, 0) AS not_null_oid, \
         coalesce(NOT co.convalidated, false) AS not_null_is_invalid, \
         coalesce(co.connoinherit, false) AS not_null_no_inherit, \
         coalesce(co.conislocal, false) AS not_null_is_local, \
         EXISTS (SELECT FROM pg_description pd WHERE pd.objoid = co.oid \
                 AND pd.classoid = 'pg_constraint'::regclass) AS not_null_has_comment, "
    } else {
        "NULL::text AS not_null_name, a.attnotnull AS has_not_null, 0::int8 AS not_null_oid, \
         false AS not_null_is_invalid, false AS not_null_no_inherit, \
         true AS not_null_is_local, false AS not_null_has_comment, "
    };
    let compression = if cx.at_least(14) { "a.attcompression" } else { "''::\"char\"" };
    let constraint = if cx.at_least(18) {
        "LEFT JOIN pg_constraint co ON co.conrelid = a.attrelid AND co.contype = 'n' \
           AND co.conkey = ARRAY[a.attnum] "
    } else {
        ""
    };
    let rows = cx
        .rows(
            "reading columns",
            &format!(
                "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, \
                   format_type(t.oid, a.atttypmod) AS type, \
                   CASE WHEN a.attcollation <> t.typcollation THEN (\
                     SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname) \
                     FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace \
                     WHERE l.oid = a.attcollation) END AS collation, \
                   coalesce(a.attstattarget, -1)::int4 AS statistics, \
                   a.attstorage, t.typstorage, {compression} AS compression, \
                   a.attoptions, array_to_string(ARRAY(\
                     SELECT quote_ident(option_name) || ' ' || quote_literal(option_value) \
                     FROM pg_options_to_table(a.attfdwoptions) ORDER BY option_name), \
                     E',\\n    ') AS fdw_options, \
                   {not_null} a.attidentity, a.attgenerated, a.attislocal \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_attribute a ON a.attrelid = wanted.oid \
                 JOIN pg_type t ON t.oid = a.atttypid {constraint}\
                 WHERE a.attnum > 0 AND NOT a.attisdropped \
                 ORDER BY a.attrelid, a.attnum",
                oid_array(wanted)
            ),
        )
        .await?;
    let mut unknown = Vec::new();
    for row in &rows {
        let Some(relation) = relations.get_mut(row.oid("attrelid")?) else { continue };
        let column = Column::new(row, &relation.name, domains)?;
        if let Err(what) = &column {
            unknown.push(format!("column {}.{} {what}", relation.sql, row.text("attname")?));
        }
        relation.columns.extend(column.ok());
    }
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Error::Uncovered { database: cx.database.clone(), objects: unknown })
    }
}

impl Column {
    /// The column, or what of it is unknown to this version.
    fn new(
        row: &Record,
        table: &str,
        domains: &HashMap<u32, u32>,
    ) -> Result<Result<Self, String>, Error> {
        let type_oid = row.oid("atttypid")?;
        let mut base_type_oid = type_oid;
        while let Some(&base) = domains.get(&base_type_oid) {
            base_type_oid = base;
        }
        let storage = row.char("attstorage")?;
        let storage = if storage == row.char("typstorage")? {
            None
        } else {
            Some(match storage {
                'p' => "PLAIN",
                'e' => "EXTERNAL",
                'x' => "EXTENDED",
                'm' => "MAIN",
                other => return Ok(Err(format!("of storage {other:?}"))),
            })
        };
        let compression = match row.char("compression")? {
            '\0' => None,
            'p' => Some("pglz"),
            'l' => Some("lz4"),
            other => return Ok(Err(format!("of compression {other:?}"))),
        };
        let identity = match row.char("attidentity")? {
            '\0' => None,
            'a' => Some("ALWAYS"),
            'd' => Some("BY DEFAULT"),
            other => return Ok(Err(format!("of identity {other:?}"))),
        };
        let generated = match row.char("attgenerated")? {
            '\0' => Generated::Never,
            's' => Generated::Stored,
            'v' => Generated::Virtual,
            other => return Ok(Err(format!("generated {other:?}"))),
        };
        let name = row.text("attname")?;
        let is_valid = row.bool("has_not_null")? && !row.bool("not_null_is_invalid")?;
        let not_null = is_valid.then(|| {
            let has_comment = row.bool("not_null_has_comment")?;
            let chosen = row.opt_text("not_null_name")?;
            Ok::<_, Error>(NotNull {
                name: chosen
                    .filter(|chosen| has_comment || *chosen != format!("{table}_{name}_not_null")),
                no_inherit: row.bool("not_null_no_inherit")?,
                is_local: row.bool("not_null_is_local")?,
            })
        });
        let constraint = u32::try_from(row.int8("not_null_oid")?).unwrap_or_default();
        Ok(Ok(Self {
            number: row.int2("attnum")?,
            type_sql: row.text("type")?,
            type_oid,
            base_type_oid,
            collation: row.opt_text("collation")?,
            statistics: row.int4("statistics")?,
            storage,
            compression,
            options: row.texts("attoptions")?,
            fdw_options: row.text("fdw_options")?,
            identity,
            generated,
            is_local: row.bool("attislocal")?,
            not_null: not_null.transpose()?,
            not_null_constraint: (is_valid && constraint != 0).then_some(constraint),
            default: None,
            resets_default: false,
            name,
        }))
    }
}

/// Base type by domain, one step.
async fn read_domains(cx: &mut Catalog<'_>) -> Result<HashMap<u32, u32>, Error> {
    cx.rows("reading domains", "SELECT oid, typbasetype FROM pg_type WHERE typtype = 'd'")
        .await?
        .iter()
        .map(|row| Ok((row.oid("oid")?, row.oid("typbasetype")?)))
        .collect()
}

async fn read_defaults(
    cx: &mut Catalog<'_>,
    relations: &mut Relations,
    wanted: &[u32],
) -> Result<(), Error> {
    let rows = cx
        .rows(
            "reading defaults of columns",
            &format!(
                "SELECT d.oid, d.adrelid, d.adnum, pg_get_expr(d.adbin, d.adrelid) AS sql, \
                   NOT EXISTS (\
                     SELECT FROM pg_depend o WHERE o.classid = 'pg_attrdef'::regclass \
                       AND o.objid = d.oid AND (o.refclassid, o.refobjid) \
                         <> ('pg_class'::regclass, d.adrelid)) AS is_alone \
                 FROM unnest({}) AS wanted (oid) \
                 JOIN pg_attrdef d ON d.adrelid = wanted.oid",
                oid_array(wanted)
            ),
        )
        .await?;
    for row in &rows {
        let number = row.int2("adnum")?;
        let Some(relation) = relations.get_mut(row.oid("adrelid")?) else { continue };
        debug_assert_ne!(relation.kind, Kind::Sequence);
        if let Ok(at) = relation.columns.binary_search_by_key(&number, |column| column.number)
            && let Some(column) = relation.columns.get_mut(at)
        {
            column.default = Some(Expression {
                oid: row.oid("oid")?,
                sql: row.text("sql")?,
                is_inherited: false,
                is_alone: row.bool("is_alone")?,
            });
        }
    }
    Ok(())
}
