//! Real trees beside the expected ones: nodes, bytes and requests of edits with nothing cached.

use anyhow::{Context as _, Result, ensure};
use deltic_core::{CatalogUuid, Digest, Fields, Layer, Meta, NameBytes, RunId, Timestamp};
use deltic_store::{
    BlobKind, Catalog, Codec, Committed, Draft, DraftOptions, Entry, NewCatalog, NextVersion, PackName, Place,
    Requests, Snapshot, Stores,
};

use super::geometry::{Spread, Touched, Tree};
use crate::remote::bucket;

const BUCKET: &str = "trees";

/// A committed tree of a number of keys.
pub(crate) struct Grown {
    stores: Stores,
    layer: Layer,
    keys: u64,
    pub(crate) nodes: u64,
    pub(crate) bytes: u64,
}

/// What an edit did.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) expected: Touched,
    pub(crate) nodes: u64,
    pub(crate) bytes: u64,
    pub(crate) requests: Requests,
}

/// The quadkey of level 14 of a tile.
fn name(number: u64) -> NameBytes {
    (0..14).map(|digit| b'0' + (number >> (2 * (13 - digit)) & 3) as u8).collect()
}

/// An entry with a payload of 10 KB in a pack of the draft's run, which does not exist.
fn entry(number: u64, version: u64, draft: (deltic_core::Version, RunId)) -> Entry {
    let digest = Digest::of(&[number.to_le_bytes(), version.to_le_bytes()].concat());
    let len = 5_000 + u64::from(digest.as_bytes()[0]) * 40;
    let pack = PackName { base: draft.0, run: draft.1, seq: 1_000_000 + (number / 1600) as u32 };
    let place = Place::Pack { pack, offset: 8 + number % 1600 * 10_000, stored: len, codec: Codec::Raw };
    Entry { meta: Meta { digest, len, fields: Fields::default() }, place }
}

impl Grown {
    pub(crate) fn grow(stores: &Stores, keys: u64) -> Result<Grown> {
        let identity = NewCatalog { uuid: CatalogUuid(1), run: RunId(1), created: Timestamp(0) };
        let layer = Layer::generic("tiles")?;
        let catalog = Catalog::create(stores, &bucket(BUCKET), vec![layer.clone()], identity)?;
        let mut grown = Grown { stores: stores.clone(), layer, keys, nodes: 0, bytes: 0 };
        let (nodes, bytes) = grown.edit(&catalog.latest()?, 0, &mut (0..keys))?;
        (grown.nodes, grown.bytes) = (nodes, bytes);
        Ok(grown)
    }

    /// Changes some of the keys with nothing cached, and commits that.
    pub(crate) fn change(&self, changed: u64, spread: Spread, version: u64) -> Result<Edited> {
        let base = Catalog::open(&self.stores, &bucket(BUCKET))?.latest()?;
        let before = base.catalog().requests();
        let random = |n: u64| {
            u64::from_le_bytes(
                *Digest::of(&[n, version].map(u64::to_le_bytes).concat()).as_bytes().first_chunk().unwrap_or(&[0; 8]),
            )
        };
        let mut numbers: Vec<u64> = match spread {
            Spread::Scattered => (0..changed).map(|n| random(n) % self.keys).collect(),
            Spread::Region => {
                let start = random(0) % (self.keys - changed);
                (start..start + changed).collect()
            }
        };
        numbers.sort_unstable();
        numbers.dedup();
        let expected = Tree { keys: self.keys as f64 }.touched(numbers.len() as f64, spread);
        let (nodes, bytes) = self.edit(&base, version, &mut numbers.into_iter())?;
        Ok(Edited { expected, nodes, bytes, requests: base.catalog().requests() - before })
    }

    /// Puts entries; returns the number of written nodes and their bytes.
    fn edit(&self, base: &Snapshot, version: u64, numbers: &mut dyn Iterator<Item = u64>) -> Result<(u64, u64)> {
        let run = RunId(100 + version);
        let draft = Draft::begin(base, run, DraftOptions::default());
        let tree = base.tree(&self.layer.id).map_or_else(|| draft.empty_tree(), |tree| draft.adopt(&tree));
        let at = (base.version(), run);
        let ops = numbers.map(|n| Ok::<_, deltic_store::Error>((name(n), Some(entry(n, version, at)))));
        let tree = draft.edit(&tree, ops)?;
        ensure!(tree.count() == self.keys, "{} entries instead of {}", tree.count(), self.keys);
        let next = NextVersion { layers: vec![(self.layer.clone(), tree)], ..NextVersion::default() };
        let Committed::New(snapshot) = draft.commit(next)? else {
            return Err(anyhow::anyhow!("an edit changed nothing"));
        };
        // Read through another catalog: these requests are not the edit's.
        let reader = Catalog::open(&self.stores, &bucket(BUCKET))?;
        let (mut nodes, mut bytes) = (0, 0);
        for pack in reader.snapshot(snapshot.version())?.listed_packs().context("listing what an edit wrote")? {
            for blob in reader.pack(pack.name).context("reading what an edit wrote")?.blobs {
                ensure!(blob.kind == BlobKind::Node, "a payload where there is none");
                (nodes, bytes) = (nodes + 1, bytes + blob.stored);
            }
        }
        Ok((nodes, bytes))
    }
}
