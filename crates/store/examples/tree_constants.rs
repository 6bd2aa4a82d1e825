//! Measures what the tree's constants cost: bytes written for one changed key among a million, tree size, depth, and
//! the time that building takes. The table in `docs/design/0001-tree-constants.md` is its output.
//!
//! `cargo run --release -p deltic-store --example tree_constants`

use std::error::Error;
use std::time::Instant;

use deltic_core::{CatalogUuid, Digest, Fields, Layer, Meta, NameBytes, RunId, Timestamp};
use deltic_store::testing::with_shape;
use deltic_store::{
    Catalog, Codec, Committed, Draft, DraftOptions, Entry, NewCatalog, NextVersion, PackName, Place, Shape, Stores,
};

const ENTRIES: u64 = 1_000_000;
const EDITS: u64 = 2_000;
const PACK_BYTES: u64 = 16 << 20;

/// A number that looks random and is the same in every run.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The quadkey of the `index`-th tile of level 12. Land lies in patches: of each 16 neighbours of level 10, one has tiles.
fn quadkey(index: u64) -> NameBytes {
    let (patch, within) = (index / 16, index % 16);
    let tile = (patch * 16 + mix(patch) % 16) * 16 + within;
    (0..12).map(|digit| b'0' + (tile >> (2 * (11 - digit)) & 3) as u8).collect()
}

/// Payloads of 4.8 KB on average, of very different lengths, in packs in key order.
struct Locators {
    run: RunId,
    pack: u32,
    offset: u64,
}

impl Locators {
    fn next(&mut self, number: u64) -> Entry {
        let len = 300 + mix(number) % 9_000;
        if self.offset + len > PACK_BYTES {
            self.pack += 1;
            self.offset = 8;
        }
        let pack = PackName { base: deltic_core::Version(0), run: self.run, seq: self.pack };
        let place = Place::Pack { pack, offset: self.offset, stored: len, codec: Codec::Raw };
        self.offset += len;
        let digest = Digest::of(&number.to_le_bytes());
        Entry { meta: Meta { digest, len, fields: Fields::default() }, place }
    }
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "| leaf, inner bits | levels | nodes, MB | build, µs an entry | one update, bytes: mean | p50 | p99 | one insert: mean | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (leaf_bits, inner_bits) in [(6, 6), (6, 7), (7, 6), (7, 7), (7, 8), (8, 8), (8, 9)] {
        measure(Shape { leaf_bits, inner_bits })?;
    }
    Ok(())
}

fn measure(shape: Shape) -> Result<(), Box<dyn Error>> {
    let identity = NewCatalog { uuid: CatalogUuid(1), run: RunId(1), created: Timestamp(0) };
    let layer = Layer::generic("tiles")?;
    let catalog = Catalog::create(&Stores::new(), "memory:", vec![layer.clone()], identity)?;
    let catalog = with_shape(&catalog, shape);
    let empty = catalog.latest()?;
    let run = RunId(2);
    let draft = Draft::begin(&empty, run, DraftOptions::default());
    let mut locators = Locators { run, pack: 1000, offset: 8 };
    let entries: Vec<(NameBytes, Entry)> = (0..ENTRIES).map(|n| (quadkey(n), locators.next(n))).collect();
    let ops: Vec<_> =
        entries.iter().map(|(key, entry)| Ok::<_, deltic_store::Error>((key.clone(), Some(entry.clone())))).collect();
    let start = Instant::now();
    let tree = draft.edit(&draft.empty_tree(), ops.into_iter())?;
    let micros = start.elapsed().as_secs_f64() * 1e6 / ENTRIES as f64;
    let node_bytes = draft.written().bytes;
    let levels = tree.root().level + 1;
    let next = NextVersion { layers: vec![(layer, tree)], ..NextVersion::default() };
    let Committed::New(snapshot) = draft.commit(next)? else {
        return Err("nothing was committed".into());
    };
    let base = snapshot.layers().next().and_then(|layer| snapshot.tree(&layer.id)).ok_or("no layer")?;
    let edits = |insert: bool| -> Result<Vec<u64>, Box<dyn Error>> {
        let mut sizes = Vec::new();
        for edit in 0..EDITS {
            let run = RunId(if insert { 1_000_000 } else { 100 } + edit);
            let draft = Draft::begin(&snapshot, run, DraftOptions::default());
            let mut key = quadkey(mix(edit ^ 0x5eed) % ENTRIES).to_vec();
            if insert {
                key.push(b'0');
            }
            let pack = PackName { base: snapshot.version(), run, seq: 1000 };
            let place = Place::Pack { pack, offset: 8, stored: 4800, codec: Codec::Raw };
            let digest = Digest::of(&edit.to_le_bytes());
            let entry = Entry { meta: Meta { digest, len: 4800, fields: Fields::default() }, place };
            let op = Ok::<_, deltic_store::Error>((key.into(), Some(entry)));
            draft.edit(&base, std::iter::once(op))?;
            sizes.push(draft.written().bytes);
        }
        sizes.sort_unstable();
        Ok(sizes)
    };
    let (updates, inserts) = (edits(false)?, edits(true)?);
    let mean = |sizes: &[u64]| sizes.iter().sum::<u64>() / sizes.len() as u64;
    println!(
        "| {}, {} | {levels} | {:.1} | {micros:.2} | {} | {} | {} | {} | {} |",
        shape.leaf_bits,
        shape.inner_bits,
        node_bytes as f64 / 1e6,
        mean(&updates),
        percentile(&updates, 50),
        percentile(&updates, 99),
        mean(&inserts),
        percentile(&inserts, 99),
    );
    Ok(())
}
