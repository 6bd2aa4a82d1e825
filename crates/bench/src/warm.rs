//! Runs as library calls, with catalogs kept open: the cost for a service that compiles after each change.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use deltic_bench::{Kind, Session, Workload, import_generated, open_input};
use deltic_store::Stores;

use crate::compare::area::Area;
use crate::compare::rows::median;
use crate::measure::own_ms;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of partitions.
    #[arg(long, default_value = "100k", value_parser = crate::count)]
    size: u64,
    /// Jobs: a, b, m.
    #[arg(long, value_delimiter = ',', default_value = "a,b,m")]
    jobs: Vec<Workload>,
    /// Measured runs of each.
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Keeps catalogs in files below this folder, best in memory, instead of in this process.
    #[arg(long)]
    files: Option<PathBuf>,
    /// Prints the report of the last run of each, as JSON.
    #[arg(long)]
    report: bool,
}

/// Measures, and prints a table in Markdown.
pub(crate) fn warm(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs > 0, "--runs must be 1 or more");
    let area = arguments.files.as_deref().map(Area::create).transpose()?;
    println!("| job | library call | CPU median | min | max | wall median |\n|---|---|--:|--:|--:|--:|");
    for job in &arguments.jobs {
        let url = |name: &str| match &area {
            Some(area) => format!("file:{}", area.folder().join(format!("{job}-{name}")).display()),
            None => format!("memory:{name}"),
        };
        let stores = Stores::new();
        let base = open_input(&stores, &url("in"))?;
        import_generated(&base, arguments.size, Kind::Base, 0)?;
        let mut session = Session::open(&stores, *job, &url("in"), &url("out"), 1)?;
        session.run()?;
        let mut runs = Costs::default();
        let mut imports = Costs::default();
        let mut last = None;
        for version in 1..=arguments.runs as u64 {
            imports.measure(|| import_generated(&session.input().latest()?, arguments.size, Kind::One, version))?;
            let report = runs.measure(|| session.run())?;
            ensure!(
                report.tasks.iter().all(|task| task.counts.put == 1),
                "a run did not put its one output: {report:?}"
            );
            last = Some(report);
        }
        let mut idle = Costs::default();
        for _ in 0..arguments.runs {
            ensure!(idle.measure(|| session.run())?.version.is_none(), "a run with nothing to do made a version");
        }
        runs.print(*job, "run after one change");
        idle.print(*job, "run with nothing changed");
        imports.print(*job, "import of one change");
        if let (true, Some(report)) = (arguments.report, last) {
            eprintln!("{}", serde_json::to_string(&report)?);
        }
    }
    Ok(())
}

/// CPU and wall times of calls, in milliseconds.
#[derive(Debug, Default)]
struct Costs {
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

impl Costs {
    fn measure<T>(&mut self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let (cpu, wall) = (own_ms()?, Instant::now());
        let result = call()?;
        self.wall.push(wall.elapsed().as_secs_f64() * 1000.0);
        self.cpu.push(own_ms()? - cpu);
        Ok(result)
    }

    fn print(&self, job: Workload, what: &str) {
        let of = |numbers: &[f64], pick: fn(f64, f64) -> f64| numbers.iter().copied().reduce(pick).unwrap_or(0.0);
        println!(
            "| {job} | {what} | **{:.3} ms** | {:.3} | {:.3} | {:.3} ms |",
            median(self.cpu.clone()).unwrap_or(0.0),
            of(&self.cpu, f64::min),
            of(&self.cpu, f64::max),
            median(self.wall.clone()).unwrap_or(0.0),
        );
    }
}
