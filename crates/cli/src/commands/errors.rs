//! `errors`: the partitions in quarantine at a version.

use deltic_driver::{alike, quarantined};
use serde_json::json;

use super::open;
use crate::args;
use crate::failure::Outcome;
use crate::out::{Format, Out};

/// Lists what compilers failed on: each partition for programs; for people, those that say the same on one line.
pub(super) fn errors(args: &args::Errors, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let all = quarantined(&snapshot)?;
    let head = json!({ "url": args.url, "version": snapshot.version() });
    let lines: Vec<String> = match out.format {
        Format::Text => alike(&all).iter().map(|line| format!("{}: {line}", line.task)).collect(),
        Format::Json => {
            return out.list("deltic.errors/1", &head, "errors", all.into_iter().map(Ok), |_| String::new());
        }
    };
    out.lines(&lines)
}
