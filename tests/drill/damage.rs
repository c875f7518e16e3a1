//! Seeded corruptions. What is stored is changed so that all its digests are right again, as one
//! who restores a store by hand might; what is restored is changed behind the program's back. Each
//! is caught and named.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use jobs::drill::database::{Restored, inspect};
use jobs::drill::{Check, CheckResult};
use jobs::{Progress, StoreSource};
use pgarchive::Toc;
use postgres::conninfo::{ConnInfo, Environment};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use vault::manifest::Manifest;

use crate::stage::Stage;
use crate::{assert_only, check, drill};

/// Data files that can be edited as text.
const TEXT: [&str; 4] = ["--data", "text", "--compress", "none"];

fn manifest_path(stage: &Stage, id: &str) -> PathBuf {
    stage.store().join(format!("manifests/exports/{id}.json"))
}

fn manifest(stage: &Stage, id: &str) -> Manifest {
    Manifest::decode(&fs::read(manifest_path(stage, id)).unwrap()).unwrap()
}

fn put_manifest(stage: &Stage, manifest: &Manifest) {
    fs::write(manifest_path(stage, &manifest.id), manifest.encode().unwrap()).unwrap();
}

/// Changes a stored object and gives the manifest its new size and digest.
fn change(stage: &Stage, id: &str, file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let mut manifest = manifest(stage, id);
    let key = format!("{}{file}", manifest.databases[0].location);
    let path = stage.store().join(&key);
    let bytes = change(fs::read(&path).unwrap());
    fs::write(&path, &bytes).unwrap();
    let object = manifest.objects.iter_mut().find(|o| o.key.as_str() == key).unwrap();
    object.size = bytes.len() as u64;
    object.sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    put_manifest(stage, &manifest);
}

/// The data file of a table.
fn file_of(stage: &Stage, id: &str, table: &str) -> String {
    let manifest = manifest(stage, id);
    let table = manifest.databases[0].tables.iter().find(|t| t.name == table).unwrap();
    table.chunks[0].file.clone()
}

fn lines(bytes: Vec<u8>) -> Vec<String> {
    String::from_utf8(bytes).unwrap().split_inclusive('\n').map(str::to_owned).collect()
}

fn drilled(stage: &Stage, id: &str, code: i32) -> serde_json::Value {
    drill(stage, code, &[id, "--scratch", &stage.url("postgres")])
}

#[test]
fn rows_that_are_missing_changed_or_swapped_in_the_store_are_caught() {
    let stage = Stage::new();

    let id = stage.export(&TEXT);
    let file = file_of(&stage, &id, "purchase");
    change(&stage, &id, &file, |bytes| {
        let mut lines = lines(bytes);
        lines.remove(7);
        lines.concat().into_bytes()
    });
    let found = drilled(&stage, &id, 4);
    let (result, text) = check(&found, "rows of every table");
    assert_eq!(result, "FAIL");
    assert!(text.contains("app.purchase: 19999 rows instead of 20000"), "{text}");

    let id = stage.export(&TEXT);
    let file = file_of(&stage, &id, "purchase");
    change(&stage, &id, &file, |bytes| {
        let mut lines = lines(bytes);
        lines[9] = lines[9].replacen('.', ".9", 1);
        lines.concat().into_bytes()
    });
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "content of every table", "FAIL", &["app.purchase"]);

    // The amounts of two purchases change places: as many rows, and the same sum.
    let id = stage.export(&TEXT);
    let file = file_of(&stage, &id, "purchase");
    change(&stage, &id, &file, |bytes| {
        let mut lines = lines(bytes);
        let column = |line: &str| line.split('\t').nth(2).unwrap().to_owned();
        let (one, other) = (column(&lines[20]), column(&lines[30]));
        assert_ne!(one, other);
        lines[20] = lines[20].replacen(&one, &other, 1);
        lines[30] = lines[30].replacen(&other, &one, 1);
        lines.concat().into_bytes()
    });
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "content of every table", "FAIL", &["app.purchase"]);
}

#[test]
fn an_index_that_is_gone_from_the_archive_itself_is_missed_by_its_class() {
    let stage = Stage::new();
    let id = stage.export(&TEXT);
    change(&stage, &id, "toc.dat", |bytes| {
        let mut toc = Toc::decode(&bytes).unwrap();
        toc.entries.retain(|entry| entry.tag != "purchase_customer");
        toc.encode().unwrap()
    });
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "objects of every class", "FAIL", &["INDEX: 1 in the manifest, 0"]);
}

#[test]
fn a_large_object_that_is_gone_from_the_archive_itself_is_missed() {
    let stage = Stage::new();
    let id = stage.export(&TEXT);
    change(&stage, &id, "blobs.toc", |_| Vec::new());
    let found = drilled(&stage, &id, 4);
    let (result, text) = check(&found, "large objects");
    assert_eq!(result, "FAIL");
    assert!(text.contains("1 in the manifest, 0 in the archive"), "{text}");
}

