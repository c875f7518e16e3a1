//! One dumpable object, as a catalog reader hands it to the planner.

use pgarchive::{CatalogId, Section};

use crate::plan::TableData;

/// Several entries may come from one catalog row: a type and its shell, a table and its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The object itself. Only this part gets the row's `pg_depend` edges.
    Whole,
    /// A shell type, before its I/O functions.
    Shell,
    /// `ALTER TABLE ... ATTACH PARTITION`, `ALTER INDEX ... ATTACH PARTITION`.
    Attach,
    /// Rows, sequence values.
    Data,
    /// `ALTER SEQUENCE ... OWNED BY`.
    OwnedBy,
    /// `REFRESH MATERIALIZED VIEW`.
    Refresh,
    /// `ALTER TABLE ... ENABLE ROW LEVEL SECURITY`.
    RowSecurity,
}

/// Identity of an object inside one plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The catalog row.
    pub row: CatalogId,
    /// Which entry of that row.
    pub part: Part,
}

impl ObjectId {
    /// The object itself.
    pub fn whole(row: CatalogId) -> Self {
        Self { row, part: Part::Whole }
    }

    /// Another entry of the same catalog row.
    pub fn part(row: CatalogId, part: Part) -> Self {
        Self { row, part }
    }
}

/// Ranks of classes in an archive: `pg_dump_sort.c`'s order, so that archives read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each is the class its name says
pub enum Rank {
    /// What describes the database itself.
    Preamble,
    Schema,
    Language,
    Collation,
    Transform,
    Extension,
    Type,
    Cast,
    Function,
    Aggregate,
    AccessMethod,
    Operator,
    /// Operator classes and families.
    OperatorFamily,
    Conversion,
    TextSearchParser,
    TextSearchTemplate,
    TextSearchDictionary,
    TextSearchConfiguration,
    ForeignDataWrapper,
    ForeignServer,
    /// Tables, views, materialized views, sequences, foreign tables.
    Table,
    TableAttach,
    Default,
    PreDataBoundary,
    TableData,
    SequenceSet,
    LargeObject,
    LargeObjectData,
    PostDataBoundary,
    Constraint,
    Index,
    IndexAttach,
    Statistics,
    Rule,
    Trigger,
    ForeignKey,
    Policy,
    Publication,
    PublicationTable,
    PublicationSchema,
    Subscription,
    DefaultAcl,
    EventTrigger,
    MatviewRefresh,
}

/// Grants as the catalog has them; the planner turns the difference into `GRANT` and `REVOKE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// Object kind in `GRANT`'s words: `TABLE`, `SEQUENCE`, `FUNCTION`, `SCHEMA`, ...
    pub grant_kind: &'static str,
    /// Number (`objsubid`) and unquoted name of the column, for column grants.
    pub column: Option<(i32, String)>,
    /// The stored `aclitem[]`, as text items; `None` when NULL (the default applies).
    pub current: Option<Vec<String>>,
    /// `acldefault()` for this class and owner, as text items; empty for columns.
    pub default: Vec<String>,
    /// What a restored object has before any grant, where that is neither the default nor
    /// what `pg_init_privs` says (schema `public`). The planner looks up `pg_init_privs` itself.
    pub initial: Option<Vec<String>>,
    /// Qualified and short name for `GRANT`, where it calls the object otherwise than
    /// [`Object::address`]: aggregates.
    pub called: Option<(String, String)>,
}

/// How other statements call an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// What precedes the name: `TABLE`, `COLUMN`, `FUNCTION`, `CONSTRAINT c ON`.
    pub class: String,
    /// Qualified, quoted name: `public.t`, `public.t.c`, `public.f(integer)`.
    pub name: String,
    /// The same without the schema, as `pg_dump` has it in tags: `t`, `t.c`, `f(integer)`.
    pub short: String,
}

impl Address {
    /// Class, qualified name and short name.
    pub fn new(
        class: impl Into<String>,
        name: impl Into<String>,
        short: impl Into<String>,
    ) -> Self {
        Self { class: class.into(), name: name.into(), short: short.into() }
    }

