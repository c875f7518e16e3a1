//! `CREATE AGGREGATE`.

use std::collections::HashMap;

use super::{Definition, Record, Routine, unknown};
use crate::Error;
use crate::catalog::Catalog;
use crate::quote;

/// Rows of `pg_aggregate` by function.
pub(super) async fn definitions(cx: &mut Catalog<'_>) -> Result<HashMap<u32, Record>, Error> {
    let rows = cx
        .rows(
            "reading aggregates",
            "SELECT a.aggfnoid::oid AS oid, a.aggkind, \
                    a.aggtransfn::text AS transition, format_type(a.aggtranstype, NULL) AS state, \
                    a.aggtransspace, a.agginitval, \
                    nullif(a.aggfinalfn, 0)::regproc::text AS final, \
                    a.aggfinalextra, a.aggfinalmodify, \
                    nullif(a.aggcombinefn, 0)::regproc::text AS combine, \
                    nullif(a.aggserialfn, 0)::regproc::text AS serialize, \
                    nullif(a.aggdeserialfn, 0)::regproc::text AS deserialize, \
                    nullif(a.aggmtransfn, 0)::regproc::text AS moving_transition, \
                    nullif(a.aggminvtransfn, 0)::regproc::text AS moving_inverse, \
                    CASE WHEN a.aggmtranstype <> 0 \
                         THEN format_type(a.aggmtranstype, NULL) END AS moving_state, \
                    a.aggmtransspace, a.aggminitval, \
                    nullif(a.aggmfinalfn, 0)::regproc::text AS moving_final, \
                    a.aggmfinalextra, a.aggmfinalmodify, \
                    n.nspname AS operator_schema, o.oprname AS operator \
             FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid \
             LEFT JOIN pg_operator o ON o.oid = a.aggsortop \
             LEFT JOIN pg_namespace n ON n.oid = o.oprnamespace \
             WHERE p.pronamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    rows.into_iter().map(|row| Ok((row.oid("oid")?, row))).collect()
}

/// `row` is of `pg_proc`, `aggregate` of `pg_aggregate`.
pub(super) fn create(
    routine: &Routine,
    row: &Record,
    aggregate: &Record,
) -> Result<Definition, Error> {
    let mut options = vec![
        format!("SFUNC = {}", aggregate.text("transition")?),
        format!("STYPE = {}", aggregate.text("state")?),
    ];
    let kind = aggregate.char("aggkind")?;
    space(&mut options, "SSPACE", aggregate.int4("aggtransspace")?);
    initial(&mut options, "INITCOND", aggregate.opt_text("agginitval")?);
    if let Some(function) = aggregate.opt_text("final")? {
        options.push(format!("FINALFUNC = {function}"));
        if aggregate.bool("aggfinalextra")? {
            options.push("FINALFUNC_EXTRA".into());
        }
        let modify = aggregate.char("aggfinalmodify")?;
        options.extend(finalfunc_modify(routine, "FINALFUNC_MODIFY", modify, kind)?);
    }
    for (name, column) in [
        ("COMBINEFUNC", "combine"),
        ("SERIALFUNC", "serialize"),
        ("DESERIALFUNC", "deserialize"),
        ("MSFUNC", "moving_transition"),
        ("MINVFUNC", "moving_inverse"),
        ("MSTYPE", "moving_state"),
    ] {
        if let Some(value) = aggregate.opt_text(column)? {
            options.push(format!("{name} = {value}"));
        }
    }
    space(&mut options, "MSSPACE", aggregate.int4("aggmtransspace")?);
    initial(&mut options, "MINITCOND", aggregate.opt_text("aggminitval")?);
    if let Some(function) = aggregate.opt_text("moving_final")? {
        options.push(format!("MFINALFUNC = {function}"));
        if aggregate.bool("aggmfinalextra")? {
            options.push("MFINALFUNC_EXTRA".into());
        }
        let modify = aggregate.char("aggmfinalmodify")?;
        options.extend(finalfunc_modify(routine, "MFINALFUNC_MODIFY", modify, kind)?);
    }
    if let (Some(schema), Some(operator)) =
        (aggregate.opt_text("operator_schema")?, aggregate.opt_text("operator")?)
    {
        let schema = quote::quote_ident(&schema);
        options.push(format!("SORTOP = OPERATOR({schema}.{operator})"));
    }
    if kind == 'h' {
        options.push("HYPOTHETICAL".into());
    }
    match row.char("proparallel")? {
        's' => options.push("PARALLEL = safe".into()),
        'r' => options.push("PARALLEL = restricted".into()),
        'u' => {}
        other => return Err(unknown(routine, "parallel safety", other)),
    }
    Ok(format!(
        "CREATE AGGREGATE {} (\n    {}\n);\n",
        routine.qualified(&row.text("arguments")?),
        options.join(",\n    ")
    )
    .into())
}

fn space(options: &mut Vec<String>, name: &str, bytes: i32) {
    if bytes != 0 {
        options.push(format!("{name} = {bytes}"));
    }
}

fn initial(options: &mut Vec<String>, name: &str, value: Option<String>) {
    options.extend(value.map(|value| format!("{name} = {}", quote::quote_literal(&value))));
}

/// How the final function treats the state, where it is not what the kind of aggregate implies:
/// read-only for normal ones, read-write for ordered-set ones.
fn finalfunc_modify(
    routine: &Routine,
    name: &str,
    modify: char,
    kind: char,
) -> Result<Option<String>, Error> {
    let implied = if kind == 'n' { 'r' } else { 'w' };
    let value = match modify {
        modify if modify == implied => return Ok(None),
        'r' => "READ_ONLY",
        's' => "SHAREABLE",
        'w' => "READ_WRITE",
        other => return Err(unknown(routine, "final function behaviour", other)),
    };
    Ok(Some(format!("{name} = {value}")))
}
