//! Parts of trees: their bytes, and what is refused.

use bytes::Bytes;
use deltic_core::{Fields, Meta};

use super::*;

fn pack(seq: u32) -> PackName {
    PackName { base: Version(7), run: RunId(8), seq }
}

fn op(key: &str, item: Option<OwnedItem>) -> Op {
    Op { key: key.as_bytes().into(), item }
}

fn inline(text: &str) -> Option<OwnedItem> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let mut fields = Fields::default();
    fields.set("name", text).unwrap();
    let meta = Meta { digest: Digest::of(&bytes), len: bytes.len() as u64, fields };
    Some(OwnedItem::Entry(Entry { meta, place: Place::Inline(bytes) }))
}

fn packed(seq: u32, codec: Codec) -> Option<OwnedItem> {
    let meta = Meta { digest: Digest::of(b"p"), len: 300, fields: Fields::default() };
    let stored = if codec == Codec::Raw { 300 } else { 99 };
    Some(OwnedItem::Entry(Entry { meta, place: Place::Pack { pack: pack(seq), offset: 5, stored, codec } }))
}

fn child(level: u8) -> Option<OwnedItem> {
    let place = NodePlace { pack: pack(3), offset: 1000, stored: 200 };
    Some(OwnedItem::Child(NodeRef { digest: Digest::of(b"node"), level, count: 64, bytes: 6400, place }))
}

/// A part with all that there can be in one.
pub(crate) fn sample() -> TreePart {
    let (zero, one) = (
        LevelEnds {
            head: vec![op("", None), op("a", inline("value")), op("b", packed(1, Codec::Raw))],
            tail: Some(Tail { after: Some((*b"k").into()), ops: vec![op("l", packed(2, Codec::Zstd)), op("m", None)] }),
        },
        LevelEnds {
            head: vec![op("c", child(0)), op("d", None)],
            tail: Some(Tail { after: None, ops: vec![op("j", child(0))] }),
        },
    );
    TreePart {
        base: Digest::of(b"base"),
        version: Version(7),
        run: RunId(9),
        packs: Some(vec![ListedPack { name: pack(1), bytes: 305 }, ListedPack { name: pack(3), bytes: 1200 }]),
        levels: [zero, one],
        above: vec![op("h", child(1)), op("i", None)],
        last: Some((*b"m").into()),
    }
}

/// Parts of several kinds, as bytes.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let levels = Default::default();
    let empty = TreePart { packs: Some(Vec::new()), levels, above: Vec::new(), last: None, ..sample() };
    let many = (0..300).map(|seq| ListedPack { name: pack(seq), bytes: 1 << seq.min(63) });
    let packs = TreePart { packs: Some(many.collect()), ..empty.clone() };
    let mut no_end = empty.clone();
    no_end.levels[0].head = (0..300).map(|n| op(&format!("{n:05}"), inline("x").filter(|_| n % 3 > 0))).collect();
    no_end.last = Some((*b"00299").into());
    // What takes most memory for its bytes, and a list that has just grown.
    let mut deletes = empty.clone();
    let keys = (0..4097u16).map(|n| Box::from(n.to_be_bytes()));
    deletes.levels[0].head = keys.map(|key| Op { key, item: None }).collect();
    deletes.last = deletes.levels[0].head.last().map(|op| op.key.clone());
    [sample(), empty, packs, no_end, deletes].iter().map(TreePart::to_bytes).collect()
}

/// The digest at a part's end made right.
pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some((body, digest)) = bytes.split_last_chunk_mut::<{ Digest::LEN }>() {
        digest.copy_from_slice(Digest::of(body).as_bytes());
    }
    bytes
}

#[test]
fn a_part_is_read_as_it_was_written() {
    for bytes in samples() {
        let part = TreePart::from_bytes(&bytes).unwrap();
        assert_eq!(part.to_bytes(), bytes);
    }
    assert_eq!(TreePart::from_bytes(&sample().to_bytes()).unwrap(), sample());
    assert_eq!(sample().counts(), [5, 3, 2]);
}

