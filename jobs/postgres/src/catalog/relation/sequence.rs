//! Sequences, identity columns and their current values.

use std::collections::HashMap;
use std::fmt::Write as _;

use pgarchive::Section;

use super::class::{Kind, Owned, Persistence, Relation};
use super::inventory::Relations;
use super::{oid_array, rows_and_no_locks};
use crate::Error;
use crate::catalog::{Catalog, Object, Part, Rank, Record};
use crate::quote;
use crate::session::sql_state;

/// Sequences whose values are read by one query.
const BATCH: usize = 200;

/// The code of the error that a relation does not exist.
const UNDEFINED_TABLE: &str = "42P01";

/// A row of `pg_sequence`.
#[derive(Debug)]
struct Parameters {
    data_type: String,
    start: i64,
    increment: i64,
    min: i64,
    max: i64,
    cache: i64,
    cycles: bool,
}

impl Parameters {
    fn new(row: &Record) -> Result<Self, Error> {
        Ok(Self {
            data_type: row.text("type")?,
            start: row.int8("seqstart")?,
            increment: row.int8("seqincrement")?,
            min: row.int8("seqmin")?,
            max: row.int8("seqmax")?,
            cache: row.int8("seqcache")?,
            cycles: row.bool("seqcycle")?,
        })
    }

