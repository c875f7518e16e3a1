//! Functions, procedures and aggregates.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Definition, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

mod aggregate;
mod function;

/// Reads `pg_proc`. What belongs to something else internally, such as the constructors of a
/// range type, comes with that.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let body = if cx.at_least(14) {
        "pg_get_function_sqlbody(p.oid)"
    } else {
        "NULL::text" // bodies in SQL's own syntax came with PostgreSQL 14
    };
    let sql = format!(
        "SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.prokind, \
                pg_get_function_arguments(p.oid) AS arguments, \
                pg_get_function_identity_arguments(p.oid) AS identity_arguments, \
                pg_get_function_result(p.oid) AS result, \
                l.lanname, p.prosrc, p.probin, {body} AS sql_body, \
                p.proretset, p.provolatile, p.proisstrict, p.prosecdef, p.proleakproof, \
                p.proparallel, p.procost::text AS cost, p.prorows::text AS rows, \
                nullif(p.prosupport, 0)::regproc::text AS support, p.proconfig, \
                array(SELECT format_type(t.oid, NULL) \
                      FROM unnest(p.protrftypes) WITH ORDINALITY AS t (oid, place) \
                      ORDER BY place) AS transforms, \
                array(SELECT format_type(t.oid, NULL) \
                      FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, place) \
                      ORDER BY place) AS types, \
                array(SELECT n.nspname || '.' || y.typname \
                      FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, place) \
                      JOIN pg_type y ON y.oid = t.oid \
                      JOIN pg_namespace n ON n.oid = y.typnamespace \
                      ORDER BY place) AS type_names, \
                p.proacl::text[] AS acl, acldefault('f', p.proowner)::text[] AS acldefault \
         FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
         LEFT JOIN pg_init_privs i ON i.objoid = p.oid AND i.objsubid = 0 \
                                  AND i.classoid = 'pg_proc'::regclass \
         WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass \
                             AND d.objid = p.oid AND d.deptype = 'i') \
           AND (p.pronamespace <> 'pg_catalog'::regnamespace \
                OR p.proacl IS DISTINCT FROM i.initprivs)"
    );
    let mut aggregates = aggregate::definitions(cx).await?;
    let mut objects = Vec::new();
    for row in cx.rows("reading functions", &sql).await? {
        let id = CatalogId { catalog: class::PG_PROC, oid: row.oid("oid")? };
        let namespace = row.oid("pronamespace")?;
        let emit = cx.emit_in(id, namespace)?;
        if emit == Emit::Nothing {
            continue;
        }
        let routine = Routine::new(cx, namespace, &row)?;
        let mut object = routine.object(cx, id, &row)?;
        object.emit = emit;
        if emit == Emit::Everything {
            object.defn = if routine.kind == Kind::Aggregate {
                let options = aggregates.remove(&id.oid).ok_or_else(|| Error::Refused {
                    what: format!("aggregate {} has no definition", routine.identity()),
                    hint: "the catalogs are damaged: its row in pg_aggregate is missing".into(),
                })?;
                aggregate::create(&routine, &row, &options)?
            } else {
                function::create(&routine, &row)?
            };
        }
        objects.push(object);
    }
    Ok(objects)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Function,
    Procedure,
    Window,
    Aggregate,
}

/// A row of `pg_proc` by its names.
#[derive(Debug)]
struct Routine {
    kind: Kind,
    namespace: String,
    name: String,
    /// Argument names, modes and types, enough to identify it: `a integer, VARIADIC b text[]`.
    identity_arguments: String,
    /// Types of input arguments.
    types: Vec<String>,
}

impl Routine {
    fn new(cx: &Catalog<'_>, namespace: u32, row: &Record) -> Result<Self, Error> {
        let name = row.text("proname")?;
        let kind = match row.char("prokind")? {
            'f' => Kind::Function,
            'p' => Kind::Procedure,
            'w' => Kind::Window,
            'a' => Kind::Aggregate,
            other => {
                return Err(Error::Refused {
                    what: format!("function {name:?} is of unknown kind {other:?}"),
                    hint: "dump this database with its server's own pg_dump".into(),
                });
            }
        };
        Ok(Self {
            kind,
            namespace: cx.namespace(namespace)?.name.clone(),
            name,
            identity_arguments: row.text("identity_arguments")?,
            types: row.texts("types")?,
        })
    }

    /// Class, in the words of `CREATE`, `DROP` and `COMMENT`.
    fn keyword(&self) -> &'static str {
        match self.kind {
            Kind::Function | Kind::Window => "FUNCTION",
            Kind::Procedure => "PROCEDURE",
            Kind::Aggregate => "AGGREGATE",
        }
    }

    /// Quoted name with a list of arguments; an aggregate without any has `*`.
    fn with_arguments(&self, arguments: &str) -> String {
        let is_star = self.kind == Kind::Aggregate && self.types.is_empty();
        let arguments = if is_star { "*" } else { arguments };
        format!("{}({arguments})", quote::quote_ident(&self.name))
    }

    /// The qualified name with a list of arguments.
    fn qualified(&self, arguments: &str) -> String {
        format!("{}.{}", quote::quote_ident(&self.namespace), self.with_arguments(arguments))
    }

    /// How statements other than `CREATE` call it.
    fn identity(&self) -> String {
        self.qualified(&self.identity_arguments)
    }

    fn object(&self, cx: &Catalog<'_>, id: CatalogId, row: &Record) -> Result<Object, Error> {
        let keyword = self.keyword();
        let types = self.types.join(", ");
        let star = self.kind == Kind::Aggregate && self.types.is_empty();
        let mut acl =
            cx.acl(if self.kind == Kind::Procedure { "PROCEDURE" } else { "FUNCTION" }, row)?;
        if self.kind == Kind::Aggregate {
            // There is no GRANT ON AGGREGATE: it is called as a function would be.
            let short = format!("{}({types})", quote::quote_ident(&self.name));
            acl.called = Some((format!("{}.{short}", quote::quote_ident(&self.namespace)), short));
        }
        let mut order = vec![self.name.clone(), format!("{:03}", self.types.len())];
        order.extend(row.texts("type_names")?);
        Ok(Object {
            tag: format!("{}({})", self.name, if star { "*" } else { &types }),
            namespace: Some(self.namespace.clone()),
            owner: Some(cx.role(row.oid("proowner")?)),
            drop_stmt: format!("DROP {keyword} {};\n", self.identity()),
            address: Address::new(
                keyword,
                self.identity(),
                self.with_arguments(&self.identity_arguments),
            ),
            acls: vec![acl],
            postponable: self.kind != Kind::Aggregate,
            order,
            ..Object::new(
                ObjectId::whole(id),
                keyword,
                self.name.clone(),
                Section::PreData,
                if self.kind == Kind::Aggregate { Rank::Aggregate } else { Rank::Function },
            )
        })
    }
}

fn unknown(routine: &Routine, what: &str, code: char) -> Error {
    Error::Refused {
        what: format!("{} {} has unknown {what} {code:?}", routine.keyword(), routine.identity()),
        hint: "dump this database with its server's own pg_dump".into(),
    }
}
