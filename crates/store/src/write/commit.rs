//! The commit: packs first, then one put-if-absent of the version's record, which makes everything visible at once.
//!
//! The order matters. The record refers to the packs: written before them, it would be a version that can not be read if the upload
//! failed. Packs without a record are only garbage, which the sweep removes.

use std::collections::BTreeMap;

use deltic_core::{Layer, RunId, Timestamp};
use serde_json::Value;

use crate::backend::secrets::holds_secret;
use crate::catalog::publish::{Published, try_publish};
use crate::catalog::snapshot::Snapshot;
use crate::format::record::{
    Dependency, LayerRecord, Owner, Packs, StateRecord, TaskRecord, VersionRecord, check_timestamp, retain,
};
use crate::packs::source::Source;
use crate::packs::writer::PackWriter;
use crate::tree::Tree;
use crate::{Error, Result};

/// The content of the next version.
#[derive(Debug, Clone, Default)]
pub struct NextVersion {
    /// All layers. A layer that is left out is gone.
    pub layers: Vec<(Layer, Tree)>,
    /// All tables of the state.
    pub state: BTreeMap<String, Tree>,
    /// The versions of other catalogs that it was made from.
    pub dependencies: Vec<Dependency>,
    /// The tasks that made it.
    pub tasks: Vec<TaskRecord>,
    /// Who writes to the catalog from now on; `None` keeps the owner of the base.
    pub owner: Option<Owner>,
    /// The time. Informational.
    pub created: Timestamp,
    /// What people should know about it.
    pub note: String,
    /// Figures of the run. Informational: they alone make no version.
    pub statistics: Value,
}

/// How a commit ended.
#[derive(Debug, Clone)]
#[must_use]
pub enum Committed {
    /// There is a new version.
    New(Snapshot),
    /// Layers, state, dependencies and tasks are those of the base: nothing was written.
    Unchanged,
}

pub(crate) fn commit(base: &Snapshot, source: &Source, writer: &PackWriter, next: NextVersion) -> Result<Committed> {
    check_timestamp(next.created)?;
    let url = base.catalog().url();
    let mut layers: Vec<LayerRecord> =
        next.layers.into_iter().map(|(layer, tree)| LayerRecord { layer, root: tree.root }).collect();
    layers.sort_by(|a, b| a.layer.id.cmp(&b.layer.id));
    if let Some(pair) = layers.windows(2).find(|pair| pair[0].layer.id == pair[1].layer.id) {
        return Err(Error::invalid(format!("{url}: layer `{}` is given twice", pair[0].layer.id)));
    }
    let mut tasks = next.tasks;
    tasks.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = tasks.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(Error::invalid(format!("{url}: task `{}` is given twice", pair[0].id)));
    }
    let state = next.state.into_iter().map(|(table, tree)| StateRecord { table, root: tree.root }).collect();
    let mut record = VersionRecord {
        catalog: base.uuid(),
        version: base.version().next(),
        parent: Some(base.record_digest()),
        run: writer.run,
        created: next.created,
        note: next.note,
        digest: VersionRecord::catalog_digest(&layers),
        owner: next.owner.or_else(|| base.record().owner.clone()),
        tags: base.record().tags.clone(),
        layers,
        state,
        dependencies: next.dependencies,
        tasks,
        retained: retain(&base.record().retained, base.version().next()),
        packs: Packs::default(),
        statistics: next.statistics,
    };
    // Before the open packs are uploaded: a run without changes must cost only a few requests and leave no garbage.
    if base.record().has_same_content(&record) {
        return Ok(Committed::Unchanged);
    }
    refuse_secrets(url, &record)?;
    // Every pack is in the store before the record that refers to it.
    record.packs = Packs::of(&writer.flush()?);
    source.explained(writer.taken_over.check(source.client()))?;
    let catalog = base.catalog();
    let snapshot = match try_publish(catalog, record)? {
        Published::Won(snapshot) => snapshot,
        Published::Lost(record, error) => catalog.rules().after_conflict(catalog, *record, error)?,
    };
    writer.set_committed();
    Ok(Committed::New(snapshot))
}

/// Refuses secrets in a record. Everybody who can read or copy the catalog can read its records.
fn refuse_secrets(url: &str, record: &VersionRecord) -> Result<()> {
    // The fields whose content comes from users.
    let texts = serde_json::to_string(&(&record.note, &record.tasks, &record.dependencies))
        .map_err(|e| Error::invalid(format!("{url}: the record can not be written as JSON")).because(&e))?;
    if !holds_secret(&texts) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{url}: the note or the configuration of a task holds a URL with a password or a signature, and both are recorded: \
         put secrets into the environment"
    )))
}

/// The record of a version after `base` with the same content: for maintenance, which changes how versions are kept and stored.
pub(crate) fn unchanged_successor(
    base: &Snapshot,
    run: RunId,
    created: Timestamp,
    note: String,
) -> Result<VersionRecord> {
    check_timestamp(created)?;
    let version = base.version().next();
    Ok(VersionRecord {
        version,
        parent: Some(base.record_digest()),
        run,
        created,
        note,
        retained: retain(&base.record().retained, version),
        packs: Packs::default(),
        statistics: Value::Null,
        ..base.record().clone()
    })
}
