//! The packs of other runs that a draft may refer to.
//!
//! They are those that a checkpoint names, which a listing has when it is found; and those that parts of trees bring along,
//! which are looked for before the commit. Invariant: all were written on bases that the rules allow.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::{PoisonError, RwLock};

use deltic_core::{RunId, Version};

use crate::backend::client::ObjectRoot;
use crate::format::object_name::{ListedPack, ObjectName, PackName};
use crate::format::tree_part::TreePart;
use crate::{Error, ErrorKind, Result};

pub(crate) struct TakenOver {
    /// What the draft starts from, and its run.
    draft: (Version, RunId),
    /// The bases whose runs it may take packs over from (rule G2).
    bases: RangeInclusive<Version>,
    packs: RwLock<BTreeMap<PackName, Pack>>,
}

struct Pack {
    bytes: u64,
    /// Whether a listing has it with this length. Otherwise one is needed before the commit.
    is_listed: bool,
}

impl TakenOver {
    pub(crate) fn new(base: Version, run: RunId, bases: RangeInclusive<Version>) -> TakenOver {
        TakenOver { draft: (base, run), bases, packs: RwLock::default() }
    }

    /// Whether a pack is one of them.
    pub(crate) fn contains(&self, pack: &PackName) -> bool {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).contains_key(pack)
    }

    /// Their names and lengths.
    pub(crate) fn list(&self) -> Vec<ListedPack> {
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        packs.iter().map(|(name, pack)| ListedPack { name: *name, bytes: pack.bytes }).collect()
    }

    /// Adds packs that a listing has with these lengths.
    pub(crate) fn add_listed(&self, packs: impl IntoIterator<Item = ListedPack>) {
        let mut known = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        for ListedPack { name, bytes } in packs {
            let known = known.entry(name).or_insert(Pack { bytes, is_listed: true });
            known.is_listed |= known.bytes == bytes;
        }
    }

    /// Adds the packs that a part of a tree brings along: all of them, or none where it fails. Makes no request:
    /// [`TakenOver::check`] looks for them.
    ///
    /// A part without packs is one that this draft made and has not handed over. One with packs may have been read from bytes, so
    /// what its run id says is not trusted: another draft may have had the same.
    pub(crate) fn add_part(&self, part: &TreePart) -> Result<()> {
        let (run, base) = (part.run, self.draft.0);
        let Some(packs) = &part.packs else {
            if (part.version, run) == self.draft {
                return Ok(());
            }
            return Err(Error::invalid(format!(
                "a part of a tree that run {run} made was not handed over: the draft that made it has to do that first"
            )));
        };
        let mut bases = packs.iter().map(|pack| pack.name.base).chain([part.version]);
        if let Some(other) = bases.find(|base| !self.bases.contains(base)) {
            return Err(Error::invalid(format!(
                "a part of a tree that run {run} made on version {other} can not be stitched by a run on version {base}: make it again"
            )));
        }
        let mut known = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        let other = packs
            .iter()
            .find_map(|pack| Some((pack, known.get(&pack.name)?.bytes)).filter(|(_, bytes)| *bytes != pack.bytes));
        if let Some((ListedPack { name, bytes }, known)) = other {
            return Err(Error::invalid(format!(
                "a part of a tree that run {run} made names pack {name} with {bytes} bytes, and it has {known}: make it again"
            )));
        }
        for ListedPack { name, bytes } in packs {
            known.entry(*name).or_insert(Pack { bytes: *bytes, is_listed: false });
        }
        Ok(())
    }

    /// Looks for the packs that parts have brought along. Cost: a listing, and nothing where there are none.
    ///
    /// Fails when one is missing or has another length.
    pub(crate) fn check(&self, client: &ObjectRoot) -> Result<()> {
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = packs.iter().filter(|(_, pack)| !pack.is_listed).peekable();
        let Some((first, _)) = wanted.peek() else { return Ok(()) };
        let listed = client.packs_since(first.base)?;
        let listed: HashMap<PackName, u64> = listed.into_iter().map(|pack| (pack.name, pack.bytes)).collect();
        for (name, Pack { bytes, .. }) in wanted {
            let found = match listed.get(name) {
                Some(found) if found == bytes => continue,
                Some(found) => format!("has {found} bytes instead of {bytes}"),
                None => "is not there".to_owned(),
            };
            let object = ObjectName::Pack(*name).to_string();
            let message = format!(
                "{}: {object} {found}, and a part of a tree may refer to it: make the part again",
                client.url()
            );
            return Err(Error::new(ErrorKind::Corrupt { object }, message));
        }
        Ok(())
    }
}
