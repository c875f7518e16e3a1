//! Finding archived runs among very many: how long, with how much memory, and how many requests to
//! the store.
//!
//! The archive is [`history_fixture`](crate::history_fixture)'s, written by other code than the
//! program's after the same description; the program's own `verify` reads all of it first.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;
use crate::aidp::unlike;
use crate::history_fixture::{Histories, Run};
use crate::minio;
use crate::progress::say;

use super::Options;
use super::measure::{Cost, spread, time, write_out};

const BUCKET: &str = "archive";

/// A store, as the program is told of it.
struct Place {
    name: &'static str,
    variables: Vec<(&'static str, String)>,
}

/// One question to the archive.
struct Question {
    name: &'static str,
    arguments: Vec<String>,
}

/// Measures and prints a table.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    let folder = tempfile::tempdir().map_err(Error::io("cannot create a folder"))?;
    let histories = Histories::new(options.runs, options.days);
    say(format!("writing {} runs of {} days", options.runs, options.days));
    histories.write(folder.path())?;
    let directory = Place {
        name: "directory",
        variables: vec![("AIDP_BACKUP_STORE", folder.path().display().to_string())],
    };
    say("verifying them");
    let told = command(&options.program, &directory, &["verify".into(), "--all".into()])
        .output()
        .map_err(Error::io("cannot run verify"))?;
    if !told.status.success() {
        return Err(unlike(format!("verify of the archive: {}", text(&told.stderr))));
    }
    let s3 = minio::Server::start()?;
    s3.create_bucket(BUCKET)?;
    say("copying them to MinIO");
    crate::history_fixture::upload(folder.path(), &s3.client(), BUCKET)?;
    let mut variables = s3.env();
    variables.push(("AIDP_BACKUP_STORE", format!("s3://{BUCKET}")));
    let bucket = Place { name: "MinIO", variables };

    let questions = questions(&histories.run(options.runs / 2));
    let mut table = String::from(
        "| question | store | wall s: min / median / max | peak MiB | requests |\n|---|---|---|---|---|\n",
    );
    for place in [&directory, &bucket] {
        for question in &questions {
            let mut costs: Vec<Cost> = Vec::new();
            // One warm-up round.
            for _ in 0..=options.rounds {
                let mut command = command(&options.program, place, &question.arguments);
                costs.push(time(question.name, &mut command)?);
            }
            costs.remove(0);
            let (min, median, max) = spread(&costs, |cost| cost.wall);
            let peak = spread(&costs, |cost| cost.peak).2;
            let requests = requests(&options.program, place, &question.arguments)?;
            let _ = writeln!(
                table,
                "| {} | {} | {min:.2} / {median:.2} / {max:.2} | {peak:.0} | {requests} |",
                question.name, place.name
            );
        }
    }
    write_out(&format!("\n### Among {} runs of {} days\n\n{table}", options.runs, options.days));
    Ok(())
}

fn questions(one: &Run) -> Vec<Question> {
    let question = |name, arguments: &[&str]| Question {
        name,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
    };
    let end = format!("{}T23:59:59.999999Z", one.day);
    let day = ["--since", &one.day, "--until", &end];
    let all = [&["history", "list", "--limit", "0", "--json"], &day[..]].concat();
    vec![
        question(
            "`history list` of a day, the newest 1000",
            &[&["history", "list"], &day[..]].concat(),
        ),
        question("`history list --limit 0 --json` of a day", &all),
        question("`history show ID`", &["history", "show", &one.workflow_id]),
        question(
            "`history show ID --run-id`",
            &["history", "show", &one.workflow_id, "-r", &one.run_id],
        ),
        question("`history search --run-id`", &["history", "search", "-r", &one.run_id]),
        question(
            "`history search --workflow-id` of all times",
            &["history", "search", "-w", &one.workflow_id],
        ),
        question(
            "`history search --limit 0 --json`: all of them",
            &["history", "search", "--limit", "0", "--json"],
        ),
    ]
}

fn command(program: &Path, place: &Place, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(place.variables.iter().map(|(name, value)| (name, value)));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What the program says that it asked of the store.
fn requests(program: &Path, place: &Place, arguments: &[String]) -> Result<String, Error> {
    let mut command = command(program, place, arguments);
    let told = command.arg("-v").output().map_err(Error::io("cannot run the program"))?;
    let told = text(&told.stderr);
    let line = told.lines().find_map(|line| Some(line.split_once("requests to the store: ")?.1));
    let line = line.ok_or_else(|| unlike(format!("what -v says: {told}")))?;
    let counted: Vec<&str> = line.split(' ').filter(|count| !count.ends_with("=0")).collect();
    Ok(counted.join(", "))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
