//! Where backups live: stores, manifests, the catalogue of what is kept, and the lease.
//!
//! A backup exists when its manifest does. This crate has never heard of PostgreSQL or
//! Temporal: a manifest carries their facts as data.

mod catalogue;
#[cfg(feature = "testing")]
pub mod conformance;
mod dir;
mod document;
mod error;
#[cfg(feature = "testing")]
pub mod faults;
pub mod hex;
mod key;
pub mod lease;
pub mod manifest;
mod memory;
mod open;
mod requests;
pub mod retry;
pub mod s3;
mod store;
pub mod window;

pub use catalogue::{Catalogue, Damaged, Listing, Removed, Swept};
pub use dir::DirStore;
pub use error::{Error, StoreError, StoreErrorKind};
pub use key::{Key, KeyError};
pub use memory::MemoryStore;
pub use open::{Environment, open, open_counted};
pub use requests::Requests;
pub use store::{
    ByteStream, Capabilities, ObjectInfo, PutMode, Store, Upload, Uploaded, read_small,
};