#[test]
fn an_object_of_another_day_is_caught_with_its_digest_and_without() {
    let stage = Stage::new();
    let old = stage.export(&TEXT);
    stage.server.psql("shop", "UPDATE app.purchase SET amount = amount + 1").unwrap();
    let id = stage.export(&TEXT);
    let file = file_of(&stage, &id, "purchase");
    let key = |id: &str| format!("exports/{id}/shop/{file}");
    let of_old = fs::read(stage.store().join(key(&old))).unwrap();

    let own = fs::read(stage.store().join(key(&id))).unwrap();
    fs::write(stage.store().join(key(&id)), &of_old).unwrap();
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "restore", "FAIL", &[&key(&id)]);
    fs::write(stage.store().join(key(&id)), &own).unwrap();

    change(&stage, &id, &file, |_| of_old);
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "content of every table", "FAIL", &["app.purchase"]);
}

#[test]
fn an_older_manifest_in_the_place_of_a_newer_one_is_caught() {
    let stage = Stage::new();
    let old = stage.export(&[]);
    let id = stage.export(&[]);
    fs::copy(manifest_path(&stage, &old), manifest_path(&stage, &id)).unwrap();
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "manifest", "FAIL", &[&format!("it is the manifest of {old}")]);

    // Renamed, so that it says that it is the newer one.
    let renamed = Manifest { id: id.clone(), ..manifest(&stage, &old) };
    put_manifest(&stage, &renamed);
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "manifest", "FAIL", &[&format!("lies at exports/{old}/shop/")]);

    fs::write(manifest_path(&stage, &id), "{}").unwrap();
    let found = drilled(&stage, &id, 4);
    assert_only(&found, "manifest", "FAIL", &["damaged"]);
}

/// Looks at a copy that somebody has changed after it was restored.
fn looked(stage: &Stage, id: &str, copy: &str) -> Vec<Check> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = stage.store().to_str().unwrap().to_owned();
        let store = vault::open(&store, &vault::Environment::of_process()).await.unwrap();
        let manifest = manifest(stage, id);
        let database = &manifest.databases[0];
        let toc = fs::read(stage.store().join(&database.location).join("toc.dat")).unwrap();
        let url = stage.server.url(copy);
        let restored = Restored {
            name: database.name.clone(),
            info: ConnInfo::resolve(Some(&url), &Environment::default()).unwrap(),
            toc: Toc::decode(&toc).unwrap(),
            source: Arc::new(StoreSource::new(store, &manifest, database)),
            owners: true,
        };
        let jobs = NonZeroUsize::new(2).unwrap();
        let (progress, cancel) = (Progress::default(), CancellationToken::new());
        inspect(&[restored], &manifest, &[], jobs, &progress, &cancel).await.unwrap()
    })
}

#[test]
fn whatever_a_copy_lacks_is_named() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    let url = stage.url("copy");
    stage.json(&["restore", &id, "--create", "--into", &url]);
    let failed = |checks: &[Check]| -> Vec<(String, String)> {
        let failed =
            checks.iter().filter(|check| check.result != CheckResult::Pass && check.required);
        failed.map(|check| (check.name.clone(), check.names.join("; "))).collect()
    };
    assert_eq!(failed(&looked(&stage, &id, "copy")), []);
    // What is done, what is to be named, and how it is undone.
    let seeds = [
        (
            "SELECT setval('app.purchase_id_seq', 5)",
            "sequences",
            "app.purchase_id_seq: at 5, true instead of 20000, true",
            "SELECT setval('app.purchase_id_seq', 20000)",
        ),
        (
            "DROP INDEX app.purchase_customer",
            "definitions",
            "INDEX app.purchase_customer: missing",
            "CREATE INDEX purchase_customer ON app.purchase (customer)",
        ),
        (
            "ALTER TABLE app.customer DROP CONSTRAINT customer_name_check",
            "definitions",
            "TABLE app.customer: defined otherwise",
            "ALTER TABLE app.customer ADD CONSTRAINT customer_name_check CHECK (name <> '')",
        ),
        (
            "ALTER TABLE app.purchase DROP CONSTRAINT purchase_customer_fkey",
            "definitions",
            "FK CONSTRAINT app.purchase purchase_customer_fkey: missing",
            "ALTER TABLE app.purchase ADD CONSTRAINT purchase_customer_fkey FOREIGN KEY (customer) REFERENCES app.customer",
        ),
        (
            "SELECT lo_unlink(4242)",
            "large objects",
            "large object 4242: missing",
            "SELECT lo_from_bytea(4242, 'a large object')",
        ),
        (
            "SELECT lo_put(4242, 0, 'A')",
            "large objects",
            "large object 4242: other content",
            "SELECT lo_put(4242, 0, 'a')",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.purchase_customer'::regclass",
            "indexes",
            "app.purchase_customer",
            "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'app.purchase_customer'::regclass",
        ),
        (
            "SET session_replication_role = replica; UPDATE app.purchase SET customer = 99999 WHERE id = 1",
            "foreign keys",
            "app.purchase: purchase_customer_fkey",
            "UPDATE app.purchase SET customer = 2 WHERE id = 1",
        ),
        (
            "SET session_replication_role = replica; DELETE FROM app.customer",
            "rows of every table",
            "app.customer: 0 rows instead of 3000",
            "",
        ),
    ];
    for (seed, name, says, undo) in seeds {
        stage.server.psql("copy", seed).unwrap();
        let failed = failed(&looked(&stage, &id, "copy"));
        let named = failed.iter().find(|(failed, _)| failed == name);
        assert!(named.is_some_and(|(_, names)| names.contains(says)), "{seed}: {failed:?}");
        stage.server.psql("copy", undo).unwrap();
    }
}
