//! The decoders of this crate's state and files, given wrong bytes. The store checks tables and each block of a file is
//! checked, so such bytes can only come from a program with another format: they must give an error, and no panic.

use std::cell::Cell;

use bytes::Bytes;
use deltic_compiler::{Projected, Seen};
use deltic_core::{CatalogUuid, Digest, Fields, Meta, Payload, RunId, Timestamp, Version};
use deltic_store::{
    Catalog, Codec, Draft, DraftOptions, Entry, NewCatalog, PackName, Place, Stores, Tree, entry_len, read_entry,
    write_entry,
};

use crate::checkpoint::codec::{read_mapped, read_reduced, write_mapped, write_reduced};
use crate::key::{InputKey, LayerIndex, OutputKey};
use crate::sort::external::Shuffle;
use crate::sort::key_set::KeySet;
use crate::sort::rows::RowStream;
use crate::sort::spill::{Spill, SpillWriter};
use crate::stage::contributors::read_values;
use crate::state::read_keys::RecordedRead;
use crate::state::reads::Reader;
use crate::state::tables::{State, row_key};
use crate::{ErrorKind, Result};

#[path = "../../../tests/support/hostile.rs"]
mod harness;

use harness::{Decoder, check, seeds};

/// An entry with fields for each kind of place.
fn entries() -> Vec<Vec<u8>> {
    let mut fields = Fields::default();
    fields.set("a", "b").unwrap();
    let pack = PackName { base: Version(7), run: RunId(8), seq: 9 };
    let places = [
        Place::Inline(Bytes::from_static(b"abc")),
        Place::Pack { pack, offset: 1 << 40, stored: 3, codec: Codec::Raw },
        Place::Pack { pack, offset: 0, stored: 2, codec: Codec::Zstd },
    ];
    let meta = Meta { digest: Digest::of(b"abc"), len: 3, fields };
    let bytes = |place| {
        let mut bytes = Vec::new();
        write_entry(&Entry { meta: meta.clone(), place }, &mut bytes);
        bytes
    };
    places.map(bytes).to_vec()
}

/// Rows as they lie in a file: three lengths, then the bytes.
fn rows() -> Vec<u8> {
    let row = |out: &[u8], item: &[u8], value: &[u8]| {
        let lengths = [&(out.len() as u16).to_le_bytes()[..], &(item.len() as u16).to_le_bytes()].concat();
        [&lengths, &(value.len() as u32).to_le_bytes()[..], out, item, value].concat()
    };
    (0..9u8).flat_map(|n| row(&[n; 3], &[n; 5], &vec![n; n as usize * 20])).collect()
}

/// Keys as they lie in a file: a length, marks, the bytes.
fn keys() -> Vec<u8> {
    (0..9u8).flat_map(|n| [&[n, 0, 1][..], &vec![n; n as usize]].concat()).collect()
}

fn walk_rows(bytes: &[u8]) -> Result<()> {
    let mut sorted = Shuffle::of_runs(vec![Spill::of(bytes)]).finish()?;
    while let Some(row) = sorted.peek()? {
        assert!(row.out.len() + row.item.len() + row.value.len() <= bytes.len());
        sorted.advance()?;
    }
    Ok(())
}

fn walk_keys(bytes: &[u8]) -> Result<()> {
    let set = KeySet::of_file(Spill::of(bytes));
    let mut walk = set.walk();
    while let Some((mut key, _)) = walk.peek()? {
        let _ = InputKey::read(&mut key);
        walk.advance()?;
    }
    Ok(())
}

/// One row of a table of the state: which table, how long the value is, the key, the value.
fn state_rows() -> Vec<Vec<u8>> {
    let (a, b) = (InputKey::new(LayerIndex(0), b"a".as_slice()), OutputKey::new(LayerIndex(1), b"b".as_slice()));
    let digest = Digest::of(b"x");
    let part = Projected { projection: "part".to_owned(), argument: "7".to_owned() };
    let seen = [
        Seen::Partition(0, b"a".as_slice().into()),
        Seen::Presence(0, b"a".as_slice().into()),
        Seen::Within(0, b"a".as_slice().into()),
        Seen::Part(0, b"a".as_slice().into(), part, digest),
    ];
    let row = |table: u8, key: &[u8], value: &[u8]| [&[table, value.len() as u8][..], key, value].concat();
    let mut rows = vec![
        row(0, &row_key(&a, &b), digest.as_bytes()),
        row(1, &row_key(&a, &b), &[]),
        row(2, &row_key(&a, &b), b"\x03\0\0\0abc"),
    ];
    for read in seen.iter().map(RecordedRead::of) {
        for reader in [Reader::Front(a.clone()), Reader::Back(b.clone())] {
            let part = read.part.map_or(Vec::new(), |digest| digest.as_bytes().to_vec());
            rows.push(row(3, &[&reader.bytes()[..], &read.key].concat(), &part));
            rows.push(row(4, &[&read.key[..], &[0], &reader.bytes()].concat(), &part));
        }
    }
    rows
}

