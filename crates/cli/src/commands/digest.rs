//! `digest`: the digests of the layers, of the state and of the catalog.

use deltic_core::LayerId;
use serde_json::json;

use crate::catalogs::access::open;
use crate::catalogs::version::Which;
use crate::terminal::columns::{Align, columns};
use crate::terminal::failure::Outcome;
use crate::terminal::out::Out;

/// `digest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The version, such as 98 or -1; the default is the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// Prints digests.
pub(super) fn digest(args: &Args, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let record = snapshot.record();
    let layers: Vec<_> = record.layers.iter().map(|layer| (&layer.layer.id, layer.root.digest)).collect();
    let body = json!({
        "url": args.url,
        "version": snapshot.version(),
        "layers": layers.iter().map(|(id, digest)| json!({ "id": id, "digest": digest })).collect::<Vec<_>>(),
        "state": snapshot.state_digest(),
        "catalog": snapshot.digest(),
    });
    out.result("deltic.digest/1", body, || {
        let row = |kind: &str, id: &LayerId, digest: String| vec![kind.to_owned(), id.to_string(), digest];
        let mut rows: Vec<Vec<String>> =
            layers.iter().map(|(id, digest)| row("layer", id, digest.to_string())).collect();
        rows.push(vec!["state".to_owned(), String::new(), snapshot.state_digest().to_string()]);
        rows.push(vec!["catalog".to_owned(), String::new(), snapshot.digest().to_string()]);
        columns(&[Align::Left, Align::Left, Align::Left], &rows)
    })
}
