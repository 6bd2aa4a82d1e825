//! The comparison: for each size, job and scenario, Deltic's run and the reference program's in turn, and the resulting verdicts on
//! the goals.

pub(crate) mod area;
mod goals;
mod ground;
mod reference;
pub(crate) mod rows;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use deltic_bench::{Kind, Outputs, Workload, expected_outputs};
use deltic_store::{Catalog, Snapshot, Stores};

use self::area::Area;
use self::ground::{CHANGED, Ground, url};
use self::reference::Reference;
use self::rows::{Rival, Row, Scenario};
use self::table::Machine;
use crate::measure::{Sample, measure};

/// At more partitions than this, files that are not needed for a while are removed and made again.
const MUCH: u64 = 250_000;

/// What to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Numbers of partitions.
    #[arg(long, value_delimiter = ',', default_value = "10k,100k", value_parser = crate::count)]
    sizes: Vec<u64>,
    /// Jobs: a, b, m.
    #[arg(long, value_delimiter = ',', default_value = "a,b,m")]
    jobs: Vec<Workload>,
    /// Scenarios: full, noop, one, permille, all.
    #[arg(long, value_delimiter = ',', default_value = "full,noop,one,permille,all")]
    scenarios: Vec<Scenario>,
    /// Measured runs of each.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Numbers of threads of full builds; all other runs use the first one. 0 is one thread for each processor.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    threads: Vec<usize>,
    /// The sources of the reference programs; without them Deltic is measured alone.
    #[arg(long)]
    bench_dir: Option<PathBuf>,
    /// Where to work; best a file system in memory.
    #[arg(long, default_value = "/dev/shm")]
    work_dir: PathBuf,
    /// Writes all samples to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Compares, and prints tables in Markdown.
pub(crate) fn compare(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs > 0, "--runs must be 1 or more");
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; figures are worth something with `--release` only");
    }
    let build = std::env::temp_dir().join("deltic-bench-reference");
    let reference = Reference::find_and_build(arguments.bench_dir.as_deref(), &build)?;
    if reference.is_none() {
        eprintln!("the reference programs were not found (--bench-dir): ours is measured alone");
    }
    let area = Area::create(&arguments.work_dir)?;
    let ours = std::env::current_exe().context("finding this program")?;
    let machine = Machine::look(&ours, &arguments.work_dir)?;
    let mut rows = Vec::new();
    for count in &arguments.sizes {
        let ground = Ground::new(area.folder(), *count)?;
        for job in &arguments.jobs {
            let lane = Lane { arguments, reference: reference.as_ref(), ours: &ours, ground: &ground, job: *job };
            rows.extend(lane.measure_all()?);
        }
    }
    drop(area);
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    print!("{}", table::report(&machine, &rows));
    Ok(())
}

/// One job at one size.
struct Lane<'a> {
    arguments: &'a Arguments,
    reference: Option<&'a Reference>,
    ours: &'a Path,
    ground: &'a Ground,
    job: Workload,
}

