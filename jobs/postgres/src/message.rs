//! The driver's errors in the server's own words.

use std::error::Error as StdError;

use sqlx::postgres::PgDatabaseError;

/// What the server said, without the driver's frame around it, when `error` is the driver's
/// report of a message from the server.
pub fn server_message(error: &(dyn StdError + 'static)) -> Option<String> {
    let database = match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => database.try_downcast_ref::<PgDatabaseError>()?,
        Some(_) => return None,
        None => error.downcast_ref::<PgDatabaseError>()?,
    };
    Some(match database.detail() {
        Some(detail) => format!("{} ({})", database.message(), detail.trim_end_matches('.')),
        None => database.message().to_owned(),
    })
}
