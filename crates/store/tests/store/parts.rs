//! Ranges of a tree that are edited apart, each by a draft of its own, and stitched: the tree of a single edit.

use std::ops::{AddAssign, Range};

use deltic_core::{Payload, RunId};
use deltic_store::testing::with_shape;
use deltic_store::{
    Catalog, Committed, Draft, DraftOptions, Entry, ErrorKind, PartEditor, Shape, Snapshot, Stores, Tree, TreePart,
};

use crate::seeds::seeds;
use crate::support::{Model, Ops, begin, build, commit, content, create, edit, in_memory, names, next, numbered, puts};

const SHAPES: [Shape; 5] = [
    Shape { leaf_bits: 1, inner_bits: 1 },
    Shape { leaf_bits: 2, inner_bits: 1 },
    Shape { leaf_bits: 1, inner_bits: 2 },
    Shape { leaf_bits: 3, inner_bits: 2 },
    Shape { leaf_bits: 2, inner_bits: 2 },
];

const STEPS: u64 = 8;
const SPACE: u64 = 4000;

struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn value(&mut self) -> Vec<u8> {
        vec![self.below(256) as u8; self.below(40) as usize]
    }
}

/// How often what was met.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    edits: u64,
    versions: u64,
    /// Edits of each kind that changed the tree.
    kinds: [u64; KINDS as usize],
    parts: u64,
    empty: u64,
    /// Parts that held an end of a leaf, and of a node above.
    ended: [u64; 2],
    /// Parts that deleted all there was.
    deleted_all: u64,
    /// Ranges between two others, in a tree with content, that have no operations.
    nothing_between: u64,
    /// What was left to whoever stitched: operations on entries and on leaves, and those above.
    left: [u64; 3],
    /// Entries below the nodes that parts made and whoever stitched was only told of.
    inside: u64,
    /// Operations in parts.
    operations: u64,
    /// Ranges whose operations were applied by whoever stitched.
    between: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        let add = |one: &mut [u64], two: &[u64]| one.iter_mut().zip(two).for_each(|(one, two)| *one += two);
        let Counts { edits, versions, kinds, parts, empty, ended, deleted_all, .. } = other;
        let Counts { nothing_between, left, inside, operations, between, .. } = other;
        add(&mut self.kinds, &kinds);
        add(&mut self.ended, &ended);
        add(&mut self.left, &left);
        self.edits += edits;
        self.versions += versions;
        self.parts += parts;
        self.empty += empty;
        self.deleted_all += deleted_all;
        self.nothing_between += nothing_between;
        self.inside += inside;
        self.operations += operations;
        self.between += between;
    }
}

/// Keys of several lengths with shared beginnings; the empty key is one of them.
fn key(number: u64) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        n if n % 7 == 0 => format!("long/shared/{n:06}").into_bytes(),
        n => (n as u32).to_be_bytes().to_vec(),
    }
}

const KINDS: u64 = 9;
const CLEAR: u64 = 5;

/// Operations of a kind, as they are before they meet the content that they change.
fn operations(kind: u64, random: &mut Random, model: &Model, shape: Shape) -> Ops {
    let is_end = |key: &Vec<u8>| shape.ends(0, key);
    let delete = |key: &Vec<u8>| (key.clone(), None);
    match kind {
        // Fills, densely or sparsely.
        0 => (0..50 + random.below(SPACE)).map(|n| (key(n), Some(random.value()))).collect(),
        // Thins to a few keys.
        1 => model.keys().skip(random.below(40) as usize).map(delete).collect(),
        // Deletes and puts keys that end nodes of two levels.
        2 => (0..SPACE)
            .map(key)
            .filter(|key| is_end(key) && shape.ends(1, key))
            .map(|key| (key, (random.below(2) == 0).then(|| random.value())))
            .collect(),
        // Deletes the last keys.
        3 => model.keys().rev().take(1 + random.below(9) as usize).map(delete).collect(),
        // Deletes every key that ends a leaf from one on.
        4 => {
            let skip = random.below(model.len() as u64 + 1) as usize;
            model.keys().skip(skip).filter(|key| is_end(key)).take(random.below(200) as usize).map(delete).collect()
        }
        // Deletes everything.
        CLEAR => model.keys().map(delete).collect(),
        // Appends beyond all keys.
        6 => (0..random.below(600)).map(|n| (format!("z{n:06}").into_bytes(), Some(random.value()))).collect(),
        // Puts many keys between two, where the base has few nodes.
        7 => {
            let at = random.below(SPACE);
            let inside = |n: u64| ([key(at), (n as u16).to_be_bytes().to_vec()].concat(), Some(random.value()));
            (0..500).map(inside).collect()
        }
        // Scattered puts and deletes.
        _ => (0..random.below(300))
            .map(|_| (key(random.below(SPACE)), (random.below(3) > 0).then(|| random.value())))
            .collect(),
    }
}

