//! The input catalogs of a run. Each is opened when it is first needed, and read at one version.

use std::cell::RefCell;
use std::collections::BTreeMap;

use deltic_core::{CatalogId, Layer, LayerId};
use deltic_driver::At;
use deltic_store::{Catalog, Snapshot, Stores};

use crate::config::Config;
use crate::job::requested::Requested;
use crate::terminal::failure::{Failure, Outcome};

/// The input catalogs that the configuration names.
pub(crate) struct Inputs<'a> {
    pub(crate) config: &'a Config,
    access: Access<'a>,
}

/// Whether input catalogs may be opened.
enum Access<'a> {
    /// At the requested versions; other catalogs as they are bound.
    Open { stores: &'a Stores, requested: &'a Requested, opened: RefCell<BTreeMap<CatalogId, OpenedInput>> },
    /// Only the configuration matters; catalogs need not even exist.
    Closed,
}

impl<'a> Inputs<'a> {
    /// Inputs that can be opened, at the requested versions.
    pub(crate) fn open(config: &'a Config, stores: &'a Stores, requested: &'a Requested) -> Inputs<'a> {
        Inputs { config, access: Access::Open { stores, requested, opened: RefCell::default() } }
    }

    /// Inputs of which some were opened already; others are opened as they are bound.
    pub(crate) fn opened(
        config: &'a Config,
        stores: &'a Stores,
        requested: &'a Requested,
        opened: BTreeMap<CatalogId, OpenedInput>,
    ) -> Inputs<'a> {
        Inputs { config, access: Access::Open { stores, requested, opened: RefCell::new(opened) } }
    }

    /// Inputs that are never opened.
    pub(crate) fn closed(config: &'a Config) -> Inputs<'a> {
        Inputs { config, access: Access::Closed }
    }

    /// Whether catalogs are never opened.
    pub(crate) fn are_closed(&self) -> bool {
        matches!(self.access, Access::Closed)
    }

    /// The settings of a layer of an input catalog, at the version that the run reads; or what is there instead. Where
    /// catalogs stay closed, any settings will do.
    pub(crate) fn layer(&self, catalog: &CatalogId, layer: &LayerId) -> anyhow::Result<Result<Layer, String>> {
        let Some(source) = self.source(catalog)? else {
            return Ok(Ok(Layer::generic(layer.as_str())?));
        };
        let Some(snapshot) = source.snapshot else {
            return Ok(Err(format!(
                "catalog `{catalog}` is an earlier version of the output, and can not be copied into it"
            )));
        };
        Ok(snapshot.layer_settings(layer).cloned().ok_or_else(|| {
            let known: Vec<String> = snapshot.layers().map(|layer| format!("`{}`", layer.id)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            format!("catalog `{catalog}` has no layer `{layer}` at version {}: it has {known}", snapshot.version())
        }))
    }

    /// An input catalog and the version of it that the run reads: the one that was found first. `None` where catalogs
    /// stay closed.
    pub(crate) fn source(&self, id: &CatalogId) -> Outcome<Option<OpenedInput>> {
        let Access::Open { stores, requested, opened } = &self.access else { return Ok(None) };
        if let Some(source) = opened.borrow().get(id) {
            return Ok(Some(source.clone()));
        }
        let Some(bound) = self.config.catalogs.get(id) else {
            return Err(Failure::usage(format!("no catalog `{id}` is configured: add it under `[catalogs]`")));
        };
        let wrong_url = |error| Failure::from(error).hint(self.config.origin_of_url(id));
        let at = requested.at(id, &bound.at);
        let source = match at {
            // What it is, is known when the output is.
            At::Feedback => OpenedInput { snapshot: None, at },
            At::Version(version) => {
                let catalog = Catalog::open(stores, &bound.url).map_err(wrong_url)?;
                OpenedInput { snapshot: Some(catalog.snapshot(version)?), at }
            }
            At::Latest | At::RunsAgo { .. } => {
                let catalog = Catalog::open(stores, &bound.url).map_err(wrong_url)?;
                let latest = catalog.latest().map_err(wrong_url)?;
                let at = if at == At::Latest { At::Version(latest.version()) } else { at };
                OpenedInput { snapshot: Some(latest), at }
            }
        };
        opened.borrow_mut().insert(id.clone(), source.clone());
        Ok(Some(source))
    }
}

/// An input catalog that was opened.
#[derive(Clone)]
pub(crate) struct OpenedInput {
    /// The catalog at the version that is read; at its latest where an earlier run knows which that is.
    pub(crate) snapshot: Option<Snapshot>,
    /// Which version is read.
    pub(crate) at: At,
}
