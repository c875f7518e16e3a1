//! What surrounds the program: Compose, values of Temporal's chart, alerts, dashboard, arguments.

mod sidecar;
mod stage;

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::manifests;
use harness::prometheus::{self, Prometheus};
use serde_json::Value;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap()
}

/// What a Prometheus without the operator loads: what stands under `spec`.
fn rules() -> String {
    let text = read("k8s/components/monitoring/prometheus-rule.yaml");
    let below = text.lines().skip_while(|line| *line != "spec:").skip(1);
    below.map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

#[test]
fn every_alert_is_sound_and_has_a_unit_test() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), rules()).unwrap();
    let tests = read("k8s/alerts-test.yaml");
    std::fs::write(folder.path().join("test.yaml"), &tests).unwrap();
    prometheus::promtool(folder.path(), &["check", "rules", "rules.yaml"]).unwrap();
    prometheus::promtool(folder.path(), &["test", "rules", "test.yaml"]).unwrap();
    for alert in rules().lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = tests
            .split("alertname: ")
            .skip(1)
            .any(|test| test.starts_with(&format!("{alert}\n        exp_alerts")));
        assert!(fires, "no test in which {alert} fires");
    }
}

/// Names of our metrics in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
    words.filter(|word| word.starts_with("aidp_backup_"))
}

/// What a sidecar without a Temporal and without drills has no word on.
fn needs_more(name: &str) -> bool {
    let of_temporal = ["aidp_backup_temporal_retention_seconds", "aidp_backup_archived_runs_total"];
    ["aidp_backup_archive_", "aidp_backup_drill_"].iter().any(|it| name.starts_with(it))
        || of_temporal.contains(&name)
}

#[test]
fn every_query_of_the_dashboard_has_an_answer_from_a_running_sidecar() {
    let stage = stage::Stage::new();
    let url = stage.url("shop");
    let databases = ["--database", url.as_str()];
    for _ in 0..2 {
        let mut export = vec!["now", "export"];
        export.extend(databases);
        assert_eq!(stage.run(&export).code, Some(0));
    }
    let mut serve = vec!["serve"];
    serve.extend(databases);
    let sidecar = sidecar::Sidecar::start(stage.command(&serve));
    let mut server = Prometheus::start(&rules(), &sidecar.address).unwrap();
    // It has looked at its store, and there are samples enough for a rate.
    server.wait_for("count_over_time(aidp_backup_last_success_timestamp_seconds[1m]) > 2").unwrap();
    let exposed = sidecar.get("/metrics").body;
    prometheus::check_metrics(&exposed).unwrap();

    let dashboard: Value =
        serde_json::from_str(&read("k8s/components/monitoring/aidp-backup.json")).unwrap();
    let mut answers = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            assert!(!expression.contains('$'), "{expression}");
            let answer = server.query(&expression).unwrap();
            if !names(&expression).any(needs_more) {
                assert!(!answer.trim().is_empty(), "{expression} has no answer");
                answers += 1;
            }
        }
    }
    assert!(answers >= 10, "{answers}");
    server.query("sum(").unwrap_err();

    // The alerts speak of the same metrics, and are content with this sidecar.
    for name in names(&rules()).filter(|name| !needs_more(name)) {
        assert!(
            exposed.contains(&format!("\n{name}")),
            "an alert looks at {name}: nobody tells it"
        );
    }
    let firing = server.query(r#"ALERTS{alertname!="AidpBackupStoreNearlyFull"}"#).unwrap();
    assert_eq!(firing.trim(), "");
    sidecar.stop();
}

#[test]
fn the_values_name_only_keys_that_temporals_chart_knows() {
    let keys = top().join("k8s/temporal/chart-keys.txt");
    let file = |name: &str| top().join("k8s/temporal").join(name);
    let files: Vec<PathBuf> =
        ["development.yaml", "production.yaml", "tls.yaml", "jwt.yaml"].map(file).into();
    manifests::values(&keys, &files).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.yaml");
    std::fs::write(&old, "postgresql: {enabled: true}\n").unwrap();
    let refused = manifests::values(&keys, &[old]).unwrap_err();
    assert!(format!("{refused:?}").contains("postgresql.enabled"), "{refused:?}");
}

#[test]
fn compose_loads_the_stack() {
    let text = manifests::compose(&top().join("compose.yaml")).unwrap();
    let project: Value = serde_json::from_str(&text).unwrap();
    let services = project["services"].as_object().unwrap();
    for name in ["postgres", "temporal", "ui", "worker", "aidp-backup", "minio", "prometheus"] {
        assert!(services.contains_key(name), "{name} in {:?}", services.keys());
    }
    assert_eq!(project["volumes"]["postgres"]["name"], "aidp-temporal-postgres");
    assert_eq!(project["networks"]["default"]["name"], "aidp-temporal-network");

    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("compose.yaml");
    std::fs::write(&wrong, "services: {a: {image: b, restarts: always}}\n").unwrap();
    manifests::compose(&wrong).unwrap_err();
}

/// Lists of arguments of our container, as the manifests write them.
fn arguments() -> Vec<Vec<String>> {
    let listed = Command::new("grep")
        .args(["-rhoP", r"^\s+args: \[\K(now|serve|verify|restore|prune|drill)\b[^\]]*(?=\])"])
        .arg(top().join("k8s"))
        .output()
        .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines()
        .map(|line| line.split(", ").map(|word| word.trim_matches('"').to_owned()).collect())
        .collect()
}

#[test]
fn the_program_knows_every_word_of_the_manifests() {
    let lists = arguments();
    assert!(lists.len() >= 7, "{lists:?}");
    for words in lists {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aidp-backup"));
        let output = command.args(&words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
}
