//! Rows of `pg_class`: what a relation is, before its columns and parts are read.

use pgarchive::{CatalogId, Section};

use super::column::Column;
use crate::Error;
use crate::catalog::{
    Acl, Address, Catalog, Described, Emit, Object, ObjectId, Part, Rank, Record, class,
};
use crate::quote;

/// `pg_class.relkind` of what the readers of this module own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Partitioned,
    Foreign,
    View,
    Matview,
    Sequence,
}

impl Kind {
    pub(super) fn of(relkind: char) -> Option<Self> {
        Some(match relkind {
            'r' => Self::Table,
            'p' => Self::Partitioned,
            'f' => Self::Foreign,
            'v' => Self::View,
            'm' => Self::Matview,
            'S' => Self::Sequence,
            _ => return None,
        })
    }

    /// As `CREATE` and `COMMENT ON` call it; also the entry's class.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::Table | Self::Partitioned => "TABLE",
            Self::Foreign => "FOREIGN TABLE",
            Self::View => "VIEW",
            Self::Matview => "MATERIALIZED VIEW",
            Self::Sequence => "SEQUENCE",
        }
    }

    /// `TABLE` as `ALTER` calls it.
    pub(super) fn alter(self) -> &'static str {
        if self == Self::Foreign { "ALTER FOREIGN TABLE" } else { "ALTER TABLE" }
    }
}

/// `pg_class.relpersistence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    Permanent,
    Unlogged,
    Temporary,
}

/// The column that a sequence belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owned {
    pub(super) table: u32,
    pub(super) column: i16,
    /// An identity column's sequence: part of the table rather than a sequence of its own.
    pub(super) is_identity: bool,
}

/// One relation. The fields after `acl` are empty until their readers have run, and stay so
/// for relations that no definition or data is taken of.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) schema: String,
    /// Qualified and quoted.
    pub(super) sql: String,
    pub(super) kind: Kind,
    pub(super) relkind: char,
    pub(super) persistence: Persistence,
    pub(super) owner: String,
    pub(super) emit: Emit,
    /// `reloptions` without a view's check option.
    pub(super) options: Vec<String>,
    /// `LOCAL` or `CASCADED`.
    pub(super) check_option: Option<String>,
    pub(super) toast_options: Vec<String>,
    /// Empty for the database's default.
    pub(super) tablespace: String,
    pub(super) access_method: Option<String>,
    pub(super) is_heap: bool,
    pub(super) replica_identity: char,
    pub(super) row_security: bool,
    pub(super) force_row_security: bool,
    pub(super) is_partition: bool,
    pub(super) is_populated: bool,
    pub(super) estimated_rows: f32,
    pub(super) owned: Option<Owned>,
    /// Grants on it; none if they are the default and always were.
    pub(super) acl: Option<Acl>,
    /// Grants on columns.
    pub(super) column_acls: Vec<Acl>,
    /// Columns with a comment or a security label.
    pub(super) described: Vec<Described>,
    /// What it inherits from, in order.
    pub(super) parents: Vec<u32>,
    pub(super) columns: Vec<Column>,
}

fn row_of(oid: u32) -> CatalogId {
    CatalogId { catalog: class::PG_CLASS, oid }
}

impl Relation {
    pub(super) fn new(
        cx: &Catalog<'_>,
        row: &Record,
        kind: Kind,
        relkind: char,
    ) -> Result<Self, Error> {
        let oid = row.oid("oid")?;
        let namespace = row.oid("relnamespace")?;
        let name = row.text("relname")?;
        let schema = cx.namespace(namespace)?.name.clone();
        let owned = row.opt_int8("owning_table")?.map(|table| {
            Ok::<_, Error>(Owned {
                table: u32::try_from(table).unwrap_or_default(),
                column: i16::try_from(row.int4("owning_column")?).unwrap_or_default(),
                is_identity: row.bool("is_identity")?,
            })
        });
        Ok(Self {
            oid,
            sql: quote::quote_qualified(&schema, &name),
            kind,
            relkind,
            persistence: match row.char("relpersistence")? {
                'u' => Persistence::Unlogged,
                't' => Persistence::Temporary,
                _ => Persistence::Permanent,
            },
            owner: cx.role(row.oid("relowner")?),
            emit: cx.emit_table(oid, namespace)?,
            options: row.texts("options")?,
            check_option: row.opt_text("check_option")?,
            toast_options: row.texts("toast_options")?,
            tablespace: row.opt_text("spcname")?.unwrap_or_default(),
            access_method: row.opt_text("amname")?,
            is_heap: row.bool("is_heap")?,
            replica_identity: row.char("relreplident")?,
            row_security: row.bool("relrowsecurity")?,
            force_row_security: row.bool("relforcerowsecurity")?,
            is_partition: row.bool("relispartition")?,
            is_populated: row.bool("relispopulated")?,
            estimated_rows: row.float4("reltuples")?,
            owned: owned.transpose()?,
            acl: Some(cx.acl(if kind == Kind::Sequence { "SEQUENCE" } else { "TABLE" }, row)?)
                .filter(|acl| acl.current.is_some() || cx.is_member(row_of(oid))),
            column_acls: Vec::new(),
            described: Vec::new(),
            parents: Vec::new(),
            columns: Vec::new(),
            name,
            schema,
        })
    }

