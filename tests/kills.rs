//! Killed at random moments: never a listed backup that does not verify, and the next run
//! succeeds and cleans up. `harness kills` does the same hundreds of times.

use std::path::Path;

use harness::aidp::Place;
use harness::{history_kills, kills};

fn some(place: Place, kills: u32) {
    let program = Path::new(env!("CARGO_BIN_EXE_aidp-backup"));
    let tally = kills::run(program, place, kills, |_| ()).unwrap();
    assert_eq!(tally.runs, kills);
    assert!(tally.ended < kills, "every signal came too late: {tally}");
}

#[test]
fn a_run_killed_at_any_moment_leaves_whole_backups_only() {
    some(Place::Folder, 6);
}

#[test]
fn a_run_killed_while_uploading_leaves_whole_backups_only() {
    some(Place::S3, 4);
}

#[test]
fn archiving_killed_at_any_moment_archives_every_run_once() {
    let program = Path::new(env!("CARGO_BIN_EXE_aidp-backup"));
    let tally = history_kills::run(program, Place::Folder, 12, |_| ()).unwrap();
    assert!(tally.ended < 12 && tally.closed > 0, "{tally}");
}
