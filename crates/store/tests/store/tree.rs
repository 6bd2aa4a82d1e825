//! The tree against a map: content, shape, differences, counts.

use std::collections::BTreeMap;
use std::ops::Bound;

use deltic_core::RunId;
use deltic_store::testing::with_shape;
use deltic_store::{Draft, DraftOptions, KeyRange, Shape, Tree};
use proptest::prelude::*;

use crate::support::{Model, Ops, begin, build, changes, content, edit, in_memory, numbered, puts};

const SHAPES: [Shape; 4] = [
    Shape { leaf_bits: 1, inner_bits: 1 },
    Shape { leaf_bits: 2, inner_bits: 1 },
    Shape { leaf_bits: 1, inner_bits: 2 },
    Shape { leaf_bits: 3, inner_bits: 2 },
];

fn draft(shape: Shape, run: u64, inline_bytes: u64) -> Draft {
    let catalog = with_shape(&in_memory(), shape);
    let options = DraftOptions { inline_bytes, ..DraftOptions::default() };
    Draft::begin(&catalog.latest().unwrap(), RunId(run), options)
}

/// One batch of operations, as it is before it meets the content that it changes.
#[derive(Debug, Clone)]
enum Batch {
    /// Puts and deletes of any keys.
    Some(Vec<(u16, Option<u8>)>),
    /// Puts a run of keys: grows by a level.
    Fill {
        from: u16,
        count: u16,
        value: u8,
    },
    /// Deletes every key but a few: shrinks by a level.
    Thin {
        keep: u16,
    },
    /// Deletes or puts keys that end nodes.
    Boundaries {
        delete: bool,
        value: u8,
    },
    /// Deletes the greatest keys.
    DeleteLast {
        count: usize,
    },
    /// Appends after the greatest key.
    Append {
        count: u16,
        value: u8,
    },
    /// Puts what is there already.
    Again,
    Clear,
}

fn batch() -> impl Strategy<Value = Batch> {
    let op = (0..600u16, proptest::option::weighted(0.6, any::<u8>()));
    prop_oneof![
        5 => proptest::collection::vec(op, 1..8).prop_map(Batch::Some),
        2 => (0..600u16, 1..300u16, any::<u8>()).prop_map(|(from, count, value)| Batch::Fill { from, count, value }),
        2 => (0..40u16).prop_map(|keep| Batch::Thin { keep }),
        3 => (any::<bool>(), any::<u8>()).prop_map(|(delete, value)| Batch::Boundaries { delete, value }),
        2 => (1..5usize).prop_map(|count| Batch::DeleteLast { count }),
        2 => (1..40u16, any::<u8>()).prop_map(|(count, value)| Batch::Append { count, value }),
        1 => Just(Batch::Again),
        1 => Just(Batch::Clear),
    ]
}

/// Keys of several lengths with shared beginnings; the empty key is one of them.
fn key(number: u16) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        n if n % 7 == 0 => format!("long/shared/beginning/{n:04}").into_bytes(),
        n if n % 11 == 0 => vec![0xff; usize::from(n % 5) + 1],
        n => n.to_be_bytes().to_vec(),
    }
}

/// Values from empty to beyond the inline limit.
fn value(value: u8) -> Vec<u8> {
    vec![value; usize::from(value) % 97 * 3]
}

impl Batch {
    fn ops(&self, model: &Model, shape: Shape) -> Ops {
        let delete = |key: &Vec<u8>| (key.clone(), None);
        match self {
            Batch::Some(ops) => ops.iter().map(|(k, v)| (key(*k), v.map(value))).collect(),
            Batch::Fill { from, count, value: v } => {
                (*from..from + count).map(|k| (key(k), Some(value(v.wrapping_add(k as u8))))).collect()
            }
            Batch::Thin { keep } => model.keys().skip(usize::from(*keep)).map(delete).collect(),
            Batch::Boundaries { delete, value: v } => (0..600)
                .map(key)
                .filter(|key| shape.ends(0, key) && shape.ends(1, key))
                .take(20)
                .map(|key| (key, (!delete).then(|| value(*v))))
                .collect(),
            Batch::DeleteLast { count } => model.keys().rev().take(*count).map(delete).collect(),
            Batch::Append { count, value: v } => (0..*count)
                .map(|n| ([vec![0xff; 6], n.to_be_bytes().to_vec()].concat(), Some(value(v.wrapping_add(n as u8)))))
                .collect(),
            Batch::Again => puts(model),
            Batch::Clear => model.keys().map(delete).collect(),
        }
    }
}

