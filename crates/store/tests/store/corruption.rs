//! Bytes that changed in the store: found, named, never used.

use std::io::Read;

use deltic_core::{Layer, RunId};
use deltic_store::testing::{Fault, Operation, faults, with_shape};
use deltic_store::{
    Catalog, Committed, Draft, DraftOptions, Error, ErrorKind, KeyRange, NextVersion, ObjectName, Result, Shape, Stores,
};

use crate::support::{
    Model, Ops, advance, build, content, create, edit, layer, names, next, numbered, objects, puts, remove, tampered,
    write,
};

/// Small enough to try every byte, and deep enough to have inner nodes.
const SHAPE: Shape = Shape { leaf_bits: 2, inner_bits: 2 };
const URL: &str = "memory:x";

fn model() -> Model {
    let mut model = numbered(0..40, 0);
    model.insert(b"in a pack".to_vec(), vec![3; 200]);
    model.insert(b"empty".to_vec(), Vec::new());
    model
}

/// Two versions: the second shares nodes with the first, so that both packs are referred to.
fn fill(stores: &Stores) {
    let catalog = with_shape(&create(stores, URL), SHAPE);
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(7), DraftOptions::default());
    let tree = build(&draft, &model());
    let state = [("table".to_owned(), build(&draft, &numbered(0..3, 1)))].into();
    let Committed::New(base) = draft.commit(NextVersion { state, ..next(&tree) }).unwrap() else {
        panic!("nothing to commit")
    };
    let draft = Draft::begin(&base, RunId(8), DraftOptions::default());
    let tree = edit(&draft, &names(&base), &Ops::from([(b"000007".to_vec(), Some(vec![8; 150]))])).unwrap();
    let state = [("table".to_owned(), base.state_table("table").unwrap())].into();
    assert!(matches!(draft.commit(NextVersion { state, ..next(&tree) }).unwrap(), Committed::New(_)));
}

/// Reads all there is, in every way.
fn read_everything(stores: &Stores) -> Result<Vec<(String, Vec<u8>)>> {
    let catalog = Catalog::open(stores, URL)?;
    let mut all = Vec::new();
    for snapshot in catalog.log() {
        let snapshot = snapshot?;
        let version = snapshot.version();
        for pack in &snapshot.listed_packs()? {
            catalog.pack(pack.name)?;
        }
        let state: Vec<String> = snapshot.state_tables().map(str::to_owned).collect();
        let tables = state.iter().map(|table| (table.clone(), snapshot.state_table(table)));
        let layers: Vec<Layer> = snapshot.layers().cloned().collect();
        let layers = layers.iter().map(|layer| (layer.id.to_string(), snapshot.tree(&layer.id)));
        for (name, tree) in layers.chain(tables) {
            let tree = tree.unwrap();
            for item in tree.scan(KeyRange::all()) {
                let (key, entry) = item?;
                let payload = tree.read(&entry)?;
                let mut streamed = Vec::new();
                tree.open(&entry)?.read_to_end(&mut streamed).map_err(|error| match error.downcast::<Error>() {
                    Ok(error) => error,
                    Err(error) => panic!("an error of another kind: {error}"),
                })?;
                assert_eq!(payload.bytes(), &streamed);
                all.push((format!("{version} {name} {}", String::from_utf8_lossy(&key)), streamed));
            }
        }
    }
    Ok(all)
}

fn assert_corrupt(stores: &Stores, object: &str, what: &str) {
    let error = read_everything(stores).expect_err(&format!("{object}: {what} was not noticed"));
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: object.to_owned() }, "{object}: {what}: {error}");
    assert!(error.to_string().contains(object), "{error}");
}

#[test]
fn every_flipped_byte_of_every_object_is_found_and_named() {
    let (store, stores) = tampered();
    fill(&stores);
    let whole = read_everything(&stores).unwrap();
    assert_eq!(whole.len(), 42 * 2 + 3 * 2);
    let all = objects(&store);
    assert_eq!(all.len(), 7, "catalog.json, three records, the hint and two packs: {:?}", all.keys());
    for (object, bytes) in &all {
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << (at % 8);
            write(&store, object, flipped.clone());
            match object.as_str() {
                // Only read when there is no version.
                "catalog.json" => assert_eq!(read_everything(&stores).unwrap(), whole),
                // Only a hint, unless it names a version that there is not.
                "versions/latest" if flipped[0].is_ascii_digit() && flipped[0] > b'2' && at == 0 => {
                    assert_corrupt(&stores, object, &format!("flipped byte {at}"));
                }
                "versions/latest" => assert_eq!(read_everything(&stores).unwrap(), whole),
                _ => assert_corrupt(&stores, object, &format!("flipped byte {at}")),
            }
        }
        write(&store, object, bytes.clone());
    }
    assert_eq!(read_everything(&stores).unwrap(), whole);
}

