//! What is told by mail, and by messages that machines read.

mod sidecar;
mod stage;

use serde_json::Value;
use sidecar::{MailServer, Sidecar};
use stage::Stage;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_message_of_a_run_has_its_id() {
    let stage = Stage::new();
    let run = |arguments: &[&str]| {
        let json = ["--log-format", "json", "-v"];
        lines(&stage.run(&[arguments, &json].concat()).stderr)
    };
    let good = run(&["now", "export", "-d", "shop"]);
    let bad = run(&["now", "export", "-d", "nowhere"]);
    let id = |line: &Value| line["runId"].as_str().map(str::to_owned);
    let first = id(&good[0]).unwrap();
    assert!(
        good.len() > 1 && good.iter().all(|line| id(line).as_ref() == Some(&first)),
        "{good:#?}"
    );
    assert!(good.iter().all(|line| line["job"] == "export"), "{good:#?}");
    let last = bad.last().unwrap();
    assert_eq!(last["exitCode"], 1);
    assert!(id(last).is_some() && id(last).as_ref() != Some(&first), "{last}");

    let arguments = ["serve", "-d", "shop", "--archive-schedule", "off", "--log-format", "json"];
    let sidecar_of = |stage: &Stage| Sidecar::start(stage.command(&arguments));
    std::fs::remove_dir_all(stage.store()).unwrap();
    std::fs::create_dir(stage.store()).unwrap();
    let mut sidecar = sidecar_of(&stage);
    let begins = lines(&sidecar.says("export begins")).remove(0);
    let done = lines(&sidecar.says("export is done")).remove(0);
    assert!(begins["runId"].is_string() && begins["runId"] == done["runId"], "{begins} {done}");
    let job = sidecar.export_when(|job| job["last"].is_object());
    assert_eq!(job["last"]["run"], done["runId"]);
    sidecar.stop();
}

#[test]
fn mail_says_once_what_broke_and_once_that_it_works_again() {
    let stage = Stage::empty();
    let mail = MailServer::start();
    let config = stage.path("c.toml");
    let write = |security: &str| {
        let text = format!(
            "[notify.mail]\nserver = \"{}\"\nsecurity = \"{security}\"\n\
             from = \"aidp-backup <backup@example.org>\"\nto = [\"one@example.org\", \"two@example.org\"]\n",
            mail.address
        );
        std::fs::write(&config, text).unwrap();
    };
    let export = ["now", "export", "-d", "shop", "--config", config.to_str().unwrap()];

    // What is to be protected is not sent without.
    write("starttls");
    let failed = stage.run(&export);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("cannot send a mail"), "{failed:?}");
    assert!(mail.heard().is_none());
    std::fs::remove_dir_all(stage.store()).unwrap();
    std::fs::create_dir(stage.store()).unwrap();

    write("none");
    assert_eq!(stage.run(&export).code, Some(1));
    let broke = mail.hears();
    assert!(broke.contains("MAIL FROM:<backup@example.org>"), "{broke}");
    assert!(broke.contains("RCPT TO:<two@example.org>"), "{broke}");
    assert!(broke.contains("Subject: aidp-backup: export failed at"), "{broke}");
    assert!(broke.contains("does not exist"), "{broke}");
    assert_eq!(stage.run(&export).code, Some(1));
    stage.shop("shop");
    assert_eq!(stage.run(&export).code, Some(0));
    let healed = mail.hears();
    assert!(healed.contains("Subject: aidp-backup: export works again since"), "{healed}");
    assert!(mail.heard().is_none());

    // A password is not sent in the clear either, and that is said before anything begins.
    let text = std::fs::read_to_string(&config).unwrap();
    let secret = stage.path("password");
    std::fs::write(&secret, "hunter2").unwrap();
    let text = format!("{text}user = \"u\"\npassword_file = \"{}\"\n", secret.display());
    std::fs::write(&config, text).unwrap();
    stage.run(&export).assert_fails(2, &["[notify.mail]", "without TLS", "hint: "]);
}