impl Lane<'_> {
    fn measure_all(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        // The other scenarios need its output, even if it was not requested.
        let (full, expected) = self.full()?;
        if self.wants(Scenario::Full) {
            rows.extend(full);
        }
        if self.wants(Scenario::Noop) {
            rows.push(self.nothing()?);
        }
        for scenario in [Scenario::One, Scenario::Permille] {
            if self.wants(scenario) {
                rows.push(self.some(scenario, &expected)?);
            }
        }
        if self.wants(Scenario::All) {
            rows.push(self.everything()?);
        }
        for name in ["out-work", "out-base", "out-all", "floor-out", "floor-inc"] {
            area::remove(&self.ground.path(name))?;
        }
        Ok(rows)
    }

    fn wants(&self, scenario: Scenario) -> bool {
        self.arguments.scenarios.contains(&scenario)
    }

    fn run(&self, input: &str, output: &str, threads: usize) -> Command {
        let mut command = Command::new(self.ours);
        command.args(["run", &self.job.to_string(), input, output, "--threads", &threads.to_string()]);
        command
    }

    fn row(&self, scenario: Scenario, threads: usize, rival: Rival) -> Row {
        Row {
            partitions: self.ground.count,
            job: self.job,
            scenario,
            threads,
            ours: Vec::new(),
            rival: if self.reference.is_some() || rival == Rival::OwnFull { rival } else { Rival::None },
            theirs: Vec::new(),
            changed: 0,
            output_bytes: 0,
            reports: Vec::new(),
        }
    }

    /// The requested numbers of threads.
    fn all_threads(&self) -> impl Iterator<Item = usize> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.arguments.threads.iter().map(move |threads| if *threads == 0 { processors } else { *threads })
    }

    fn threads(&self) -> usize {
        self.all_threads().next().unwrap_or(1)
    }

    /// How often to run: once is enough for an output that only other scenarios need.
    fn rounds(&self, scenario: Scenario) -> usize {
        if self.wants(scenario) { self.arguments.runs } else { 1 }
    }

    fn print(&self, scenario: Scenario) {
        eprintln!("{} partitions, job {}: {scenario}", self.ground.count, self.job);
    }

    /// Full builds. Their outputs stay in `out-base` and `floor-out`, and are equal.
    fn full(&self) -> Result<(Vec<Row>, Outputs)> {
        let ground = self.ground;
        let input = ground.input(Kind::Base)?;
        let mut rows: Vec<Row> =
            self.all_threads().map(|threads| self.row(Scenario::Full, threads, Rival::Floor)).collect();
        self.print(Scenario::Full);
        for _ in 0..self.rounds(Scenario::Full) {
            for row in &mut rows {
                let output = ground.fresh("out-base")?;
                row.took(measure(&mut self.run(&input, &url(&output), row.threads))?)?;
            }
            if let Some(reference) = self.reference {
                let output = ground.fresh("floor-out")?;
                let sample = measure(&mut reference.full(self.job, &ground.packed(Kind::Base)?, &output))?;
                rows.iter_mut().for_each(|row| row.theirs.push(sample.clone()));
            }
        }
        let made = Outputs::of_catalog(&Stores::new(), &url(&ground.path("out-base")))?;
        let expected = match self.reference {
            Some(_) => Outputs::of_packed(&ground.path("floor-out"))?,
            None => expected_outputs(self.job, ground.count, Kind::Base, 0)?,
        };
        self.check(Scenario::Full, &made, &expected)?;
        for row in &mut rows {
            row.changed = ground.count;
            row.output_bytes = expected.bytes();
        }
        Ok((rows, expected))
    }

    /// Runs that find nothing to do.
    fn nothing(&self) -> Result<Row> {
        let ground = self.ground;
        let (input, output) = (ground.input(Kind::Base)?, url(&ground.path("out-base")));
        let mut row = self.row(Scenario::Noop, self.threads(), Rival::Floor);
        self.print(Scenario::Noop);
        for _ in 0..self.short_rounds() {
            row.took(measure(&mut self.run(&input, &output, row.threads))?)?;
            if let Some(reference) = self.reference {
                row.theirs.push(measure(&mut reference.nothing_changed(&ground.packed(Kind::Base)?))?);
            }
        }
        ensure!(
            row.reports.iter().all(|report| report.get("version").is_some_and(serde_json::Value::is_null)),
            "job {}: a run with nothing to do made a version",
            self.job
        );
        Ok(row)
    }

    /// Runs that find some inputs changed.
    fn some(&self, scenario: Scenario, base: &Outputs) -> Result<Row> {
        let (ground, kind) = (self.ground, scenario.kind());
        let input = ground.input(kind)?;
        let changed = expected_outputs(self.job, ground.count, kind, CHANGED)?;
        let trees = match (self.reference, self.job) {
            (Some(reference), Workload::A) => Some(ground.trees(reference, kind, &ground.path("floor-out"))?),
            _ => None,
        };
        let rival = if trees.is_some() { Rival::TreeFloor } else { Rival::Floor };
        let mut row = self.row(scenario, self.threads(), rival);
        row.changed = kind.changed(ground.count).len() as u64;
        row.output_bytes = changed.bytes();
        self.print(scenario);
        for _ in 0..self.short_rounds() {
            let output = ground.copy_of(&ground.path("out-base"))?;
            row.took(measure(&mut self.run(&input, &output, row.threads))?)?;
            if let Some(reference) = self.reference {
                let new = ground.packed(kind)?;
                row.theirs.push(measure(&mut match &trees {
                    Some((before, made)) => reference.tree(before, &new, made),
                    None => reference.flat(
                        self.job,
                        &ground.packed(Kind::Base)?,
                        &new,
                        &ground.path("floor-out"),
                        &ground.fresh("floor-inc")?,
                    ),
                })?);
            }
        }
        let made = Outputs::of_metadata(&latest(&ground.path("out-work"))?)?;
        self.check(scenario, &made, &base.patched(changed))?;
        Ok(row)
    }

    /// Incremental runs that find everything changed, against full builds of the same.
    fn everything(&self) -> Result<Row> {
        let ground = self.ground;
        if ground.count > MUCH {
            ground.drop_packed()?;
        }
        let input = ground.input(Kind::All)?;
        let mut row = self.row(Scenario::All, self.threads(), Rival::OwnFull);
        row.changed = ground.count;
        self.print(Scenario::All);
        for _ in 0..self.arguments.runs {
            let output = ground.copy_of(&ground.path("out-base"))?;
            row.took(measure(&mut self.run(&input, &output, row.threads))?)?;
            let output = ground.fresh("out-all")?;
            row.theirs.push(measure(&mut self.run(&input, &url(&output), row.threads))?);
        }
        let (made, scratch) = (latest(&ground.path("out-work"))?, latest(&ground.path("out-all"))?);
        if made.digest() != scratch.digest() || made.state_digest() != scratch.state_digest() {
            bail!("job {}: an incremental run with everything changed differs from a full build", self.job);
        }
        row.output_bytes = Outputs::of_metadata(&made)?.bytes();
        if ground.count > MUCH {
            area::remove(&ground.path(&format!("in-{:?}", Kind::All)))?;
        }
        Ok(row)
    }

    /// Runs of milliseconds are repeated more often: they vary more.
    fn short_rounds(&self) -> usize {
        self.arguments.runs.max(3) * 3
    }

    fn check(&self, scenario: Scenario, made: &Outputs, expected: &Outputs) -> Result<()> {
        match made.first_difference(expected) {
            None => Ok(()),
            Some(name) => bail!("job {}, {scenario}: output {name} is not what it should be", self.job),
        }
    }
}

impl Row {
    /// Records a run of Deltic.
    fn took(&mut self, sample: Sample) -> Result<()> {
        self.reports.push(serde_json::from_str(&sample.printed).context("reading the report of a run")?);
        self.ours.push(sample);
        Ok(())
    }
}

fn latest(folder: &Path) -> Result<Snapshot> {
    Ok(Catalog::open(&Stores::new(), &url(folder))?.latest()?)
}
