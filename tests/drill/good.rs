use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::stage::{SHOP_ROWS, Stage};
use crate::{check, drill};

/// Databases and folders that drills make, and have not removed.
pub fn left(stage: &Stage) -> String {
    let sql = "SELECT datname FROM pg_database WHERE datname LIKE 'aidp\\_drill\\_%' ORDER BY 1";
    stage.server.psql("postgres", sql).unwrap()
}

#[test]
fn a_good_backup_passes_and_leaves_signed_evidence() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    let key = stage.path("drill.key");
    let openssl = |arguments: &[&str]| {
        let status = std::process::Command::new("openssl").args(arguments).status().unwrap();
        assert!(status.success());
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", key.to_str().unwrap()]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let public = stage.path("drill.pub");
    openssl(&["pkey", "-in", key.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);

    let bin = stage.server.bin_dir().to_str().unwrap().to_owned();
    let before = stage.objects("exports");
    let found =
        drill(&stage, 0, &["--postgres-bin", &bin, "--signing-key-file", key.to_str().unwrap()]);
    assert_eq!(found["verdict"], "PASS", "{found:#}");
    assert_eq!(found["subject"]["id"], id);
    assert_eq!(found["scratch"]["gone"], true);
    assert_eq!(found["measures"]["counts"]["rows"], SHOP_ROWS);
    for measure in ["rpoSeconds", "rtoSeconds"] {
        assert!(found["measures"][measure].as_f64().unwrap() > 0.0, "{found:#}");
    }
    for part in ["fetch", "restore", "index", "checks"] {
        assert!(found["measures"]["parts"][part].is_f64(), "{part}: {found:#}");
    }
    for name in ["objects of every class", "definitions", "content of every table", "sequences"] {
        assert_eq!(check(&found, name).0, "PASS");
    }
    // Everything else in the store is as it was.
    assert_eq!(stage.objects("exports"), before);
    let reports = stage.objects("drills/database");
    assert_eq!(reports.len(), 2, "{reports:?}");
    let json = reports.iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let html = json.with_extension("html");
    assert!(fs::read_to_string(html).unwrap().contains(&id));

    let report = json.to_str().unwrap();
    let ran = stage.run(&[
        "drill",
        "verify-report",
        report,
        "--public-key-file",
        public.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("which is trusted"), "{ran:?}");
    let forged = fs::read_to_string(json).unwrap().replacen("\"gone\":true", "\"gone\":trve", 1);
    fs::write(stage.path("forged.json"), forged).unwrap();
    let forged = stage.path("forged.json");
    let ran = stage.run(&["drill", "verify-report", forged.to_str().unwrap()]);
    ran.assert_fails(4, &["does not match its digest", "hint:"]);

    // What passed is what status speaks of.
    let status = stage.json(&["status"]);
    assert_eq!(status["groups"][0]["drilled"]["id"], id, "{status:#}");
}

#[test]
fn a_drill_on_a_named_server_passes_and_drops_its_databases() {
    let stage = Stage::new();
    stage.server.psql("shop", "CREATE ROLE clerk; GRANT INSERT ON app.purchase TO clerk").unwrap();
    let id = stage.export(&["--data", "text", "--compress", "gzip"]);
    stage.server.createdb("aidp_drill_0123456789abcdef_0").unwrap();
    let found = drill(&stage, 0, &[&id, "--scratch", &stage.url("postgres")]);
    assert_eq!(found["verdict"], "PASS", "{found:#}");
    assert_eq!(left(&stage), "", "also what a dead drill left");
    let isolation = found["scratch"]["isolation"].to_string();
    assert!(isolation.contains("same cluster"), "{isolation}");
}

#[test]
fn an_assertion_of_the_operators_counts_like_any_other_check() {
    let mut stage = Stage::new();
    stage.export(&[]);
    let assertion = |name: &str, sql: &str| {
        format!(
            "[[drill.database.assertion]]\nname = \"{name}\"\ndatabase = \"shop\"\nsql = \"{sql}\"\n"
        )
    };
    let file = stage.path("config.toml");
    let write = |text: String| fs::write(&file, text).unwrap();
    let holds = assertion("customers", "SELECT count(*) = 3000 FROM app.customer");
    write(holds.clone());
    stage.set("AIDP_BACKUP_CONFIG", file.to_str().unwrap());
    stage.set("AIDP_BACKUP_SCRATCH", stage.url("postgres"));
    let found = drill(&stage, 0, &[]);
    assert_eq!(check(&found, "assertion: customers").0, "PASS");
    write(holds.clone() + &assertion("nothing", "SELECT count(*) = 0 FROM app.customer"));
    let found = drill(&stage, 4, &[]);
    crate::assert_only(&found, "assertion: nothing", "FAIL", &["false"]);
    write(holds + &assertion("broken", "SELECT FROM nowhere"));
    let found = drill(&stage, 1, &[]);
    crate::assert_only(&found, "assertion: broken", "NOT RUN", &["nowhere"]);
}

#[test]
fn a_backup_goes_into_a_newer_server_without_an_alarm() {
    let stage = Stage::on(harness::postgres::Server::start(14).unwrap());
    stage.shop("shop");
    stage.export(&[]);
    let newer = harness::postgres::Server::start(18).unwrap();
    let found = drill(&stage, 0, &["--scratch", &newer.socket_url("postgres")]);
    assert_eq!(found["verdict"], "PASS", "{found:#}");
}
