//! `init`: creates a catalog.

use deltic_core::Layer;
use deltic_store::Catalog;
use serde_json::json;

use crate::args::values::layer;
use crate::catalogs::access::stores;
use crate::system::identity::new_catalog;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;

/// `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to create the catalog
    pub(crate) url: String,
    /// A layer: ID=generic, ID=tile:here:LEVELS or ID=tile:mercator:LEVELS, with levels such as `12,14` or `0-8`
    #[arg(long = "layer", value_name = "ID=SCHEME", required = true, value_parser = layer)]
    pub(crate) layers: Vec<Layer>,
}

/// Creates a catalog.
pub(super) fn init(args: Args, interrupts: &Interrupts, out: &mut Out) -> Outcome {
    let left = format!("`deltic log {}` shows whether the catalog was created", args.url);
    interrupts.ends_soon(left);
    let catalog = Catalog::create(&stores()?, &args.url, args.layers, new_catalog()?)?;
    let created = format!("the catalog {} was created", args.url);
    let snapshot = catalog.latest().map_err(|error| Failure::from(error).hint(&created))?;
    out.has_done(format!("{created} at version {}", snapshot.version()));
    let layers: Vec<_> = snapshot.layers().collect();
    let body = json!({
        "url": args.url,
        "uuid": snapshot.uuid().to_string(),
        "version": snapshot.version(),
        "layers": layers,
    });
    out.result("deltic.init/1", body, || {
        let layers: Vec<&str> = layers.iter().map(|layer| layer.id.as_str()).collect();
        format!("created {} at version {}: {}", args.url, snapshot.version(), layers.join(", "))
    })
}
