//! `init`, `log` and `digest`: a catalog as a whole.

use deltic_core::LayerId;
use deltic_store::{Catalog, Snapshot, Stores};
use serde_json::json;

use super::open;
use crate::args;
use crate::failure::Outcome;
use crate::human::{Align, columns, count, time};
use crate::out::{Format, Out};

/// Creates a catalog.
pub(super) fn init(args: args::Init, out: &mut Out) -> Outcome {
    let catalog = Catalog::create(&Stores::new(), &args.url, args.layers, crate::edge::new_catalog()?)?;
    let snapshot = catalog.latest()?;
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

/// Lists versions.
pub(super) fn log(args: &args::Log, out: &mut Out) -> Outcome {
    let catalog = Catalog::open(&Stores::new(), &args.url)?;
    let versions = catalog.log().take(args.limit.unwrap_or(usize::MAX)).map(|found| Ok(found?));
    if out.format == Format::Json {
        return out.list(
            "deltic.log/1",
            &json!({ "url": args.url }),
            "versions",
            versions.map(|v| v.map(entry)),
            |_| String::new(),
        );
    }
    for snapshot in versions {
        let snapshot: Snapshot = snapshot?;
        let record = snapshot.record();
        let partitions: u64 = record.layers.iter().map(|layer| layer.root.count).sum();
        let mut line = format!(
            "{:>6}  {}  {}  {:>11} partitions",
            record.version,
            time(record.created),
            record.digest.short(),
            count(partitions)
        );
        for made_from in record.dependencies.iter().filter(|dependency| dependency.direct) {
            let id = made_from.catalog.as_ref().map_or(made_from.url.as_str(), |id| id.as_str());
            line.push_str(&format!("  from {id} {}", made_from.version));
        }
        if !record.note.is_empty() {
            line.push_str(&format!("  {}", record.note.escape_debug()));
        }
        out.line(line)?;
    }
    Ok(())
}

fn entry(snapshot: Snapshot) -> serde_json::Value {
    let record = snapshot.record();
    let layers: Vec<_> = record
        .layers
        .iter()
        .map(|layer| json!({ "id": layer.layer.id, "partitions": layer.root.count, "bytes": layer.root.bytes }))
        .collect();
    json!({
        "version": record.version,
        "created": time(record.created),
        "digest": record.digest,
        "run": record.run.to_string(),
        "note": record.note,
        "layers": layers,
        "dependencies": record.dependencies,
        "statistics": record.statistics,
    })
}

/// Prints digests.
pub(super) fn digest(args: &args::Digest, out: &mut Out) -> Outcome {
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
        columns(&[Align::Left, Align::Left, Align::Left], &rows).join("\n")
    })
}
