//! `verify`: compiles published partitions again and compares.

use std::sync::Arc;

use deltic_core::TaskId;
use deltic_driver::{Sampling, Verify};

use crate::args::values::percent;
use crate::args::{Check, ConfigArgs, JobArgs};
use crate::job::Register;
use crate::job::prepared::{Prepared, stores, where_from};
use crate::report;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;
use crate::terminal::progress::Progress;

/// `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) configuration: ConfigArgs,
    /// The share of inputs and outputs to check, about
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = percent, conflicts_with = "all")]
    pub(crate) sample: u32,
    /// Check everything: all partitions, all of the state, and that nothing is missing
    #[arg(long)]
    pub(crate) all: bool,
    /// The seed of the sample; another number selects another sample
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Check only these tasks
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) tasks: Vec<TaskId>,
    /// Compile everything twice, the second time in another order, and list the results that differ
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) check: Option<Check>,
}

/// Verifies the latest version of the output.
pub(super) fn verify(
    args: &Args,
    register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    interrupts.may_end("nothing was written");
    let config = args.configuration.load()?;
    let stores = stores(&config)?;
    let requested = JobArgs { configuration: args.configuration.clone(), ..JobArgs::default() };
    let prepared =
        Prepared::new(&requested, &config, &stores, register).map_err(|failure| where_from(&config, failure))?;
    compare(args, &prepared, progress, interrupts, out).map_err(|failure| failure.detail("url", prepared.url))
}

fn compare(
    args: &Args,
    prepared: &Prepared<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    let Some(catalog) = prepared.find_output()? else {
        let (output, url) = (prepared.output(), prepared.url);
        return Err(Failure::failed(format!("catalog `{output}` at {url} does not exist: there is nothing to verify")));
    };
    let watched = Arc::new(progress.tasks());
    let awaited = Arc::clone(&watched);
    interrupts.ends_by_itself("nothing was written", move || awaited.calls.awaited());
    let mut job = prepared.job(&catalog, &*watched, "", interrupts.stop())?;
    job.options.check_determinism = args.check.is_some();
    let sample = (!args.all).then_some(Sampling { millionths: args.sample, seed: args.seed });
    let found = job.verify(&prepared.engine, &Verify { sample, tasks: args.tasks.clone() })?;
    out.result("deltic.verify/1", &found, || report::verification_lines(&found))?;
    if found.is_clean() {
        return Ok(());
    }
    let (version, what) = (found.version, report::findings(&found));
    Err(Failure::failed(match found.differences.is_empty() {
        true => format!("tasks that made version {version} are not deterministic: {what}"),
        false => format!("version {version} differs from what its inputs compile to now: {what}"),
    }))
}
