//! The owner of a catalog: the writer of its last version. A run keeps the state of its own tasks only, and replaces layers of
//! the same name; an import keeps no state. So a wrong URL would destroy the data of another writer, and writers refuse a
//! catalog that is not theirs, unless they are to take it over.

use deltic_compiler::Task;
use deltic_store::{Owner, Snapshot};

use crate::{Error, Result};

/// The owner of a catalog, if it is not runs of these tasks: another kind of writer, or tasks of which these have none, under
/// its id or an earlier one. A catalog without versions has no owner.
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

/// Refuses what only the owner of an imported catalog may do; `by` names it in the error.
pub(crate) fn check_imports(base: &Snapshot, by: &'static str) -> Result<()> {
    match &base.record().owner {
        None | Some(Owner::Imports) => Ok(()),
        Some(Owner::Tasks(ids)) if ids.is_empty() => Ok(()),
        Some(owner) => Err(Error::owned(base.catalog().url(), owner.clone(), by)),
    }
}

/// Refuses to drop a layer of a catalog with another owner; `by` names that in the error. A layer that its task has left behind
/// may be dropped by anybody; the caller checks that no task writes it.
pub(crate) fn check_drop(base: &Snapshot, by: &'static str) -> Result<()> {
    match &base.record().owner {
        Some(Owner::Tasks(_)) => Ok(()),
        _ => check_imports(base, by),
    }
}
