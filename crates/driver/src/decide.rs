//! How a task is to run: skipped, incremental or full, and why. One task never drags another along: its neighbours see
//! the layers that it changed, nothing else.

use deltic_core::{CatalogId, LayerId};
use deltic_store::TaskRecord;

use crate::fingerprint;
use crate::report::Mode;
use crate::view::View;

/// Decides for one task. `before` is what the base remembers of it, `now` its fingerprint in this run, `in_quarantine`
/// how much there is to try again, `reprocessed` an input of which everything is to be compiled, `dropped` a layer of its own
/// that the base does not have.
pub(crate) fn decide(
    before: Option<&TaskRecord>,
    now: &TaskRecord,
    view: &View,
    incremental: bool,
    in_quarantine: u64,
    reprocessed: Option<&CatalogId>,
    dropped: Option<&LayerId>,
) -> Mode {
    let full = |reason: &str| Mode::Full { reason: reason.to_owned() };
    let Some(before) = before else {
        return full("it has not run before");
    };
    if !incremental {
        return full("asked for");
    }
    if before.fingerprint != now.fingerprint {
        return Mode::Full { reason: fingerprint::difference(before, now) };
    }
    if let Some(catalog) = reprocessed {
        return Mode::Full { reason: format!("`{catalog}` is to be reprocessed") };
    }
    if let Some(layer) = dropped {
        return Mode::Full { reason: format!("layer `{layer}` is not there any more") };
    }
    if let Some((_, name, layer)) = view.iter().find(|(_, _, layer)| !layer.is_comparable()) {
        let why = layer.why().map(|why| format!(": {why}")).unwrap_or_default();
        return Mode::Full { reason: format!("what changed in {name} can not be told{why}") };
    }
    let changed: Vec<String> =
        view.iter().filter(|(_, _, layer)| layer.has_changed()).map(|(_, name, _)| name.to_string()).collect();
    if changed.is_empty() && in_quarantine == 0 { Mode::Skipped } else { Mode::Incremental { changed } }
}