    /// Its row of `pg_class`.
    pub(super) fn row(&self) -> CatalogId {
        row_of(self.oid)
    }

    /// Its own object.
    pub(super) fn id(&self) -> ObjectId {
        ObjectId::whole(self.row())
    }

    /// Whether its definition goes into the archive.
    pub(super) fn is_whole(&self) -> bool {
        self.emit == Emit::Everything
    }

    /// `TABLE public.t`.
    pub(super) fn address(&self) -> Address {
        Address::new(self.kind.keyword(), &*self.sql, quote::quote_ident(&self.name))
    }

    /// Its column of that number, unless dropped.
    pub(super) fn column(&self, number: i16) -> Option<&Column> {
        let at = self.columns.binary_search_by_key(&number, |column| column.number).ok()?;
        self.columns.get(at)
    }

    /// Its own object, with what all kinds have in common.
    pub(super) fn object(&self) -> Object {
        Object {
            namespace: Some(self.schema.clone()),
            owner: Some(self.owner.clone()),
            emit: self.emit,
            drop_stmt: format!("DROP {} {};\n", self.kind.keyword(), self.sql),
            relkind: Some(self.relkind),
            address: self.address(),
            acls: self.acl.iter().chain(&self.column_acls).cloned().collect(),
            described: self.described.clone(),
            ..Object::new(self.id(), self.kind.keyword(), &self.name, Section::PreData, Rank::Table)
        }
    }

    /// Something of a catalog row of its own that belongs to this relation and is called by
    /// its own name and the relation's: a constraint, a trigger, a rule, a policy.
    pub(super) fn attached(
        &self,
        row: CatalogId,
        class: Attached,
        name: &str,
        section: Section,
    ) -> Object {
        Object {
            tag: format!("{} {name}", self.name),
            order: vec![name.to_owned(), self.name.clone()],
            address: self.attached_address(class.keyword, name),
            ..self.part(ObjectId::whole(row), class.desc, section, class.rank)
        }
    }

    /// How a constraint, trigger, rule or policy of this relation is called.
    pub(super) fn attached_address(&self, keyword: &str, name: &str) -> Address {
        let class = format!("{keyword} {} ON", quote::quote_ident(name));
        Address::new(class, &*self.sql, quote::quote_ident(&self.name))
    }

    /// Another entry of the same name, schema and owner.
    pub(super) fn part(
        &self,
        id: ObjectId,
        desc: &'static str,
        section: Section,
        rank: Rank,
    ) -> Object {
        Object {
            namespace: Some(self.schema.clone()),
            owner: Some(self.owner.clone()),
            emit: self.emit,
            ..Object::new(id, desc, &self.name, section, rank)
        }
    }

    /// An entry that `pg_restore` expects to depend on this relation and nothing else.
    pub(super) fn data_part(
        &self,
        part: Part,
        desc: &'static str,
        section: Section,
        rank: Rank,
    ) -> Object {
        Object {
            needs: vec![self.id()],
            exact_needs: true,
            ..self.part(ObjectId::part(self.row(), part), desc, section, rank)
        }
    }

    /// How comments call a column.
    pub(super) fn column_described(&self, number: i32, column: &str) -> Described {
        let column = quote::quote_ident(column);
        let name = format!("{}.{column}", self.sql);
        let short = format!("{}.{column}", quote::quote_ident(&self.name));
        Described { row: self.row(), subid: number, address: Address::new("COLUMN", name, short) }
    }
}

/// The class of something that belongs to a relation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attached {
    /// The entry's class.
    pub(super) desc: &'static str,
    /// As `COMMENT ON` calls it.
    pub(super) keyword: &'static str,
    pub(super) rank: Rank,
}
