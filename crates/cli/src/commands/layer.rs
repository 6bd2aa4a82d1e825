//! `layer`: adds layers to a catalog, changes their schemes or drops them.

use std::collections::BTreeSet;

use deltic_core::{Layer, LayerId};
use deltic_driver::{LayerEdit, edit_layers};
use deltic_store::Catalog;

use crate::args::values::layer as parse_layer;
use crate::catalogs::access::stores;
use crate::catalogs::edit::{explained, report};
use crate::system::clock::now;
use crate::system::identity::new_run_id;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;

/// `layer`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum LayerCommand {
    /// Add empty layers
    Add(Layers),
    /// Change the schemes of layers; their partitions stay, and must be legal in the new scheme
    Change(Layers),
    /// Drop layers with their partitions
    Drop(LayerIds),
}

/// `layer add` and `layer change`.
#[derive(Debug, clap::Args)]
pub(crate) struct Layers {
    /// The catalog
    pub(crate) url: String,
    /// The layers: ID=generic, ID=tile:here:LEVELS or ID=tile:mercator:LEVELS
    #[arg(value_name = "ID=SCHEME", required = true, value_parser = parse_layer)]
    pub(crate) layers: Vec<Layer>,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// `layer drop`.
#[derive(Debug, clap::Args)]
pub(crate) struct LayerIds {
    /// The catalog
    pub(crate) url: String,
    /// The layers
    #[arg(value_name = "ID", required = true)]
    pub(crate) layers: Vec<LayerId>,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// Adds, changes or drops layers.
pub(super) fn layer(args: &LayerCommand, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let (url, note, edits) = match args {
        LayerCommand::Add(args) => (&args.url, &args.note, each(&args.layers, LayerEdit::Add)),
        LayerCommand::Change(args) => (&args.url, &args.note, each(&args.layers, LayerEdit::Change)),
        LayerCommand::Drop(args) => (&args.url, &args.note, args.layers.iter().cloned().map(LayerEdit::Drop).collect()),
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
    interrupts.ends_soon(format!("`deltic log {url}` shows whether a version was made"));
    let (base, run) = (Catalog::open(&stores()?, url)?.latest()?, new_run_id()?);
    let made = edit_layers(&base, &edits, run, now(), note).map_err(|error| explained(error, &base, run))?;
    report("deltic.layer/1", &base, made.as_ref(), out)
}

fn each(layers: &[Layer], edit: fn(Layer) -> LayerEdit) -> Vec<LayerEdit> {
    layers.iter().cloned().map(edit).collect()
}
