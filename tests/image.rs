//! Our image: what is in it, how large it is, that it is made alike twice, and its list of parts.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::image;
use serde_json::Value;

/// The bound, of the whole image uncompressed.
const LIMIT: u64 = 40_000_000;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn the_image_is_small_static_and_made_alike_twice() {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    image::context(&context).unwrap();

    // Only what the Dockerfile says, and under the bound.
    let root = context.join("root");
    let mut found = Vec::new();
    files(&root, &mut found);
    let size: u64 = found.iter().map(|path| path.symlink_metadata().unwrap().len()).sum();
    assert!(size < LIMIT, "{size} bytes");
    let of = |path: &str| root.join(path);
    let mut strange = found.iter().filter(|path| {
        !path.starts_with(of("usr/share/zoneinfo"))
            && ![
                of("usr/bin/aidp-backup"),
                of("etc/ssl/certs/ca-certificates.crt"),
                of("etc/passwd"),
                of("etc/group"),
            ]
            .contains(path)
    });
    assert_eq!(strange.next(), None);
    assert!(of("usr/share/zoneinfo/Europe/Berlin").is_file());
    let program = of("usr/bin/aidp-backup");
    let mode = program.metadata().unwrap();
    assert_eq!((mode.permissions().mode() & 0o7777, mode.uid()), (0o755, 0));

    // It needs no loader: it starts where nothing else is, and knows its own version.
    let interpreter = Command::new("readelf").args(["-l"]).arg(&program).output().unwrap();
    let headers = String::from_utf8(interpreter.stdout).unwrap();
    assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{headers}");
    let version = Command::new(&program).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(version.trim(), format!("aidp-backup {}", env!("CARGO_PKG_VERSION")));
    // Nothing tells where it was built.
    let bytes = std::fs::read(&program).unwrap();
    let here = env!("CARGO_MANIFEST_DIR").as_bytes();
    assert!(!bytes.windows(here.len()).any(|window| window == here));

    // The same inputs, the same bytes.
    let archives = ["one.tar", "two.tar"].map(|name| {
        let archive = folder.path().join(name);
        image::archive(&context, image::OURS, &archive).unwrap();
        std::fs::read(archive).unwrap()
    });
    assert!(archives[0] == archives[1], "two images of one folder differ");
    let text = String::from_utf8_lossy(&archives[0]);
    assert!(text.contains(r#""User":"65532:65532""#), "it does not run as root");

    // The SBOM has what is linked, and no more than what is locked.
    let sbom: Value =
        serde_json::from_slice(&std::fs::read(context.join("sbom.cdx.json")).unwrap()).unwrap();
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"));
    let lock = lock.unwrap();
    let components = sbom["components"].as_array().unwrap();
    for component in components {
        let (name, version) = (&component["name"], &component["version"]);
        let locked = format!("name = {name}\nversion = {version}\n");
        assert!(lock.contains(&locked), "{component}");
    }
    let has = |name: &str| components.iter().any(|it| it["name"] == name);
    for linked in ["tokio", "sqlx-postgres", "aws-sdk-s3", "zstd-sys", "jobs", "vault"] {
        assert!(has(linked), "{linked}");
    }
    for other in ["tempfile", "harness", "cc"] {
        assert!(!has(other), "{other} is not in the program");
    }
}
