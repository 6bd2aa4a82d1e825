//! Compiles 378 real versions of 3,400 transit feed descriptions, each from what changed, and proves at the end that
//! the result equals a build from scratch.
//!
//! `cargo run --release --example transit -- --help`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use deltic::compiler::{Setup, Task};
use deltic::core::{CatalogId, Layer, LayerId};
use deltic::driver::{Counts, Import, Job, JobInput, LocalEngine, Mode, Options, Report, Silent};
use deltic::store::{Catalog, ErrorKind, Snapshot, Stores};
use deltic_examples::history::{self, Step};
use deltic_examples::transit;

/// Compiles the history of the Mobility Database, version after version.
#[derive(Parser)]
struct Arguments {
    /// Keep the catalogs here, as DIR/in and DIR/out, to look at with `deltic log`, `ls` and `diff`; a later run goes
    /// on where this one stopped
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Stop after this version
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    versions: Option<u64>,
    /// Threads; 0 is one for each processor
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let scratch = tempfile::tempdir()?;
    let dir = arguments.dir.clone().unwrap_or_else(|| scratch.path().join("kept"));
    let mut setup = Setup::default();
    transit::setup(&mut setup)?;
    let mut replay = Replay {
        tasks: setup.finish()?,
        engine: LocalEngine::new(arguments.threads),
        input: open_or_create(&dir.join("in"), transit::input_layers()?)?,
        output: open_or_create(&dir.join("out"), Vec::new())?,
    };

    let mut total = Totals::default();
    let done = replay.input.latest()?.version().0;
    println!("version  inputs   front-   cut     back-   published  deleted     ms");
    println!("        changed   ends     off     ends");
    history::replay(&history::data("mobility-catalogs"), |step| {
        if arguments.versions.is_some_and(|versions| step.number > versions) {
            return Ok(false);
        }
        if step.number > done {
            replay.import(&step)?;
        } else if step.number < done {
            return Ok(true);
        }
        let started = Instant::now();
        let report = replay.compile(&replay.output)?;
        total.add(&report, started.elapsed());
        Ok(true)
    })?;
    let shown = dir.display();
    ensure!(
        !total.times.is_empty(),
        "{shown}: the catalogs are at version {done} already, beyond the last one asked for"
    );
    total.print();
    compare_with_scratch(&mut replay, &scratch.path().join("scratch"), &total)?;
    if arguments.dir.is_some() {
        invite(&dir, replay.output.latest()?.version().0);
    }
    Ok(())
}

/// Says how to look at the catalogs that are kept.
fn invite(dir: &Path, last: u64) {
    let url = format!("file:{}/out", dir.display());
    let url = if url.contains(char::is_whitespace) { format!("'{url}'") } else { url };
    println!("\nthe catalogs are kept: look at them with");
    for command in [format!("log {url}"), format!("ls {url} countries"), format!("diff {url} {} {last}", last - 1)] {
        println!("  cargo run --release -p deltic -- {command}");
    }
}

struct Replay {
    tasks: Vec<Task>,
    engine: LocalEngine,
    input: Catalog,
    output: Catalog,
}

impl Replay {
    /// Commits what a version changed as the next version of the input catalog.
    fn import(&mut self, step: &Step) -> Result<()> {
        let base = self.input.latest()?;
        let import = Import::begin(&base, deltic::new_run_id()?)?;
        for (layer, name, bytes) in &step.put {
            import.put(&LayerId::new(layer)?, &name_in(&base, layer, name)?, &bytes.clone().into())?;
        }
        for (layer, name) in &step.deleted {
            let existed = import.delete(&LayerId::new(layer)?, &name_in(&base, layer, name)?)?;
            ensure!(existed, "version {} deletes {layer}/{name}, which does not exist", step.number);
        }
        let report = import.commit(deltic::now(), &format!("upstream version {}", step.number))?;
        ensure!(
            report.version.is_some_and(|version| version.0 == step.number),
            "version {} was imported before",
            step.number
        );
        Ok(())
    }

    /// Runs all tasks into a catalog.
    fn compile(&self, output: &Catalog) -> Result<Report> {
        let job = Job {
            inputs: [(CatalogId::new("transit")?, JobInput { catalog: self.input.clone(), version: None })].into(),
            output: output.clone(),
            tasks: &self.tasks,
            engine: &self.engine,
            observer: &Silent,
            options: Options {
                // The tasks state their code's versions.
                code: String::new(),
                run: deltic::new_run_id()?,
                started: deltic::now(),
                incremental: true,
                expect_base: None,
                state_layer: LayerId::new("state")?,
                note: String::new(),
            },
        };
        Ok(deltic::driver::run(&job)?)
    }
}