    /// For statements: `TABLE public.t`.
    pub fn sql(&self) -> String {
        format!("{} {}", self.class, self.name)
    }

    /// For tags: `TABLE t`.
    pub fn tag(&self) -> String {
        format!("{} {}", self.class, self.short)
    }
}

/// Something inside an object that has a comment or security label of its own: a column, or
/// a catalog row that makes no entry (the index of a primary key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Catalog row that comments are filed under. For the columns of a composite type this is
    /// its `pg_class` row.
    pub row: CatalogId,
    /// `objsubid`; zero for a whole row.
    pub subid: i32,
    /// How statements call it.
    pub address: Address,
}

/// How much of an object goes into the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Emit {
    /// Everything.
    Everything,
    /// Comments, labels and grants, but no definition: schema `public`.
    WithoutDefinition,
    /// Only grants that differ from the initial ones: members of extensions, `pg_catalog`.
    Grants,
    /// Nothing; it only passes dependencies on.
    Nothing,
}

/// A piece of an object's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that is always there.
    Text(String),
    /// Text that depends on whether another object was detached from this one to break a
    /// dependency loop: a column's default, a `CHECK` constraint, a view's rule.
    Inline {
        /// The object that may be detached; its [`Object::inline_in`] names this one.
        object: ObjectId,
        /// Text while it is inline, which is the usual case.
        attached: String,
        /// Text once it is an entry of its own: empty, or a view's placeholder query.
        detached: String,
    },
    /// A parenthesised list, an item a line; items that come out empty are left out.
    List {
        /// The items.
        items: Vec<Definition>,
        /// What stands in place of the list when no item is left.
        empty: &'static str,
    },
}

/// SQL that creates an object, with the parts that loop breaking may take out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition(pub Vec<Piece>);

impl Definition {
    /// The SQL, given which objects were detached.
    pub fn sql(&self, is_detached: impl Fn(ObjectId) -> bool) -> String {
        let mut sql = String::new();
        self.write(&is_detached, &mut sql);
        sql
    }

    fn write(&self, is_detached: &impl Fn(ObjectId) -> bool, sql: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => sql.push_str(text),
                Piece::Inline { object, attached, detached } => {
                    sql.push_str(if is_detached(*object) { detached } else { attached });
                }
                Piece::List { items, empty } => {
                    let mut open = " (";
                    for item in items {
                        let start = sql.len();
                        sql.push_str(open);
                        sql.push_str("\n    ");
                        let text = sql.len();
                        item.write(is_detached, sql);
                        if sql.len() == text {
                            sql.truncate(start);
                        } else {
                            open = ",";
                        }
                    }
                    sql.push_str(if open == "," { "\n)" } else { empty });
                }
            }
        }
    }
}

impl From<String> for Definition {
    fn from(sql: String) -> Self {
        Self(vec![Piece::Text(sql)])
    }
}

impl From<&str> for Definition {
    fn from(sql: &str) -> Self {
        Self(vec![Piece::Text(sql.to_owned())])
    }
}

