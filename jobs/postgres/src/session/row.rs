//! Rows of a result.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{Decode, Postgres, Row as _, ValueRef};

use super::Context;
use crate::Error;

/// One row of a result; values are read by column name.
#[derive(Debug)]
pub struct Row {
    pub(super) row: PgRow,
    pub(super) context: Arc<Context>,
}

impl Row {
    /// The value of `column`, whatever its SQL type, parsed as `T`: integers, floats, `bool`,
    /// `String`, `Vec<String>` for `text[]`, and `Option` of these.
    ///
    /// # Errors
    /// [`Error::Query`] when it does not parse, is NULL and `T` is no `Option`, or does not
    /// exist; [`Error::Refused`] when it is text that is not UTF-8.
    pub fn get<'r, T>(&'r self, column: &str) -> Result<T, Error>
    where
        T: Decode<'r, Postgres>,
    {
        self.check_text(column)?;
        self.row.try_get_unchecked(column).map_err(|source| self.context.error(source))
    }

    /// The value of the only column, whatever it is called; as [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get), also when there are several columns.
    pub fn only<'r, T>(&'r self) -> Result<T, Error>
    where
        T: Decode<'r, Postgres>,
    {
        if self.row.len() != 1 {
            let several = sqlx::Error::Protocol("the row has not exactly one column".to_owned());
            return Err(self.context.error(several));
        }
        self.row.try_get_unchecked(0).map_err(|source| self.context.error(source))
    }

    /// An OID.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn oid(&self, column: &str) -> Result<u32, Error> {
        Ok(self.get::<Oid>(column)?.0)
    }

    /// An OID that may be NULL.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn optional_oid(&self, column: &str) -> Result<Option<u32>, Error> {
        Ok(self.get::<Option<Oid>>(column)?.map(|oid| oid.0))
    }

    /// A `"char"`, such as `relkind`; NUL for the empty one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn char(&self, column: &str) -> Result<char, Error> {
        Ok(self.get::<&str>(column)?.chars().next().unwrap_or('\0'))
    }

    /// Names in a database without an encoding may be any bytes, and an archive cannot say
    /// what they mean.
    fn check_text(&self, column: &str) -> Result<(), Error> {
        let value = self.row.try_get_raw(column).map_err(|source| self.context.error(source))?;
        if value.is_null() {
            return Ok(());
        }
        match value.as_bytes().map(std::str::from_utf8) {
            Ok(Err(_)) => Err(Error::Refused {
                what: format!(
                    "{} found a name or definition in database {:?} that is not valid UTF-8",
                    self.context.doing, self.context.facts.database.name
                ),
                hint: "the database has encoding SQL_ASCII: rename the object in plain ASCII, or dump this database with pg_dump".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}