fn check(tree: &Tree, model: &Model, scratch: &Draft) {
    let fresh = build(scratch, model);
    assert_eq!(tree.digest(), fresh.digest(), "the shape depends on history");
    let (root, fresh) = (tree.root(), fresh.root());
    assert_eq!((root.level, root.count, root.bytes), (fresh.level, fresh.count, fresh.bytes));
    assert_eq!(root.count, model.len() as u64);
    assert_eq!(root.bytes, model.values().map(|value| value.len() as u64).sum::<u64>());
    assert_eq!(&content(tree), model);
}

fn check_counts(tree: &Tree, model: &Model, probe: &[u8], other: &[u8]) {
    assert_eq!(tree.get(probe).unwrap().is_some(), model.contains_key(probe));
    let rank = model.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(probe))).count() as u64;
    assert_eq!(tree.rank(probe).unwrap(), rank);
    let nth = tree.nth(rank).unwrap().map(|(key, _)| key.to_vec());
    assert_eq!(nth.as_ref(), model.range::<[u8], _>((Bound::Included(probe), Bound::Unbounded)).next().map(|e| e.0));
    let (low, high) = if probe <= other { (probe, other) } else { (other, probe) };
    for (lower, upper) in [
        (Bound::Included(low), Bound::Excluded(high)),
        (Bound::Excluded(low), Bound::Included(high)),
        (Bound::Unbounded, Bound::Included(low)),
        (Bound::Included(high), Bound::Unbounded),
    ] {
        if matches!((lower, upper), (Bound::Excluded(a), Bound::Included(b)) if a == b) {
            continue;
        }
        let range = KeyRange::new(lower, upper);
        let expected: Vec<&Vec<u8>> = model.range::<[u8], _>((lower, upper)).map(|(key, _)| key).collect();
        let found: Vec<Vec<u8>> = tree.scan(range.clone()).map(|item| item.unwrap().0.to_vec()).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        assert_eq!(tree.count_in(&range).unwrap(), expected.len() as u64);
    }
    let prefix = &probe[..probe.len().min(2)];
    let expected: Vec<&Vec<u8>> = model.keys().filter(|key| key.starts_with(prefix)).collect();
    let found: Vec<Vec<u8>> = tree.scan(KeyRange::prefix(prefix)).map(|item| item.unwrap().0.to_vec()).collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

