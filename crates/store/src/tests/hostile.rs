//! Feeds wrong bytes to every decoder of this crate. The bounds here are those that the decoders state.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use deltic_core::{CatalogUuid, Digest, Fields, Layer, Meta, RunId, Timestamp, Version};

use crate::catalog::latest::parse_hint;
use crate::format::checked_json;
use crate::format::entry::{Codec, Entry, NodePlace, Place};
use crate::format::inflate::{MAX_GROWTH, inflate};
use crate::format::node::{Columns, Node, NodeRef, NodeWriter};
use crate::format::object_name::PackName;
use crate::format::pack::{IndexWriter, PackIndex};
use crate::format::progress::tests as progress;
use crate::format::record::{CATALOG_FORMAT, CatalogRecord, LayerRecord, StateRecord, TaskRecord, VersionRecord};
use crate::format::shape::Shape;
use crate::format::tree_part::{TreePart, tests as tree_part};
use crate::format::tree_root::Root;
use crate::format::varint::Reader;
use crate::{BlobKind, Dependency, Owner, Packs, Tag};

use super::written::GOLDEN_PACKED;

#[path = "../../../../tests/support/hostile.rs"]
mod harness;

use harness::{Decoder, check as check_all, seeds};

fn pack(seq: u32) -> PackName {
    PackName { base: Version(7), run: RunId(0x0102_0304), seq }
}

fn fields() -> Fields {
    let mut fields = Fields::default();
    fields.set("name", "value").unwrap();
    fields.set("other", "field").unwrap();
    fields
}

/// Leaves: payloads inline and in packs, of both codecs, with and without fields, few and many.
fn leaves() -> Vec<Columns> {
    let leaf = |count: u32, every: u32, fields: &Fields| {
        let mut columns = Columns::default();
        for n in 0..count {
            let payload = vec![n as u8; n as usize % 9];
            let (place, len) = match n % every {
                0 => (Place::Inline(Bytes::from(payload.clone())), payload.len() as u64),
                1 => {
                    let place =
                        Place::Pack { pack: pack(n % 3), offset: u64::from(n) * 999, stored: 99, codec: Codec::Zstd };
                    (place, 5000)
                }
                _ => (Place::Pack { pack: pack(0), offset: u64::from(n) * 200, stored: 200, codec: Codec::Raw }, 200),
            };
            let fields = if n % 4 == 0 { fields.clone() } else { Fields::default() };
            let meta = Meta { digest: Digest::of(&payload), len, fields };
            columns.push_entry(format!("some/key/{n:06}").as_bytes(), &Entry { meta, place });
        }
        columns
    };
    vec![
        leaf(1, 1, &Fields::default()),
        leaf(20, 3, &fields()),
        leaf(70, 2, &Fields::default()),
        leaf(300, 5, &fields()),
    ]
}

fn inners() -> Vec<Columns> {
    let inner = |count: u32| {
        let mut columns = Columns::default();
        for n in 0..count {
            let place = NodePlace { pack: pack(n % 4), offset: u64::from(n) * 5000, stored: 4000 };
            let child = NodeRef { digest: Digest::of(&[n as u8]), level: 1, count: 60, bytes: 6000, place };
            columns.push_child(format!("{n:05}").as_bytes(), &child);
        }
        columns
    };
    vec![inner(1), inner(130)]
}

fn nodes(level: u8, columns: &[Columns]) -> Vec<Vec<u8>> {
    columns.iter().map(|columns| NodeWriter::new().unwrap().encode(level, columns).unwrap()).collect()
}

/// Nodes whose section is not compressed, so that it can be changed.
fn plain(node: &[u8]) -> Vec<u8> {
    let mut reader = Reader(&node[8..]);
    let (count, raw) = (reader.number().unwrap(), reader.number().unwrap());
    let section = match node[6] {
        0 => reader.take(raw as usize).unwrap().to_vec(),
        _ => {
            let stored = reader.number().unwrap();
            inflate(reader.take(stored as usize).unwrap(), raw as usize).unwrap()
        }
    };
    let mut out = [&node[..6], &[0, 0]].concat();
    crate::format::varint::put(&mut out, count);
    crate::format::varint::put(&mut out, raw);
    [out, section, reader.0.to_vec()].concat()
}

