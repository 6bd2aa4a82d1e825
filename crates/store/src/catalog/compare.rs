//! A layer, or a table of the state, at two versions.

use deltic_core::Layer;

use super::snapshot::{Part, Snapshot};
use crate::Result;
use crate::tree::{Change, KeyRange, Tree};

/// A part as it is at two versions, of any two catalogs.
#[derive(Debug)]
pub struct Comparison<'a> {
    before: Side<'a>,
    after: Side<'a>,
}

/// Settings (of layers only) and tree. Both are none where the version lacks the part.
#[derive(Debug)]
struct Side<'a> {
    settings: Option<&'a Layer>,
    tree: Option<Tree>,
}

impl<'a> Side<'a> {
    fn of(snapshot: &'a Snapshot, part: &Part) -> Side<'a> {
        match part {
            Part::Layer(id) => Side { settings: snapshot.layer_settings(id), tree: snapshot.tree(id) },
            Part::State(table) => Side { settings: None, tree: snapshot.state_table(table) },
        }
    }
}

impl Snapshot {
    /// Compares a part of this version with the same part of another version, which counts as the newer. Makes no request.
    pub fn compare<'a>(&'a self, newer: &'a Snapshot, part: &Part) -> Comparison<'a> {
        Comparison { before: Side::of(self, part), after: Side::of(newer, part) }
    }

    /// The layers, then the tables of the state, both sorted.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let record = self.record();
        let layers = record.layers.iter().map(|one| Part::Layer(one.layer.id.clone()));
        layers.chain(record.state.iter().map(|one| Part::State(one.table.clone())))
    }
}

impl<'a> Comparison<'a> {
    /// The part at the older version, if that has it.
    pub fn before(&self) -> Option<&Tree> {
        self.before.tree.as_ref()
    }

    /// The part at the newer version, if that has it.
    pub fn after(&self) -> Option<&Tree> {
        self.after.tree.as_ref()
    }

    /// Whether the settings of a layer differ, or one version lacks the part.
    pub fn has_other_settings(&self) -> bool {
        self.before.settings != self.after.settings || self.before().is_some() != self.after().is_some()
    }

    /// Whether the content differs, or one version lacks the part. Names of another scheme are other content, however equal
    /// their bytes. Makes no request.
    pub fn has_other_content(&self) -> bool {
        self.has_other_scheme() || self.before().map(Tree::digest) != self.after().map(Tree::digest)
    }

    fn has_other_scheme(&self) -> bool {
        let [before, after] = [&self.before, &self.after].map(|side| side.settings.map(|layer| &layer.scheme));
        before != after
    }

    /// Walks what differs, in key order. Where one version lacks the part, or has it with names of another scheme, first all
    /// entries of the older one are deleted, then all of the newer one are new. Cost: as of [`Tree::diff`], or of a scan.
    pub fn changes(&self) -> Box<dyn Iterator<Item = Result<Change>> + 'static> {
        match (self.before(), self.after()) {
            (Some(before), Some(after)) if !self.has_other_scheme() => Box::new(before.diff(after)),
            (before, after) => {
                let entries = |tree: &Tree| tree.scan(KeyRange::all());
                let gone = before.map(entries).into_iter().flatten();
                let added = after.map(entries).into_iter().flatten();
                let gone = gone.map(|found| found.map(|(key, entry)| Change { key, before: Some(entry), after: None }));
                let added =
                    added.map(|found| found.map(|(key, entry)| Change { key, before: None, after: Some(entry) }));
                Box::new(gone.chain(added))
            }
        }
    }

    /// The settings to read the name of a change with: those of the newer version, unless the change is a deletion. None for a
    /// table.
    pub fn settings_of(&self, change: &Change) -> Option<&'a Layer> {
        if change.after.is_some() { self.after.settings } else { self.before.settings }
    }
}
