//! A plan as the table of contents of a directory archive that every `pg_restore` reads.

use chrono::DateTime;
use pgarchive::{Compression, Header, Toc};
use postgres::plan::Plan;

pub fn encode(plan: &Plan) -> Vec<u8> {
    let database = &plan.database;
    let created = DateTime::UNIX_EPOCH;
    let header = Header::new(
        Compression::None,
        created,
        &*database.name,
        &*database.server_version,
        &*database.server_version,
    );
    Toc { header, entries: plan.entries.clone() }.encode().unwrap()
}