/// A node's check made right, whatever comes before it.
fn sealed(mut node: Vec<u8>) -> Vec<u8> {
    node.truncate(node.len().saturating_sub(8));
    let check = blake3::hash(&node);
    node.extend_from_slice(&check.as_bytes()[..8]);
    node
}

/// The same with the section in a frame, as far as there is one.
fn compressed(mut node: Vec<u8>) -> Vec<u8> {
    let packed = || {
        let (head, rest) = node.split_at_checked(8)?;
        let mut reader = Reader(rest);
        let (count, raw) = (reader.number().ok()?, reader.number().ok()?);
        let section = reader.0.get(..usize::try_from(raw).ok()?.min(reader.0.len()))?;
        let frame = zstd::bulk::compress(section, 1).ok()?;
        let mut out = [&head[..6], &[1, 0]].concat();
        [count, raw, frame.len() as u64].iter().for_each(|number| crate::format::varint::put(&mut out, *number));
        Some([&out, &frame, &reader.0[section.len()..]].concat())
    };
    if let Some(packed) = packed() {
        node = packed;
    }
    sealed(node)
}

fn a_pack() -> Vec<u8> {
    let blobs = [&b"payload"[..], b"", b"another payload"];
    let mut index = IndexWriter::default();
    for (number, blob) in blobs.iter().enumerate() {
        let kind = if number == 2 { BlobKind::Node } else { BlobKind::Payload };
        index.add(kind, Codec::Raw, blob.len() as u64, &Digest::of(blob));
    }
    [&b"DLTPACK\x01"[..], &blobs.concat(), &index.finish()].concat()
}

/// The digest in a pack's footer made right.
fn indexed(mut pack: Vec<u8>) -> Vec<u8> {
    if let Some(len) = PackIndex::index_len(&pack).and_then(|len| usize::try_from(len).ok())
        && let Some(start) = (pack.len() - 48).checked_sub(len)
    {
        let end = pack.len() - 48;
        let digest = Digest::of(&pack[start..end]);
        pack[end + 8..end + 40].copy_from_slice(digest.as_bytes());
    }
    pack
}

fn catalog_record() -> CatalogRecord {
    CatalogRecord {
        format: CATALOG_FORMAT,
        catalog: CatalogUuid(5),
        created: Timestamp(1_700_000_000_000),
        tree: Shape::FORMAT_1,
    }
}

pub(super) fn version_record() -> VersionRecord {
    let place = Some(NodePlace { pack: pack(0), offset: 8, stored: 99 });
    let root = Root { digest: Digest::of(b"root"), level: 1, count: 9, bytes: 99, place };
    let layers = vec![LayerRecord { layer: Layer::generic("names").unwrap(), root }];
    VersionRecord {
        catalog: CatalogUuid(5),
        version: Version(3),
        parent: Some(Digest::of(b"parent")),
        run: RunId(9),
        created: Timestamp(1_700_000_000_000),
        note: "a note".to_owned(),
        digest: VersionRecord::catalog_digest(&layers),
        owner: Some(Owner::Tasks(vec!["task".parse().unwrap()])),
        tags: vec![Tag { name: "keep/one".to_owned(), version: Version(1), note: "a customer has it".to_owned() }],
        layers,
        state: vec![StateRecord { table: "task/edges".to_owned(), root }],
        dependencies: vec![Dependency {
            catalog: Some("in".parse().unwrap()),
            uuid: CatalogUuid(6),
            url: "memory:in".to_owned(),
            version: Version(2),
            digest: Digest::of(b"in"),
            direct: true,
        }],
        tasks: vec![TaskRecord {
            id: "task".parse().unwrap(),
            fingerprint: Digest::of(b"task"),
            parts: [("code".to_owned(), "1".to_owned())].into(),
            configuration: serde_json::json!({"a": [1, 2.5, null], "b": {"c": "d"}}),
        }],
        retained: vec![(Version(0), Version(1)), (Version(3), Version(3))],
        packs: Packs { count: 1, bytes: 4711 },
        statistics: serde_json::json!({"requests": 7}),
    }
}

