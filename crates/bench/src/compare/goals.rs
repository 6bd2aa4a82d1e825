//! The goals, and how far the measured figures are from them.

use std::fmt::Write as _;

use deltic_bench::Workload;

use super::rows::{Figure, Row, Scenario, exponent};
use super::table::{amount, count, of_scenario, time};

/// One measured figure beside its goal.
struct Line {
    goal: &'static str,
    what: String,
    measured: String,
    limit: String,
    stretch: String,
    verdict: &'static str,
}

const CPU: Figure = |sample| sample.cpu_ms;
const WALL: Figure = |sample| sample.wall_ms;

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

impl Line {
    /// A figure that should not pass a limit.
    fn at_most(goal: &'static str, what: String, figure: f64, limits: (f64, f64), show: fn(f64) -> String) -> Line {
        let (limit, stretch) = limits;
        let verdict = match figure {
            figure if figure <= stretch => "stretch",
            figure if figure <= limit => "met",
            _ => "**missed**",
        };
        Line { goal, what, measured: show(figure), limit: show(limit), stretch: show(stretch), verdict }
    }
}

/// The goals that this comparison measures.
///
/// On a `busy` machine, goals about wall times are left out.
pub(crate) fn table(rows: &[Row], busy: bool) -> String {
    let mut lines = Vec::new();
    full(rows, &mut lines);
    short(rows, &mut lines);
    changes(rows, &mut lines);
    memory_and_bytes(rows, &mut lines);
    threads(rows, busy, &mut lines);
    let mut text = "| goal | what | measured | limit | stretch | |\n|---|---|--:|--:|--:|---|\n".to_owned();
    for Line { goal, what, measured, limit, stretch, verdict } in lines {
        let _ = writeln!(text, "| {goal} | {what} | {measured} | {limit} | {stretch} | {verdict} |");
    }
    text
}

fn named(row: &Row, what: &str) -> String {
    format!("{what}, job {}, {}", row.job, count(row.partitions))
}

fn ratio(figure: f64) -> String {
    format!("{figure:.2} ×")
}

fn number(figure: f64) -> String {
    format!("{figure:.2}")
}

fn micros(figure: f64) -> String {
    format!("{figure:.1} µs")
}

/// G1, G9: full builds against the floor.
fn full(rows: &[Row], lines: &mut Vec<Line>) {
    for row in of_scenario(rows, Scenario::Full).filter(|row| row.partitions >= 100_000) {
        let limits = if row.job == Workload::M { (1.6, 1.3) } else { (1.3, 1.1) };
        let (Some(factor), Some(floor)) = (row.ratio(CPU), row.theirs(CPU)) else { continue };
        lines.push(Line::at_most("G1", named(row, "full build, CPU against the floor"), factor, limits, ratio));
        if row.job != Workload::M {
            let overhead = (row.ours(CPU) - floor) * 1000.0 / row.partitions as f64;
            let what = named(row, "CPU a partition beyond the floor's");
            lines.push(Line::at_most("G9", what, overhead, (3.0, 1.0), micros));
        }
    }
}

/// G2, G3: runs with one change or none, and how their cost grows.
fn short(rows: &[Row], lines: &mut Vec<Line>) {
    let cases =
        [("G2", Scenario::Noop, "nothing changed", (3.0, 2.0)), ("G3", Scenario::One, "one changed input", (4.0, 2.0))];
    for (goal, scenario, what, limits) in cases {
        for job in [Workload::A, Workload::B, Workload::M] {
            let of_job: Vec<&Row> = of_scenario(rows, scenario).filter(|row| row.job == job).collect();
            // G2 has a limit at 100k; beyond that the exponent counts.
            let counts = |row: &&&Row| row.partitions == 100_000 || row.partitions > 100_000 && goal == "G3";
            for row in of_job.iter().filter(counts) {
                lines.push(Line::at_most(goal, named(row, what), row.ours(CPU), limits, time));
            }
            let small = of_job.iter().min_by_key(|row| row.partitions);
            let large = of_job.iter().max_by_key(|row| row.partitions);
            if let (Some(small), Some(large)) = (small, large)
                && small.partitions < large.partitions
            {
                let grows = exponent((small.partitions, small.ours(CPU)), (large.partitions, large.ours(CPU)));
                let range = format!("{} to {}", count(small.partitions), count(large.partitions));
                let what = format!("{what}, job {job}, exponent in N from {range}");
                lines.push(Line::at_most(goal, what, grows, (0.1, 0.1), number));
            }
        }
    }
}

