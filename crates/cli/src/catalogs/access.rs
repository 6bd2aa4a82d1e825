//! Opens catalogs, at a version, and their layers.

use deltic_core::LayerId;
use deltic_store::{Catalog, LayerView, Snapshot, Stores};

use super::version::Which;
use crate::system::identity::new_run_id;
use crate::terminal::failure::{Failure, Outcome};

/// The stores of a command that reads no configuration.
pub(crate) fn stores() -> Outcome<Stores> {
    Ok(Stores::new().with_jitter_seed(new_run_id()?.0))
}

/// A catalog at a version, or at its latest.
pub(crate) fn open(url: &str, version: Option<Which>) -> Outcome<Snapshot> {
    let catalog = Catalog::open(&stores()?, url)?;
    version.unwrap_or(Which::Back(0)).of(&catalog)
}

/// A layer of a snapshot.
pub(crate) fn layer<'a>(snapshot: &'a Snapshot, id: &LayerId) -> Outcome<LayerView<'a>> {
    snapshot.layer(id).ok_or_else(|| {
        let known: Vec<&str> = snapshot.layers().map(|layer| layer.id.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
        Failure::failed(format!(
            "{}: version {} has no layer `{id}`: its layers are {known}",
            snapshot.catalog().url(),
            snapshot.version()
        ))
    })
}
