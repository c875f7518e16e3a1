//! Exports of real servers: what stock tools make of them, and what happens when they fail.

mod failures;
mod round_trips;
mod support;
