//! `config`: check it, or see an example.

use clap::ValueEnum;

use super::Command;
use crate::cli::{self, ConfigVerb};
use crate::config::EXAMPLE;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Table;

pub fn run(command: &Command, verb: ConfigVerb) -> Result<Exit, CommandError> {
    match verb {
        ConfigVerb::Example => command.output.text(EXAMPLE)?,
        ConfigVerb::Check => command.output.text(&summary(command)?)?,
    }
    Ok(Exit::Done)
}

/// What flags, variables and the file come to.
fn summary(command: &Command) -> Result<String, CommandError> {
    let settings = &command.settings;
    let path = settings.path.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    let databases = settings.connections(&cli::Databases::default())?;
    let export = settings.export(&cli::Export::default())?;
    let retention = settings.retention(&cli::Retention::default())?;
    let policy = &retention.policy;
    let mut rules: Vec<String> = Vec::new();
    if policy.last > 0 {
        rules.push(format!("last {}", policy.last));
    }
    for period in retention::Period::ALL {
        if policy.count(period) > 0 {
            rules.push(format!("{} {}", period.adjective(), policy.count(period)));
        }
    }
    if let Some(within) = policy.within {
        rules.push(format!("within {}", crate::output::span(within)));
    }
    let mut table = Table::new(&["file", path.as_str()]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("store", settings.store()?.to_owned());
    for database in &databases {
        line("database", database.to_string());
    }
    line("format", format!("{}, {} data", word(&export.format), word(&export.data)));
    line("compress", export.codec.to_string());
    line("jobs", export.jobs.to_string());
    line("retention", format!("{}, in {}", rules.join(", "), policy.zone));
    Ok(table.render())
}

/// How an option is written.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