fn draft(base: &Snapshot, run: u64) -> Draft {
    Draft::begin(base, RunId(run), DraftOptions { inline_bytes: 20, ..DraftOptions::default() })
}

fn tree_of(draft: &Draft) -> Tree {
    draft.adopt(&names(draft.base()))
}

fn put(draft: &Draft, value: &Option<Vec<u8>>) -> Option<Entry> {
    value.as_ref().map(|value| draft.put(&Payload::new(value.clone())).unwrap())
}

fn apply(draft: &Draft, part: &mut PartEditor, ops: &[(Vec<u8>, Option<Vec<u8>>)]) {
    for (key, value) in ops {
        part.apply(key, put(draft, value).as_ref()).unwrap();
    }
}

/// A part by a draft of its own, through bytes as to another process, and its packs handed over.
fn part_of(base: &Snapshot, run: u64, ops: &[(Vec<u8>, Option<Vec<u8>>)]) -> TreePart {
    let worker = draft(base, run);
    let mut editor = worker.part_editor(&tree_of(&worker)).unwrap();
    apply(&worker, &mut editor, ops);
    let mut parts = [editor.finish().unwrap()];
    worker.hand_over(&mut parts).unwrap();
    let read = TreePart::from_bytes(&parts[0].to_bytes()).unwrap();
    assert_eq!(read, parts[0]);
    read
}

