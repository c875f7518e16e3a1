//! Closed workflow executions to JSON Lines, and JSON Lines to Temporal.

pub mod json;
