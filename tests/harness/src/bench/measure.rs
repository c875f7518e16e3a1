//! One timed run of a command, and tables of many.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Error;
use crate::command::last_lines;
use crate::progress::say;

/// How often a running program's memory is looked at. The kernel keeps the peak, so only a peak
/// in the very last moments could be missed.
const LOOK: Duration = Duration::from_millis(20);

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Seconds of wall time.
    pub wall: f64,
    /// Seconds of CPU of the whole machine: client and server.
    pub cpu: f64,
    /// Peak resident memory of the started process, MiB; zero for a shell pipeline.
    pub peak: f64,
    /// Bytes written.
    pub bytes: u64,
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or fails.
pub fn time(name: &str, command: &mut Command) -> Result<Cost, Error> {
    let log = tempfile::NamedTempFile::new().map_err(Error::io("cannot create a log"))?;
    let stderr = log.reopen().map_err(Error::io("cannot open a log"))?;
    let cpu_before = cpu_seconds();
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .map_err(Error::io(format!("cannot run {name}")))?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    let status = loop {
        if let Some(status) =
            child.try_wait().map_err(Error::io(format!("cannot wait for {name}")))?
        {
            break status;
        }
        peak = peak.max(resident_peak(Path::new(&status_file)));
        std::thread::sleep(LOOK);
    };
    let wall = started.elapsed().as_secs_f64();
    if !status.success() {
        let output = fs::read_to_string(log.path()).unwrap_or_default();
        return Err(Error::Command {
            doing: format!("measuring {name}"),
            command: format!("{command:?}"),
            status: status.to_string(),
            output: last_lines(&output),
        });
    }
    Ok(Cost { wall, cpu: cpu_seconds() - cpu_before, peak, bytes: 0 })
}

/// Busy seconds of all processors since boot.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait), irq, softirq: in hundredths of a second.
    [0, 1, 2, 5, 6].iter().filter_map(|&i| fields.get(i)).sum::<f64>() / 100.0
}

fn resident_peak(status: &Path) -> f64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Bytes of all files below a folder, or of one file.
pub fn size(path: &Path) -> u64 {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => fs::read_dir(path)
            .map(|entries| entries.flatten().map(|entry| size(&entry.path())).sum())
            .unwrap_or(0),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    }
}

/// Processor, cores, memory and kernel, for the head of the results.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": "))
        .map_or("?", |m| m.1);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 =
        memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {:.0} GiB, Linux {}", kib / 1_048_576.0, kernel.trim())
}

/// Costs of several contestants over several rounds.
#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<(String, Vec<Cost>)>,
}

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Adds one run of a contestant.
    pub fn add(&mut self, name: &str, cost: Cost) {
        say(format!(
            "  {name}: {:.2} s, {:.0} MB, {:.0} MiB",
            cost.wall,
            cost.bytes as f64 / 1e6,
            cost.peak
        ));
        match self.rows.iter_mut().find(|(n, _)| n == name) {
            Some((_, costs)) => costs.push(cost),
            None => self.rows.push((name.to_owned(), vec![cost])),
        }
    }

    /// Prints the table as Markdown, with each contestant's median over the first's.
    pub fn print(&self) {
        let mut text = format!("\n### {}\n\n", self.title);
        text.push_str("| what | wall s: min / median / max | × ours | CPU s, client and server | MB out | peak MiB |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        let ours = self.rows.first().map_or(0.0, |(_, costs)| spread(costs, |c| c.wall).1);
        for (name, costs) in &self.rows {
            let (min, median, max) = spread(costs, |c| c.wall);
            let cpu = spread(costs, |c| c.cpu).1;
            let bytes = spread(costs, |c| c.bytes as f64 / 1e6).1;
            let peak = spread(costs, |c| c.peak).2;
            let peak = if peak > 0.0 { format!("{peak:.0}") } else { "-".into() };
            let _ = writeln!(
                text,
                "| {name} | {min:.2} / {median:.2} / {max:.2} | {:.2} | {cpu:.1} | {bytes:.0} | {peak} |",
                median / ours
            );
        }
        write_out(&text);
    }
}

/// The tables are this command's output.
#[allow(clippy::print_stdout)]
pub(super) fn write_out(text: &str) {
    println!("{text}");
}

/// Minimum, median and maximum.
pub fn spread<T>(of_all: &[T], of: impl Fn(&T) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = of_all.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let median = match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    };
    (values.first().copied().unwrap_or(0.0), median, values.last().copied().unwrap_or(0.0))
}
