//! The input catalogs of a run: opened when they are first asked for, at one version each.

use std::cell::RefCell;
use std::collections::BTreeMap;

use deltic_compiler::Setup;
use deltic_core::{CatalogId, Layer, LayerId, Version};
use deltic_store::{Catalog, Snapshot, Stores};

use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// How a binary registers its tasks.
pub(crate) type Register<'a> = Box<dyn FnOnce(&mut Setup, &Inputs<'_>) -> anyhow::Result<()> + 'a>;

/// The input catalogs that the configuration names.
pub(crate) struct Inputs<'a> {
    pub(crate) config: &'a Config,
    access: Access<'a>,
}

/// Whether input catalogs may be looked at.
enum Access<'a> {
    /// At these versions; a catalog that is not listed at its latest.
    Open { stores: &'a Stores, versions: BTreeMap<CatalogId, Version>, opened: RefCell<BTreeMap<CatalogId, Snapshot>> },
    /// Only the configuration matters; catalogs need not even exist.
    Closed,
}

impl<'a> Inputs<'a> {
    /// Inputs that can be opened, at the versions asked for on the command line.
    pub(crate) fn open(config: &'a Config, stores: &'a Stores, wanted: &[(CatalogId, Version)]) -> Outcome<Inputs<'a>> {
        let mut versions = BTreeMap::new();
        for (id, version) in wanted {
            if !config.catalogs.contains_key(id) {
                return Err(Failure::usage(format!("--input {id}={version}: no catalog `{id}` is configured")));
            }
            if versions.insert(id.clone(), *version).is_some() {
                return Err(Failure::usage(format!("--input {id}={version}: catalog `{id}` is given twice")));
            }
        }
        Ok(Inputs { config, access: Access::Open { stores, versions, opened: RefCell::default() } })
    }

    /// Inputs that are never opened.
    pub(crate) fn closed(config: &'a Config) -> Inputs<'a> {
        Inputs { config, access: Access::Closed }
    }

    /// Whether catalogs stay closed.
    pub(crate) fn are_closed(&self) -> bool {
        matches!(self.access, Access::Closed)
    }

    /// The settings of a layer of an input catalog, at the version that the run reads; or what is there instead. Where
    /// catalogs stay closed, any settings will do.
    pub(crate) fn layer(&self, catalog: &CatalogId, layer: &LayerId) -> anyhow::Result<Result<Layer, String>> {
        let Some(snapshot) = self.snapshot(catalog)? else {
            return Ok(Ok(Layer::generic(layer.as_str())?));
        };
        Ok(snapshot.layer_settings(layer).cloned().ok_or_else(|| {
            let known: Vec<String> = snapshot.layers().map(|layer| format!("`{}`", layer.id)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            format!("catalog `{catalog}` has no layer `{layer}` at version {}: it has {known}", snapshot.version())
        }))
    }

    /// The versions that were asked for.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&CatalogId, &Version)> {
        let versions = match &self.access {
            Access::Open { versions, .. } => Some(versions),
            Access::Closed => None,
        };
        versions.into_iter().flatten()
    }

    /// An input catalog at the version that the run reads: the one that was found first. `None` where catalogs stay
    /// closed.
    pub(crate) fn snapshot(&self, id: &CatalogId) -> Outcome<Option<Snapshot>> {
        let Access::Open { stores, versions, opened } = &self.access else { return Ok(None) };
        if let Some(snapshot) = opened.borrow().get(id) {
            return Ok(Some(snapshot.clone()));
        }
        let Some(url) = self.config.catalogs.get(id) else {
            return Err(Failure::usage(format!("no catalog `{id}` is configured: add it under `[catalogs]`")));
        };
        let wrong_url = |error| Failure::from(error).hint(self.config.origin_of_url(id));
        let catalog = Catalog::open(stores, url).map_err(wrong_url)?;
        let snapshot = match versions.get(id) {
            Some(version) => catalog.snapshot(*version)?,
            None => catalog.latest().map_err(wrong_url)?,
        };
        opened.borrow_mut().insert(id.clone(), snapshot.clone());
        Ok(Some(snapshot))
    }
}
