//! `ls`: the partitions of a layer, or the layers of a catalog.

use deltic_core::{BoundingBox, Digest, Layer, LayerId, Name};
use deltic_store::{Entry, KeyRange, LayerView, Snapshot};
use serde::Serialize;
use serde_json::json;

use crate::args::values::{BOX, bounding_box};
use crate::catalogs::access::{layer, open};
use crate::catalogs::format::fields_of;
use crate::catalogs::version::Which;
use crate::terminal::columns::{Align, columns};
use crate::terminal::failure::Outcome;
use crate::terminal::numbers::{bytes, partitions};
use crate::terminal::out::Out;
use crate::tiles::in_box::{Area, Look};

/// `ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The layer; without it, the command lists the layers
    pub(crate) layer: Option<LayerId>,
    /// Only names that begin with this text; for tiles, quadkey digits
    #[arg(long, value_name = "TEXT", requires = "layer", conflicts_with = "area")]
    pub(crate) prefix: Option<String>,
    /// Only tiles that have points in this box, in degrees
    #[arg(long = "box", value_name = BOX, requires = "layer", allow_hyphen_values = true, value_parser = bounding_box)]
    pub(crate) area: Option<BoundingBox>,
    /// The version, such as 98 or -1; the default is the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// A partition in a listing.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    bytes: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    fields: serde_json::Map<String, serde_json::Value>,
}

/// Lists partitions, or layers.
pub(super) fn ls(args: &Args, out: &mut Out) -> Outcome {
    let snapshot = open(&args.url, args.version)?;
    let Some(id) = &args.layer else { return layers(&args.url, &snapshot, out) };
    let layer = layer(&snapshot, id)?;
    let head = json!({ "url": args.url, "version": snapshot.version(), "layer": layer.settings() });
    let listed = |(name, entry): (Name, Entry)| Listed {
        name: name.to_string(),
        bytes: entry.meta.len,
        digest: entry.meta.digest,
        fields: fields_of(&entry.meta.fields),
    };
    let found = find(&layer, args)?.map(|found| found.map(listed));
    out.list("deltic.ls/1", &head, "partitions", found, |listed| {
        format!("{:>10}  {}  {}", listed.bytes, listed.digest.short(), listed.name)
    })
}

type Found<'a> = Box<dyn Iterator<Item = Outcome<(Name, Entry)>> + 'a>;

/// The requested partitions, in order.
fn find<'a>(layer: &'a LayerView<'a>, args: &Args) -> Outcome<Found<'a>> {
    let Some(bounds) = args.area else {
        let prefix = args.prefix.as_deref().unwrap_or_default();
        return Ok(Box::new(layer.range(KeyRange::prefix(prefix.as_bytes())).map(|found| Ok(found?))));
    };
    let area = Area::new(layer.settings(), bounds)?;
    let look = |look: Look| -> Found<'a> {
        match look {
            Look::Below(top) => Box::new(layer.range(KeyRange::prefix(&top)).map(|found| Ok(found?))),
            Look::At(key) => {
                let found = || -> Outcome<Option<(Name, Entry)>> {
                    let Some(entry) = layer.tree().get(&key)? else { return Ok(None) };
                    Ok(Some((layer.name(&key)?, entry)))
                };
                Box::new(found().transpose().into_iter())
            }
        }
    };
    let found = area.looks()?.into_iter().flat_map(look);
    Ok(Box::new(found.filter(move |found| found.as_ref().map_or(true, |(name, _)| area.holds(name)))))
}

fn layers(url: &str, snapshot: &Snapshot, out: &mut Out) -> Outcome {
    let all = &snapshot.record().layers;
    let body: Vec<_> = all
        .iter()
        .map(|layer| {
            let Layer { id, scheme, content_type } = &layer.layer;
            let (partitions, bytes) = (layer.root.count, layer.root.bytes);
            json!({ "id": id, "scheme": scheme, "content_type": content_type, "partitions": partitions, "bytes": bytes })
        })
        .collect();
    let body = json!({ "url": url, "version": snapshot.version(), "layers": body });
    let row = |layer: &deltic_store::LayerRecord| {
        let Layer { id, scheme, content_type } = &layer.layer;
        let (count, size) = (partitions(layer.root.count), bytes(layer.root.bytes));
        vec![id.to_string(), scheme.to_string(), count, size, content_type.clone()]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let align = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
    if out.format == crate::terminal::out::Format::Text && rows.is_empty() {
        return Ok(());
    }
    out.result("deltic.layers/1", body, || columns(&align, &rows))
}
