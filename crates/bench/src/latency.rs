//! Full builds on a remote store, where every request takes a round trip, compared with local files.
//!
//! The remote store has an `s3:` URL and is used like any remote store. A store in memory replaces the network, and there is a
//! sleep before each request. So this measures how well requests overlap with each other and with computing. It does not
//! measure the cost of a network client (TLS, HTTP, bandwidth). The same store without the sleep is measured too: this
//! separates the cost of waiting from all other differences.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use deltic_bench::{Kind, Session, Workload, import_generated, open_input};
use deltic_driver::{Phases, Report};
use deltic_store::Stores;

use crate::compare::area::{Area, remove};
use crate::compare::rows::median;
use crate::remote::{Remote, bucket, create};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of partitions.
    #[arg(long, default_value = "50k", value_parser = crate::count)]
    size: u64,
    /// How long each request of the remote store waits before it begins.
    #[arg(long, default_value_t = 40)]
    latency_ms: u64,
    /// Jobs: a, b, m.
    #[arg(long, value_delimiter = ',', default_value = "a,m")]
    jobs: Vec<Workload>,
    /// Measured builds of each.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How many threads; 0 is one for each processor.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The folder below which the local files are kept, best in memory.
    #[arg(long, default_value = "/dev/shm")]
    files: PathBuf,
}

/// Measures, and prints a table in Markdown.
pub(crate) fn latency(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs > 0, "--runs must be 1 or more");
    let area = Area::create(&arguments.files)?;
    let remote = Remote::default();
    let file = |name: &str| format!("file:{}", area.folder().join(name).display());
    let (local, at_once) = (Stores::new(), remote.stores(Duration::ZERO));
    for (stores, url) in [(&local, file("in")), (&at_once, bucket("in"))] {
        import_generated(&open_input(stores, &url)?, arguments.size, Kind::Base, 0)?;
    }
    let late = remote.stores(Duration::from_millis(arguments.latency_ms));
    println!(
        "| job | store | wall median | min | partitions a second | of local files | requests | resolve, execute, commit |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for job in &arguments.jobs {
        let mut rows = [
            Row::new("local files".to_owned(), &local, file("in")),
            Row::new("remote, no latency".to_owned(), &at_once, bucket("in")),
            Row::new(format!("remote, {} ms a request", arguments.latency_ms), &late, bucket("in")),
        ];
        for _ in 0..arguments.runs {
            for row in &mut rows {
                let output = if row.input.starts_with("file:") { file("out") } else { bucket("out") };
                row.measure(*job, &output, arguments)?;
                remove(&area.folder().join("out"))?;
                remote.forget("out");
            }
        }
        let whole = rows[0].median();
        rows.iter().for_each(|row| row.print(*job, arguments.size, whole));
    }
    Ok(())
}

/// One store's builds of one job.
struct Row<'a> {
    name: String,
    stores: &'a Stores,
    input: String,
    wall: Vec<f64>,
    requests: u64,
    phases: Option<Phases>,
}

impl Row<'_> {
    fn new(name: String, stores: &Stores, input: String) -> Row<'_> {
        Row { name, stores, input, wall: Vec::new(), requests: 0, phases: None }
    }

    /// One full build into an output that is created before the clock starts, with nothing cached.
    fn measure(&mut self, job: Workload, output: &str, arguments: &Arguments) -> Result<()> {
        create(self.stores, output)?;
        let mut session = Session::open(self.stores, job, &self.input, output, arguments.threads)?;
        let started = Instant::now();
        let report: Report = session.run()?;
        self.wall.push(started.elapsed().as_secs_f64() * 1000.0);
        ensure!(report.tasks.iter().all(|task| task.counts.inputs == arguments.size), "not a full build: {report:?}");
        self.requests = report.input_requests.total() + report.output_requests.total();
        self.phases = Some(report.phases);
        Ok(())
    }

    fn median(&self) -> f64 {
        median(self.wall.clone()).unwrap_or(0.0)
    }

    fn print(&self, job: Workload, size: u64, whole: f64) {
        let wall = self.median();
        let phases = self.phases.as_ref().map_or_else(String::new, |phases| {
            format!("{:.0}, {:.0}, {:.0} ms", phases.resolve_ms, phases.execute_ms, phases.commit_ms)
        });
        println!(
            "| {job} | {} | {wall:.0} ms | {:.0} ms | {:.0} | **{:.2}** | {} | {phases} |",
            self.name,
            self.wall.iter().copied().fold(f64::INFINITY, f64::min),
            size as f64 / wall * 1000.0,
            whole / wall,
            self.requests,
        );
    }
}