/// A history of edits, each of which is cut at random, made in parts and in one go, committed, swept around and read. Some of
/// what is cut is no part: its operations are applied between the parts.
fn history(seed: u64, shape: Shape) -> Counts {
    let (mut random, mut counts, mut run) = (Random(seed), Counts::default(), 100);
    let stores = Stores::new();
    let catalog = with_shape(&create(&stores, "memory:x"), shape);
    let mut model = Model::new();
    for step in 0..STEPS {
        let base = catalog.latest().unwrap();
        let kind = if step == 0 { 0 } else { random.below(KINDS) };
        let ops: Vec<_> = operations(kind, &mut random, &model, shape).into_iter().collect();
        let place = format!("seed {seed}, step {step}, kind {kind}, {shape:?}");

        // Half of what deletes everything is one part.
        let parts = if kind == CLEAR && random.below(2) == 0 { 1 } else { 1 + random.below(9) };
        let mut cuts: Vec<usize> = (1..parts).map(|_| random.below(ops.len() as u64 + 1) as usize).collect();
        cuts.extend([0, ops.len()]);
        cuts.sort_unstable();
        let stitcher = draft(&base, run);
        let mut editor = stitcher.editor(&tree_of(&stitcher)).unwrap();
        for cut in cuts.windows(2) {
            run += 1;
            let ops = &ops[cut[0]..cut[1]];
            if random.below(6) == 0 {
                ops.iter().for_each(|(key, value)| editor.apply(key, put(&stitcher, value).as_ref()).unwrap());
                counts.between += u64::from(!ops.is_empty());
                continue;
            }
            let part = part_of(&base, run, ops);
            counts.meet(&part, ops, &model);
            editor.stitch(&part).unwrap();
        }
        let made = editor.finish().unwrap();

        let single = draft(&base, run + 1);
        let expected = edit(&single, &tree_of(&single), &ops.iter().cloned().collect()).unwrap();
        let facts = |tree: &Tree| (tree.digest(), tree.root().level, tree.count(), tree.bytes());
        assert_eq!(facts(&made), facts(&expected), "{place}");
        run += 2;

        for (key, value) in ops {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        counts.edits += 1;
        if let Committed::New(_) = stitcher.commit(next(&made)).unwrap() {
            counts.versions += 1;
            counts.kinds[kind as usize] += 1;
        }
        let catalog = with_shape(&Catalog::open(&stores, "memory:x").unwrap(), shape);
        catalog.gc(false).unwrap();
        assert_eq!(content(&names(&catalog.latest().unwrap())), model, "{place}");
    }
    counts
}

impl Counts {
    fn meet(&mut self, part: &TreePart, ops: &[(Vec<u8>, Option<Vec<u8>>)], model: &Model) {
        let left = part.counts().map(|count| count as u64);
        let in_leaves = left[0];
        self.parts += 1;
        self.operations += ops.len() as u64;
        self.empty += u64::from(ops.is_empty());
        self.nothing_between += u64::from(ops.is_empty() && !model.is_empty());
        self.ended[0] += u64::from(left[1] > 0);
        self.ended[1] += u64::from(left[2] > 0);
        self.inside += ops.len() as u64 - in_leaves;
        let deletes = ops.iter().filter(|(key, value)| value.is_none() && model.contains_key(key)).count();
        self.deleted_all += u64::from(!model.is_empty() && deletes == model.len());
        self.left.iter_mut().zip(left).for_each(|(sum, left)| *sum += left);
    }
}

fn histories(range: Range<u64>) -> Counts {
    let mut counts = Counts::default();
    for seed in range.clone() {
        counts += history(seed, SHAPES[seed as usize % SHAPES.len()]);
    }
    println!("{} histories: {counts:?}", range.end - range.start);
    counts
}

/// Everything that parts can do wrong occurs, and most of the work is done in them.
#[test]
fn parts_make_the_tree_of_a_single_edit() {
    let counts = histories(0..24);
    let Counts { versions, kinds, parts, empty, ended, deleted_all, nothing_between, .. } = counts;
    assert!(versions >= 150 && kinds.iter().all(|count| *count >= 5), "{counts:?}");
    assert!(ended[0] >= parts / 3 && ended[1] >= parts / 5, "{counts:?}");
    assert!([empty, deleted_all, nothing_between].iter().all(|count| *count >= 5), "{counts:?}");
    assert!(counts.inside >= counts.operations * 3 / 5, "the ends are most of it: {counts:?}");
    assert!(counts.left[2] >= 1000 && counts.between >= 50, "{counts:?}");
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-store --test store -- --ignored parts::many --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_more_histories_in_parts() {
    histories(seeds("0..1000"));
}

/// Without a part that has an end nothing comes from parts; and what whoever stitches is left with does not grow with the
/// part, but where all ends are deleted.
#[test]
fn what_is_left_does_not_grow_with_the_part() {
    let stitcher = begin(&in_memory().latest().unwrap(), 7);
    let counts = |count: u32, base: &Tree, ops: &dyn Fn(u32) -> Option<Vec<u8>>| {
        let worker = stitcher.part_editor(base);
        let mut part = worker.unwrap();
        for n in 0..count {
            part.apply(format!("{n:07}").as_bytes(), put(&stitcher, &ops(n)).as_ref()).unwrap();
        }
        part.finish().unwrap().counts()
    };
    let value = |_: u32| Some(vec![1]);
    let empty = stitcher.empty_tree();
    let few = build(&stitcher, &Model::from([(b"0".to_vec(), vec![]), (b"2".to_vec(), vec![])]));
    // Beside nothing, between two keys of one leaf, and beyond all keys.
    let beyond = build(&stitcher, &Model::from([(b"".to_vec(), vec![])]));
    for base in [empty, few, beyond] {
        let (small, large) = (counts(30_000, &base, &value), counts(120_000, &base, &value));
        for (small, large) in small.iter().zip(&large).take(2) {
            assert!(*large <= 600 && small.abs_diff(*large) <= 400, "{small} and {large}");
        }
        assert!((2..40).contains(&large[2]), "{large:?}");
    }
    let full = build(&stitcher, &numbered(0..0, 0));
    let full = edit(&stitcher, &full, &(0..20_000).map(|n| (format!("{n:07}").into_bytes(), Some(vec![]))).collect());
    assert_eq!(counts(20_000, &full.unwrap(), &|_| None), [20_000, 0, 0], "a row of deletes");
}

#[test]
fn a_part_of_another_edit_is_refused() {
    let catalog = in_memory();
    let base = commit_some(&catalog, 3000);
    let (stitcher, worker) = (begin(&base, 10), begin(&base, 11));
    let ops: Vec<_> = puts(&numbered(3000..9000, 1)).into_iter().collect();
    let mut editor = worker.part_editor(&worker.adopt(&names(&base))).unwrap();
    assert!(editor.apply(&[1; 20_000], None).unwrap_err().to_string().contains("more than the 16384"));
    apply(&worker, &mut editor, &ops);
    let error = editor.apply(b"000000", None).unwrap_err();
    assert!(error.to_string().contains("must come with ascending, unique keys"), "{error}");
    let mut editor = worker.part_editor(&worker.adopt(&names(&base))).unwrap();
    apply(&worker, &mut editor, &ops);
    let mut parts = [editor.finish().unwrap()];
    worker.hand_over(&mut parts).unwrap();
    let [part] = parts;
    assert!(part.counts()[1] > 0);

    // Of another tree.
    let mut wrong = stitcher.editor(&stitcher.empty_tree()).unwrap();
    let error = wrong.stitch(&part).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("can not be stitched into an edit of tree"), "{error}");
    // Twice, or out of order.
    let mut editor = stitcher.editor(&stitcher.adopt(&names(&base))).unwrap();
    editor.stitch(&part).unwrap();
    assert!(editor.stitch(&part).unwrap_err().to_string().contains("must come with ascending, unique keys"));
    // Among keys that the part has dealt with itself, to the last of them.
    let ends = |(key, _): &(Vec<u8>, Option<Vec<u8>>)| Shape::FORMAT_1.ends(0, key);
    let to_end = &ops[..=ops.iter().rposition(ends).unwrap()];
    let part = part_of(&base, 13, to_end);
    let mut editor = stitcher.editor(&stitcher.adopt(&names(&base))).unwrap();
    editor.stitch(&part).unwrap();
    let (last, before) = (&to_end[to_end.len() - 1].0, &to_end[to_end.len() - 2].0);
    for key in [before, last] {
        let error = editor.apply(key, None).unwrap_err();
        assert!(error.to_string().contains("must come with ascending, unique keys"), "{error}");
    }
}

fn commit_some(catalog: &Catalog, count: u32) -> Snapshot {
    let base = catalog.latest().unwrap();
    let draft = begin(&base, u64::from(count));
    let tree = build(&draft, &numbered(0..count, 0));
    commit(draft, &tree)
}

/// A part that names none of its packs, since another draft of the same run has handed it over. The payloads are inline, so
/// nothing of the head is in a pack: nodes above leaves are checked too.
#[test]
fn nodes_of_packs_that_were_not_taken_over_are_refused() {
    let base = in_memory().latest().unwrap();
    let (stitcher, worker) = (begin(&base, 10), begin(&base, 11));
    let mut editor = worker.part_editor(&worker.empty_tree()).unwrap();
    apply(&worker, &mut editor, &puts(&numbered(0..3000, 1)).into_iter().collect::<Vec<_>>());
    let mut parts = [editor.finish().unwrap()];
    begin(&base, 11).hand_over(&mut parts).unwrap();
    let [part] = parts;
    let error = stitcher.editor(&stitcher.empty_tree()).unwrap().stitch(&part).unwrap_err();
    assert!(error.to_string().starts_with("a node up to key `"), "{error}");
}

/// `cargo test --release -p deltic-store --test store -- --ignored parts::what --nocapture`
#[test]
#[ignore = "measures CPU time: run with --release, --ignored and --nocapture"]
fn what_parts_cost() {
    const ENTRIES: u64 = 2_000_000;
    const PARTS: u64 = 16;
    let base = in_memory().latest().unwrap();
    let key = |n: u64| format!("{:014o}", n * 97).into_bytes();
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
    };
    let draft = begin(&base, 7);
    let entry = draft.put(&Payload::new(vec![7u8; 24])).unwrap();
    let (mut one, mut parts, mut stitching) = (0.0, 0.0, 0.0);
    for round in 0..5 {
        let before = cpu();
        let mut editor = draft.editor(&draft.empty_tree()).unwrap();
        (0..ENTRIES).for_each(|n| editor.apply(&key(n), Some(&entry)).unwrap());
        let expected = editor.finish().unwrap();
        one += cpu() - before;

        let stitcher = begin(&base, 8 + 100 * round);
        let mut editor = stitcher.editor(&stitcher.empty_tree()).unwrap();
        let mut left = [0; 3];
        for part in 0..PARTS {
            let before = cpu();
            let worker = begin(&base, 9 + part + 100 * round);
            let mut made = worker.part_editor(&worker.empty_tree()).unwrap();
            for n in ENTRIES * part / PARTS..ENTRIES * (part + 1) / PARTS {
                made.apply(&key(n), Some(&entry)).unwrap();
            }
            let mut made = [made.finish().unwrap()];
            worker.hand_over(&mut made).unwrap();
            let [made] = made;
            left.iter_mut().zip(made.counts()).for_each(|(sum, count)| *sum += count);
            parts += cpu() - before;
            let before = cpu();
            editor.stitch(&made).unwrap();
            stitching += cpu() - before;
        }
        assert_eq!(editor.finish().unwrap().digest(), expected.digest());
        if round == 0 {
            println!("left to whoever stitches, of {PARTS} parts: {left:?}");
        }
    }
    let ratio = (parts + stitching) / one;
    println!("one edit {:.2} s, parts {:.2} s, stitching {:.2} s: {ratio:.2}", one / 5.0, parts / 5.0, stitching / 5.0);
}