#[test]
fn every_truncation_of_every_object_is_found_and_named() {
    let (store, stores) = tampered();
    fill(&stores);
    for (object, bytes) in objects(&store) {
        if matches!(object.as_str(), "versions/latest" | "catalog.json") {
            continue;
        }
        for len in (0..bytes.len()).step_by(3) {
            write(&store, &object, bytes.slice(..len));
            assert_corrupt(&stores, &object, &format!("cut to {len} bytes"));
        }
        write(&store, &object, bytes);
    }
}

#[test]
fn missing_and_swapped_objects_are_found_and_named() {
    let (store, stores) = tampered();
    fill(&stores);
    let all = objects(&store);
    let packs: Vec<&String> = all.keys().filter(|object| object.starts_with("packs/")).collect();
    for pack in &packs {
        remove(&store, pack);
        assert_corrupt(&stores, pack, "removed");
        assert!(read_everything(&stores).unwrap_err().to_string().contains("missing"));
        write(&store, pack, all[*pack].clone());
    }
    write(&store, packs[0], all[packs[1]].clone());
    write(&store, packs[1], all[packs[0]].clone());
    assert!(
        matches!(read_everything(&stores).unwrap_err().kind(), ErrorKind::Corrupt { object } if object.starts_with("packs/"))
    );
    for (object, bytes) in &all {
        write(&store, object, bytes.clone());
    }
    let records: Vec<String> = (0..3).map(|n| ObjectName::Version(crate::support::version(n)).to_string()).collect();
    for (of, other) in [(1, 0), (1, 2), (0, 1), (2, 1)] {
        write(&store, &records[of], all[&records[other]].clone());
        assert_corrupt(&stores, &records[of], "another version's record");
        // Also where nothing but this record is looked at.
        let version = crate::support::version(of as u64);
        let error = Catalog::open(&stores, URL).unwrap().snapshot(version).unwrap_err();
        assert!(error.to_string().contains(&format!("it is the record of version {other}")), "{error}");
        write(&store, &records[of], all[&records[of]].clone());
    }
}

#[test]
fn catalog_json_is_checked_when_it_is_read() {
    let (store, stores) = tampered();
    fill(&stores);
    for object in objects(&store).keys().filter(|object| *object != "catalog.json") {
        remove(&store, object);
    }
    let bytes = objects(&store)["catalog.json"].clone();
    let latest = || Catalog::open(&stores, URL).unwrap().latest().unwrap_err();
    assert_eq!(*latest().kind(), ErrorKind::NotFound);
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        write(&store, "catalog.json", flipped);
        assert_eq!(*latest().kind(), ErrorKind::Corrupt { object: "catalog.json".to_owned() }, "byte {at}");
        let error = Catalog::create(&stores, URL, vec![layer()], crate::support::identity()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }));
    }
}

/// A connection that breaks is not a corrupt object.
#[test]
fn answers_cut_short_are_asked_for_again() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let plain = Stores::new();
    let catalog = create(&plain, URL);
    advance(&catalog, 7, &puts(&numbered(0..1000, 0)));
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&count);
    let flaky = plain.clone().with_wrapper(faults(move |operation, _| match operation {
        Operation::Get if seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => Fault::Short,
        _ => Fault::None,
    }));
    let snapshot = Catalog::open(&flaky, URL).unwrap().latest().unwrap();
    assert_eq!(content(&names(&snapshot)), numbered(0..1000, 0));
    assert!(count.load(Ordering::Relaxed) > 8);
    let broken = plain.with_wrapper(faults(|operation, object| match operation {
        Operation::Get if object.starts_with("packs/") => Fault::Short,
        _ => Fault::None,
    }));
    let snapshot = Catalog::open(&broken, URL).unwrap().latest().unwrap();
    let error = names(&snapshot).get(b"000001").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
}

type ReadPath<'a> = dyn Fn() -> Result<()> + 'a;

