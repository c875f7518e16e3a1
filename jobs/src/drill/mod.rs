//! Drills: prove that what is kept comes back.
//!
//! Each drill restores into something that can be thrown away, compares, measures, and ends with
//! one document of [evidence](Evidence).

mod evidence;

pub use evidence::{
    Check, CheckResult, Evidence, FORMAT, Isolation, Kind, Measures, Scratch, Subject,
};
