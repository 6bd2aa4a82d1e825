//! `revert`: restores the layers of a catalog to an earlier version.

use deltic_store::Catalog;

use crate::catalogs::access::stores;
use crate::catalogs::edit::{explained, report};
use crate::catalogs::version::Which;
use crate::system::clock::now;
use crate::system::identity::new_run_id;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::Outcome;
use crate::terminal::out::Out;

/// `revert`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The version to restore, such as 98 or -1
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) to: Which,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// Restores a catalog.
pub(super) fn revert(args: &Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    interrupts.ends_soon(format!("`deltic log {}` shows whether a version was made", args.url));
    let (base, run) = (Catalog::open(&stores()?, &args.url)?.latest()?, new_run_id()?);
    let to = args.to.before(&base)?;
    let note = if args.note.is_empty() { format!("as version {} was", to.version()) } else { args.note.clone() };
    let made = deltic_driver::revert(&base, &to, run, now(), &note).map_err(|error| explained(error, &base, run))?;
    report("deltic.revert/1", &base, made.as_ref(), out)
}
