//! `CREATE FUNCTION` and `CREATE PROCEDURE`.

use super::{Definition, Kind, Record, Routine, unknown};
use crate::Error;
use crate::catalog::config;
use crate::quote;

pub(super) fn create(routine: &Routine, row: &Record) -> Result<Definition, Error> {
    let keyword = routine.keyword();
    let mut sql = format!("CREATE {keyword} {}", routine.qualified(&row.text("arguments")?));
    if let Some(result) = row.opt_text("result")?
        && routine.kind != Kind::Procedure
    {
        sql.push_str(&format!(" RETURNS {result}"));
    }
    let language = row.text("lanname")?;
    sql.push_str(&format!("\n    LANGUAGE {}", quote::quote_ident(&language)));
    let transforms = row.texts("transforms")?;
    if !transforms.is_empty() {
        let types: Vec<String> = transforms.iter().map(|name| format!("FOR TYPE {name}")).collect();
        sql.push_str(&format!(" TRANSFORM {}", types.join(", ")));
    }
    attributes(&mut sql, routine, row, &language)?;
    for setting in row.texts("proconfig")? {
        let assignment = config::assignment(&setting, &routine.identity())?;
        sql.push_str(&format!("\n    SET {assignment}"));
    }
    sql.push_str(&format!("\n    {};\n", body(row)?));
    Ok(sql.into())
}

fn attributes(
    sql: &mut String,
    routine: &Routine,
    row: &Record,
    language: &str,
) -> Result<(), Error> {
    if routine.kind == Kind::Window {
        sql.push_str(" WINDOW");
    }
    sql.push_str(match row.char("provolatile")? {
        'i' => " IMMUTABLE",
        's' => " STABLE",
        'v' => "",
        other => return Err(unknown(routine, "volatility", other)),
    });
    for (column, clause) in [
        ("proisstrict", " STRICT"),
        ("prosecdef", " SECURITY DEFINER"),
        ("proleakproof", " LEAKPROOF"),
    ] {
        if row.bool(column)? {
            sql.push_str(clause);
        }
    }
    // What `CREATE FUNCTION` assumes by itself is left out.
    let cost = row.text("cost")?;
    let usual = if matches!(language, "internal" | "c") { "1" } else { "100" };
    if cost != "0" && cost != usual {
        sql.push_str(&format!(" COST {cost}"));
    }
    let rows = row.text("rows")?;
    if row.bool("proretset")? && rows != "0" && rows != "1000" {
        sql.push_str(&format!(" ROWS {rows}"));
    }
    if let Some(support) = row.opt_text("support")? {
        sql.push_str(&format!(" SUPPORT {support}"));
    }
    sql.push_str(match row.char("proparallel")? {
        's' => " PARALLEL SAFE",
        'r' => " PARALLEL RESTRICTED",
        'u' => "",
        other => return Err(unknown(routine, "parallel safety", other)),
    });
    Ok(())
}

/// `AS 'library', 'symbol'`, `AS $$source$$`, or a body in SQL's own syntax.
fn body(row: &Record) -> Result<String, Error> {
    if let Some(body) = row.opt_text("sql_body")? {
        return Ok(body);
    }
    let source = row.text("prosrc")?;
    Ok(match row.opt_text("probin")?.filter(|library| !library.is_empty()) {
        None => format!("AS {}", quote::quote_dollar(&source, "")),
        Some(library) if source.is_empty() => format!("AS {}", quote::quote_literal(&library)),
        Some(library) => {
            let symbol = if source.contains(['\'', '\\']) {
                quote::quote_dollar(&source, "")
            } else {
                quote::quote_literal(&source)
            };
            format!("AS {}, {symbol}", quote::quote_literal(&library))
        }
    })
}
