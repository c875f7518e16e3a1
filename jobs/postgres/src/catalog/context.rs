//! What every catalog reader needs to know of the database besides its own class.

use std::collections::{BTreeMap, HashMap, HashSet};

use pgarchive::CatalogId;

use super::object::{Acl, Emit};
use super::record::Record;
use crate::Error;
use crate::lock::LockTarget;
use crate::selection::Selection;
use crate::session::Session;

/// OIDs below this one belong to objects that `initdb` made (`FirstNormalObjectId`).
pub const FIRST_USER_OID: u32 = 16384;

/// OIDs of the system catalogs that readers name; they are fixed for all versions.
#[allow(missing_docs)] // each is the catalog its name says
pub mod class {
    pub const PG_TYPE: u32 = 1247;
    pub const PG_PROC: u32 = 1255;
    pub const PG_CLASS: u32 = 1259;
    pub const PG_DATABASE: u32 = 1262;
    pub const PG_FOREIGN_SERVER: u32 = 1417;
    pub const PG_USER_MAPPING: u32 = 1418;
    pub const PG_FOREIGN_DATA_WRAPPER: u32 = 2328;
    pub const PG_AM: u32 = 2601;
    pub const PG_AMOP: u32 = 2602;
    pub const PG_AMPROC: u32 = 2603;
    pub const PG_ATTRDEF: u32 = 2604;
    pub const PG_CAST: u32 = 2605;
    pub const PG_CONSTRAINT: u32 = 2606;
    pub const PG_CONVERSION: u32 = 2607;
    pub const PG_LANGUAGE: u32 = 2612;
    pub const PG_LARGEOBJECT: u32 = 2613;
    pub const PG_NAMESPACE: u32 = 2615;
    pub const PG_OPCLASS: u32 = 2616;
    pub const PG_OPERATOR: u32 = 2617;
    pub const PG_REWRITE: u32 = 2618;
    pub const PG_TRIGGER: u32 = 2620;
    pub const PG_OPFAMILY: u32 = 2753;
    pub const PG_LARGEOBJECT_METADATA: u32 = 2995;
    pub const PG_EXTENSION: u32 = 3079;
    pub const PG_POLICY: u32 = 3256;
    pub const PG_STATISTIC_EXT: u32 = 3381;
    pub const PG_COLLATION: u32 = 3456;
    pub const PG_EVENT_TRIGGER: u32 = 3466;
    pub const PG_TRANSFORM: u32 = 3576;
    pub const PG_TS_DICT: u32 = 3600;
    pub const PG_TS_PARSER: u32 = 3601;
    pub const PG_TS_CONFIG: u32 = 3602;
    pub const PG_TS_TEMPLATE: u32 = 3764;
    pub const PG_DEFAULT_ACL: u32 = 826;
    pub const PG_SUBSCRIPTION: u32 = 6100;
    pub const PG_PUBLICATION: u32 = 6104;
    pub const PG_PUBLICATION_REL: u32 = 6106;
    pub const PG_PUBLICATION_NAMESPACE: u32 = 6237;
}

/// A row of `pg_namespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Name, unquoted.
    pub name: String,
    /// How much of the objects inside it goes into the archive, before extensions and the
    /// selection of tables have their say.
    pub contents: Emit,
}

/// A configuration table of an extension (`pg_extension.extconfig`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigTable {
    /// The extension.
    pub extension: u32,
    /// `WHERE ...` clause that tells the user's rows from the extension's own.
    pub condition: Option<String>,
}

/// Which tables the operator chose, resolved to OIDs of `pg_class`.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// `--table`; none means everything.
    pub tables: Option<HashSet<u32>>,
    /// `--exclude-table`.
    pub excluded: HashSet<u32>,
    /// `--exclude-table-data`.
    pub without_data: HashSet<u32>,
    /// `--schema-only`.
    pub schema_only: bool,
}

