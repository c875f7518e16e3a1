//! Messages on standard error.

use std::fmt;
use std::io;

use serde_json::{Map, Value};
use tracing::{Event, Level, Span, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::{Global, LogFormat};
use crate::progress::Terminal;

/// Our own crates; the libraries' messages stay off unless everything is asked for.
const OURS: [&str; 7] =
    ["aidp_backup", "jobs", "postgres", "pgarchive", "vault", "retention", "temporal"];

/// Starts printing messages. Called once.
pub fn start(global: &Global, format: LogFormat, terminal: &Terminal) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "warn",
        (_, 0) => "info",
        (_, 1) => "debug",
        _ => "trace",
    };
    let libraries = if global.verbose > 1 { "info" } else { "off" };
    let ours = OURS.map(|name| format!("{name}={level}")).join(",");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{libraries},{ours}")))
        .with_writer(Stderr(terminal.clone()));
    match format {
        LogFormat::Text => builder.event_format(Line).init(),
        LogFormat::Json => builder.fmt_fields(JsonFields::new()).event_format(Json).init(),
    }
}

/// A new id of a run, by which its messages are found.
pub fn run_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// What all messages of a run are told in.
pub fn run_span(id: &str, job: &str) -> Span {
    tracing::info_span!(target: "aidp_backup", "run", runId = id, job)
}

/// One object a line: `timestamp`, `level`, `message`, the event's fields and those of the run.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        line.insert("timestamp".into(), now.into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        // Both are written as JSON objects by the formatter of fields.
        let mut take = |text: &str| {
            if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
                line.extend(fields);
            }
        };
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                take(&fields.fields);
            }
        }
        let mut fields = String::new();
        context.field_format().format_fields(Writer::new(&mut fields), event)?;
        take(&fields);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// `2026-11-23T02:00:00Z info: message key=value`, and nothing more.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "{}", chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ"))?;
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        write!(writer, " {level}: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Standard error, with the progress bar out of the way for each message.
#[derive(Clone)]
struct Stderr(Terminal);

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspended(|| io::stderr().lock().write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
