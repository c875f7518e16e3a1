//! What a message says.

use serde_json::{Value, json};

use crate::ended::Ended;
use crate::output;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The first failure after a success.
    Broke,
    /// The first success after a failure.
    Healed,
}

/// One line and, where something mends it, a second one.
pub fn text(job: &str, ended: &Ended, change: Change) -> String {
    let when = output::moment(ended.finished);
    match change {
        Change::Broke => format!("aidp-backup: {job} failed at {when}\n{}", lines(job, ended)),
        Change::Healed => format!("aidp-backup: {job} works again since {when}"),
    }
}

/// The run's last words.
pub fn lines(job: &str, ended: &Ended) -> String {
    let took = output::span(ended.finished - ended.started);
    match (&ended.error, &ended.backup) {
        (None, Some(backup)) => format!(
            "{job} made {backup}: {}, {} stored, in {took}",
            output::counted(ended.rows, "row"),
            output::bytes(ended.bytes)
        ),
        (None, None) => format!(
            "{job} is done: {} archived, {} stored, in {took}",
            output::counted(ended.archived.values().sum(), "run"),
            output::bytes(ended.bytes)
        ),
        (Some(error), _) => {
            let hint = ended.hint.as_ref().map(|hint| format!("\nhint: {hint}"));
            format!("error: {error}{}", hint.unwrap_or_default())
        }
    }
}

/// The document that a webhook gets.
pub fn webhook(job: &str, ended: &Ended, change: Change, text: &str) -> Value {
    let change = match change {
        Change::Broke => "broke",
        Change::Healed => "healed",
    };
    json!({ "version": 1, "job": job, "change": change, "text": text, "run": ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Ended {
        let time = "2026-11-23T02:00:00Z".parse().unwrap();
        Ended {
            error: Some("cannot connect".into()),
            hint: Some("try".into()),
            ..Ended::fault(time, time)
        }
    }

    #[test]
    fn a_message_says_what_broke_and_what_mends_it() {
        let text = text("export", &failed(), Change::Broke);
        assert_eq!(
            text,
            "aidp-backup: export failed at 2026-11-23 02:00:00Z\nerror: cannot connect\nhint: try"
        );
        let webhook = webhook("export", &failed(), Change::Broke, &text);
        assert_eq!(webhook["change"], "broke");
        assert_eq!(webhook["run"]["verdict"], "failed");
    }
}