/// The check of a record made right.
pub(super) fn checked(mut record: Vec<u8>) -> Vec<u8> {
    const END: usize = "  \"check\": \"\"\n}\n".len() + 64;
    record.truncate(record.len().saturating_sub(END));
    let check = blake3::hash(&record).to_hex();
    record.extend_from_slice(format!("  \"check\": \"{check}\"\n}}\n").as_bytes());
    record
}

/// Records as they were written once, of both formats, with a rest that is not compressed.
const GOLDEN: [&[u8]; 2] = [
    include_bytes!("../../tests/golden/format-1/versions/00000000000000000001"),
    include_bytes!("../../tests/golden/format-2/versions/00000000000000000001"),
];

/// The rests of records, as JSON that is not compressed: a short one, and one that is long enough to be.
fn rests() -> Vec<Vec<u8>> {
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let frame = STANDARD.decode(json(GOLDEN_PACKED)["packed"].as_str().unwrap()).unwrap();
    let short = serde_json::to_vec(&json(&version_record().to_bytes().unwrap())["rest"]).unwrap();
    vec![short, inflate(&frame, 1 << 20).unwrap()]
}

/// A record that has this rest, compressed.
fn packed(rest: &[u8]) -> Vec<u8> {
    let record = String::from_utf8(version_record().to_bytes().unwrap()).unwrap();
    let (head, _) = record.split_once("  \"rest\": ").unwrap();
    let packed = STANDARD.encode(zstd::bulk::compress(rest, 1).unwrap());
    let check = "0".repeat(64);
    checked(format!("{head}  \"packed\": \"{packed}\",\n  \"check\": \"{check}\"\n}}\n").into_bytes())
}

/// Reads a record, and all that goes through the numbers in it.
fn read_record(bytes: &[u8]) -> bool {
    VersionRecord::from_bytes(bytes).is_ok_and(|record| {
        let _ = (record.state_digest(), record.retains(Version(9)), record.retained_versions().take(9).count());
        record.problem(record.version).is_none()
    })
}

/// What JSON is made of, and what grows most.
const WORDS: &[&str] = &[
    "[",
    "{\"\":",
    "{\"\":0},",
    "[],",
    "0,",
    "\"\",",
    "99999999999999999999",
    "1e999",
    "\\u0000",
    "\"check\": \"",
    "\n",
];

/// What a record with a packed rest takes at most, times its length.
const PACKED_GROWTH: u64 = 1536;