/// Every way to read a version, each on a catalog that was opened anew.
fn every_read_path(stores: &Stores, number: u64) -> Vec<(&'static str, Result<()>)> {
    let tree = || {
        let catalog = with_shape(&Catalog::open(stores, URL)?, SHAPE);
        let snapshot = catalog.snapshot(crate::support::version(number))?;
        Ok::<_, Error>((catalog, names(&snapshot)))
    };
    let entries = |tree: &deltic_store::Tree| {
        tree.scan(KeyRange::all()).map(|item| item.map(|(_, entry)| entry)).collect::<Result<Vec<_>>>()
    };
    let keys: Vec<Vec<u8>> = model().into_keys().collect();
    let paths: Vec<(&'static str, Box<ReadPath<'_>>)> = vec![
        (
            "get and read",
            Box::new(|| {
                let (_, tree) = tree()?;
                keys.iter().try_for_each(|key| tree.get(key)?.map_or(Ok(()), |entry| tree.read(&entry).map(|_| ())))
            }),
        ),
        (
            "scan and read all",
            Box::new(|| {
                let (_, tree) = tree()?;
                tree.read_all(&entries(&tree)?).map(|_| ())
            }),
        ),
        (
            "begin to read all",
            Box::new(|| {
                let (_, tree) = tree()?;
                tree.begin_read_all(entries(&tree)?)?.wait().map(|_| ())
            }),
        ),
        (
            "read ahead, then stream",
            Box::new(|| {
                let (_, tree) = tree()?;
                tree.read_ahead(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
                for entry in entries(&tree)? {
                    let read = tree.open(&entry)?.read_to_end(&mut Vec::new());
                    read.map_err(|error| error.downcast::<Error>().unwrap())?;
                }
                Ok(())
            }),
        ),
        (
            "rank and nth, then read",
            Box::new(|| {
                let (_, tree) = tree()?;
                for (rank, key) in (0..tree.count()).zip(&keys) {
                    tree.rank(key)?;
                    let (_, entry) = tree.nth(rank)?.unwrap();
                    tree.read(&entry)?;
                }
                Ok(())
            }),
        ),
        (
            "diff with nothing, then read",
            Box::new(|| {
                let (catalog, tree) = tree()?;
                let draft = Draft::begin(&catalog.latest()?, RunId(99), DraftOptions::default());
                draft.empty_tree().diff(&tree).try_for_each(|change| tree.read(&change?.after.unwrap()).map(|_| ()))
            }),
        ),
    ];
    paths.iter().map(|(name, path)| (*name, path())).collect()
}

/// On every way of reading, in a catalog where one object was exchanged, an error names it and says what to do.
fn assert_named_everywhere(stores: &Stores, object: &str, what: &str) {
    for (path, read) in every_read_path(stores, 2) {
        let error = read.expect_err(&format!("{object}: {what} was not noticed by {path}"));
        assert_eq!(*error.kind(), ErrorKind::Corrupt { object: object.to_owned() }, "{path}: {what}: {error}");
        let text = error.to_string();
        assert!(text.contains(URL) && text.contains(object) && text.contains("restore the object"), "{path}: {text}");
    }
}

#[test]
fn objects_of_other_versions_and_catalogs_are_named_on_every_way_of_reading() {
    let (store, stores) = tampered();
    fill(&stores);
    assert!(every_read_path(&stores, 2).iter().all(|(_, read)| read.is_ok()));
    let all = objects(&store);
    // The same history of another catalog: its names differ in the run only, as do its bytes.
    let (other_store, other) = tampered();
    let foreign = deltic_store::NewCatalog { uuid: deltic_core::CatalogUuid(5), ..crate::support::identity() };
    let foreign = Catalog::create(&other, URL, vec![layer()], foreign).unwrap();
    advance(&with_shape(&foreign, SHAPE), 70, &puts(&numbered(0..40, 5)));
    advance(&with_shape(&foreign, SHAPE), 71, &puts(&numbered(0..9, 6)));
    let others = objects(&other_store);
    let packs: Vec<&String> = all.keys().filter(|object| object.starts_with("packs/")).collect();
    let other_pack = others.keys().find(|object| object.starts_with("packs/")).unwrap();
    for (index, pack) in packs.iter().enumerate() {
        for (bytes, what) in
            [(&all[packs[1 - index]], "the other version's pack"), (&others[other_pack], "another catalog's pack")]
        {
            write(&store, pack, bytes.clone());
            assert_named_everywhere(&stores, pack, what);
            write(&store, pack, all[*pack].clone());
        }
        remove(&store, pack);
        assert_named_everywhere(&stores, pack, "removed");
        write(&store, pack, all[*pack].clone());
        write(&store, pack, Vec::new());
        assert_named_everywhere(&stores, pack, "emptied");
        write(&store, pack, all[*pack].clone());
    }
    let record = "versions/00000000000000000002";
    for (bytes, what) in [
        (&all["versions/00000000000000000001"], "an older record"),
        (&others[record], "another catalog's record"),
        (&all["catalog.json"], "another kind of object"),
    ] {
        write(&store, record, bytes.clone());
        assert_named_everywhere(&stores, record, what);
    }
}

/// What maintenance does with a damaged catalog: it says so, and makes nothing worse.
#[test]
fn maintenance_of_a_damaged_catalog_stops_before_it_changes_anything() {
    let (store, stores) = tampered();
    fill(&stores);
    let all = objects(&store);
    let pack = all.keys().find(|object| object.starts_with("packs/")).unwrap();
    let mut flipped = all[pack].to_vec();
    let at = flipped.windows(4).position(|window| window == b"DLTN").unwrap();
    flipped[at + 20] ^= 1;
    write(&store, pack, flipped);
    let damaged = objects(&store);
    let catalog = || with_shape(&Catalog::open(&stores, URL).unwrap(), SHAPE);
    let options = deltic_store::RepackOptions { below_percent: 100, ..deltic_store::RepackOptions::default() };
    let repacked = catalog().repack(&options, RunId(50), deltic_core::Timestamp(0), false).map(|_| ());
    for result in [catalog().gc(false).map(|_| ()), repacked] {
        assert_eq!(*result.unwrap_err().kind(), ErrorKind::Corrupt { object: pack.clone() });
        assert_eq!(objects(&store), damaged);
    }
}
