//! Messages on standard error.

use std::fmt;
use std::io;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
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
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
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
