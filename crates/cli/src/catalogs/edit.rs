//! The outcome of an edit of layers by `layer` or `revert`: the version that was made, or why there is none.

use deltic_core::RunId;
use deltic_store::Snapshot;
use serde_json::json;

use super::race::with_latest;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;

/// Reports which version was made from `base`, if any.
pub(crate) fn report(schema: &str, base: &Snapshot, made: Option<&Snapshot>, out: &mut Out) -> Outcome {
    let version = made.map(Snapshot::version);
    if let Some(version) = version {
        out.has_done(format!("version {version} was committed"));
    }
    let layers: Vec<&str> = made.unwrap_or(base).layers().map(|layer| layer.id.as_str()).collect();
    let body = json!({ "url": base.catalog().url(), "base": base.version(), "version": version, "layers": layers });
    out.result(schema, body, || match version {
        None => format!("nothing changed: version {} is up to date", base.version()),
        Some(version) if layers.is_empty() => format!("committed version {version}: no layers"),
        Some(version) => format!("committed version {version}: {}", layers.join(", ")),
    })
}

/// The error of `run`, which made no version from `base`.
pub(crate) fn explained(error: deltic_driver::Error, base: &Snapshot, run: RunId) -> Failure {
    let owned = matches!(error.kind(), deltic_driver::ErrorKind::Owned { .. });
    let failure = with_latest(Failure::from(error), base.catalog(), run, "nothing was changed");
    match owned {
        true => failure.hint(
            "tasks decide which layers their output has; `layer drop` removes a layer that no task writes any more",
        ),
        false => failure,
    }
}
