//! `errors`: the partitions in quarantine at a version.

use deltic_driver::{group_failures, quarantined};
use serde_json::json;

use crate::catalogs::access::open;
use crate::catalogs::version::Which;
use crate::terminal::failure::Outcome;
use crate::terminal::out::{Format, Out};

/// `errors`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The version, such as 98 or -1; the default is the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// Lists the partitions that compilers failed on: one by one for programs; for people, one line for all with the same message.
pub(super) fn errors(args: &Args, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let all = quarantined(&snapshot)?;
    let head = json!({ "url": args.url, "version": snapshot.version() });
    let lines: Vec<String> = match out.format {
        Format::Text => group_failures(&all).iter().map(|line| format!("{}: {line}", line.task)).collect(),
        Format::Json => {
            return out.list("deltic.errors/1", &head, "errors", all.into_iter().map(Ok), |_| String::new());
        }
    };
    out.lines(&lines)
}
