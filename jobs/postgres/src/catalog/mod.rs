//! The catalog reader: every user object of a database as [`Object`]s.
//!
//! A reader is a function `pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error>`
//! for one family of classes. It
//! - returns an [`Object`] for each row it owns whose [`Emit`] is not [`Emit::Nothing`] (rows
//!   with nothing to emit may be left out: dependencies pass through them all the same);
//! - takes `emit` from [`Catalog::emit_in`], [`Catalog::emit_global`] or [`Catalog::emit_table`];
//! - leaves dependencies to `pg_depend`, which the planner reads whole: edges of rows that are
//!   only parts of the object (`absorbs`) count as the object's own, and edges of rows that no
//!   object stands for are followed through. `needs` is for what the catalog does not say;
//! - leaves comments, security labels and `pg_init_privs` to the planner: it only says how the
//!   object is called (`address`, `described`) and which grants it has (`acls`);
//! - returns what may be inside another object's definition or apart from it (a column's
//!   default, a `CHECK` constraint, a view's rule) as an object of its own with `inline_in`,
//!   and puts a [`Piece::Inline`] for it into the other's definition. The planner detaches it
//!   only to break a dependency loop.

pub mod access_methods;
pub mod casts;
pub mod collations;
mod config;
mod context;
pub mod data_types;
pub mod database;
pub mod default_acls;
pub mod event_triggers;
pub mod extensions;
pub mod foreign;
pub(crate) mod grants;
pub mod languages;
pub mod large_objects;
mod object;
pub mod operator_families;
pub mod operators;
mod patterns;
pub mod publications;
mod record;
pub mod relation;
pub mod routines;
pub mod schemas;
pub mod subscriptions;
pub mod text_search;

pub use context::{Catalog, Chosen, ConfigTable, FIRST_USER_OID, Namespace, class};
pub use object::{Acl, Address, Definition, Described, Emit, Object, ObjectId, Part, Piece, Rank};
pub use record::Record;
