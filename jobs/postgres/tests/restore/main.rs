//! Archives of stock `pg_dump`, restored into real servers by this crate.

mod failures;
mod fixture;
mod refusals;
mod round_trips;
mod temporal_copies;