/// One database's catalogs, as a reader sees them.
pub struct Catalog<'s> {
    session: &'s mut Session,
    /// `server_version_num`.
    pub version: i32,
    /// The database's name.
    pub database: String,
    /// OID of the current database.
    pub database_oid: u32,
    /// Whether the server is a standby, whose unlogged tables cannot be read.
    pub is_standby: bool,
    /// The role that reads.
    pub current_role: String,
    /// Whether the role is a superuser.
    pub is_superuser: bool,
    /// Schemas by OID, all of them.
    pub namespaces: BTreeMap<u32, Namespace>,
    /// Roles by OID, all of them.
    pub roles: HashMap<u32, String>,
    /// Extension by member row (`pg_depend.deptype = 'e'`).
    pub members: HashMap<CatalogId, u32>,
    /// Configuration tables of extensions, by OID of `pg_class`. A reader of tables makes a
    /// data object for each whose [`Catalog::emit_config_data`] is true, also with
    /// `--schema-only`.
    pub config_tables: BTreeMap<u32, ConfigTable>,
    /// What the operator chose.
    pub chosen: Chosen,
    /// What is left out although it was not asked to be, for the manifest.
    pub left_out: Vec<String>,
}

impl<'s> Catalog<'s> {
    /// Reads what every reader needs.
    ///
    /// # Errors
    /// [`Error::Refused`] for a pattern that matches no table.
    pub async fn open(session: &'s mut Session, selection: &Selection) -> Result<Self, Error> {
        let mut catalog = Self {
            version: session.server_version_num(),
            database: session.database().to_owned(),
            database_oid: 0,
            is_standby: false,
            current_role: session.role().to_owned(),
            is_superuser: false,
            namespaces: BTreeMap::new(),
            roles: HashMap::new(),
            members: HashMap::new(),
            config_tables: BTreeMap::new(),
            chosen: Chosen { schema_only: selection.schema_only, ..Chosen::default() },
            left_out: Vec::new(),
            session,
        };
        catalog.load_server().await?;
        super::patterns::resolve(&mut catalog, selection).await?;
        catalog.load_roles().await?;
        catalog.load_namespaces().await?;
        catalog.load_members().await?;
        catalog.load_config_tables().await?;
        Ok(catalog)
    }

    /// Runs a query; `doing` completes "… failed in database …", such as `reading types`.
    pub async fn rows(&mut self, doing: &str, sql: &str) -> Result<Vec<Record>, Error> {
        Ok(self.session.rows(doing, sql).await?.into_iter().map(Record).collect())
    }

