//! Text or binary COPY, per table.
//!
//! Binary is half the bytes and less than half the work for `bytea`, but it is only safe where
//! what a type's `send` function writes is what its `recv` function reads in every version.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use pgarchive::CopyFormat;

use crate::Error;
use crate::plan::{Column, TableData};
use crate::quote::quote_qualified;
use crate::session::Session;

/// What the operator wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// Binary for the tables whose columns all allow it, text for the others.
    #[default]
    Auto,
    /// Text for all: any version of PostgreSQL and any tool reads it.
    Text,
    /// Binary for all; a table that does not allow it is refused.
    Binary,
}

impl FromStr for DataFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "binary" => Ok(Self::Binary),
            other => Err(Error::Refused {
                what: format!("data format {other:?} is unknown"),
                hint: "use auto, text or binary".to_owned(),
            }),
        }
    }
}

impl fmt::Display for DataFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Binary => "binary",
        })
    }
}

/// Base types whose binary form is the same in PostgreSQL 13 to 18, with their array types
/// (`src/include/catalog/pg_type.dat`). An array's binary form names its element type by OID,
/// so only arrays of built-in types are the same everywhere.
///
/// Not here, though built in: `money` (scaled by the locale), `xml` (declares an encoding),
/// `reg*` (OIDs of objects), `tsvector`, `tsquery`, geometric and range types (their forms have
/// not been compared), and composite types (they name column types by OID).
const STABLE: &[(u32, u32)] = &[
    (16, 1000),   // bool
    (17, 1001),   // bytea
    (18, 1002),   // "char"
    (19, 1003),   // name
    (20, 1016),   // int8
    (21, 1005),   // int2
    (23, 1007),   // int4
    (25, 1009),   // text
    (26, 1028),   // oid
    (114, 199),   // json
    (650, 651),   // cidr
    (700, 1021),  // float4
    (701, 1022),  // float8
    (829, 1040),  // macaddr
    (869, 1041),  // inet
    (1042, 1014), // bpchar
    (1043, 1015), // varchar
    (1082, 1182), // date
    (1083, 1183), // time
    (1114, 1115), // timestamp
    (1184, 1185), // timestamptz
    (1186, 1187), // interval
    (1266, 1270), // timetz
    (1560, 1561), // bit
    (1562, 1563), // varbit
    (1700, 1231), // numeric
    (2950, 2951), // uuid
    (3802, 3807), // jsonb
];

/// Decides for each table.
pub(super) struct Formats {
    wanted: DataFormat,
    /// Enumerated types of this database: their binary form is the label.
    enums: HashSet<u32>,
}

impl Formats {
    /// Learns what is needed to decide as `wanted`.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn read(wanted: DataFormat, session: &mut Session) -> Result<Self, Error> {
        let mut enums = HashSet::new();
        if wanted != DataFormat::Text {
            let sql = "SELECT oid FROM pg_catalog.pg_type WHERE typtype = 'e'";
            for row in session.rows("reading enumerated types", sql).await? {
                enums.insert(row.oid("oid")?);
            }
        }
        Ok(Self { wanted, enums })
    }

    /// The format for `table`.
    ///
    /// # Errors
    /// [`Error::Refused`] when binary is wanted and a column does not allow it.
    pub fn of(&self, table: &TableData) -> Result<CopyFormat, Error> {
        if self.wanted == DataFormat::Text {
            return Ok(CopyFormat::Text);
        }
        match table.columns.iter().find(|column| !self.is_stable(column)) {
            None => Ok(CopyFormat::Binary),
            Some(_) if self.wanted == DataFormat::Auto => Ok(CopyFormat::Text),
            Some(column) => Err(Error::Refused {
                what: format!(
                    "column {:?} of table {} has a type whose binary form may differ between servers",
                    column.name,
                    quote_qualified(&table.schema, &table.name)
                ),
                hint: "use --data auto, which takes text for such tables".to_owned(),
            }),
        }
    }

    fn is_stable(&self, column: &Column) -> bool {
        let base = column.base_type_oid;
        self.enums.contains(&base)
            || STABLE.iter().any(|(scalar, array)| base == *scalar || base == *array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(types: &[u32]) -> TableData {
        TableData {
            data_id: 2,
            table_id: Some(1),
            oid: 1,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            relkind: 'r',
            columns: types
                .iter()
                .map(|oid| Column { name: format!("c{oid}"), type_oid: *oid, base_type_oid: *oid })
                .collect(),
            condition: None,
            bytes: 0,
            pages: 0,
            estimated_rows: -1.0,
            is_heap: true,
        }
    }

    fn formats(wanted: DataFormat) -> Formats {
        Formats { wanted, enums: HashSet::from([20_000]) }
    }

    #[test]
    fn auto_takes_binary_only_where_every_column_allows_it() {
        let auto = formats(DataFormat::Auto);
        for (types, format) in [
            (&[][..], CopyFormat::Binary),
            (&[17, 23, 2951, 20_000][..], CopyFormat::Binary),
            (&[17, 790][..], CopyFormat::Text), // money
            (&[2205][..], CopyFormat::Text),    // regclass
            (&[142][..], CopyFormat::Text),     // xml
            (&[20_001][..], CopyFormat::Text),  // composite, range, extension's, array of enum
            (&[3904][..], CopyFormat::Text),    // int4range
        ] {
            assert_eq!(auto.of(&table(types)).unwrap(), format, "{types:?}");
        }
    }

    #[test]
    fn text_is_text_and_binary_refuses_by_name() {
        assert_eq!(formats(DataFormat::Text).of(&table(&[17])).unwrap(), CopyFormat::Text);
        let error = formats(DataFormat::Binary).of(&table(&[17, 790])).unwrap_err();
        assert!(error.to_string().contains("\"c790\" of table public.t"), "{error}");
    }

    #[test]
    fn names_parse_back() {
        for format in [DataFormat::Auto, DataFormat::Text, DataFormat::Binary] {
            assert_eq!(format.to_string().parse::<DataFormat>().unwrap(), format);
        }
        assert!("csv".parse::<DataFormat>().is_err());
    }
}
