//! `restore`: databases from an export.

use std::num::NonZeroUsize;

use jobs::restore::{Restore, RestoredBackup, RestoredDatabase};
use postgres::restore::{Prepare, RestoreOptions};
use postgres::temporal_schema::TemporalOutlook;
use serde_json::{Value, json};

use super::Command;
use crate::cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{self, Table};

pub async fn run(command: &Command, arguments: &cli::Restore) -> Result<Exit, CommandError> {
    let jobs = command.settings.restore_jobs(arguments.jobs)?;
    let job = Restore {
        id: arguments.id.clone(),
        target: command.settings.target(arguments)?,
        database: arguments.database.clone(),
        over_source: arguments.over_source,
        options: RestoreOptions {
            jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN),
            prepare: match (arguments.clean, arguments.create) {
                (false, false) => Prepare::RequireEmpty,
                (true, false) => Prepare::DropArchived,
                (false, true) => Prepare::Create,
                (true, true) => Prepare::DropDatabaseAndCreate,
            },
            no_owner: arguments.no_owner,
            no_privileges: arguments.no_privileges,
            no_tablespaces: arguments.no_tablespaces,
            unsafe_older_server: arguments.unsafe_older_server,
            keep_temporal_state: arguments.keep_temporal_state,
            ..RestoreOptions::default()
        },
    };
    let (restored, exit) = command.perform(&job).await?;
    if command.output.is_json() {
        command.output.document(&document(&restored))?;
    } else {
        command.output.text(&text(&restored))?;
    }
    Ok(exit)
}

fn text(backup: &RestoredBackup) -> String {
    let mut text = String::new();
    for database in &backup.databases {
        let restored = &database.restored;
        text.push_str(&format!(
            "restored {} of {} into {}: {}, {}, as in the backup\n",
            database.name,
            backup.id,
            restored.database,
            output::counted(restored.tables.len() as u64, "table"),
            output::counted(database.rows(), "row")
        ));
        let Some(temporal) = database.temporal() else { continue };
        match &temporal.settled {
            Some(settled) => {
                let members = output::counted(settled.members_removed, "cluster member");
                text.push_str(&format!("  Temporal: {members} removed\n"));
                if let Some(name) = &settled.renamed_from {
                    text.push_str(&format!("  Temporal: schema_version said {name:?}\n"));
                }
            }
            None => text.push_str("  Temporal: left as it was; it may join the live cluster\n"),
        }
        if let Some(outlook) = &temporal.outlook {
            text.push_str(&outlook_text(outlook));
        }
    }
    text
}

/// What Temporal will do when it starts on the copy.
fn outlook_text(outlook: &TemporalOutlook) -> String {
    let mut table = Table::new(&[
        "  at once, by namespace",
        ">timers",
        ">timeouts",
        ">retries",
        ">deletions",
        ">archivals",
        ">other",
        ">open",
    ]);
    for namespace in &outlook.namespaces {
        let name = namespace.name.as_ref().unwrap_or(&namespace.id);
        let counts = [
            namespace.user_timers,
            namespace.timeouts,
            namespace.retries,
            namespace.deletions,
            namespace.archivals,
            namespace.other,
            namespace.open_workflows,
        ];
        let cells = counts.map(output::count);
        table.row(std::iter::once(format!("  {name}")).chain(cells));
    }
    let mut text = if table.is_empty() {
        "  nothing is due when Temporal starts on it\n".to_owned()
    } else {
        table.render()
    };
    text.push_str(&format!(
        "  due later: {}; in queues: {}\n",
        output::counted(outlook.later, "timer"),
        output::counted(outlook.queued, "task")
    ));
    if outlook.unreadable > 0 {
        let unreadable = output::count(outlook.unreadable);
        text.push_str(&format!("  {unreadable} due tasks could not be read\n"));
    }
    text
}

fn document(backup: &RestoredBackup) -> Value {
    let databases: Vec<Value> = backup.databases.iter().map(database).collect();
    json!({ "id": backup.id, "databases": databases })
}

fn database(database: &RestoredDatabase) -> Value {
    let tables: Vec<Value> = database
        .restored
        .tables
        .iter()
        .map(|t| json!({ "schema": t.schema, "name": t.name, "rows": t.rows }))
        .collect();
    let temporal = database.temporal().map(|temporal| {
        let settled = temporal.settled.as_ref().map(|settled| {
            json!({
                "membersRemoved": settled.members_removed,
                "renamedFrom": settled.renamed_from,
            })
        });
        json!({ "settled": settled, "outlook": temporal.outlook.as_ref().map(outlook) })
    });
    json!({
        "name": database.name,
        "into": database.restored.database,
        "rows": database.rows(),
        "largeObjects": database.restored.large_objects,
        "tables": tables,
        "temporal": temporal,
    })
}

fn outlook(outlook: &TemporalOutlook) -> Value {
    let namespace = |n: &postgres::temporal_schema::NamespaceOutlook| {
        json!({
            "id": n.id,
            "name": n.name,
            "userTimers": n.user_timers,
            "timeouts": n.timeouts,
            "retries": n.retries,
            "deletions": n.deletions,
            "archivals": n.archivals,
            "other": n.other,
            "openWorkflows": n.open_workflows,
        })
    };
    json!({
        "now": outlook.now,
        "namespaces": outlook.namespaces.iter().map(namespace).collect::<Vec<_>>(),
        "later": outlook.later,
        "queued": outlook.queued,
        "unreadable": outlook.unreadable,
    })
}
