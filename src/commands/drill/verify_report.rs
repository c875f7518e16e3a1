//! `drill verify-report`: is this the evidence that was written, and who says so?

use jobs::drill::{Document, PublicKey};
use serde_json::json;

use super::Command;
use crate::cli;
use crate::config::ConfigError;
use crate::error::CommandError;
use crate::exit::Exit;

/// Largest document that is read.
const MAX_BYTES: u64 = 32 << 20;

pub fn run(command: &Command, arguments: &cli::VerifyReport) -> Result<Exit, CommandError> {
    use std::io::Read as _;
    let path = &arguments.file;
    let unread = |source| ConfigError::Read { path: path.clone(), source };
    let trusted = command.settings.public_key_file(arguments.public_key_file.as_ref());
    let trusted = trusted.map(|path| PublicKey::read(&path)).transpose()?;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unread)?;
    let checked = Document::decode(&bytes).and_then(|document| {
        trusted.map_or(Ok(()), |key| document.signed_by(key)).map(|()| document)
    });
    let document = match checked {
        Ok(document) => document,
        Err(source) => {
            return Err(jobs::Error::Report { path: path.clone(), source }.into());
        }
    };
    let evidence = &document.evidence;
    let signer = document.signature.map(|signature| signature.key.to_string());
    if command.output.is_json() {
        command.output.document(&json!({
            "id": evidence.id,
            "kind": evidence.kind,
            "verdict": evidence.verdict,
            "subject": evidence.subject,
            "sha256": document.sha256,
            "signedBy": signer,
            "trusted": trusted.is_some(),
        }))?;
        return Ok(Exit::Done);
    }
    let signature = match (&signer, trusted) {
        (Some(key), Some(_)) => format!("signed by key {key}, which is trusted"),
        (Some(key), None) => format!(
            "signed by key {key}; whether that is to be trusted nobody has said \
             (--public-key-file)"
        ),
        (None, _) => "not signed".to_owned(),
    };
    command.output.text(&format!(
        "{}: the report of drill {} of {} is as it was written; {signature}\n",
        super::word(evidence.verdict),
        evidence.id,
        evidence.subject.id,
    ))?;
    Ok(Exit::Done)
}
