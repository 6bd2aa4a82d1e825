//! `repack`: rewrites packs of which little is still needed.

use deltic_store::{Catalog, RepackOptions};
use serde_json::json;

use crate::catalogs::access::stores;
use crate::catalogs::format::{packs, packs_as_json};
use crate::catalogs::race::again;
use crate::system::clock::now;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::Outcome;
use crate::terminal::numbers::bytes;
use crate::terminal::out::Out;

/// `repack`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// Rewrite packs of which readable versions need less than this share
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = percent)]
    below: u32,
    /// Copy at most this many bytes, from the packs with the smallest needed share first
    #[arg(long, value_name = "BYTES")]
    most_bytes: Option<u64>,
    /// Only show which packs
    #[arg(long)]
    dry_run: bool,
}

fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|number| (1..=100).contains(number)).ok_or_else(|| "expected 1% to 100%, for example 50%".to_owned())
}

/// Repacks a catalog.
pub(super) fn repack(args: &Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    interrupts.ends_soon(format!("`deltic log {}` shows whether a version was made", args.url));
    let catalog = Catalog::open(&stores()?, &args.url)?;
    let (below_percent, most_bytes) = (args.below, args.most_bytes);
    let options = RepackOptions { below_percent, most_bytes, ..RepackOptions::default() };
    let done = again(|run| catalog.repack(&options, run, now(), args.dry_run))?;
    if let Some(version) = done.version {
        out.has_done(format!("version {version} was committed"));
    }
    let body = json!({
        "url": args.url,
        "dry_run": args.dry_run,
        "version": done.version,
        "replaced": packs_as_json(&done.replaced),
        "live_bytes": done.live_bytes,
        "written": packs_as_json(&done.written),
    });
    out.result("deltic.repack/1", body, || {
        let (replaced, live) = (packs(&done.replaced), bytes(done.live_bytes));
        match done.version {
            _ if done.replaced.count == 0 => vec!["nothing to do: no pack is below the limit".to_owned()],
            None => vec![format!("would replace {replaced}, and rewrite the {live} of them that are needed")],
            Some(version) => vec![
                format!("committed version {version}: it needs {} instead of {replaced}", packs(&done.written)),
                format!("when the versions before it have expired, `deltic gc {}` frees the space", args.url),
            ],
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent() {
        assert_eq!((percent("50%"), percent("7")), (Ok(50), Ok(7)));
        assert!(["0", "101%", "half", "", "%"].iter().all(|text| percent(text).is_err()));
    }
}
