//! The tables, in Markdown.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::goals;
use super::rows::{Figure, Row, Scenario, median};
use crate::measure::{Sample, measure};

/// The machine and the occasion.
#[derive(Debug)]
pub(crate) struct Machine {
    line: String,
    start: String,
    /// Whether other work was running at the start.
    pub(crate) busy: bool,
}

impl Machine {
    /// Inspects the machine, and measures the cost of starting a process, because no run can cost less.
    pub(crate) fn look(ours: &Path, work: &Path) -> Result<Machine> {
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| -> Option<String> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let model = field(&file("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".to_owned());
        let memory = field(&file("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let kernel = file("/proc/sys/kernel/osrelease");
        let date = humantime::format_rfc3339_seconds(
            std::time::UNIX_EPOCH + std::time::Duration::from_millis(deltic_bench::now().0),
        );
        let load = file("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let line = format!(
            "{date} · {cores} × {model}, {} GiB, Linux {} · load {load} at the start · data in `{}`\n`deltic-bench {}`\n",
            kib >> 20,
            kernel.trim(),
            work.display(),
            arguments.join(" "),
        );
        let cost = |program: &Path, argument: &str| -> Result<f64> {
            let samples: Result<Vec<Sample>> = (0..15).map(|_| measure(Command::new(program).arg(argument))).collect();
            Ok(median(samples?.iter().map(|sample| sample.cpu_ms).collect()).unwrap_or(0.0))
        };
        let start = format!(
            "CPU of starting a process: `true` {:.2} ms, `deltic-bench --version` {:.2} ms.\n",
            cost(Path::new("true"), "")?,
            cost(ours, "--version")?
        );
        let busy = load.parse().is_ok_and(|load: f64| load > 0.5);
        Ok(Machine { line, start, busy })
    }
}

/// Everything that is printed at the end.
pub(crate) fn report(machine: &Machine, rows: &[Row]) -> String {
    let mut text = String::new();
    let mut add = |lines: &str| {
        text.push_str(lines);
        text.push('\n');
    };
    add(&machine.line);
    add(&machine.start);
    add(&measured(rows));
    add(&phases(rows));
    add(&goals::table(rows, machine.busy));
    text
}

const CPU: Figure = |sample| sample.cpu_ms;
const WALL: Figure = |sample| sample.wall_ms;

/// The main table: medians of Deltic's figures, and of those that they are compared with.
fn measured(rows: &[Row]) -> String {
    let mut text = "\
        | partitions | job | run | threads | n | CPU | against | CPU | ratio (of least) | wall | wall | ratio | anonymous | theirs | written | theirs |\n\
        |--:|---|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for row in rows {
        let ratio = |figure: Figure| row.ratio(figure).map_or_else(dash, |ratio| format!("{ratio:.2}"));
        let theirs = |figure: Figure| row.theirs(figure).map_or_else(dash, time);
        let size = |bytes: Option<f64>| bytes.filter(|bytes| *bytes > 0.0).map_or_else(dash, amount);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | **{}** ({}–{}) | {} | {} | **{}** ({}) | {} | {} | {} | {} | {} | {} | {} |",
            count(row.partitions),
            row.job,
            row.scenario,
            row.threads,
            row.ours.len(),
            time(row.ours(CPU)),
            time(row.ours.iter().map(CPU).fold(f64::INFINITY, f64::min)),
            time(row.ours.iter().map(CPU).fold(0.0, f64::max)),
            row.rival,
            theirs(CPU),
            ratio(CPU),
            row.ratio_of_least(CPU).map_or_else(dash, |ratio| format!("{ratio:.2}")),
            time(row.ours(WALL)),
            theirs(WALL),
            ratio(WALL),
            size(Some(row.ours(|sample| sample.anonymous_bytes as f64))),
            size(row.theirs(|sample| sample.anonymous_bytes as f64)),
            size(Some(row.ours(|sample| sample.written_bytes as f64))),
            size(row.theirs(|sample| sample.written_bytes as f64)),
        );
    }
    text
}

/// Figures from the reports of the same runs.
fn phases(rows: &[Row]) -> String {
    let mut text = "\
        | partitions | job | run | resolve ms | execute ms | commit ms | compiled | equal | put | output requests | input requests | bytes read | catalog bytes |\n\
        |--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for row in rows.iter().filter(|row| row.threads == rows[0].threads) {
        let phase = |name| row.reported(&["phases", name]).map_or_else(dash, |ms| format!("{ms:.2}"));
        let task = |name: &str| {
            let of = |report: &serde_json::Value| report.get("tasks")?.get(0)?.get(name)?.as_u64();
            row.reports.first().and_then(of).map_or_else(dash, |number| number.to_string())
        };
        let requests = |of: &str| {
            let kinds = ["gets", "puts", "lists"].map(|kind| row.reported(&[of, kind]).unwrap_or(0.0));
            format!("{} + {}", kinds[0], kinds[1] + kinds[2])
        };
        let read = ["output_requests", "input_requests"].map(|of| row.reported(&[of, "bytes_read"]).unwrap_or(0.0));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            count(row.partitions),
            row.job,
            row.scenario,
            phase("resolve_ms"),
            phase("execute_ms"),
            phase("commit_ms"),
            task("compiled"),
            task("same"),
            task("put"),
            requests("output_requests"),
            requests("input_requests"),
            amount(read[0] + read[1]),
            row.reported(&["bytes_written"]).map_or_else(dash, amount),
        );
    }
    text.push_str(
        "\nRequests are reads + writes; both phases and requests are those of the run itself, without process start.\n",
    );
    text
}

fn dash() -> String {
    "–".to_owned()
}

/// Milliseconds with three significant digits.
pub(crate) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 10_000.0 => format!("{:.2} s", ms / 1000.0),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// Bytes in a suitable unit.
pub(crate) fn amount(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1024.0 => format!("{bytes:.0} B"),
        bytes if bytes < 1024.0 * 1024.0 => format!("{:.1} KiB", bytes / 1024.0),
        bytes => format!("{:.1} MiB", bytes / 1024.0 / 1024.0),
    }
}

/// A number of partitions in the form of the command line.
pub(crate) fn count(partitions: u64) -> String {
    match partitions {
        n if n % 1_000_000 == 0 => format!("{}m", n / 1_000_000),
        n if n % 1000 == 0 => format!("{}k", n / 1000),
        n => n.to_string(),
    }
}

/// The rows of a scenario of all jobs, with the threads that most runs have.
pub(crate) fn of_scenario(rows: &[Row], scenario: Scenario) -> impl Iterator<Item = &Row> {
    let threads = rows.first().map_or(0, |row| row.threads);
    rows.iter().filter(move |row| row.scenario == scenario && row.threads == threads)
}
