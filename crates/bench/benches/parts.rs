//! The parts of every run, one by one, on catalogs in memory: hashing, packing, and building, editing, comparing, searching and
//! walking trees.
//!
//! Trees have the keys and entries of the workload. `cold` means through a newly opened catalog, so that nodes are read and
//! decoded; `warm` means that decoded nodes are in the catalog's cache.

#![expect(clippy::panic, reason = "a benchmark that can not go on has failed")]

use deltic_bench::{key, payload, tile};
use deltic_core::{
    CatalogUuid, Digest, Grid, Hasher, Layer, LayerId, Meta, NameBytes, Payload, RunId, Timestamp, Version,
};
use deltic_store::{
    Catalog, Codec, Committed, Draft, DraftOptions, Entry, Error, KeyRange, NewCatalog, NextVersion, Place, Stores,
    Tree,
};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

const COUNT: u64 = 100_000;

/// A payload of about the mean length.
fn text() -> String {
    let mut text = String::new();
    payload(5, 0, &mut text);
    text
}

type Operation = (NameBytes, Option<Entry>);

/// Puts partitions into a tree, with entries like those of payloads in packs. The payloads do not exist: all entries name
/// one pack of the draft as their place.
fn operations(draft: &Draft, numbers: impl Iterator<Item = u64>, version: u64) -> Vec<Operation> {
    let written = draft.put(&Payload::from(text())).expect("a payload");
    let Place::Pack { pack, .. } = written.place else { panic!("a payload of kilobytes lies in a pack") };
    let entry = |number: u64| {
        let mut seed = number.to_le_bytes().to_vec();
        seed.extend_from_slice(&version.to_le_bytes());
        let meta = Meta { digest: Digest::of(&seed), len: 1100 + number % 8000, ..Meta::default() };
        let place = Place::Pack { pack, offset: number * 4800, stored: meta.len, codec: Codec::Raw };
        Entry { meta, place }
    };
    numbers.map(|number| (NameBytes::from(key(number)), Some(entry(number)))).collect()
}

fn applied(operations: &[Operation]) -> impl Iterator<Item = Result<Operation, Error>> {
    operations.iter().cloned().map(Ok)
}

/// A store with one catalog: version 1 has a tree of `COUNT` entries, version 2 has one of `every` of them changed.
struct Ground {
    stores: Stores,
    catalog: Catalog,
    layer: LayerId,
}

impl Ground {
    fn new(every: u64) -> Ground {
        let stores = Stores::new();
        let settings = Layer::tiles("parts", Grid::Here, [12]).expect("a legal layer");
        let layer = settings.id.clone();
        let identity = NewCatalog { uuid: CatalogUuid(1), run: RunId(1), created: Timestamp(0) };
        let catalog =
            Catalog::create(&stores, "memory:parts", vec![settings.clone()], identity).expect("a new catalog");
        for (run, first, step) in [(2, 0, 1), (3, every / 2, every)] {
            let base = catalog.latest().expect("a version");
            let draft = Draft::begin(&base, RunId(run), DraftOptions::default());
            let changes = operations(&draft, (first..COUNT).step_by(step as usize), run);
            let tree = draft.adopt(&base.tree(&layer).expect("the layer"));
            let tree = draft.edit(&tree, applied(&changes)).expect("a legal edit");
            let next = NextVersion { layers: vec![(settings.clone(), tree)], ..NextVersion::default() };
            assert!(matches!(draft.commit(next), Ok(Committed::New(_))));
        }
        Ground { stores, catalog, layer }
    }

    fn tree(&self, catalog: &Catalog, version: u64) -> Tree {
        catalog.snapshot(Version(version)).expect("a version").tree(&self.layer).expect("the layer")
    }

    fn reopened(&self) -> Catalog {
        Catalog::open(&self.stores, "memory:parts").expect("a catalog")
    }

    fn draft(&self) -> Draft {
        Draft::begin(&self.catalog.latest().expect("a version"), RunId(9), DraftOptions::default())
    }
}

#[divan::bench(args = [128, 4800, 1 << 20])]
fn hash_payload(bencher: Bencher<'_, '_>, bytes: usize) {
    let payload = vec![7u8; bytes];
    bencher.counter(BytesCount::new(bytes)).bench(|| Digest::of(divan::black_box(&payload)));
}

#[divan::bench]
fn hash_fields() -> Digest {
    Hasher::new("bench 1").text(divan::black_box("000000000123")).number(4800).digest(&Digest::default()).finish()
}

#[divan::bench]
fn name_of_tile(bencher: Bencher<'_, '_>) {
    bencher.bench(|| tile(divan::black_box(b"000000012321")).map(|tile| deltic_core::Name::Tile(tile).to_bytes()));
}

/// Digests payloads and appends them to packs, in memory, until the packs are uploaded.
#[divan::bench(sample_count = 20)]
fn put_1000_payloads(bencher: Bencher<'_, '_>) {
    let ground = Ground::new(COUNT);
    let payload = Payload::from(text());
    let bytes = BytesCount::new(payload.len() * 1000);
    bencher.counter(bytes).with_inputs(|| ground.draft()).bench_values(|draft| {
        for _ in 0..1000 {
            draft.put(&payload).expect("a payload");
        }
        draft
    });
}