fn decoders() -> Vec<Decoder<'static>> {
    let plain = |level, columns: &[Columns]| nodes(level, columns).iter().map(|node| plain(node)).collect::<Vec<_>>();
    let node = |bytes: &[u8]| Node::decode(bytes).is_ok();
    let section = Node::MEMORY_PER_SECTION_BYTE;
    let text = |text: &str| text.as_bytes().to_vec();
    let as_text = |bytes: &[u8], parse: fn(&str) -> bool| std::str::from_utf8(bytes).is_ok_and(parse);
    vec![
        Decoder::new("a leaf", plain(0, &leaves()), (section, 1 << 17), node).sealed(sealed),
        Decoder::new("an inner node", plain(2, &inners()), (section, 1 << 17), node).sealed(sealed),
        Decoder::new("a compressed leaf", plain(0, &leaves()), (256 * section, 1 << 17), node).sealed(compressed),
        Decoder::new("a compressed inner node", plain(2, &inners()), (256 * section, 1 << 17), node).sealed(compressed),
        Decoder::new("a node as it is", nodes(0, &leaves()), (256 * section, 1 << 17), node),
        Decoder::new("a pack", vec![a_pack()], (8, 1 << 10), |bytes| PackIndex::read(bytes).is_ok()).sealed(indexed),
        Decoder::new("the two ends of a pack", vec![a_pack()[30..].to_vec()], (8, 1 << 10), |bytes| {
            PackIndex::read_ends(b"DLTPACK\x01", 22, bytes).is_ok()
        })
        .sealed(indexed),
        Decoder::new("an object of progress", vec![progress::sample().0], (8, 1 << 10), |bytes| {
            progress::read(bytes).is_some()
        })
        .sealed(progress::sealed),
        Decoder::new("a part of a tree", tree_part::samples(), (192, 1 << 12), |bytes| {
            TreePart::from_bytes(bytes).is_ok()
        })
        .sealed(tree_part::sealed),
        Decoder::new(
            "catalog.json",
            vec![checked_json::to_json(&catalog_record()).unwrap()],
            (128, 1 << 16),
            |bytes| checked_json::from_json::<CatalogRecord>(bytes).is_ok(),
        )
        .sealed(checked)
        .with_words(WORDS),
        Decoder::new(
            "a version record",
            [version_record().to_bytes().unwrap()].into_iter().chain(GOLDEN.map(<[u8]>::to_vec)).collect(),
            (128, 1 << 16),
            read_record,
        )
        .sealed(checked)
        .with_words(WORDS),
        Decoder::new("a packed version record", vec![GOLDEN_PACKED.to_vec()], (PACKED_GROWTH, 1 << 16), read_record)
            .sealed(checked)
            .with_words(WORDS),
        Decoder::new("what is packed in a version record", rests(), (PACKED_GROWTH, 1 << 16), read_record)
            .sealed(|rest| packed(&rest))
            .with_words(WORDS),
        Decoder::new("the hint", vec![text("42\n"), text("0")], (0, 0), |bytes| parse_hint(bytes).is_some())
            .with_words(&["9", "+", "-", " "]),
        Decoder::new("a number", vec![vec![7], vec![0xff, 0xff, 3]], (0, 0), |bytes| {
            let mut reader = Reader(bytes);
            reader.number().is_ok() && reader.end().is_ok()
        }),
        Decoder::new(
            "a frame",
            vec![zstd::bulk::compress(&[7; 5000], 1).unwrap()],
            (MAX_GROWTH as u64, 1 << 10),
            |bytes| inflate(bytes, usize::MAX).is_some(),
        ),
        Decoder::new(
            "the name of a pack",
            vec![text("000000000000002a-0000000000000007-0003")],
            (32, 1 << 10),
            move |bytes| as_text(bytes, |text| text.parse::<PackName>().is_ok()),
        )
        .with_words(&["-", "0", "f", "\u{7f}"]),
    ]
}

/// The JSON that grows most: objects of one field with the shortest of names.
#[test]
fn the_record_that_grows_most_keeps_the_bound() {
    let record = String::from_utf8(version_record().to_bytes().unwrap()).unwrap();
    let many = format!("[{}0]", "{\"\":0},".repeat(50_000));
    let grown = checked(record.replace("{\"requests\": 7}", &many).into_bytes());
    let held = allocation_counter::measure(|| {
        let record = VersionRecord::from_bytes(&grown).unwrap();
        assert_eq!(record.statistics.as_array().map(Vec::len), Some(50_001));
    });
    let times = held.bytes_max as f64 / grown.len() as f64;
    assert!((64.0..128.0).contains(&times), "{times} times its length");
}

/// The same where it is compressed, beside a text that is not compressed well: or it would shrink too much to be packed.
#[test]
fn the_compressed_record_that_grows_most_keeps_the_bound() {
    let mut noise = vec![0; 75_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let of = |count: usize| {
        let mut many = vec![serde_json::json!({ "": 0 }); count];
        many.push(STANDARD.encode(&noise).into());
        VersionRecord { statistics: many.into(), ..version_record() }
    };
    // The text has 100,000 bytes, and 75,000 when it is compressed: the rest may have 16 times that.
    let (record, too_much) = (of(155_000), of(160_000));
    let bytes = record.to_bytes().unwrap();
    assert!(bytes.len() < 110_000, "it is compressed");
    assert!(too_much.to_bytes().unwrap().len() > 1_200_000, "more is not");
    let held = allocation_counter::measure(|| assert_eq!(VersionRecord::from_bytes(&bytes).unwrap(), record));
    let times = held.bytes_max as f64 / bytes.len() as f64;
    assert!((PACKED_GROWTH as f64 / 2.0..PACKED_GROWTH as f64).contains(&times), "{times} times its length");
}

#[test]
fn decoders_bear_anything() {
    check_all(&decoders(), 0..1000);
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-store --lib -- --ignored hostile:: --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn decoders_bear_much_more() {
    check_all(&decoders(), seeds("0..1000000"));
}
