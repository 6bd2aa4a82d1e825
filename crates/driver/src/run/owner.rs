//! Who may write to a catalog: whoever wrote it so far. A run keeps the state of its own tasks alone and replaces layers of
//! the same name; an import keeps no state at all. So what others made would be lost to a wrong URL, unless whoever asks
//! for it says that the catalog is to be taken over.

use deltic_compiler::Task;
use deltic_store::{Owner, Snapshot};

use crate::{Error, Result};

/// The owner of a catalog where runs of these tasks are not: another kind of writer, or tasks of which none is among these
/// under its id or an earlier one. A catalog that nothing was written to yet has none.
pub(crate) fn other_than_runs(base: &Snapshot, tasks: &[Task]) -> Option<Owner> {
    let owner = base.record().owner.as_ref()?;
    let is_own = match owner {
        Owner::Tasks(ids) => {
            let mut known = tasks.iter().flat_map(|task| std::iter::once(task.id()).chain(task.earlier_ids()));
            ids.is_empty() || known.any(|id| ids.contains(id))
        }
        _ => false,
    };
    (!is_own).then(|| owner.clone())
}

/// Refuses what is done in the place of imports, `by`, to a catalog that somebody else writes to.
pub(crate) fn check_imports(base: &Snapshot, by: &'static str) -> Result<()> {
    match &base.record().owner {
        None | Some(Owner::Imports) => Ok(()),
        Some(Owner::Tasks(ids)) if ids.is_empty() => Ok(()),
        Some(owner) => Err(Error::owned(base.catalog().url(), owner.clone(), by)),
    }
}

/// Refuses to drop a layer, `by`, of a catalog that somebody else writes to. What tasks leave behind anybody may drop: whether a
/// layer is that is for whoever drops it to find out.
pub(crate) fn check_drop(base: &Snapshot, by: &'static str) -> Result<()> {
    match &base.record().owner {
        Some(Owner::Tasks(_)) => Ok(()),
        _ => check_imports(base, by),
    }
}