    /// The bounds that the server would choose.
    fn default_bounds(&self) -> (i64, i64) {
        let (least, greatest) = match self.data_type.as_str() {
            "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
            "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        if self.increment >= 0 { (1, greatest) } else { (least, -1) }
    }

    fn push(&self, sql: &mut String) {
        let (min, max) = self.default_bounds();
        let bound = |name: &str, value: i64, default: i64| {
            if value == default { format!("NO {name}") } else { format!("{name} {value}") }
        };
        let _ = write!(
            sql,
            "    START WITH {}\n    INCREMENT BY {}\n    {}\n    {}\n    CACHE {}",
            self.start,
            self.increment,
            bound("MINVALUE", self.min, min),
            bound("MAXVALUE", self.max, max),
            self.cache
        );
        if self.cycles {
            sql.push_str("\n    CYCLE");
        }
    }
}

/// Sequences, their owners and their values.
///
/// # Errors
/// [`Error::Denied`] for a sequence that the role may not read.
pub(super) async fn read(
    cx: &mut Catalog<'_>,
    relations: &Relations,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let sequences: Vec<&Relation> =
        relations.whole().filter(|relation| relation.kind == Kind::Sequence).collect();
    let parameters = read_parameters(cx, &sequences).await?;
    for sequence in &sequences {
        let Some(parameters) = parameters.get(&sequence.oid) else {
            return Err(Error::Refused {
                what: format!("sequence {} has no parameters in the catalogs", sequence.sql),
                hint: "it was dropped while the catalogs were read: run again".into(),
            });
        };
        objects.push(object(cx, relations, sequence, parameters)?);
        objects.extend(owned_by(relations, sequence));
    }
    if !cx.chosen.schema_only {
        let configured: Vec<&Relation> = relations
            .iter()
            .filter(|relation| relation.kind == Kind::Sequence && !relation.is_whole())
            .filter(|relation| cx.emit_config_data(relation.oid).is_some())
            .collect();
        let readable: Vec<&Relation> = sequences
            .into_iter()
            .chain(configured)
            .filter(|sequence| !cx.chosen.without_data.contains(&sequence.oid))
            .filter(|s| s.persistence == Persistence::Permanent || !cx.is_standby)
            .collect();
        values(cx, &readable, objects).await?;
    }
    Ok(())
}

async fn read_parameters(
    cx: &mut Catalog<'_>,
    sequences: &[&Relation],
) -> Result<HashMap<u32, Parameters>, Error> {
    let wanted: Vec<u32> = sequences.iter().map(|sequence| sequence.oid).collect();
    cx.rows(
        "reading sequences",
        &format!(
            "SELECT s.seqrelid, format_type(s.seqtypid, NULL) AS type, s.seqstart, \
               s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle \
             FROM unnest({}) AS wanted (oid) JOIN pg_sequence s ON s.seqrelid = wanted.oid",
            oid_array(&wanted)
        ),
    )
    .await?
    .iter()
    .map(|row| Ok((row.oid("seqrelid")?, Parameters::new(row)?)))
    .collect()
}

fn object(
    cx: &Catalog<'_>,
    relations: &Relations,
    sequence: &Relation,
    parameters: &Parameters,
) -> Result<Object, Error> {
    if let Some(owned) = sequence.owned.filter(|owned| owned.is_identity) {
        return identity(cx, relations, sequence, parameters, owned);
    }
    let unlogged = if sequence.persistence == Persistence::Unlogged { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}SEQUENCE {}\n", sequence.sql);
    if parameters.data_type != "bigint" {
        let _ = writeln!(sql, "    AS {}", parameters.data_type);
    }
    parameters.push(&mut sql);
    sql.push_str(";\n");
    Ok(Object { defn: sql.into(), ..sequence.object() })
}

/// The sequence of an identity column, which exists as long as the column is one.
fn identity(
    cx: &Catalog<'_>,
    relations: &Relations,
    sequence: &Relation,
    parameters: &Parameters,
    owned: Owned,
) -> Result<Object, Error> {
    let owner = relations.get(owned.table);
    let column = owner.and_then(|table| table.column(owned.column));
    let (Some(table), Some(column)) = (owner, column) else {
        return Err(unowned(sequence));
    };
    let Some(generated) = column.identity else { return Err(unowned(sequence)) };
    let mut sql = format!(
        "{} {} ALTER COLUMN {} ADD GENERATED {generated} AS IDENTITY (\n    SEQUENCE NAME {}\n",
        table.kind.alter(),
        table.sql,
        quote::quote_ident(&column.name),
        sequence.sql
    );
    // Older servers have no unlogged sequences and do not know the words.
    if cx.at_least(15) && sequence.persistence != table.persistence {
        let is_unlogged = sequence.persistence == Persistence::Unlogged;
        sql.push_str(if is_unlogged { "    UNLOGGED\n" } else { "    LOGGED\n" });
    }
    parameters.push(&mut sql);
    sql.push_str("\n);\n");
    Ok(Object { defn: sql.into(), drop_stmt: String::new(), ..sequence.object() })
}

fn unowned(sequence: &Relation) -> Error {
    Error::Refused {
        what: format!("sequence {} belongs to no identity column", sequence.sql),
        hint: "the catalogs changed while they were read, or are damaged: run again".into(),
    }
}

fn owned_by(relations: &Relations, sequence: &Relation) -> Option<Object> {
    let owned = sequence.owned.filter(|owned| !owned.is_identity)?;
    let table = relations.get(owned.table).filter(|table| table.is_whole())?;
    let column = quote::quote_ident(&table.column(owned.column)?.name);
    Some(Object {
        defn: format!("ALTER SEQUENCE {} OWNED BY {}.{column};\n", sequence.sql, table.sql).into(),
        ..sequence.data_part(Part::OwnedBy, "SEQUENCE OWNED BY", Section::PreData, Rank::Table)
    })
}

async fn values(
    cx: &mut Catalog<'_>,
    sequences: &[&Relation],
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    for batch in sequences.chunks(BATCH) {
        // The value is in the sequence itself; no function gives it in every version.
        let arms: Vec<String> = batch
            .iter()
            .map(|sequence| {
                format!(
                    "SELECT {}::oid AS oid, last_value, is_called FROM {}",
                    sequence.oid, sequence.sql
                )
            })
            .collect();
        let sql = arms.join(" UNION ALL ");
        let rows = rows_and_no_locks(cx, "reading values of sequences", &sql)
            .await
            .map_err(|error| explain(cx, error))?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let value = (row.int8("last_value")?, row.bool("is_called")?);
            found.insert(row.oid("oid")?, value);
        }
        for sequence in batch {
            let Some((last, is_called)) = found.get(&sequence.oid) else {
                return Err(unowned(sequence));
            };
            let name = quote::quote_literal(&sequence.sql);
            objects.push(Object {
                defn: format!("SELECT pg_catalog.setval({name}, {last}, {is_called});\n").into(),
                emit: crate::catalog::Emit::Everything,
                ..sequence.data_part(Part::Data, "SEQUENCE SET", Section::Data, Rank::SequenceSet)
            });
        }
    }
    Ok(())
}

/// Sequences cannot be locked, so one may vanish before its turn.
fn explain(cx: &Catalog<'_>, error: Error) -> Error {
    match &error {
        Error::Query { source, .. } if sql_state(source).as_deref() == Some(UNDEFINED_TABLE) => {
            let named = source.as_database_error().map(|error| error.message().to_owned());
            Error::Changed {
                database: cx.database.clone(),
                object: format!("a sequence ({})", named.unwrap_or_default()),
                what: "dropped or renamed",
            }
        }
        _ => error,
    }
}
