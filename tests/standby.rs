//! A standby is as good a source as its primary, but for what it does not have.

mod stage;

use stage::{SHOP_ROWS, Stage};

#[test]
fn a_standby_is_exported_and_what_it_lacks_is_written_down() {
    let mut stage = Stage::new();
    stage.server.psql("shop", "CREATE UNLOGGED TABLE app.scratch AS SELECT 1 AS a").unwrap();
    stage.server.become_standby().unwrap();
    assert_eq!(stage.server.psql("shop", "SELECT pg_is_in_recovery()").unwrap(), "t");
    let id = stage.export(&[]);
    let shown = stage.json(&["show", &id]);
    let left_out = shown["backup"]["databases"][0]["leftOut"].clone();
    assert_eq!(left_out, serde_json::json!(["rows of app.scratch (unlogged, on a standby)"]));
    assert_eq!(stage.json(&["verify", &id])["backups"][0]["rows"], SHOP_ROWS);
}
