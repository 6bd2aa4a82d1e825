//! Nodes there and back, and decoding of anything.

use bytes::Bytes;
use deltic_core::{Digest, Fields, Meta, RunId, Version};
use proptest::prelude::*;

use super::encode::CHECK_BYTES;
use super::{Columns, Node, NodeRef, NodeWriter};
use crate::format::entry::{Codec, Entry, NodePlace, Place};
use crate::format::object_name::PackName;

fn pack() -> impl Strategy<Value = PackName> {
    (0..3u64, 0..3u64, 0..3u32).prop_map(|(base, run, seq)| PackName { base: Version(base), run: RunId(run), seq })
}

fn entry() -> impl Strategy<Value = Entry> {
    let fields = prop_oneof![
        4 => Just(Fields::default()),
        1 => "[a-z]{1,8}".prop_map(|value| {
            let mut fields = Fields::default();
            fields.set("name", &value).unwrap();
            fields
        }),
    ];
    let place = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Place::Inline(Bytes::from(bytes))),
        (pack(), 0..1u64 << 40, 1..1u64 << 24, any::<bool>()).prop_map(|(pack, offset, stored, zstd)| {
            let codec = if zstd { Codec::Zstd } else { Codec::Raw };
            Place::Pack { pack, offset, stored, codec }
        }),
    ];
    (place, any::<[u8; 32]>(), any::<u32>(), fields).prop_map(|(place, digest, len, fields)| {
        let (digest, len) = match &place {
            Place::Inline(bytes) => (Digest::of(bytes), bytes.len() as u64),
            Place::Pack { stored, codec: Codec::Raw, .. } => (Digest::from_bytes(digest), *stored),
            Place::Pack { .. } => (Digest::from_bytes(digest), u64::from(len)),
        };
        Entry { meta: Meta { digest, len, fields }, place }
    })
}

fn leaf() -> impl Strategy<Value = Columns> {
    let key = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        "shared/beginning/[0-9]{1,6}".prop_map(String::into_bytes),
    ];
    proptest::collection::btree_map(key, entry(), 1..80).prop_map(|entries| {
        let mut columns = Columns::default();
        entries.iter().for_each(|(key, entry)| columns.push_entry(key, entry));
        columns
    })
}

fn inner() -> impl Strategy<Value = Columns> {
    let child = (pack(), 0..1u64 << 40, 1..1u64 << 24, any::<[u8; 32]>(), 1..1u64 << 30, 0..1u64 << 40);
    proptest::collection::btree_map("[0-9]{1,12}", child, 1..80).prop_map(|children| {
        let mut columns = Columns::default();
        for (key, (pack, offset, stored, digest, count, bytes)) in children {
            let place = NodePlace { pack, offset, stored };
            let child = NodeRef { digest: Digest::from_bytes(digest), level: 2, count, bytes, place };
            columns.push_child(key.as_bytes(), &child);
        }
        columns
    })
}

fn encode(level: u8, columns: &Columns) -> Vec<u8> {
    NodeWriter::new().unwrap().encode(level, columns).unwrap()
}

fn check_round_trip(level: u8, columns: &Columns) {
    let bytes = encode(level, columns);
    let node = Node::decode(&bytes).unwrap();
    assert_eq!(node.columns(), columns);
    assert_eq!(node.digest(), NodeWriter::new().unwrap().digest(level, columns));
    assert_eq!(encode(level, node.columns()), bytes);
}

proptest! {
    #[test]
    fn stretches_of_equal_entries_are_as_long_as_one_by_one(
        columns in leaf(),
        (from, gone, at, what) in (0..4usize, 0..4usize, any::<proptest::sample::Index>(), 0..5u8),
    ) {
        // Another leaf without the first entries, and with one entry that differs in some way.
        let mut other = Columns::default();
        let changed = at.index(columns.len());
        for index in gone..columns.len() {
            let (mut key, mut meta) = (columns.key(index).to_vec(), columns.meta(index));
            match what {
                0 if index == changed => key.push(0),
                1 if index == changed => meta.digest = Digest::of(b"another"),
                2 if index == changed => meta.len ^= 1,
                3 if index == changed => meta.fields.set("other", "field").unwrap(),
                _ => {}
            }
            let place = Place::Pack { pack: PackName { base: Version(9), run: RunId(9), seq: 9 }, offset: 9, stored: 9, codec: Codec::Zstd };
            other.push_entry(&key, &Entry { meta, place });
        }
        for (index, at) in [(gone + from, from), (from, from), (gone, from)] {
            if index > columns.len() || at > other.len() {
                continue;
            }
            let same = |(one, two): &(usize, usize)| {
                columns.key(*one) == other.key(*two) && columns.meta(*one) == other.meta(*two)
            };
            let expected = (index..columns.len()).zip(at..other.len()).take_while(same).count();
            prop_assert_eq!(columns.equal_from(index, &other, at), expected);
        }
    }

    #[test]
    fn leaves_round_trip(columns in leaf()) {
        check_round_trip(0, &columns);
    }

    #[test]
    fn inner_nodes_round_trip(columns in inner()) {
        check_round_trip(3, &columns);
    }

    /// Copying ranges of one node into another loses nothing.
    #[test]
    fn ranges_are_copied_whole(columns in leaf(), split in any::<prop::sample::Index>()) {
        let split = split.index(columns.len());
        let mut copy = Columns::default();
        copy.push_range(&columns, 0..split);
        copy.push_range(&columns, split..columns.len());
        prop_assert_eq!(&Node::decode(&encode(0, &copy)).unwrap().columns, &Node::decode(&encode(0, &columns)).unwrap().columns);
    }

    #[test]
    fn anything_is_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Node::decode(&bytes);
        let _ = Node::decode_unchecked(&bytes);
        let _ = Node::decode_unchecked(&[b"DLTN\x01\x00\x00\x00", &bytes[..]].concat());
    }

    /// Behind the check, too: a node with wrong bytes is refused, or is another node with another digest, or differs
    /// in places only.
    #[test]
    fn changed_bytes_never_pass_for_the_same_node(
        columns in leaf(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let bytes = encode(0, &columns);
        let body = &bytes[..bytes.len() - CHECK_BYTES];
        let mut changed = body.to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            changed[at] = byte;
        }
        let whole = Node::decode_unchecked(body).unwrap();
        if let Ok(node) = Node::decode_unchecked(&changed)
            && node.digest() == whole.digest()
        {
            prop_assert_eq!(&node.columns.keys, &whole.columns.keys);
            prop_assert_eq!(&node.columns.digests, &whole.columns.digests);
            prop_assert_eq!(&node.columns.lens, &whole.columns.lens);
            prop_assert_eq!(&node.columns.fields, &whole.columns.fields);
        }
    }
}

