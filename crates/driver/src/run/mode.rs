//! The mode of a task in a run: skipped, incremental or full, and why. The mode of one task does not decide that of another:
//! other tasks only see the layers that it changed.

use deltic_compiler::Task;
use deltic_core::CatalogId;
use deltic_store::TaskRecord;

use crate::input::view::View;
use crate::report::Mode;
use crate::run::base::Base;
use crate::state::fingerprint;

/// Decides the mode of one task. `now` is its fingerprint in this run, `reprocessed` an input that it reads and that is to be
/// reprocessed.
pub(crate) fn decide(
    base: Base<'_>,
    task: &Task,
    now: &TaskRecord,
    view: &View,
    incremental: bool,
    reprocessed: Option<&CatalogId>,
) -> Mode {
    let full = |reason: &str| Mode::Full { reason: reason.to_owned() };
    let (in_quarantine, dropped) = (base.in_quarantine(task), base.dropped(task));
    let Some(before) = base.task(task) else {
        return full("it has not run before");
    };
    if !incremental {
        return full("requested");
    }
    if before.fingerprint != now.fingerprint {
        return Mode::Full { reason: fingerprint::difference(before, now) };
    }
    if let Some(catalog) = reprocessed {
        return Mode::Full { reason: format!("reprocessing of `{catalog}` was requested") };
    }
    if let Some(layer) = dropped {
        return Mode::Full { reason: format!("layer `{layer}` no longer exists") };
    }
    if let Some((_, name, layer)) = view.iter().find(|(_, _, layer)| !layer.is_comparable()) {
        let why = layer.why().map(|why| format!(": {why}")).unwrap_or_default();
        return Mode::Full { reason: format!("the changes of {name} are not known{why}") };
    }
    let changed: Vec<String> =
        view.iter().filter(|(_, _, layer)| layer.has_changed()).map(|(_, name, _)| name.to_string()).collect();
    if changed.is_empty() && in_quarantine == 0 { Mode::Skipped } else { Mode::Incremental { changed } }
}
