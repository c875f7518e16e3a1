//! Drills of databases on the built program: what is good passes, what is not is named, and nothing
//! is left behind.

#[path = "../stage/mod.rs"]
mod stage;

mod damage;
mod good;
mod kills;
mod refusals;
mod report;
mod runbook;
mod temporal;

use serde_json::Value;
use stage::{Ran, Stage};

/// The evidence that a drill printed.
fn evidence(ran: &Ran) -> Value {
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    document["evidence"].clone()
}

/// Runs `drill database` with these arguments, which must end with `code`, and gives the evidence.
fn drill(stage: &Stage, code: i32, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> =
        ["drill", "database", "--json"].iter().chain(arguments).copied().collect();
    let ran = stage.run(&arguments);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    evidence(&ran)
}

/// The checks of this name, with what they found and name, as one text.
fn check(evidence: &Value, name: &str) -> (String, String) {
    let checks = evidence["checks"].as_array().unwrap();
    let of_name: Vec<&Value> = checks.iter().filter(|check| check["name"] == name).collect();
    assert!(!of_name.is_empty(), "no {name:?} in {evidence:#}");
    let worst = of_name
        .iter()
        .find(|check| check["result"] == "FAIL")
        .or(of_name.iter().find(|check| check["result"] == "NOT RUN"))
        .unwrap_or(&of_name[0]);
    (worst["result"].as_str().unwrap().to_owned(), worst.to_string())
}

/// Checks that one check, and no other required one, did not pass, and that it says all of these.
fn assert_only(evidence: &Value, name: &str, result: &str, says: &[&str]) {
    let (found, text) = check(evidence, name);
    assert_eq!(found, result, "{evidence:#}");
    for said in says {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
    let checks = evidence["checks"].as_array().unwrap();
    let others = checks.iter().filter(|check| {
        check["name"] != name && check["required"] == true && check["result"] != "PASS"
    });
    assert_eq!(others.count(), 0, "{evidence:#}");
}