fn name_in(snapshot: &Snapshot, layer: &str, name: &str) -> Result<deltic::core::Name> {
    let settings = snapshot.layer_settings(&LayerId::new(layer)?);
    Ok(settings.with_context(|| format!("the data has a layer `{layer}` that is not expected"))?.parse_name(name)?)
}

fn open_or_create(dir: &Path, layers: Vec<Layer>) -> Result<Catalog> {
    let url = format!("file:{}", dir.display());
    let stores = Stores::new();
    match Catalog::create(&stores, &url, layers, deltic::new_catalog()?) {
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(Catalog::open(&stores, &url)?),
        created => Ok(created?),
    }
}

/// Builds the last version from nothing, compares digests, and says what the last change cost beside it.
fn compare_with_scratch(replay: &mut Replay, dir: &Path, total: &Totals) -> Result<()> {
    let scratch = open_or_create(dir, Vec::new())?;
    let started = Instant::now();
    replay.compile(&scratch)?;
    let full = started.elapsed();
    let (chain, scratch) = (replay.output.latest()?, scratch.latest()?);
    for layer in scratch.layers() {
        let digest = |snapshot: &Snapshot| snapshot.tree(&layer.id).map(|tree| (tree.digest(), tree.count()));
        let (Some((ours, count)), Some((theirs, _))) = (digest(&chain), digest(&scratch)) else { continue };
        println!("{:<12} {count:>6} partitions   {}", layer.id, ours);
        ensure!(ours == theirs, "layer {} differs from a build from scratch, which has {theirs}", layer.id);
    }
    ensure!(chain.digest() == scratch.digest() && chain.state_digest() == scratch.state_digest(), "state differs");
    println!("equal, layers and state, to a build from scratch of version {}", replay.input.latest()?.version());
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut times = total.times.clone();
    times.sort_unstable();
    if let (Some(last), Some(median)) = (total.times.last(), times.get(times.len() / 2)) {
        println!("\na build from scratch took {:.1} ms", ms(full));
        println!("the last change took {:.1} ms: {:.0} times less", ms(*last), ms(full) / ms(*last));
        println!("half of the changes took less than {:.1} ms: {:.0} times less", ms(*median), ms(full) / ms(*median));
    }
    Ok(())
}

/// What all runs did together.
#[derive(Default)]
struct Totals {
    inputs: u64,
    counts: Counts,
    /// One for each version.
    times: Vec<Duration>,
}

impl Totals {
    fn add(&mut self, report: &Report, time: Duration) {
        let mut counts = Counts::default();
        for task in report.tasks.iter().filter(|task| task.mode != Mode::Skipped) {
            counts.fronts += task.counts.fronts + task.counts.fronts_again;
            counts.cut_off += task.counts.cut_off;
            counts.compiled += task.counts.compiled;
            counts.put += task.counts.put;
            counts.deleted += task.counts.deleted;
        }
        let inputs = report.inputs.iter().map(|input| input.changed.unwrap_or(input.partitions)).sum();
        let version = report.inputs.first().map_or(0, |input| input.to.0);
        row(&version.to_string(), inputs, &counts, time);
        self.inputs += inputs;
        self.counts.fronts += counts.fronts;
        self.counts.cut_off += counts.cut_off;
        self.counts.compiled += counts.compiled;
        self.counts.put += counts.put;
        self.counts.deleted += counts.deleted;
        self.times.push(time);
    }

    fn print(&self) {
        let time: Duration = self.times.iter().sum();
        row("all", self.inputs, &self.counts, time);
        println!("\n{} versions compiled, one after another, in {:.1} s", self.times.len(), time.as_secs_f64());
    }
}

fn row(version: &str, inputs: u64, counts: &Counts, time: Duration) {
    let Counts { fronts, cut_off, compiled, put, deleted, .. } = counts;
    let ms = time.as_secs_f64() * 1000.0;
    println!("{version:>7} {inputs:>7} {fronts:>8} {cut_off:>7} {compiled:>8} {put:>11} {deleted:>8} {ms:>8.1}");
}
