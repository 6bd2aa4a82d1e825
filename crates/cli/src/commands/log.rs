//! `log`: the versions of a catalog, newest first.

use deltic_core::Version;
use deltic_store::{Catalog, ErrorKind, LayerRecord, Snapshot, Tag, VersionRecord};
use serde::Serialize;
use serde_json::json;

use crate::args::values::limit;
use crate::catalogs::access::stores;
use crate::catalogs::format::kept;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::numbers::{partitions, time};
use crate::terminal::out::Out;

/// `log`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// How many versions to list
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = limit)]
    pub(crate) limit: Option<usize>,
}

/// A version in the list.
#[derive(Serialize)]
struct Logged {
    #[serde(flatten)]
    body: serde_json::Value,
    #[serde(skip)]
    line: String,
}

/// Lists versions. A record that can not be read is a row too, and a failure unless its version has expired.
pub(super) fn log(args: &Args, out: &mut Out) -> Outcome {
    let catalog = Catalog::open(&stores()?, &args.url)?;
    let (mut latest, mut unread): (Option<Snapshot>, Vec<Failure>) = (None, Vec::new());
    let versions = catalog.log().take(args.limit.unwrap_or(usize::MAX)).map(|found| {
        let error = match found {
            Ok(snapshot) => {
                // When the latest record can not be read, it is not known which versions are kept.
                if unread.is_empty() && latest.is_none() {
                    latest = Some(snapshot.clone());
                }
                return Ok(logged(&snapshot, latest.as_ref().map(Snapshot::record)));
            }
            Err(error) => error,
        };
        let ErrorKind::Corrupt { object } = error.kind() else { return Err(Failure::from(error)) };
        let number = object.strip_prefix("versions/").and_then(|number| number.parse().ok()).map(Version);
        let expired = |(latest, version): (&Snapshot, Version)| !latest.record().retains(version);
        let expired = latest.as_ref().zip(number).is_some_and(expired);
        let has_expired = if expired { ", and has expired" } else { "" };
        let row = json!({ "version": number, "object": object, "damage": error.to_string(), "expired": expired });
        let shown = number.map(|version| version.to_string()).unwrap_or_default();
        let line = format!("{shown:>6}  {object} can not be read{has_expired}");
        if !expired {
            unread.push(Failure::from(error));
        }
        Ok(Logged { body: row, line })
    });
    out.list("deltic.log/1", &json!({ "url": args.url }), "versions", versions, |logged| logged.line.clone())?;
    if latest.is_none() && unread.len() == 1 {
        return Err(unread.swap_remove(0));
    }
    let Some((first, others)) = unread.split_first() else { return Ok(()) };
    let what = if others.is_empty() { "one record".to_owned() } else { format!("{} records", unread.len()) };
    let failure = Failure::failed(format!("{}: {what} can not be read", args.url)).hint(first.to_string());
    Err(others.iter().fold(failure, |failure, one| failure.hint(one.to_string())))
}

/// A row. `latest` states which versions can be read, which are kept, and why.
fn logged(snapshot: &Snapshot, latest: Option<&VersionRecord>) -> Logged {
    let readable = latest.map(|latest| latest.retains(snapshot.version()));
    let tags = latest.map(|latest| &latest.tags[..]).unwrap_or_default();
    let tags: Vec<&Tag> = tags.iter().filter(|tag| tag.version == snapshot.version()).collect();
    let record = snapshot.record();
    let held = partitions(record.layers.iter().map(|layer| layer.root.count).sum());
    let (created, digest) = (time(record.created), record.digest.short());
    let mut line = format!("{:>6}  {created}  {digest}  {held:>22}", record.version.0);
    for made_from in record.dependencies.iter().filter(|dependency| dependency.direct) {
        let id = made_from.catalog.as_ref().map_or(made_from.url.as_str(), |id| id.as_str());
        line.push_str(&format!("  from {id} {}", made_from.version));
    }
    if !record.note.is_empty() {
        line.push_str(&format!("  {}", record.note));
    }
    if readable == Some(false) {
        line.push_str("  expired");
    }
    for kept in tags.iter().filter_map(|tag| kept(tag)) {
        line.push_str(&format!("  kept: {kept}"));
    }
    let layer = |layer: &LayerRecord| json!({ "id": layer.layer.id, "partitions": layer.root.count, "bytes": layer.root.bytes });
    let body = json!({
        "version": record.version,
        "created": created,
        "digest": record.digest,
        "run": record.run.to_string(),
        "note": record.note,
        "readable": readable,
        "tags": tags,
        "layers": record.layers.iter().map(layer).collect::<Vec<_>>(),
        "dependencies": record.dependencies,
        "statistics": record.statistics,
    });
    Logged { body, line }
}
