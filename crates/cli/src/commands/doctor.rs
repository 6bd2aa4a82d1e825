//! `doctor`: checks that a store does what catalogs rely on.

use deltic_store::{Assumption, Depth};
use serde_json::json;

use crate::catalogs::access::stores;
use crate::system::identity::new_run_id;
use crate::system::interrupts::Interrupts;
use crate::terminal::columns::{Align, columns};
use crate::terminal::failure::{Failure, Outcome};

use crate::terminal::out::Out;

/// `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Works in a new folder, which it removes at the end. Catalogs are not touched.")]
pub(crate) struct Args {
    /// The place of catalogs, or of future ones
    pub(crate) url: String,
}

/// Tests a store.
pub(super) fn doctor(args: &Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let left = "a folder `doctor-…` may remain, which you can remove";
    interrupts.ends_soon(left);
    let found = deltic_store::doctor(&stores()?, &args.url, new_run_id()?, Depth::Brief)?;
    let one = |one: &Assumption| json!({ "name": one.name, "expected": one.expected, "problem": one.problem });
    let body = json!({ "url": args.url, "checks": found.iter().map(one).collect::<Vec<_>>() });
    out.result("deltic.doctor/1", body, || {
        let row = |one: &Assumption| {
            let verdict = if one.problem.is_some() { "FAILED" } else { "ok" };
            vec![
                verdict.to_owned(),
                one.name.to_owned(),
                one.problem.clone().unwrap_or_else(|| one.expected.to_owned()),
            ]
        };
        columns(&[Align::Left; 3], &found.iter().map(row).collect::<Vec<_>>())
    })?;
    match found.iter().filter(|one| one.problem.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failure::failed(format!("{}: catalogs are not safe here: {failed} checks failed", args.url))),
    }
}
