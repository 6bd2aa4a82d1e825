//! `errors`: the partitions in quarantine at a version.

use deltic_driver::{Quarantined, quarantined};
use serde_json::json;

use super::open;
use crate::args;
use crate::failure::Outcome;
use crate::out::Out;
use crate::report::in_quarantine;

/// Lists what compilers failed on.
pub(super) fn errors(args: &args::Errors, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let all = quarantined(&snapshot)?;
    let head = json!({ "url": args.url, "version": snapshot.version() });
    let line = |one: &Quarantined| format!("{}: {}", one.task, in_quarantine(one));
    out.list("deltic.errors/1", &head, "errors", all.into_iter().map(Ok), line)
}
