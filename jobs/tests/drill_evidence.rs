//! The stored form of a drill's evidence: golden files, the schema, signatures.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jobs::drill::{
    Check, CheckResult, Document, Evidence, FORMAT, Isolation, Kind, Measures, PublicKey,
    ReportError, Scratch, SigningKey, Subject, page,
};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn evidence() -> Evidence {
    let checks = vec![
        Check::new("rows and content of tables", CheckResult::Pass)
            .about("temporal")
            .expected("37 tables as the manifest has them")
            .found("691204 rows"),
        Check::of_differences(
            "sequences",
            "each as in the archive",
            vec!["public.s: 12 instead of 13 & <more>".into()],
        )
        .about("temporal"),
        Check::not_run("amcheck", "the extension is not installed on the scratch server")
            .about("temporal")
            .optional(),
    ];
    Evidence {
        format: FORMAT.into(),
        id: "20261123T030000Z-00ff".into(),
        kind: Kind::Database,
        verdict: Evidence::judge(&checks),
        started: "2026-11-23T03:00:00Z".parse().unwrap(),
        ended: "2026-11-23T03:00:21.5Z".parse().unwrap(),
        subject: Subject {
            id: "20261123T020000Z-3fa9c1".into(),
            digest: Some("ab".repeat(32)),
            as_of: Some("2026-11-23T02:00:00.25Z".parse().unwrap()),
            names: vec!["temporal".into(), "temporal_visibility".into()],
        },
        versions: BTreeMap::from([
            ("aidp-backup".into(), "0.1.0".into()),
            ("scratch PostgreSQL".into(), "17.6".into()),
        ]),
        scratch: Some(Scratch {
            server: "PostgreSQL of the drill's own".into(),
            isolation: vec![Isolation {
                what: "listens on a Unix socket alone".into(),
                proof: "listen_addresses is empty".into(),
            }],
            gone: true,
        }),
        checks,
        measures: Measures {
            rpo_seconds: Some(3599.75),
            rto_seconds: Some(12.5),
            parts: BTreeMap::from([("restore".into(), 10.25), ("checks".into(), 7.0)]),
            counts: BTreeMap::from([("rows".into(), 691_204)]),
        },
    }
}

fn key(folder: &Path) -> SigningKey {
    let path = folder.join("drill.key");
    fs::copy(golden("drill.key"), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    SigningKey::read(&path).unwrap()
}

#[test]
fn the_stored_forms_are_those_of_the_golden_files() {
    let folder = tempfile::tempdir().unwrap();
    let (evidence, key) = (evidence(), key(folder.path()));
    let past = Evidence { id: "20261122T030000Z-0001".into(), ..evidence.clone() };
    let forms = [
        ("drill-v1.json", evidence.encode(None)),
        ("drill-v1.signed.json", evidence.encode(Some(&key))),
        ("drill-v1.html", page(&evidence, &[past], Some(key.public())).into_bytes()),
    ];
    for (name, bytes) in forms {
        if std::env::var_os("AIDP_BACKUP_WRITE_GOLDEN").is_some() {
            fs::write(golden(name), &bytes).unwrap();
        }
        let stored = String::from_utf8(fs::read(golden(name)).unwrap()).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), stored, "{name}");
    }
}

#[test]
fn golden_documents_are_read_and_say_what_was_written() {
    for (name, signed) in [("drill-v1.json", false), ("drill-v1.signed.json", true)] {
        let document = Document::decode(&fs::read(golden(name)).unwrap()).unwrap();
        assert_eq!(document.evidence, evidence());
        assert_eq!(document.signature.is_some(), signed);
        let trusted = PublicKey::read(&golden("drill.pub")).unwrap();
        assert_eq!(document.signed_by(trusted).is_ok(), signed);
    }
}

#[test]
fn no_bit_of_a_document_changes_unnoticed() {
    for name in ["drill-v1.json", "drill-v1.signed.json"] {
        let bytes = fs::read(golden(name)).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Document::decode(&changed).is_err(), "byte {at} of {name}");
            assert!(Document::decode(&bytes[..at]).is_err(), "{at} bytes of {name}");
        }
    }
}

#[test]
fn a_report_with_a_changed_verdict_and_a_new_digest_bears_no_right_signature() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(folder.path());
    let mut forged = evidence();
    forged.checks.retain(|check| check.result == CheckResult::Pass);
    forged.verdict = CheckResult::Pass;
    let signed = String::from_utf8(evidence().encode(Some(&key))).unwrap();
    let (_, signature) = signed.split_once(",\"ed25519\"").unwrap();
    let plain = String::from_utf8(forged.encode(None)).unwrap();
    let document = format!("{},\"ed25519\"{signature}", plain.strip_suffix("}\n").unwrap());
    let error = Document::decode(document.as_bytes()).unwrap_err();
    assert!(matches!(error, ReportError::Signature(_)), "{error}");
    let unsigned = Document::decode(plain.as_bytes()).unwrap();
    assert!(matches!(unsigned.signed_by(key.public()), Err(ReportError::Unsigned(_))));
}

#[test]
fn a_verdict_that_the_checks_do_not_come_to_is_refused() {
    let lying = Evidence { verdict: CheckResult::Pass, ..evidence() };
    let error = Document::decode(&lying.encode(None)).unwrap_err();
    assert!(matches!(error, ReportError::Contradiction(_)), "{error}");
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open.key");
    fs::copy(golden("drill.key"), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(SigningKey::read(&path).unwrap_err().to_string().contains("other users"));
    fs::write(&path, "no key").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(SigningKey::read(&path).unwrap_err().to_string().contains("no Ed25519 key"));
    assert!(PublicKey::read(&path).is_err());
    assert!(SigningKey::read(&folder.path().join("absent")).is_err());
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows() {
    let page = fs::read_to_string(golden("drill-v1.html")).unwrap();
    for outside in ["http:", "https:", "<script", "<link", "<img", "url(", "@import", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("12 instead of 13 &amp; &lt;more&gt;"));
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn documents_follow_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read(path.join("../docs/formats/drill-evidence.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    for name in ["drill-v1.json", "drill-v1.signed.json"] {
        let document: Value = serde_json::from_slice(&fs::read(golden(name)).unwrap()).unwrap();
        follows(&document, &schema, name);
    }
}

/// The part of JSON schema that ours uses.
fn follows(value: &Value, schema: &Value, at: &str) {
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$id" | "title" | "format" | "pattern" => {}
            "const" => assert_eq!(value, rule, "{at}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value}"),
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other}"),
                };
                assert!(types.iter().any(is), "{at}: {value} is no {rule}");
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    assert!(value.is_null() || value.get(name).is_some(), "{at}: no {name}");
                }
            }
            "items" => {
                for item in value.as_array().unwrap() {
                    follows(item, rule, at);
                }
            }
            "properties" | "additionalProperties" => {}
            other => panic!("{at}: {other}"),
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let known = schema.get("properties").and_then(|known| known.get(name));
        match (known, schema.get("additionalProperties")) {
            (Some(schema), _) => follows(value, schema, name),
            (None, Some(schema)) if schema.is_object() => follows(value, schema, name),
            (None, _) => panic!("{at}: {name} is not in the schema"),
        }
    }
}
