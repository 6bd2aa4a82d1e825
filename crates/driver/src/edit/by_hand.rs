//! Edits of a catalog by hand: of its layers, and back to an earlier version. Each makes one version, or none if nothing
//! differs; payloads are not stored again.
//!
//! Cost: that of a commit; to change the scheme of a layer, a scan of its names.

use std::collections::BTreeMap;

use deltic_core::{Layer, LayerId, RunId, Timestamp};
use deltic_store::{Committed, Draft, DraftOptions, KeyRange, NextVersion, Snapshot, Tree};

use crate::run::owner;
use crate::state::fingerprint;
use crate::{Error, Result};

/// An edit of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerEdit {
    /// Adds an empty layer.
    Add(Layer),
    /// Changes the scheme. Partitions stay, and have to be legal in it. The content type stays unless another is given.
    Change(Layer),
    /// Drops the layer with its partitions.
    Drop(LayerId),
}

/// Changes layers of the catalog whose latest version is `base`; returns the version that was made, `None` if nothing differs.
///
/// Fails with [`ErrorKind::Setup`](crate::ErrorKind::Setup) if an added layer exists, if another one does not, if a name
/// would not be legal, or if a task writes a dropped layer; and with [`ErrorKind::Owned`](crate::ErrorKind::Owned) if
/// layers are added or changed in a catalog that tasks write. If `base` is not the latest version any more, it fails with
/// [`ErrorKind::Store`](crate::ErrorKind::Store), with `Conflict` inside.
///
/// Cost: a commit; for [`LayerEdit::Change`] also a scan of the layer's names.
pub fn edit_layers(
    base: &Snapshot,
    edits: &[LayerEdit],
    run: RunId,
    created: Timestamp,
    note: &str,
) -> Result<Option<Snapshot>> {
    let draft = Draft::begin(base, run, DraftOptions::default());
    let mut layers = layers_of(base, &draft);
    let url = base.catalog().url();
    let refused = |what: String| Error::setup(format!("{url}: {what}"));
    let none = |id: &LayerId| {
        let known: Vec<String> = base.layers().map(|layer| format!("`{}`", layer.id)).collect();
        refused(format!("there is no layer `{id}`; there are {}", known.join(", ")))
    };
    for edit in edits {
        match edit {
            LayerEdit::Drop(_) => owner::check_drop(base, "a change of layers")?,
            LayerEdit::Add(_) | LayerEdit::Change(_) => owner::check_imports(base, "a change of layers")?,
        }
        match edit {
            LayerEdit::Add(layer) if layers.contains_key(&layer.id) => {
                return Err(refused(format!("there is a layer `{}` already", layer.id)));
            }
            LayerEdit::Add(layer) => {
                layers.insert(layer.id.clone(), (layer.clone(), draft.empty_tree()));
            }
            LayerEdit::Change(layer) => {
                let Some((settings, tree)) = layers.get_mut(&layer.id) else { return Err(none(&layer.id)) };
                for found in tree.scan(KeyRange::all()) {
                    let legal = settings.name_from_bytes(&found?.0).and_then(|name| layer.check(&name));
                    legal.map_err(|error| refused(format!("layer `{}` can not get this scheme: {error}", layer.id)))?;
                }
                let content_type =
                    if layer.content_type.is_empty() { &settings.content_type } else { &layer.content_type };
                *settings = Layer { content_type: content_type.clone(), ..layer.clone() };
            }
            LayerEdit::Drop(id) => {
                let Some((settings, _)) = layers.get(id) else { return Err(none(id)) };
                let writer = base.record().tasks.iter().find(|task| fingerprint::writes(task, settings));
                if let Some(task) = writer {
                    return Err(refused(format!(
                        "task `{}` writes layer `{id}`, and a run would make it again: remove the task from the driver first",
                        task.id
                    )));
                }
                layers.remove(id);
            }
        }
    }
    commit(base, draft, layers, created, note)
}

/// Gives the catalog whose latest version is `base` the layers of an earlier version; `None` if it has them.
///
/// Fails with [`ErrorKind::Owned`](crate::ErrorKind::Owned) if tasks write the catalog: their state would not fit. If
/// `base` is not the latest version any more, it fails with [`ErrorKind::Store`](crate::ErrorKind::Store), with
/// `Conflict` inside. Cost: a commit.
pub fn revert(base: &Snapshot, to: &Snapshot, run: RunId, created: Timestamp, note: &str) -> Result<Option<Snapshot>> {
    owner::check_imports(base, "an earlier version")?;
    let draft = Draft::begin(base, run, DraftOptions::default());
    let layers = layers_of(to, &draft);
    commit(base, draft, layers, created, note)
}

fn layers_of(snapshot: &Snapshot, draft: &Draft) -> BTreeMap<LayerId, (Layer, Tree)> {
    let layer = |layer: &Layer| Some((layer.id.clone(), (layer.clone(), draft.adopt(&snapshot.tree(&layer.id)?))));
    snapshot.layers().filter_map(layer).collect()
}

fn commit(
    base: &Snapshot,
    draft: Draft,
    layers: BTreeMap<LayerId, (Layer, Tree)>,
    created: Timestamp,
    note: &str,
) -> Result<Option<Snapshot>> {
    let state = base.state_tables().filter_map(|name| Some((name.to_owned(), draft.adopt(&base.state_table(name)?))));
    let next = NextVersion {
        layers: layers.into_values().collect(),
        state: state.collect(),
        dependencies: base.record().dependencies.clone(),
        tasks: base.record().tasks.clone(),
        created,
        note: note.to_owned(),
        ..NextVersion::default()
    };
    Ok(match draft.commit(next)? {
        Committed::New(made) => Some(made),
        Committed::Unchanged => None,
    })
}
