//! Puts the descriptors of Temporal's API, as the client was built with them, beside the code.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?;
    println!("cargo:rerun-if-changed={descriptors}");
    fs::copy(&descriptors, PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin"))?;
    Ok(())
}
