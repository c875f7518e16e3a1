//! Drills: prove that what is kept comes back.
//!
//! Each drill restores into something that can be thrown away, compares, measures, and ends with
//! one document of [evidence](Evidence), which [`record`] stores beside the backups with a page
//! for people.

mod check;
pub mod database;
mod document;
mod evidence;
mod folder;
pub mod histories;
pub mod keeper;
mod key;
mod page;
mod record;
pub mod replay;
pub mod report;

pub use document::{Document, ReportError, Signature};
pub use evidence::{
    Check, CheckResult, Evidence, FORMAT, Isolation, Kind, Measures, Scratch, Subject,
};
pub use key::{PublicKey, SigningKey};
pub use page::page;
pub use record::{Drilled, Recorded, is_id, new_id, passed, past, record};