/// The bytes by hand: the test fails when two builds disagree.
#[test]
fn the_bytes_of_a_part() {
    let digest = |bytes: &[u8]| Digest::of(bytes).as_bytes().to_vec();
    let pack = |seq: u8| [7, 8, 0, 0, 0, 0, 0, 0, 0, seq];
    let child = |key: u8| [&[2, 1, key][..], &digest(b"node"), &[64, 0x80, 50], &pack(3), &[0xe8, 7, 0xc8, 1]].concat();
    let numbers = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
    let payload = |seq: u64, kind: u8, stored: u64| {
        let place = numbers(&[7, 8, seq, 5, stored]);
        [&[83][..], &digest(b"p"), &numbers(&[300]), &[0, 0, kind], &place].concat()
    };
    let body = [
        &[2][..],
        &digest(b"base"),
        &[7, 9, 0, 0, 0, 0, 0, 0, 0, 1, 2],
        &pack(1),
        &[0xb1, 2],
        &pack(3),
        &[0xb0, 9],
        &[3, 0, 0, 1, 1, b'a', 59],
        &digest(b"value"),
        &numbers(&[5]),
        &[11, 0],
        b"name\x1fvalue\x1e",
        &[0],
        b"value",
        &[1, 1, b'b'],
        &payload(1, 1, 300),
        &[2, 1, b'k', 2, 1, 1, b'l'],
        &payload(2, 2, 99),
        &[0, 1, b'm'],
        &[2],
        &child(b'c'),
        &[0, 1, b'd', 1, 1],
        &child(b'j'),
        &[2],
        &child(b'h'),
        &[0, 1, b'i', 1, 1, b'm'],
    ]
    .concat();
    let expected = [&body[..], &digest(&body)].concat();
    assert_eq!(sample().to_bytes(), expected);
}

#[test]
fn every_flip_is_noticed() {
    let bytes = sample().to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(TreePart::from_bytes(&flipped).is_err(), "byte {at} bit {bit}");
        }
        assert!(TreePart::from_bytes(&bytes[..at]).is_err());
        assert!(TreePart::from_bytes(&[&bytes[..], &bytes[..at]].concat()).is_err() || at == 0);
    }
}

fn entry(part: &mut TreePart, head: usize) -> &mut Entry {
    match &mut part.levels[0].head[head].item {
        Some(OwnedItem::Entry(entry)) => entry,
        _ => panic!("it puts no entry"),
    }
}

/// What can not be a part is refused though its digest is right.
#[test]
fn what_can_not_be_is_refused() {
    type Wrong = fn(&mut TreePart);
    let cases: [(&str, Wrong); 18] = [
        ("its keys do not ascend", |part| part.levels[0].head.reverse()),
        ("its keys do not ascend", |part| part.levels[1].head[0].key = (*b"b").into()),
        ("its keys do not ascend", |part| part.above[0].key = (*b"d").into()),
        ("its keys do not ascend", |part| part.levels[0].tail.as_mut().unwrap().after = Some((*b"i").into())),
        ("its keys do not ascend", |part| part.levels[0].tail.as_mut().unwrap().after = Some((*b"l").into())),
        ("has not ended", |part| part.levels[0].tail = None),
        ("has not ended", |part| part.levels[1].tail = None),
        ("has not ended", |part| part.levels[1].head.clear()),
        ("its last key does not match", |part| part.last = None),
        ("its last key does not match", |part| part.last = Some((*b"l").into())),
        ("none of its level", |part| part.above[0].item = inline("x")),
        ("it was not handed over", |part| part.packs = None),
        ("its packs are not in order", |part| part.packs.as_mut().unwrap().reverse()),
        ("its packs are not in order", |part| part.packs.as_mut().unwrap()[1].name = pack(1)),
        ("or another one", |part| entry(part, 1).meta.len += 1),
        ("or another one", |part| entry(part, 1).meta.digest = Digest::of(b"x")),
        ("or another one", |part| entry(part, 2).meta.len += 1),
        ("a place makes no sense", |part| {
            let Place::Pack { offset, .. } = &mut entry(part, 2).place else { panic!("it is inline") };
            *offset = u64::MAX;
        }),
    ];
    for (what, wrong) in cases {
        let mut part = sample();
        wrong(&mut part);
        let error = TreePart::from_bytes(&part.to_bytes()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let other = sealed([&[3], &sample().to_bytes()[1..]].concat());
    assert!(TreePart::from_bytes(&other).unwrap_err().to_string().contains("its format is not known"));
}