/// G4, G5: many changes.
fn changes(rows: &[Row], lines: &mut Vec<Line>) {
    for row in of_scenario(rows, Scenario::Permille).filter(|row| row.partitions >= 100_000) {
        let what = named(row, "0.1 % changed");
        if row.job == Workload::A {
            let limit = row.changed as f64 * 0.08 + if row.partitions == 100_000 { 2.0 } else { 0.0 };
            lines.push(Line::at_most("G4", what, row.ours(CPU), (limit, limit / 2.0), time));
        } else if let Some(factor) = row.ratio(CPU) {
            // Sixteen inputs for each changed one: the reference programs do not reach the limits of job `a` here.
            let against = row.rival;
            let measured = format!("{}, {factor:.2} × {against}", time(row.ours(CPU)));
            let none = || "–".to_owned();
            lines.push(Line { goal: "G4", what, measured, limit: none(), stretch: none(), verdict: "" });
        }
    }
    for row in of_scenario(rows, Scenario::All) {
        if let Some(factor) = row.ratio(CPU) {
            let what = named(row, "everything changed, CPU against a full build");
            lines.push(Line::at_most("G5", what, factor, (1.15, 1.05), ratio));
        }
    }
}

/// G6, G7: peak memory of runs over all inputs, bytes of one change.
fn memory_and_bytes(rows: &[Row], lines: &mut Vec<Line>) {
    for row in [Scenario::Full, Scenario::All].into_iter().flat_map(|scenario| of_scenario(rows, scenario)) {
        let threads = row.threads;
        let peak = row.ours.iter().map(|sample| sample.anonymous_bytes as f64).fold(0.0, f64::max);
        let limits = ((128 + 64 * threads) as f64 * MIB, 64.0 * MIB);
        let what = format!("{}, {threads} threads, {}", named(row, "peak anonymous memory"), row.scenario);
        lines.push(Line::at_most("G6", what, peak, limits, amount));
    }
    for row in of_scenario(rows, Scenario::One).filter(|row| row.partitions >= 100_000) {
        let beyond = row.ours(|sample| sample.written_bytes as f64) - row.output_bytes as f64;
        let limit = if row.job == Workload::M { 128.0 * KIB } else { 64.0 * KIB };
        let what = named(row, "bytes written for one change, without the output");
        lines.push(Line::at_most("G7", what, beyond, (limit, limit / 2.0), amount));
    }
}

/// G13: the gain of a second thread.
fn threads(rows: &[Row], busy: bool, lines: &mut Vec<Line>) {
    let full = |threads: usize| {
        rows.iter()
            .filter(move |row| row.scenario == Scenario::Full && row.threads == threads && row.partitions >= 10_000)
    };
    for one in full(1) {
        for two in full(2).filter(|two| (two.partitions, two.job) == (one.partitions, one.job)) {
            let factor = one.ours(WALL) / two.ours(WALL);
            let verdict = match factor {
                _ if busy => "the machine was busy",
                factor if factor >= 1.7 => "met",
                _ => "**missed**",
            };
            lines.push(Line {
                goal: "G13",
                what: named(one, "wall of one thread against two, full build"),
                measured: ratio(factor),
                limit: "≥ 1.70 ×".to_owned(),
                stretch: "–".to_owned(),
                verdict,
            });
        }
    }
}
