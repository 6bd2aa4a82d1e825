//! Layers that no task of a version writes: they were carried over, version by version, from the last one with a task that did.
//!
//! Such a layer is copied, because that earlier version can be rebuilt to prove it. A layer that no retained version made,
//! such as an imported one, can not be proved.

use std::collections::{BTreeMap, BTreeSet};

use deltic_compiler::Task;
use deltic_core::{Layer, LayerId, Version};
use deltic_store::{Draft, Part, Snapshot, Tree};

use crate::Result;
use crate::input::payloads::PayloadScan;
use crate::state::fingerprint;

/// Carried layers, each with the version whose task made it as it is.
pub(super) struct Carried<'a> {
    version: &'a Snapshot,
    from: BTreeMap<LayerId, Version>,
}

impl<'a> Carried<'a> {
    /// Finds them. Cost: if there is a layer that no task writes, a request for each retained version back to the one that made
    /// it; else nothing.
    pub(super) fn find(version: &'a Snapshot, tasks: &[Task]) -> Result<Carried<'a>> {
        let written: BTreeSet<&LayerId> = tasks.iter().flat_map(Task::outputs).map(|layer| &layer.id).collect();
        let mut looked_for: Vec<&Layer> = version.layers().filter(|layer| !written.contains(&layer.id)).collect();
        let mut from = BTreeMap::new();
        let earlier = version.record().retained_versions().filter(|earlier| *earlier < version.version());
        let now = if looked_for.is_empty() { None } else { Some(version.catalog().latest()?) };
        for number in earlier.filter(|number| now.as_ref().is_some_and(|now| now.record().retains(*number))) {
            if looked_for.is_empty() {
                break;
            }
            let earlier = version.catalog().snapshot(number)?;
            looked_for.retain(|layer| {
                let compared = earlier.compare(version, &Part::Layer(layer.id.clone()));
                let is_same =
                    compared.before().is_some() && !compared.has_other_settings() && !compared.has_other_content();
                let is_made = earlier.record().tasks.iter().any(|record| fingerprint::writes(record, layer));
                if is_same && is_made {
                    from.insert(layer.id.clone(), number);
                }
                is_same && !is_made
            });
        }
        Ok(Carried { version, from })
    }

    /// The version that made a layer with its present content, if it is carried over.
    pub(super) fn from(&self, layer: &LayerId) -> Option<Version> {
        self.from.get(layer).copied()
    }

    /// Copies them. Cost: payloads are read, a batch ahead, and written once; memory is two batches.
    pub(super) fn copy(&self, draft: &Draft) -> Result<Vec<(Layer, Tree)>> {
        let mut copies = Vec::new();
        for layer in self.version.layers().filter(|layer| self.from.contains_key(&layer.id)) {
            let Some(tree) = self.version.tree(&layer.id) else { continue };
            let mut editor = draft.editor(&draft.empty_tree())?;
            for found in PayloadScan::new(&tree) {
                let (name, meta, payload) = found?;
                editor.apply(&name, Some(&draft.put_known(meta, &payload)?))?;
            }
            copies.push((layer.clone(), editor.finish()?));
        }
        Ok(copies)
    }
}
