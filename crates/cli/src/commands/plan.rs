//! `plan`: shows what a run would do.

use deltic_driver::{Silent, Stop};

use crate::args::JobArgs;
use crate::catalogs::format::WithUrl;
use crate::job::Register;
use crate::job::prepared::{Prepared, stores, where_from};
use crate::report;
use crate::terminal::failure::Outcome;
use crate::terminal::out::Out;
use crate::terminal::progress::Progress;

/// Shows what a run would do.
pub(super) fn plan(args: &JobArgs, register: Register<'_>, progress: &Progress, out: &mut Out) -> Outcome {
    let config = args.configuration.load()?;
    let stores = stores(&config)?;
    let prepared = Prepared::new(args, &config, &stores, register).map_err(|failure| where_from(&config, failure))?;
    show(&prepared, progress, out).map_err(|failure| failure.detail("url", prepared.url))
}

fn show(prepared: &Prepared<'_>, progress: &Progress, out: &mut Out) -> Outcome {
    let catalog = match prepared.find_output()? {
        Some(catalog) => catalog,
        None => {
            let (output, url) = (prepared.output(), prepared.url);
            progress.print(&format!("catalog `{output}` at {url} does not exist yet: a run will create it"));
            prepared.nowhere()?
        }
    };
    let plan = prepared.job(&catalog, &Silent, "", &Stop::new())?.plan()?;
    out.result("deltic.plan/1", WithUrl { url: prepared.url, body: &plan }, || report::plan_lines(&plan))
}
