//! What most tests need: catalogs in memory, and short ways to say trees.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use deltic_core::{CatalogUuid, Layer, NameBytes, Payload, RunId, Timestamp, Version};
use deltic_store::{
    Catalog, Change, Committed, Draft, DraftOptions, Entry, Error, KeyRange, NewCatalog, NextVersion, Result, Snapshot,
    Stores, Tree,
};
use futures::StreamExt;
use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};

/// A tree's content: payloads by key.
pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) const CREATED: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn identity() -> NewCatalog {
    NewCatalog { uuid: CatalogUuid(0xcafe), run: RunId(1), created: CREATED }
}

pub(crate) fn layer() -> Layer {
    Layer::generic("names").unwrap()
}

/// A new catalog with one generic layer `names`.
pub(crate) fn create(stores: &Stores, url: &str) -> Catalog {
    Catalog::create(stores, url, vec![layer()], identity()).unwrap()
}

pub(crate) fn in_memory() -> Catalog {
    create(&Stores::new(), "memory:")
}

pub(crate) fn begin(base: &Snapshot, run: u64) -> Draft {
    Draft::begin(base, RunId(run), DraftOptions::default())
}

pub(crate) type Ops = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Puts and deletes in one go.
pub(crate) fn edit(draft: &Draft, base: &Tree, ops: &Ops) -> Result<Tree> {
    draft.edit(
        base,
        ops.iter().map(|(key, value)| {
            let entry = value.as_ref().map(|value| draft.put(&Payload::new(value.clone()))).transpose()?;
            Ok::<_, Error>((NameBytes::from(&key[..]), entry))
        }),
    )
}

pub(crate) fn puts(model: &Model) -> Ops {
    model.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
}

/// A tree with this content, built from nothing.
pub(crate) fn build(draft: &Draft, model: &Model) -> Tree {
    edit(draft, &draft.empty_tree(), &puts(model)).unwrap()
}

/// Everything a tree holds, payloads read one by one.
pub(crate) fn content(tree: &Tree) -> Model {
    let read = |item: Result<(NameBytes, Entry)>| {
        let (key, entry) = item.unwrap();
        (key.to_vec(), tree.read(&entry).unwrap().bytes().to_vec())
    };
    tree.scan(KeyRange::all()).map(read).collect()
}

/// The next version, with `tree` as the layer `names`.
pub(crate) fn next(tree: &Tree) -> NextVersion {
    NextVersion { layers: vec![(layer(), tree.clone())], created: CREATED, ..NextVersion::default() }
}

pub(crate) fn commit(draft: Draft, tree: &Tree) -> Snapshot {
    match draft.commit(next(tree)).unwrap() {
        Committed::New(snapshot) => snapshot,
        Committed::Unchanged => panic!("nothing to commit"),
    }
}

/// Commits what `ops` make of the latest version.
pub(crate) fn advance(catalog: &Catalog, run: u64, ops: &Ops) -> Snapshot {
    let base = catalog.latest().unwrap();
    let draft = begin(&base, run);
    let tree = edit(&draft, &names(&base), ops).unwrap();
    commit(draft, &tree)
}

pub(crate) fn names(snapshot: &Snapshot) -> Tree {
    snapshot.tree(&layer().id).unwrap()
}

/// Short keys that sort as their numbers do, and values that tell them and an edition apart.
pub(crate) fn numbered(range: std::ops::Range<u32>, edition: u32) -> Model {
    range.map(|n| (format!("{n:06}").into_bytes(), format!("value {n} edition {edition}").into_bytes())).collect()
}

pub(crate) fn changes(old: &Tree, new: &Tree) -> Vec<Change> {
    old.diff(new).collect::<Result<_>>().unwrap()
}

/// A store in memory that a test can change behind the catalog's back.
pub(crate) fn tampered() -> (Arc<InMemory>, Stores) {
    let store = Arc::new(InMemory::new());
    let inner = Arc::clone(&store);
    (store, Stores::new().with_wrapper(move |_| Arc::clone(&inner) as Arc<dyn ObjectStore>))
}

/// Writes an object beside the catalog.
pub(crate) fn write(store: &InMemory, object: &str, body: impl Into<Bytes>) {
    block_on(store.put(&object.into(), body.into().into())).unwrap();
}

/// Removes an object beside the catalog.
pub(crate) fn remove(store: &InMemory, object: &str) {
    block_on(store.delete(&object.into())).unwrap();
}

/// All objects and their bytes.
pub(crate) fn objects(store: &InMemory) -> BTreeMap<String, Bytes> {
    block_on(async {
        let list: Vec<_> = store.list(None).map(|meta| meta.unwrap().location).collect().await;
        let mut objects = BTreeMap::new();
        for path in list {
            objects.insert(path.to_string(), store.get(&path).await.unwrap().bytes().await.unwrap());
        }
        objects
    })
}

pub(crate) fn version(number: u64) -> Version {
    Version(number)
}
