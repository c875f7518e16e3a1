//! How each refusal prints: exit code and the exact lines, as `tests/golden/NAME.txt` has them.
//! `AIDP_BACKUP_TEST_BLESS=1` writes those files anew.

mod stage;

use std::fs;
use std::path::Path;

use stage::{bare, run};
use tempfile::TempDir;

/// Runs the command in an empty folder with these files and variables, and compares.
fn golden(name: &str, arguments: &[&str], variables: &[(&str, &str)], files: &[(&str, &str)]) {
    let folder = TempDir::new().unwrap();
    for (file, content) in files {
        fs::write(folder.path().join(file), content).unwrap();
    }
    let mut command = bare(arguments);
    command.current_dir(folder.path()).envs(variables.iter().copied());
    let ran = run(command);
    assert_eq!(ran.stdout, "", "{name}");
    let code = ran.code.unwrap();
    let printed = format!("exit code {code}\n{}", ran.stderr);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var_os("AIDP_BACKUP_TEST_BLESS").is_some() {
        fs::write(path, printed).unwrap();
    } else {
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(printed, expected, "{}", path.display());
    }
}

#[test]
fn no_store() {
    golden("no_store", &["list"], &[], &[]);
}

#[test]
fn store_without_a_folder() {
    golden("store_without_a_folder", &["list", "--store", "nowhere/at/all"], &[], &[]);
}

#[test]
fn old_archive_in_a_bucket() {
    golden("old_archive_in_a_bucket", &["history", "list", "--from", "s3://bucket/x"], &[], &[]);
}

#[test]
fn old_archive_that_is_none() {
    let files = [("a.txt", "some text"), ("b.txt", "more text")];
    golden("old_archive_that_is_none", &["history", "search", "--from", "."], &[], &files);
}

#[test]
fn search_attributes_of_an_old_archive() {
    let arguments = ["history", "list", "--from", ".", "--search-attribute", "A=b"];
    golden("search_attributes_of_an_old_archive", &arguments, &[], &[]);
}

#[test]
fn store_of_an_unknown_kind() {
    golden("store_of_an_unknown_kind", &["list", "--store", "gs://bucket"], &[], &[]);
}

#[test]
fn password_in_a_database_url() {
    let url = "postgresql://backup:hunter2@db.example/temporal";
    golden(
        "password_in_a_database_url",
        &["now", "export", "--store", ".", "--database", url],
        &[],
        &[],
    );
}

#[test]
fn password_in_a_restore_target() {
    let arguments = ["restore", "latest", "--store", ".", "--into", "host=h password=hunter2"];
    golden("password_in_a_restore_target", &arguments, &[], &[]);
}

#[test]
fn unknown_connection_keyword() {
    let arguments = ["now", "export", "--store", ".", "-d", "host=h sslmod=require"];
    golden("unknown_connection_keyword", &arguments, &[], &[]);
}

#[test]
fn unknown_key_in_the_configuration() {
    let files = [("c.toml", "store = \".\"\n\n[retention]\nkeep_dayly = 7\n")];
    golden("unknown_key_in_the_configuration", &["list", "--config", "c.toml"], &[], &files);
}

#[test]
fn broken_configuration_with_a_password_in_it() {
    let files = [("c.toml", "[[database]]\nurl = \"postgresql://u:hunter2@h/d\" oops\n")];
    let arguments = ["list", "--config", "c.toml"];
    golden("broken_configuration_with_a_password_in_it", &arguments, &[], &files);
}

#[test]
fn missing_configuration_file() {
    golden("missing_configuration_file", &["list", "--config", "none.toml"], &[], &[]);
}

#[test]
fn empty_retention_policy() {
    golden("empty_retention_policy", &["prune", "--store", ".", "--keep-daily", "0"], &[], &[]);
}

#[test]
fn unknown_time_zone() {
    let variables = [("AIDP_BACKUP_TIME_ZONE", "Europe/Atlantis"), ("AIDP_BACKUP_STORE", ".")];
    golden("unknown_time_zone", &["prune"], &variables, &[]);
}

#[test]
fn binary_data_in_a_script() {
    let arguments = ["now", "export", "--store", ".", "--format", "plain", "--data", "binary"];
    golden("binary_data_in_a_script", &arguments, &[], &[]);
}

#[test]
fn unknown_compression() {
    golden(
        "unknown_compression",
        &["now", "export", "--store", ".", "--compress", "brotli"],
        &[],
        &[],
    );
}

#[test]
fn unknown_compression_level() {
    golden(
        "unknown_compression_level",
        &["now", "export", "--store", ".", "--compress", "gzip:77"],
        &[],
        &[],
    );
}

#[test]
fn too_many_jobs() {
    golden("too_many_jobs", &["now", "export", "--store", ".", "--jobs", "1000"], &[], &[]);
}

#[test]
fn one_database_twice() {
    let arguments =
        ["now", "export", "--store", ".", "-d", "postgresql://h/d", "-d", "postgresql://i/d"];
    golden("one_database_twice", &arguments, &[], &[]);
}

#[test]
fn an_empty_store() {
    golden("an_empty_store", &["show", "latest", "--store", "."], &[], &[]);
}

#[test]
fn an_unknown_backup() {
    golden("an_unknown_backup", &["show", "1999", "--store", "."], &[], &[]);
}

#[test]
fn accepting_without_applying() {
    let arguments = ["prune", "--store", ".", "--accept-smaller", "latest"];
    golden("accepting_without_applying", &arguments, &[], &[]);
}

#[test]
fn two_urls_in_a_file_for_one() {
    let files = [("into", "postgresql://h/a\npostgresql://h/b\n")];
    let arguments = ["restore", "latest", "--store", ".", "--into-file", "into"];
    golden("two_urls_in_a_file_for_one", &arguments, &[], &files);
}
