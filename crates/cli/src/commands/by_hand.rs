//! `layer` and `revert`: changes to a catalog by hand.

use std::collections::BTreeSet;

use deltic_core::{Layer, RunId};
use deltic_driver::{LayerEdit, edit_layers};
use deltic_store::{Catalog, Snapshot};
use serde_json::json;

use super::{stands, stores};
use crate::args;
use crate::edge::{new_run_id, now};
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::out::Out;

/// Adds, changes or drops layers.
pub(super) fn layer(args: &args::LayerCommand, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let (url, note, edits) = match args {
        args::LayerCommand::Add(args) => (&args.url, &args.note, each(&args.layers, LayerEdit::Add)),
        args::LayerCommand::Change(args) => (&args.url, &args.note, each(&args.layers, LayerEdit::Change)),
        args::LayerCommand::Drop(args) => {
            (&args.url, &args.note, args.layers.iter().cloned().map(LayerEdit::Drop).collect())
        }
    };
    let mut named = BTreeSet::new();
    for edit in &edits {
        let id = match edit {
            LayerEdit::Add(layer) | LayerEdit::Change(layer) => &layer.id,
            LayerEdit::Drop(id) => id,
        };
        if !named.insert(id) {
            return Err(Failure::usage(format!("layer `{id}` is given twice")));
        }
    }
    interrupts.ends_soon(format!("whether a version was made says `deltic log {url}`"));
    let (base, run) = (Catalog::open(&stores()?, url)?.latest()?, new_run_id()?);
    let made = edit_layers(&base, &edits, run, now(), note).map_err(|error| explained(error, &base, run))?;
    report("deltic.layer/1", &base, made.as_ref(), out)
}

fn each(layers: &[Layer], edit: fn(Layer) -> LayerEdit) -> Vec<LayerEdit> {
    layers.iter().cloned().map(edit).collect()
}

/// Makes a catalog what it was.
pub(super) fn revert(args: &args::Revert, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    interrupts.ends_soon(format!("whether a version was made says `deltic log {}`", args.url));
    let (base, run) = (Catalog::open(&stores()?, &args.url)?.latest()?, new_run_id()?);
    let to = args.to.before(&base)?;
    let note = if args.note.is_empty() { format!("as version {} was", to.version()) } else { args.note.clone() };
    let made = deltic_driver::revert(&base, &to, run, now(), &note).map_err(|error| explained(error, &base, run))?;
    report("deltic.revert/1", &base, made.as_ref(), out)
}

fn report(schema: &str, base: &Snapshot, made: Option<&Snapshot>, out: &mut Out) -> Outcome {
    let version = made.map(Snapshot::version);
    if let Some(version) = version {
        out.has_done(format!("version {version} was committed"));
    }
    let layers: Vec<&str> = made.unwrap_or(base).layers().map(|layer| layer.id.as_str()).collect();
    let body = json!({ "url": base.catalog().url(), "base": base.version(), "version": version, "layers": layers });
    out.result(schema, body, || match version {
        None => format!("nothing changed: version {} stands", base.version()),
        Some(version) if layers.is_empty() => format!("committed version {version}: no layers"),
        Some(version) => format!("committed version {version}: {}", layers.join(", ")),
    })
}

fn explained(error: deltic_driver::Error, base: &Snapshot, run: RunId) -> Failure {
    let owned = matches!(error, deltic_driver::Error::Owned { .. });
    let failure = stands(Failure::from(error), base.catalog(), run, "nothing was changed");
    match owned {
        true => failure
            .hint("tasks say what layers a product has; `layer drop` removes one that none of them writes any more"),
        false => failure,
    }
}
