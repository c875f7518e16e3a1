//! The command's face: help, completions, manual, configuration.

mod stage;

use stage::{bare, run};

#[test]
fn every_verb_has_help() {
    for verb in [
        "now", "serve", "status", "list", "show", "verify", "restore", "fetch", "prune", "history",
        "config",
    ] {
        let ran = run(bare(&[verb, "--help"]));
        assert_eq!(ran.code, Some(0), "{verb}");
        assert!(ran.stdout.contains("Usage: aidp-backup"), "{verb}");
    }
}

#[test]
fn nothing_typed_is_a_usage_error() {
    assert_eq!(run(bare(&[])).code, Some(2));
    assert_eq!(run(bare(&["drill"])).code, Some(2));
    assert_eq!(run(bare(&["now", "archive"])).code, Some(2));
}

#[test]
fn help_never_shows_a_secret_from_the_environment() {
    let mut command = bare(&["now", "export", "--help"]);
    command.env("AIDP_BACKUP_DATABASE", "postgresql://u:hunter2@h/d");
    assert!(!run(command).stdout.contains("hunter2"));
}

#[test]
fn the_example_configuration_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let example = run(bare(&["config", "example"]));
    assert_eq!(example.code, Some(0));
    std::fs::write(&path, example.stdout).unwrap();
    let check = run(bare(&["config", "check", "--config", path.to_str().unwrap()]));
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains("daily 7"), "{check:?}");
    assert!(check.stdout.contains("temporal_visibility"), "{check:?}");
}

#[test]
fn a_flag_beats_a_variable_and_a_variable_beats_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "store = \"/from/the/file\"\n").unwrap();
    let path = path.to_str().unwrap();
    let store = |arguments: &[&str], variable: Option<&str>| {
        let mut command = bare(&["config", "check", "--config", path]);
        command.args(arguments);
        command.envs(variable.map(|value| ("AIDP_BACKUP_STORE", value)));
        let ran = run(command);
        let line = ran.stdout.lines().find(|line| line.starts_with("store")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(store(&[], None), "/from/the/file");
    assert_eq!(store(&[], Some("/from/a/variable")), "/from/a/variable");
    assert_eq!(store(&["--store", "/from/a/flag"], Some("/from/a/variable")), "/from/a/flag");
}

#[test]
fn completions_and_the_manual_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(bare(&["completions", shell]));
        assert!(ran.stdout.contains("aidp-backup"), "{shell}");
    }
    let page = run(bare(&["man"])).stdout;
    assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{}", &page[..40]);
    assert!(page.contains("keep\\-daily"));
}
