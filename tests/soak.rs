//! A sidecar under load, for a little more than a minute; `harness soak` does the same for hours.

use std::path::Path;
use std::time::Duration;

use harness::soak::{self, Options};

#[test]
fn under_load_no_run_is_missed_or_doubled() {
    let program = Path::new(env!("CARGO_BIN_EXE_aidp-backup"));
    // A schedule has no shorter step than a minute, and one of them must be whole.
    let length = Duration::from_secs(125);
    let seen = soak::run(program, Options { length, clients: 8, whole: false }).unwrap();
    assert!(seen.slots >= 1 && seen.restarts >= 2 && seen.answers > 100, "{seen}");
}
