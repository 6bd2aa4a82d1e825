//! The table that a replay prints: a row for each version, then all of them together.

use std::time::Duration;

use deltic::driver::{Counts, Mode, Report};

/// The sums over all runs.
#[derive(Debug, Default)]
pub(super) struct Totals {
    inputs: u64,
    counts: Counts,
    /// One for each version.
    pub(super) times: Vec<Duration>,
}

impl Totals {
    pub(super) fn print_head() {
        println!("version  inputs   front-   cut     back-   published  deleted     ms");
        println!("        changed   ends     off     ends");
    }

    /// Adds one run, and prints its row.
    pub(super) fn add(&mut self, number: u64, report: &Report, time: Duration) {
        let mut counts = Counts::default();
        for task in report.tasks.iter().filter(|task| task.mode != Mode::Skipped) {
            counts.fronts += task.counts.fronts + task.counts.fronts_again;
            counts.cut_off += task.counts.cut_off;
            counts.compiled += task.counts.compiled;
            counts.put += task.counts.put;
            counts.deleted += task.counts.deleted;
        }
        let inputs = report.inputs.iter().map(|input| input.changed.unwrap_or(input.partitions)).sum();
        row(&number.to_string(), inputs, &counts, time);
        self.inputs += inputs;
        self.counts.fronts += counts.fronts;
        self.counts.cut_off += counts.cut_off;
        self.counts.compiled += counts.compiled;
        self.counts.put += counts.put;
        self.counts.deleted += counts.deleted;
        self.times.push(time);
    }

    pub(super) fn print(&self) {
        let time: Duration = self.times.iter().sum();
        row("all", self.inputs, &self.counts, time);
        println!("\n{} versions compiled, one after another, in {:.1} s", self.times.len(), time.as_secs_f64());
    }

    /// Prints the cost of the last change and of a median one, compared with `what`, which compiles everything.
    pub(super) fn print_beside(&self, what: &str, full: Duration) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let mut times = self.times.clone();
        times.sort_unstable();
        let (Some(last), Some(median)) = (self.times.last(), times.get(times.len() / 2)) else { return };
        let beside = |time: Duration| match ms(full) / ms(time) {
            ratio if ratio < 1.5 => "about as much, or more".to_owned(),
            ratio => format!("{ratio:.0} times less"),
        };
        println!("\n{what} took {:.1} ms", ms(full));
        println!("the last change took {:.1} ms: {}", ms(*last), beside(*last));
        println!("half of the changes took less than {:.1} ms: {}", ms(*median), beside(*median));
    }
}

fn row(version: &str, inputs: u64, counts: &Counts, time: Duration) {
    let Counts { fronts, cut_off, compiled, put, deleted, .. } = counts;
    let ms = time.as_secs_f64() * 1000.0;
    println!("{version:>7} {inputs:>7} {fronts:>8} {cut_off:>7} {compiled:>8} {put:>11} {deleted:>8} {ms:>8.1}");
}