/// Puts a row into its table, and looks it up in every way that stages do.
fn ask_state(draft: &Draft, row: &[u8]) -> Result<()> {
    let [table_number, value_len, row @ ..] = row else { return Ok(()) };
    let (key, value) = row.split_at(row.len().saturating_sub(usize::from(*value_len)));
    let mut editor = draft.editor(&draft.empty_tree())?;
    editor.apply(key, Some(&draft.put(&Payload::new(value.to_vec()))?))?;
    let table: Tree = editor.finish()?;
    let state = State::of_one_table(&"task".parse().unwrap(), &table);
    for (layer, name) in [(LayerIndex(0), b"a".as_slice()), (LayerIndex(1), b"b".as_slice())] {
        let (input, output) = (InputKey::new(layer, name), OutputKey::new(layer, name));
        match table_number {
            0 => drop(state.edges_of(&input).collect::<Result<Vec<_>>>()?),
            1 => {
                for found in state.contributors_of(&output.to_bytes()) {
                    let _: InputKey = state.decode(&found?.0)?;
                }
            }
            2 => {
                for found in state.values_of(&output.to_bytes()) {
                    let (item, entry) = found?;
                    let _: InputKey = state.decode(&item)?;
                    read_values(table.read(&entry)?.bytes()).ok_or_else(|| state.broken("cut short"))?;
                }
            }
            3 => {
                state.reads_of(&Reader::Front(input))?;
                state.reads_of(&Reader::Back(output))?;
            }
            _ => {
                let watch = state.watch(layer)?;
                let changes = [(b"a".as_slice().into(), true), (b"b".as_slice().into(), false)];
                state.readers_of(
                    &watch,
                    &changes,
                    &|_, _, _| Ok(Box::new(|_| Ok(Some(Digest::of(b"now"))))),
                    |_| Ok(()),
                )?;
            }
        }
    }
    Ok(())
}

fn draft() -> Draft {
    let identity = NewCatalog { uuid: CatalogUuid(5), run: RunId(1), created: Timestamp(0) };
    let catalog = Catalog::create(&Stores::new(), "memory:out", Vec::new(), identity).unwrap();
    Draft::begin(
        &catalog.latest().unwrap(),
        RunId(2),
        DraftOptions { inline_bytes: 1 << 20, ..DraftOptions::default() },
    )
}

/// Whether the bytes are accepted. They may be refused with errors of these kinds only.
fn taken(result: Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => match error.kind() {
            ErrorKind::State | ErrorKind::Machine | ErrorKind::Internal | ErrorKind::Store(_) => false,
            kind => panic!("an error of another kind, {kind:?}: {error}"),
        },
    }
}

fn check_all(range: std::ops::Range<u64>) {
    // A draft holds what is put into it, so now and then there is a new one.
    let (kept, used) = (std::cell::RefCell::new(draft()), Cell::new(0));
    let state = |bytes: &[u8]| {
        used.set(used.get() + 1);
        if used.get() % 1000 == 0 {
            kept.replace(draft());
        }
        taken(ask_state(&kept.borrow(), bytes))
    };
    let key = InputKey::new(LayerIndex(7), b"name".as_slice()).to_bytes().to_vec();
    let mapped = write_mapped(&crate::checkpoint::codec::tests::mapped()).unwrap();
    let reduced = write_reduced(&crate::checkpoint::codec::tests::reduced()).unwrap();
    check(
        &[
            Decoder::new("an entry", entries(), (2, 1 << 13), |bytes| {
                entry_len(bytes);
                read_entry(bytes).is_some_and(|entry| {
                    let mut again = Vec::new();
                    write_entry(&entry, &mut again);
                    assert_eq!(again, bytes, "it has one form");
                    true
                })
            }),
            Decoder::new("a key", vec![key], (1, 0), |mut bytes| InputKey::read(&mut bytes).is_some())
                .with_words(&["\0", "\u{1}"]),
            Decoder::new("values", vec![b"\x03\0\0\0abc\0\0\0\0".to_vec()], (16, 64), |bytes| {
                read_values(bytes).is_some()
            }),
            Decoder::new("results of front-ends", vec![mapped.clone()], (64, 1 << 12), |bytes| {
                read_mapped(bytes).is_some_and(|batch| {
                    assert_eq!(write_mapped(&batch).as_deref(), Some(bytes), "it has one form");
                    true
                })
            }),
            Decoder::new("results of back-ends", vec![reduced.clone()], (64, 1 << 12), |bytes| {
                read_reduced(bytes).is_some_and(|batch| {
                    assert_eq!(write_reduced(&batch).as_deref(), Some(bytes), "it has one form");
                    true
                })
            }),
            // Each holds a block of its file, and another is held while it is written.
            Decoder::new("rows in a file", vec![rows()], (8, 4 << 16), |bytes| taken(walk_rows(bytes))),
            Decoder::new("keys in a file", vec![keys()], (8, 4 << 16), |bytes| taken(walk_keys(bytes))),
            // What the nodes of a new table take.
            Decoder::new("tables of the state", state_rows(), (64, 1 << 20), state).sealed(|mut row| {
                row.iter_mut().take(1).for_each(|table| *table %= 5);
                row
            }),
        ],
        range,
    );
}

#[test]
fn decoders_bear_anything() {
    check_all(0..500);
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-driver --lib -- --ignored hostile:: --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn decoders_bear_much_more() {
    check_all(seeds("0..100000"));
}

/// The results that take most memory for their length.
#[test]
fn recorded_reads_keep_the_bound() {
    let mut batch = crate::checkpoint::codec::tests::reduced();
    let read = |_| Seen::Presence(3, b"".as_slice().into());
    batch[0].reads = (0..100_000).map(read).collect();
    let bytes = write_reduced(&batch).unwrap();
    let held = allocation_counter::measure(|| assert!(read_reduced(&bytes).is_some()));
    let times = held.bytes_max as f64 / bytes.len() as f64;
    assert!((16.0..64.0).contains(&times), "{times} times its length");
}

/// A file that is longer than a block, with a length that leads out of it.
#[test]
fn a_row_is_never_longer_than_its_file() {
    let mut writer = SpillWriter::new().unwrap();
    writer.write(&[0xff; 8]).unwrap();
    writer.write(&vec![7; 300_000]).unwrap();
    let file = writer.finish().unwrap();
    let held = allocation_counter::measure(|| {
        assert!(Shuffle::of_runs(vec![file]).finish().is_err());
    });
    assert!(held.bytes_max < 1 << 20, "{held:?}");
}
