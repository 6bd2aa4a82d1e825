//! `gc`: removes everything that no readable version needs.

use deltic_store::{Catalog, Objects};
use serde_json::{Value, json};

use crate::catalogs::access::stores;
use crate::catalogs::format::{packs, packs_as_json};
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::Outcome;
use crate::terminal::numbers::{bytes, count};
use crate::terminal::out::Out;

/// `gc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Sweeps a catalog.
pub(super) fn gc(args: &Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    interrupts.may_end("the next `gc` removes the rest");
    let done = Catalog::open(&stores()?, &args.url)?.gc(args.dry_run)?;
    let removed = done.removed.count + done.progress_removed.count + done.unfinished_removed.count;
    if !args.dry_run && removed > 0 {
        out.has_done("everything that no version needs was removed");
    }
    let body = json!({
        "url": args.url,
        "dry_run": args.dry_run,
        "version": done.version,
        "retained": done.retained,
        "needed": packs_as_json(&done.needed),
        "removed": packs_as_json(&done.removed),
        "undecided": packs_as_json(&done.undecided),
        "progress_removed": objects(&done.progress_removed),
        "progress_kept": objects(&done.progress_kept),
        "unfinished_removed": objects(&done.unfinished_removed),
        "unfinished_kept": objects(&done.unfinished_kept),
    });
    out.result("deltic.gc/1", body, || {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        let versions = if done.retained == 1 { "1 version needs" } else { "versions that can be read need" };
        let mut text = vec![format!("{verb} {}; {versions} {}", packs(&done.removed), packs(&done.needed))];
        if done.undecided.count > 0 {
            text.push(format!(
                "kept {} that a run in progress may commit: decided after the next version",
                packs(&done.undecided)
            ));
        }
        if done.progress_removed.count > 0 {
            let of = "of checkpoints of interrupted runs";
            text.push(format!("{verb} {} {of}", bytes(done.progress_removed.bytes)));
        }
        if done.progress_kept.count > 0 {
            let of = "of checkpoints of a run that was interrupted or is in progress: the next run resumes from them";
            text.push(format!("kept {} {of}", bytes(done.progress_kept.bytes)));
        }
        if done.unfinished_removed.count > 0 {
            text.push(format!("{verb} {} that killed writers left incomplete", files(&done.unfinished_removed)));
        }
        if done.unfinished_kept.count > 0 {
            text.push(format!(
                "kept {} that are incomplete, and that a run in progress may complete: decided after the next version",
                files(&done.unfinished_kept)
            ));
        }
        text
    })
}

/// The number of objects other than packs, and their bytes.
fn objects(objects: &Objects) -> Value {
    json!({ "objects": objects.count, "bytes": objects.bytes })
}

/// How many files, and their size.
fn files(files: &Objects) -> String {
    format!("{} file{}, {}", count(files.count), if files.count == 1 { "" } else { "s" }, bytes(files.bytes))
}
