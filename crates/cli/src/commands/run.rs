//! `run`: compiles what has changed, and publishes it as one new version.

use std::sync::Arc;

use deltic_driver::{At, Event, Observer, Report, Silent, Stop};
use deltic_store::Snapshot;

use crate::args::{Check, JobArgs};
use crate::catalogs::format::WithUrl;
use crate::job::Register;
use crate::job::prepared::{Prepared, stores, where_from};
use crate::report;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;
use crate::terminal::progress::{Progress, Tasks};
use crate::terminal::shell_words::quoted;

/// `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
    /// Compile everything twice, and publish nothing if any result differs the second time
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) check: Option<Check>,
    /// End with exit code 1 if any partition is in quarantine after the run; the rest is published nevertheless
    #[arg(long)]
    pub(crate) fail_on_quarantine: bool,
    /// Take over a catalog that imports or other tasks wrote so far, and replace its content
    #[arg(long)]
    pub(crate) take_over: bool,
}

/// Compiles and publishes.
pub(super) fn run(
    args: &Args,
    register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    interrupts.may_end("nothing was published");
    let config = args.job.configuration.load()?;
    let stores = stores(&config)?;
    let prepared =
        Prepared::new(&args.job, &config, &stores, register).map_err(|failure| where_from(&config, failure))?;
    publish(args, &prepared, progress, interrupts, out).map_err(|failure| failure.detail("url", prepared.url))
}

fn publish(
    args: &Args,
    prepared: &Prepared<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    let watched =
        Arc::new(Watched { tasks: progress.tasks(), interrupts: interrupts.clone(), url: prepared.url.to_owned() });
    let catalog = match prepared.find_output()? {
        Some(catalog) => catalog,
        None => {
            // Mistakes in the tasks are reported before anything is created.
            prepared.job(&prepared.nowhere()?, &Silent, "", &Stop::new())?.plan()?;
            prepared.create_output(progress)?
        }
    };
    let awaited = Arc::clone(&watched);
    interrupts.ends_by_itself("nothing was published", move || awaited.tasks.calls.awaited());
    let mut job = prepared.job(&catalog, &*watched, &args.note, interrupts.stop())?;
    job.options.check_determinism = args.check.is_some();
    job.options.take_over = args.take_over;
    let mut report: Report =
        job.run(&prepared.engine).map_err(|error| prepared.explain(error, &catalog, job.options.run))?;
    if let Some(version) = report.version {
        out.has_done(format!("version {version} was committed"));
    }
    let version = report.version.unwrap_or(report.base);
    interrupts.ends_by_itself(format!("version {version} was committed"), || vec!["the report to be read".to_owned()]);
    // All requests to the stores, not only those since the run began.
    report.output_requests = catalog.requests();
    let inputs = job.inputs.values().filter(|input| input.at != At::Feedback).map(|input| input.catalog.requests());
    report.input_requests = inputs.fold(Default::default(), |sum, one| sum + one);
    out.result("deltic.run/1", WithUrl { url: prepared.url, body: &report }, || report::run_lines(&report))?;
    if args.fail_on_quarantine { without_quarantine(&catalog.snapshot(version)?, prepared.url) } else { Ok(()) }
}

/// Fails if anything is in quarantine.
fn without_quarantine(snapshot: &Snapshot, url: &str) -> Outcome {
    let (version, all) = (snapshot.version(), deltic_driver::quarantined(snapshot)?.len());
    let number = match all {
        0 => return Ok(()),
        1 => "1 partition is".to_owned(),
        all => format!("{all} partitions are"),
    };
    let failure = Failure::failed(format!("{number} in quarantine at version {version}"));
    Err(failure.hint(format!("`deltic errors {}` lists them", quoted(url))))
}

/// Observes a run: for its progress, and for what an interrupt prints.
struct Watched {
    tasks: Tasks,
    interrupts: Interrupts,
    /// Where the output is.
    url: String,
}

impl Observer for Watched {
    fn event(&self, event: &Event<'_>) {
        self.tasks.event(event);
        if let Event::Checkpoint { .. } = event
            && self.interrupts.stop().is_requested()
        {
            let awaited = || vec!["a checkpoint for the next run".to_owned()];
            self.interrupts.ends_by_itself("nothing was published", awaited);
        }
        if let Event::Committing { version } = event {
            let left = format!("`deltic log {}` shows whether version {version} was made", self.url);
            let awaited = format!("version {version} to be written");
            self.interrupts.ends_by_itself(left, move || vec![awaited.clone()]);
        }
    }
}