/// One object, ready to become an entry.
#[derive(Debug, Clone)]
pub struct Object {
    /// Identity.
    pub id: ObjectId,
    /// Class, in `pg_dump`'s words (`Entry::desc`).
    pub desc: &'static str,
    /// `Entry::tag`.
    pub tag: String,
    /// Schema, unquoted.
    pub namespace: Option<String>,
    /// Owning role, unquoted.
    pub owner: Option<String>,
    /// Section.
    pub section: Section,
    /// How much of it goes into the archive.
    pub emit: Emit,
    /// SQL that creates it.
    pub defn: Definition,
    /// SQL that drops it.
    pub drop_stmt: String,
    /// `COPY ... FROM stdin;` line of table data.
    pub copy_stmt: String,
    /// `Entry::tablespace`.
    pub tablespace: Option<String>,
    /// `Entry::table_am`.
    pub table_am: Option<String>,
    /// `Entry::relkind`.
    pub relkind: Option<char>,
    /// Place in the order of classes.
    pub rank: Rank,
    /// Ties inside a rank: the catalog's name, then what else makes it unique (argument
    /// types, table name). The schema is compared before these.
    pub order: Vec<String>,
    /// Objects it needs besides those that `pg_depend` names.
    pub needs: Vec<ObjectId>,
    /// `pg_depend` edges that must be ignored, because they point the wrong way.
    pub ignores: Vec<CatalogId>,
    /// The entry depends on exactly `needs`, whether or not those are in the archive: what
    /// `pg_restore` expects of `TABLE DATA` and `SEQUENCE SET`.
    pub exact_needs: bool,
    /// Catalog rows that are nothing but parts of this object. Their `pg_depend` edges, both
    /// ways, are this object's, and the coverage check takes them as planned: the index of a
    /// constraint, the rule of a materialized view, the members of an operator family.
    pub absorbs: Vec<CatalogId>,
    /// The object whose definition contains this one unless it is detached to break a loop.
    /// An inline object makes no entry; detached, it makes one in its own `section`.
    pub inline_in: Option<ObjectId>,
    /// It may move to post-data to break a loop: functions and materialized views.
    pub postponable: bool,
    /// The shell, for a type: emitted only if a function needs it.
    pub shell: Option<ObjectId>,
    /// How other statements call it.
    pub address: Address,
    /// Grants, the object's own and its columns'.
    pub acls: Vec<Acl>,
    /// The comment that a restored object has before any `COMMENT` (schema `public`).
    pub initial_comment: Option<&'static str>,
    /// Sub-objects with comments or labels of their own.
    pub described: Vec<Described>,
    /// Rows to copy, for `TABLE DATA`; the planner fills in the two dump ids.
    pub copy: Option<Box<TableData>>,
}

impl Object {
    /// An object with nothing but its identity and place; fill in the rest with struct update
    /// syntax.
    pub fn new(
        id: ObjectId,
        desc: &'static str,
        name: impl Into<String>,
        section: Section,
        rank: Rank,
    ) -> Self {
        let name = name.into();
        Self {
            id,
            desc,
            tag: name.clone(),
            namespace: None,
            owner: None,
            section,
            emit: Emit::Everything,
            defn: Definition::default(),
            drop_stmt: String::new(),
            copy_stmt: String::new(),
            tablespace: None,
            table_am: None,
            relkind: None,
            rank,
            order: vec![name],
            needs: Vec::new(),
            ignores: Vec::new(),
            exact_needs: false,
            absorbs: Vec::new(),
            inline_in: None,
            postponable: false,
            shell: None,
            address: Address::default(),
            acls: Vec::new(),
            initial_comment: None,
            described: Vec::new(),
            copy: None,
        }
    }

    /// Class and name, for messages.
    pub fn label(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}.{}", self.desc, self.tag),
            None => format!("{} {}", self.desc, self.tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(oid: u32, sql: &str) -> Piece {
        let object = ObjectId::whole(CatalogId { catalog: 2606, oid });
        Piece::Inline { object, attached: sql.into(), detached: String::new() }
    }

    #[test]
    fn detached_items_leave_no_trace_in_a_list() {
        let definition = Definition(vec![
            Piece::Text("CREATE TABLE t".into()),
            Piece::List {
                items: vec![
                    Definition(vec![check(1, "CONSTRAINT a CHECK (true)")]),
                    Definition(vec![check(2, "CONSTRAINT b CHECK (true)")]),
                ],
                empty: " (\n)",
            },
            Piece::Text(";\n".into()),
        ]);
        assert_eq!(
            definition.sql(|object| object.row.oid == 1),
            "CREATE TABLE t (\n    CONSTRAINT b CHECK (true)\n);\n"
        );
        assert_eq!(definition.sql(|_| true), "CREATE TABLE t (\n);\n");
    }
}
