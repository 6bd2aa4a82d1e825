//! `verify`: what is published, compiled again and compared.

use std::sync::Arc;

use deltic_driver::{Sampling, Verify};

use super::job::{Prepared, load, stores, where_from};
use crate::args;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::out::Out;
use crate::progress::Progress;
use crate::report;
use crate::sources::Register;

/// Verifies the latest version of the output.
pub(super) fn verify(
    args: &args::Verify,
    register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    interrupts.may_end("nothing was written");
    let config = load(&args.configuration)?;
    let stores = stores(&config)?;
    let asked = args::Job { configuration: args.configuration.clone(), ..args::Job::default() };
    let prepared = Prepared::new(&asked, &config, &stores, register).map_err(|failure| where_from(&config, failure))?;
    let Some(catalog) = prepared.find_output()? else {
        let (output, url) = (&config.driver.output, prepared.url);
        return Err(Failure::failed(format!("catalog `{output}` at {url} does not exist: there is nothing to verify")));
    };
    let watched = Arc::new(progress.tasks());
    let awaited = Arc::clone(&watched);
    interrupts.ends_by_itself("nothing was written", move || awaited.calls.awaited());
    let mut job = prepared.job(catalog, &*watched, "", interrupts.stop())?;
    job.options.check_determinism = args.check.is_some();
    let sample = (!args.all).then_some(Sampling { millionths: args.sample, seed: args.seed });
    let found = deltic_driver::verify(&job, &Verify { sample, tasks: args.tasks.clone() })?;
    out.result("deltic.verify/1", &found, || report::verification_lines(&found))?;
    if found.is_clean() {
        return Ok(());
    }
    let (version, what) = (found.version, report::findings(&found));
    Err(Failure::failed(match found.differences.is_empty() {
        true => format!("tasks that made version {version} are not deterministic: {what}"),
        false => format!("version {version} is not what is compiled from its inputs: {what}"),
    }))
}