/// What is behind the magic of a node that this crate writes, one by one: a later layout must not pass for this one.
#[test]
fn a_header_that_is_not_known_is_refused() {
    let mut columns = Columns::default();
    let meta = Meta { digest: Digest::of(b"v"), len: 1, fields: Fields::default() };
    columns.push_entry(b"k", &Entry { meta, place: Place::Inline(Bytes::from_static(b"v")) });
    let bytes = encode(0, &columns);
    let body = &bytes[..bytes.len() - CHECK_BYTES];
    assert!(Node::decode_unchecked(body).is_ok());
    let [layout, level, flags, zero] = [4, 5, 6, 7];
    for (at, value) in [(layout, 200), (level, 65), (flags, 2), (flags, 0x80), (zero, 1), (0, b'x')] {
        let mut changed = body.to_vec();
        changed[at] = value;
        let error = Node::decode_unchecked(&changed).map(|_| ()).unwrap_err();
        let known = ["its layout is not known", "its header is not known", "it does not begin as a node"];
        assert!(known.contains(&error.0), "byte {at}: {error:?}");
    }
}

#[test]
fn every_flip_of_a_node_is_noticed() {
    let mut columns = Columns::default();
    for n in 0..30u8 {
        let place = Place::Inline(Bytes::from(vec![n; 3]));
        let meta = Meta { digest: Digest::of(&[n; 3]), len: 3, fields: Fields::default() };
        columns.push_entry(&[b'k', n], &Entry { meta, place });
    }
    let bytes = encode(0, &columns);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(Node::decode(&flipped).is_err(), "byte {at} bit {bit}");
        }
        assert!(Node::decode(&bytes[..at]).is_err());
    }
}

/// A small object must not make a decoder ask for much memory.
#[test]
fn claims_do_not_allocate() {
    let mut body = b"DLTN\x01\x00\x01\x00".to_vec();
    crate::format::varint::put(&mut body, 65_536);
    crate::format::varint::put(&mut body, 60 << 20);
    crate::format::varint::put(&mut body, 10);
    body.extend_from_slice(&[0; 10]);
    assert_eq!(Node::decode_unchecked(&body).unwrap_err().0, "its section grows too much");
    let mut body = b"DLTN\x01\x00\x00\x00".to_vec();
    crate::format::varint::put(&mut body, 65_536);
    crate::format::varint::put(&mut body, 4);
    body.extend_from_slice(&[0; 4]);
    assert_eq!(Node::decode_unchecked(&body).unwrap_err().0, "its section is too short for its entries");
}

/// The node that takes most memory for its length: long keys that share all but their end, packed as tightly as is
/// allowed. It shows that decoding needs the bound that it states, and keeps it.
#[test]
fn the_node_that_grows_most_keeps_the_bound() {
    for (first_len, long) in [(16_300, 16_300), (1, 16_300)] {
        let mut columns = Columns::default();
        for n in 0..800u32 {
            let len = if n == 0 { first_len } else { long };
            let mut key = vec![b'a' + (n > 0) as u8; len];
            key.extend_from_slice(&n.to_be_bytes());
            let meta = Meta { digest: Digest::of(b""), len: 0, fields: Fields::default() };
            columns.push_entry(&key, &Entry { meta, place: Place::Inline(Bytes::new()) });
        }
        let mut section = Vec::new();
        super::encode::write_section(0, &columns, &mut section, &mut Vec::new());
        let mut packed = zstd::bulk::compress(&section, 1).unwrap();
        // A frame that can be skipped makes up for what is too good to be allowed.
        let short = (section.len() / super::MAX_EXPANSION + 1).saturating_sub(packed.len() + 8);
        packed.extend_from_slice(&0x184d_2a50u32.to_le_bytes());
        packed.extend_from_slice(&(short as u32).to_le_bytes());
        packed.extend(std::iter::repeat_n(0, short));
        let mut body = b"DLTN\x01\x00\x01\x00".to_vec();
        for number in [columns.len(), section.len(), packed.len()] {
            crate::format::varint::put(&mut body, number as u64);
        }
        body.extend_from_slice(&packed);
        let mut node = None;
        let held = allocation_counter::measure(|| node = Some(Node::decode_unchecked(&body))).bytes_max;
        assert_eq!(node.unwrap().unwrap().columns(), &columns);
        let times = held as f64 / section.len() as f64;
        println!("{} bytes, section {}, held {held}: {times:.1} times the section", body.len(), section.len());
        assert!(held <= Node::MEMORY_PER_SECTION_BYTE * section.len() as u64 + (1 << 17), "{times}");
        assert!(times > 16.0, "this is not the node that grows most: {times}");
    }
}