    /// Runs a query whose result may be too large to hold: `take` gets its rows one by one.
    pub async fn each(
        &mut self,
        doing: &str,
        sql: &str,
        mut take: impl FnMut(&Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.session.each(doing, sql, |row| take(&Record(row))).await
    }

    /// Runs a query that gives exactly one row.
    pub async fn row(&mut self, doing: &str, sql: &str) -> Result<Record, Error> {
        self.session.row(doing, sql).await.map(Record)
    }

    /// Runs statements that give no rows.
    pub async fn execute(&mut self, doing: &str, sql: &str) -> Result<(), Error> {
        self.session.execute(doing, sql).await
    }

    /// Locks tables in `ACCESS SHARE` mode until the transaction ends.
    pub async fn lock(&mut self, tables: &[LockTarget]) -> Result<(), Error> {
        self.session.lock_tables(tables).await
    }

    /// Whether the server is at least `major` (14 for PostgreSQL 14).
    pub fn at_least(&self, major: i32) -> bool {
        self.version >= major * 10_000
    }

    /// Name of a role. A role that was dropped while it still owned something shows as its
    /// number, as `pg_get_userbyid` does.
    pub fn role(&self, oid: u32) -> String {
        self.roles.get(&oid).cloned().unwrap_or_else(|| format!("unknown (OID={oid})"))
    }

    /// Name of a schema.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none of this OID: a damaged catalog.
    pub fn namespace(&self, oid: u32) -> Result<&Namespace, Error> {
        self.namespaces.get(&oid).ok_or_else(|| Error::Refused {
            what: format!("no schema has OID {oid} in database {:?}", self.database),
            hint: "the catalogs are damaged: an object's schema is missing".into(),
        })
    }

    /// Whether every class is exported, not only chosen tables.
    pub fn everything(&self) -> bool {
        self.chosen.tables.is_none()
    }

    /// Whether an extension owns the row.
    pub fn is_member(&self, row: CatalogId) -> bool {
        self.members.contains_key(&row)
    }

    fn emit_member(&self, row: CatalogId) -> Option<Emit> {
        let extension = *self.members.get(&row)?;
        let grants = extension < FIRST_USER_OID || self.everything();
        Some(if grants { Emit::Grants } else { Emit::Nothing })
    }

    /// How much of an object in a schema goes into the archive: functions, types, operators.
    pub fn emit_in(&self, row: CatalogId, namespace: u32) -> Result<Emit, Error> {
        match self.emit_member(row) {
            Some(emit) => Ok(emit),
            None => Ok(self.namespace(namespace)?.contents),
        }
    }

    /// How much of an object without a schema goes into the archive: casts, languages.
    pub fn emit_global(&self, row: CatalogId) -> Emit {
        match self.emit_member(row) {
            Some(emit) => emit,
            None if !self.everything() => Emit::Nothing,
            None if row.oid < FIRST_USER_OID => Emit::Grants,
            None => Emit::Everything,
        }
    }

    /// How much of a row of `pg_class` goes into the archive: tables, views, sequences.
    pub fn emit_table(&self, oid: u32, namespace: u32) -> Result<Emit, Error> {
        if let Some(emit) = self.emit_member(CatalogId { catalog: class::PG_CLASS, oid }) {
            return Ok(emit);
        }
        if self.chosen.excluded.contains(&oid) {
            return Ok(Emit::Nothing);
        }
        match &self.chosen.tables {
            Some(tables) if tables.contains(&oid) => Ok(Emit::Everything),
            Some(_) => Ok(Emit::Nothing),
            None => Ok(self.namespace(namespace)?.contents),
        }
    }

    /// Whether the rows of an extension's configuration table are exported, and under which
    /// condition; `None` when the table is none or was not chosen.
    pub fn emit_config_data(&self, oid: u32) -> Option<&ConfigTable> {
        let config = self.config_tables.get(&oid)?;
        let chosen = match &self.chosen.tables {
            Some(tables) => tables.contains(&oid),
            None => config.extension >= FIRST_USER_OID,
        };
        (chosen && !self.chosen.excluded.contains(&oid)).then_some(config)
    }

    /// An object's own grants. The query must select the stored ACL as `text[]` in `acl`
    /// (`proacl::text[] AS acl`) and `acldefault('f', proowner)::text[] AS acldefault`.
    pub fn acl(&self, kind: &'static str, record: &Record) -> Result<Acl, Error> {
        Ok(Acl {
            grant_kind: kind,
            column: None,
            current: record.opt_texts("acl")?,
            default: record.texts("acldefault")?,
            initial: None,
            called: None,
        })
    }

    async fn load_server(&mut self) -> Result<(), Error> {
        let row = self
            .row(
                "reading the server's version",
                "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) AS oid, \
                        pg_is_in_recovery() AS standby, \
                        coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), \
                                 false) AS superuser",
            )
            .await?;
        self.database_oid = row.oid("oid")?;
        self.is_standby = row.bool("standby")?;
        self.is_superuser = row.bool("superuser")?;
        Ok(())
    }

    async fn load_roles(&mut self) -> Result<(), Error> {
        for row in self.rows("reading roles", "SELECT oid, rolname FROM pg_roles").await? {
            self.roles.insert(row.oid("oid")?, row.text("rolname")?);
        }
        Ok(())
    }

    async fn load_namespaces(&mut self) -> Result<(), Error> {
        for row in self.rows("reading schemas", "SELECT oid, nspname FROM pg_namespace").await? {
            let name = row.text("nspname")?;
            let contents = if !self.everything() {
                Emit::Nothing
            } else if name == "pg_catalog" {
                Emit::Grants
            } else if name.starts_with("pg_") || name == "information_schema" {
                Emit::Nothing
            } else {
                Emit::Everything
            };
            self.namespaces.insert(row.oid("oid")?, Namespace { name, contents });
        }
        Ok(())
    }

    async fn load_members(&mut self) -> Result<(), Error> {
        let rows = self
            .rows(
                "reading members of extensions",
                "SELECT classid, objid, refobjid FROM pg_depend \
                 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'",
            )
            .await?;
        for row in rows {
            let member = CatalogId { catalog: row.oid("classid")?, oid: row.oid("objid")? };
            self.members.insert(member, row.oid("refobjid")?);
        }
        Ok(())
    }

    async fn load_config_tables(&mut self) -> Result<(), Error> {
        let rows = self
            .rows(
                "reading configuration tables of extensions",
                "SELECT x.oid AS extension, t.relation, t.condition \
                 FROM pg_extension x, \
                      unnest(x.extconfig, x.extcondition) AS t (relation, condition)",
            )
            .await?;
        for row in rows {
            let condition = row.opt_text("condition")?.filter(|condition| !condition.is_empty());
            let config = ConfigTable { extension: row.oid("extension")?, condition };
            self.config_tables.insert(row.oid("relation")?, config);
        }
        Ok(())
    }
}
