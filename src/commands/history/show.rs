//! `history show`: one history.

use jobs::history::show::{ShowRun, Shown};
use serde_json::Value;

use super::{from, namespace};
use crate::cli;
use crate::commands::Command;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history::payload::Codec;
use crate::history::{events, payload};
use crate::output;

pub async fn run(command: &Command, arguments: &cli::ShowRun) -> Result<Exit, CommandError> {
    let job = ShowRun {
        from: from(&arguments.archived)?,
        workflow_id: arguments.workflow_id.clone(),
        run_id: arguments.run_id.clone(),
        namespace: namespace(&arguments.archived)?,
    };
    let (shown, exit) = command.read(job.from.as_ref(), &job).await?;
    let settings =
        command.settings.temporal(&cli::Temporal::default(), &cli::Archive::default())?;
    let codec = Codec::new(&arguments.codec, &settings, &shown.summary.namespace)?;
    if command.output.is_json() {
        command.output.text(&json(shown, codec).await?)?;
        return Ok(exit);
    }
    let mut history = parse(&shown)?;
    let mut summary = serde_json::to_value(&shown.summary).unwrap_or_default();
    if let Some(codec) = codec {
        codec.decode(&mut history).await?;
        codec.decode(&mut summary["memo"]).await?;
    }
    command.output.text(&format!("{}\n{}", head(&shown, &summary), events::table(&history)))?;
    Ok(exit)
}

/// What `temporal workflow show -o json` prints, on one line; decoded only when asked for.
async fn json(shown: Shown, codec: Option<Codec>) -> Result<String, CommandError> {
    let text = match codec {
        None => String::from_utf8_lossy(&shown.history).into_owned(),
        Some(codec) => {
            let mut history = parse(&shown)?;
            codec.decode(&mut history).await?;
            history.to_string()
        }
    };
    Ok(text + "\n")
}

fn parse(shown: &Shown) -> Result<Value, CommandError> {
    serde_json::from_slice(&shown.history)
        .map_err(|error| CommandError::Output(std::io::Error::other(error)))
}

/// The run in a few lines.
fn head(shown: &Shown, summary: &Value) -> String {
    let run = &shown.summary;
    let status = run.status.strip_prefix("WORKFLOW_EXECUTION_STATUS_").unwrap_or(&run.status);
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { output::line(text) };
    let mut text = format!(
        "workflow   {}\nrun        {}\nnamespace  {}\ntype       {}\ntask queue {}\nstatus     {}\nstarted    {}\nclosed     {}\n",
        or_none(&run.workflow_id),
        or_none(&run.run_id),
        or_none(&run.namespace),
        output::line(&run.type_name),
        output::line(&run.task_queue),
        events::name(status),
        output::moment(run.start_time),
        output::moment(run.close_time),
    );
    for (name, memo) in summary["memo"].as_object().into_iter().flatten() {
        let value = if payload::is_payload(memo) { payload::text(memo) } else { memo.to_string() };
        text.push_str(&format!("memo       {}={}\n", output::line(name), output::line(&value)));
    }
    for (name, attribute) in &run.search_attributes {
        let value = attribute.get("value").unwrap_or(attribute);
        let value = output::line(&value.to_string());
        text.push_str(&format!("attribute  {}={value}\n", output::line(name)));
    }
    text
}
