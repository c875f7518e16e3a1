//! Every class of objects through the built program, every stock pg_restore and back. `harness
//! matrix` goes through all servers and forms.

use std::path::Path;

use harness::matrix::{self, Form, Size};

fn equal(forms: &[Form], clients: &[u16], jobs: u16) {
    let program = Path::new(env!("CARGO_BIN_EXE_aidp-backup"));
    let size = Size {
        servers: vec![17],
        clients: clients.to_vec(),
        forms: forms.to_vec(),
        jobs: vec![jobs],
        temporal: false,
    };
    let restores = matrix::run(program, &size, |_| ()).unwrap();
    // Two databases, by each client and by ourselves.
    assert_eq!(restores, 2 * forms.len() as u64 * (clients.len() as u64 + 1));
}

#[test]
fn old_readers_restore_what_was_written_for_them() {
    equal(&[Form { compress: "gzip", data: "text" }], &[15, 16, 17, 18], 4);
}

#[test]
fn the_default_form_is_restored_serially_too() {
    equal(&[Form { compress: "zstd", data: "auto" }], &[17], 1);
}
