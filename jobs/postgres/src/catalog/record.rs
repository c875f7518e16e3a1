//! Rows of catalog queries, read by column name.

use sqlx::postgres::types::Oid;

use crate::Error;
use crate::session::Row;

/// One row. Every getter fails with [`Error::Query`] when the column is missing or reads wrong,
/// which means that a server's catalog is not what this version expects.
#[derive(Debug)]
pub struct Record(pub(super) Row);

impl Record {
    /// A column of type `oid`.
    pub fn oid(&self, column: &str) -> Result<u32, Error> {
        self.0.oid(column)
    }

    /// A column of type `oid`, NULL is none.
    pub fn opt_oid(&self, column: &str) -> Result<Option<u32>, Error> {
        self.0.optional_oid(column)
    }

    /// A column of type `oid[]`; NULL is empty.
    pub fn oids(&self, column: &str) -> Result<Vec<u32>, Error> {
        let oids: Vec<Oid> = self.0.get::<Option<_>>(column)?.unwrap_or_default();
        Ok(oids.into_iter().map(|oid| oid.0).collect())
    }

    /// A column of type `text` or `name`, or any other in its text form, that is never NULL.
    pub fn text(&self, column: &str) -> Result<String, Error> {
        self.0.get(column)
    }

    /// A column of type `text` or `name`, or any other in its text form.
    pub fn opt_text(&self, column: &str) -> Result<Option<String>, Error> {
        self.0.get(column)
    }

    /// A column of type `text[]` or `name[]` without NULL items.
    pub fn opt_texts(&self, column: &str) -> Result<Option<Vec<String>>, Error> {
        self.0.get(column)
    }

    /// A column of type `text[]` or `name[]` without NULL items; NULL is empty.
    pub fn texts(&self, column: &str) -> Result<Vec<String>, Error> {
        Ok(self.opt_texts(column)?.unwrap_or_default())
    }

    /// A column of type `"char"`; the empty value is `'\0'`.
    pub fn char(&self, column: &str) -> Result<char, Error> {
        self.0.char(column)
    }

    /// A column of type `bool`.
    pub fn bool(&self, column: &str) -> Result<bool, Error> {
        self.0.get(column)
    }

    /// A column of type `int2`.
    pub fn int2(&self, column: &str) -> Result<i16, Error> {
        self.0.get(column)
    }

    /// A column of type `int4`.
    pub fn int4(&self, column: &str) -> Result<i32, Error> {
        self.0.get(column)
    }

    /// A column of type `int8`.
    pub fn int8(&self, column: &str) -> Result<i64, Error> {
        self.0.get(column)
    }

    /// A column of type `int8`; NULL is none.
    pub fn opt_int8(&self, column: &str) -> Result<Option<i64>, Error> {
        self.0.get(column)
    }

    /// A column of type `float4`.
    pub fn float4(&self, column: &str) -> Result<f32, Error> {
        self.0.get(column)
    }
}