/// Reads the payloads back from committed packs.
#[divan::bench(sample_count = 20)]
fn read_256_payloads(bencher: Bencher<'_, '_>) {
    let ground = Ground::new(COUNT);
    let draft = ground.draft();
    let mut text = String::new();
    let entries: Vec<Entry> = (0..256)
        .map(|number| {
            payload(number, 0, &mut text);
            draft.put(&Payload::from(text.as_str())).expect("a payload")
        })
        .collect();
    let named =
        (0..).zip(&entries).map(|(n, entry)| (NameBytes::from(key(n)), Some(entry.clone()))).collect::<Vec<_>>();
    let tree = draft.edit(&draft.empty_tree(), applied(&named)).expect("a legal edit");
    let settings = Layer::tiles("parts", Grid::Here, [12]).expect("a legal layer");
    let next = NextVersion { layers: vec![(settings, tree)], ..NextVersion::default() };
    assert!(matches!(draft.commit(next), Ok(Committed::New(_))));
    let tree = ground.tree(&ground.catalog, 3);
    let bytes: u64 = entries.iter().map(|entry| entry.meta.len).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| tree.read_all(divan::black_box(&entries)).expect("payloads"));
}

#[divan::bench(args = [10_000, COUNT], sample_count = 10)]
fn tree_build(bencher: Bencher<'_, '_>, count: u64) {
    let ground = Ground::new(COUNT);
    let prepare = || {
        let draft = ground.draft();
        let all = operations(&draft, 0..count, 0);
        (draft, all)
    };
    bencher.counter(ItemsCount::new(count)).with_inputs(prepare).bench_values(|(draft, all)| {
        let tree = draft.edit(&draft.empty_tree(), applied(&all)).expect("a legal edit");
        (draft, tree)
    });
}

/// Edits of a tree of `COUNT` entries: the given number of changes, spread evenly.
#[divan::bench(args = [1, 100, 10_000], sample_count = 20)]
fn tree_edit_warm(bencher: Bencher<'_, '_>, changes: u64) {
    let ground = Ground::new(COUNT);
    let prepare = || {
        let draft = ground.draft();
        let some = operations(&draft, (3..COUNT).step_by((COUNT / changes) as usize), 4);
        (draft, some)
    };
    bencher.counter(ItemsCount::new(changes)).with_inputs(prepare).bench_values(|(draft, some)| {
        let base = draft.adopt(&draft.base().tree(&ground.layer).expect("the layer"));
        let tree = draft.edit(&base, applied(&some)).expect("a legal edit");
        (draft, tree)
    });
}

/// Differences of two trees of `COUNT` entries, of which the given number differ.
#[divan::bench(args = [1, 100, 10_000], sample_count = 20)]
fn tree_diff_cold(bencher: Bencher<'_, '_>, changes: u64) {
    let ground = Ground::new(COUNT / changes);
    bencher.counter(ItemsCount::new(changes)).with_inputs(|| ground.reopened()).bench_values(|catalog| {
        let found = ground.tree(&catalog, 1).diff(&ground.tree(&catalog, 2)).count();
        assert_eq!(found as u64, changes);
    });
}

#[divan::bench(args = [1, 100, 10_000], sample_count = 20)]
fn tree_diff_warm(bencher: Bencher<'_, '_>, changes: u64) {
    let ground = Ground::new(COUNT / changes);
    let (one, two) = (ground.tree(&ground.catalog, 1), ground.tree(&ground.catalog, 2));
    bencher.counter(ItemsCount::new(changes)).bench(|| one.diff(&two).count());
}

#[divan::bench]
fn tree_get_warm(bencher: Bencher<'_, '_>) {
    let ground = Ground::new(COUNT);
    let tree = ground.tree(&ground.catalog, 2);
    assert_eq!(tree.scan(KeyRange::all()).count() as u64, COUNT);
    let mut number = 0;
    bencher.bench_local(|| {
        number = (number + 7919) % COUNT;
        tree.get(&key(number)).expect("a look-up").expect("an entry")
    });
}

#[divan::bench(sample_count = 50)]
fn tree_get_cold(bencher: Bencher<'_, '_>) {
    let ground = Ground::new(COUNT);
    bencher
        .with_inputs(|| ground.reopened())
        .bench_values(|catalog| ground.tree(&catalog, 2).get(&key(54_321)).expect("a look-up").expect("an entry"));
}

/// Walks all entries: nearly all of the cost is reading, checking and decoding leaves.
#[divan::bench(sample_count = 10)]
fn tree_scan_cold(bencher: Bencher<'_, '_>) {
    let ground = Ground::new(COUNT);
    bencher.counter(ItemsCount::new(COUNT)).with_inputs(|| ground.reopened()).bench_values(|catalog| {
        let found = ground.tree(&catalog, 2).scan(KeyRange::all()).count();
        assert_eq!(found as u64, COUNT);
    });
}
