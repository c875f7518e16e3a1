//! `prune --forget`: what will never run again.

use jobs::forget::{Forget, PlanForget};

use super::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

pub async fn run(command: &Command, name: &str, apply: bool) -> Result<Exit, CommandError> {
    let name = name.to_owned();
    let (forgotten, exit) = if apply {
        command.perform(&Forget { name }).await?
    } else {
        command.perform(&PlanForget { name }).await?
    };
    if command.output.is_json() {
        command.output.document(&forgotten)?;
        return Ok(exit);
    }
    let verb = if apply { "removed" } else { "remove" };
    let mut text = String::new();
    for backup in &forgotten.backups {
        text.push_str(&format!("{verb} {}, a part-done backup of {}\n", backup.id, backup.group));
    }
    for record in &forgotten.records {
        let (when, source) = (output::moment(record.finished), output::line(&record.source));
        text.push_str(&format!("{verb} the record of the {} of {source} at {when}\n", record.job));
    }
    if !apply {
        text.push_str("nothing is removed yet; --apply does it\n");
    }
    command.output.text(&text)?;
    Ok(exit)
}
