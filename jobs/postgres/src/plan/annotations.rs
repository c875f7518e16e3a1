//! What the catalog says of objects besides their definition: comments, security labels and
//! the grants they started with.

use std::collections::BTreeMap;

use pgarchive::CatalogId;

use crate::Error;
use crate::catalog::{Catalog, FIRST_USER_OID, class};

/// A catalog row and one of its sub-objects; zero for the row itself.
pub(super) type Place = (CatalogId, i32);

/// Comments, security labels and initial grants by place.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) comments: BTreeMap<Place, String>,
    /// Provider and label.
    pub(super) labels: BTreeMap<Place, Vec<(String, String)>>,
    /// `pg_init_privs`: what `initdb` or an extension's script granted.
    pub(super) initial_grants: BTreeMap<Place, Vec<String>>,
}

impl Annotations {
    /// Reads them all; comments on what `initdb` made are left out, but for schemas, because
    /// `public` may have another one.
    pub(super) async fn load(catalog: &mut Catalog<'_>) -> Result<Self, Error> {
        let mut annotations = Self::default();
        let sql = format!(
            "SELECT classoid, objoid, objsubid, description FROM pg_description \
             WHERE objoid >= {FIRST_USER_OID} OR classoid IN ({}, {}) \
             UNION ALL \
             SELECT classoid, objoid, 0, description FROM pg_shdescription \
             WHERE classoid = {database} AND objoid = {}",
            class::PG_NAMESPACE,
            class::PG_LARGEOBJECT,
            catalog.database_oid,
            database = class::PG_DATABASE,
        );
        catalog
            .each("reading comments", &sql, |row| {
                annotations.comments.insert(place(row)?, row.text("description")?);
                Ok(())
            })
            .await?;
        let sql = format!(
            "SELECT classoid, objoid, objsubid, provider, label FROM pg_seclabel \
             UNION ALL \
             SELECT classoid, objoid, 0, provider, label FROM pg_shseclabel \
             WHERE classoid = {} AND objoid = {} \
             ORDER BY 1, 2, 3, 4",
            class::PG_DATABASE,
            catalog.database_oid
        );
        for row in catalog.rows("reading security labels", &sql).await? {
            let labels = annotations.labels.entry(place(&row)?).or_default();
            labels.push((row.text("provider")?, row.text("label")?));
        }
        let sql = "SELECT classoid, objoid, objsubid, initprivs::text[] AS acl FROM pg_init_privs";
        for row in catalog.rows("reading initial privileges", sql).await? {
            annotations.initial_grants.insert(place(&row)?, row.texts("acl")?);
        }
        Ok(annotations)
    }
}

fn place(row: &crate::catalog::Record) -> Result<Place, Error> {
    let id = CatalogId { catalog: row.oid("classoid")?, oid: row.oid("objoid")? };
    Ok((id, row.int4("objsubid")?))
}