fn check_diff(old: (&Tree, &Model), new: (&Tree, &Model)) {
    let keys = old.1.keys().chain(new.1.keys());
    let expected: BTreeMap<_, _> = keys
        .map(|key| (key.clone(), (old.1.get(key).cloned(), new.1.get(key).cloned())))
        .filter(|(_, (old, new))| old != new)
        .collect();
    let found: BTreeMap<_, _> = changes(old.0, new.0)
        .into_iter()
        .map(|change| {
            let payload = |tree: &Tree, entry| tree.read(&entry).unwrap().bytes().to_vec();
            let (before, after) = (change.before, change.after);
            let values = (before.map(|entry| payload(old.0, entry)), after.map(|entry| payload(new.0, entry)));
            (change.key.to_vec(), values)
        })
        .collect();
    assert_eq!(found, expected);
    let keys: Vec<_> = changes(old.0, new.0).into_iter().map(|change| change.key).collect();
    assert!(keys.is_sorted(), "changes come out of order");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    /// A tree after any history has the content of the map, and the digest of a tree built from nothing.
    #[test]
    fn any_history_ends_like_a_build_from_nothing(
        shape in 0..SHAPES.len(),
        history in proptest::collection::vec(batch(), 1..12),
        probes in proptest::collection::vec((0..700u16, 0..700u16), 4),
    ) {
        let shape = SHAPES[shape];
        let chain = draft(shape, 7, 128);
        let mut model = Model::new();
        let mut tree = chain.empty_tree();
        for batch in &history {
            let ops = batch.ops(&model, shape);
            let (before, old) = (model.clone(), tree.clone());
            for (key, value) in &ops {
                match value {
                    Some(value) => model.insert(key.clone(), value.clone()),
                    None => model.remove(key),
                };
            }
            tree = edit(&chain, &tree, &ops).unwrap();
            // Other packs, other inlining: no influence on digests.
            check(&tree, &model, &draft(shape, 8, 0));
            check_diff((&old, &before), (&tree, &model));
            check_diff((&tree, &model), (&old, &before));
        }
        for (one, two) in probes {
            check_counts(&tree, &model, &key(one), &key(two));
        }
    }

    /// Trees that share nothing but a catalog, or not even that, differ as maps do.
    #[test]
    fn any_two_trees_differ_as_maps_do(
        shape in 0..SHAPES.len(),
        one in proptest::collection::btree_map(0..600u16, any::<u8>(), 0..400),
        two in proptest::collection::btree_map(0..600u16, any::<u8>(), 0..400),
    ) {
        let model = |map: &BTreeMap<u16, u8>| -> Model { map.iter().map(|(k, v)| (key(*k), value(*v))).collect() };
        let (one, two) = (model(&one), model(&two));
        let (left, right) = (draft(SHAPES[shape], 7, 128), draft(SHAPES[shape], 8, 10));
        let (old, new) = (build(&left, &one), build(&right, &two));
        check_diff((&old, &one), (&new, &two));
        check_diff((&new, &two), (&old, &one));
    }

    /// Batches in any order make the same tree.
    #[test]
    fn order_does_not_matter(seed in any::<u64>()) {
        let catalog = in_memory();
        let draft = begin(&catalog.latest().unwrap(), 7);
        let model = numbered(0..2000, 0);
        let whole = build(&draft, &model);
        let mut parts: Vec<Model> = (0..5)
            .map(|part| model.iter().enumerate().filter(|(i, _)| {
                ((*i as u64).wrapping_mul(seed | 1) >> 7) % 5 == part
            }).map(|(_, (k, v))| (k.clone(), v.clone())).collect())
            .collect();
        parts.rotate_left((seed % 5) as usize);
        let tree = parts.iter().fold(draft.empty_tree(), |tree, part| edit(&draft, &tree, &puts(part)).unwrap());
        prop_assert_eq!(tree.digest(), whole.digest());
    }
}

/// The format's own shape at a size where it has three levels, edited key by key at the places that matter.
#[test]
fn single_edits_of_a_big_tree() {
    let catalog = in_memory();
    let base = begin(&catalog.latest().unwrap(), 7);
    let model = numbered(0..40_000, 0);
    let tree = build(&base, &model);
    assert_eq!(tree.root().level, 2, "not the tree that this test is about");
    let shape = Shape::FORMAT_1;
    let ends: Vec<&Vec<u8>> = model.keys().filter(|key| shape.ends(0, key)).take(3).collect();
    let ends_both: Vec<&Vec<u8>> =
        model.keys().filter(|key| shape.ends(0, key) && shape.ends(1, key)).take(3).collect();
    let (first, last) = (model.keys().next().unwrap(), model.keys().last().unwrap());
    for key in ends.into_iter().chain(ends_both).chain([first, last]) {
        for value in [None, Some(b"other".to_vec())] {
            let mut changed = model.clone();
            match &value {
                Some(value) => changed.insert(key.clone(), value.clone()),
                None => changed.remove(key),
            };
            let edited = edit(&base, &tree, &Ops::from([(key.clone(), value)])).unwrap();
            assert_eq!(edited.digest(), build(&base, &changed).digest());
            assert_eq!(changes(&tree, &edited).len(), 1);
            let back = edit(&base, &edited, &Ops::from([(key.clone(), Some(model[key].clone()))])).unwrap();
            assert_eq!(back.digest(), tree.digest());
        }
    }
}

#[test]
fn an_edit_without_effect_returns_the_same_root() {
    let catalog = in_memory();
    let draft = begin(&catalog.latest().unwrap(), 7);
    let model = numbered(0..5000, 0);
    let tree = build(&draft, &model);
    let nodes = draft.written();
    for ops in [
        Ops::new(),
        Ops::from([(b"absent".to_vec(), None), (b"zzz".to_vec(), None)]),
        Ops::from([(b"000007".to_vec(), Some(model[b"000007".as_slice()].clone()))]),
        puts(&model),
    ] {
        assert_eq!(edit(&draft, &tree, &ops).unwrap().root(), tree.root());
    }
    assert_eq!(draft.written(), nodes, "something was written for nothing");
    assert_eq!(
        edit(&draft, &draft.empty_tree(), &Ops::from([(vec![1], None)])).unwrap().root(),
        draft.empty_tree().root()
    );
}
