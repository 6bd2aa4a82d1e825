//! Catalogs whose latest record is damaged or lost, records beyond the latest version, those of expired versions, and what is
//! in the place of an object and is none.

use deltic_core::{RunId, Timestamp};
use deltic_store::{Catalog, Checked, Error, ErrorKind, Retention, Stores};
use object_store::memory::InMemory;

use crate::support::{
    CREATED, Ops, advance, begin, commit, create, edit, names, numbered, objects, puts, remove, tampered, version,
    write,
};

pub(crate) const URL: &str = "memory:x";

pub(crate) fn record(number: u64) -> String {
    format!("versions/{number:020}")
}

/// Versions 0 to 4, each with a payload of its own in a pack.
pub(crate) fn fill(stores: &Stores, url: &str) -> Catalog {
    let catalog = create(stores, url);
    for number in 1..=4 {
        advance(&catalog, number, &Ops::from([(vec![b'a', number as u8 + b'0'], Some(vec![number as u8; 300]))]));
    }
    catalog
}

pub(crate) fn open(stores: &Stores) -> Catalog {
    Catalog::open(stores, URL).unwrap()
}

fn flip(store: &InMemory, object: &str) {
    let mut bytes = objects(store)[object].to_vec();
    bytes[20] ^= 1;
    write(store, object, bytes);
}

pub(crate) fn damaged(found: &Checked) -> Vec<&str> {
    found.damage.iter().map(|damage| &damage.object[..]).collect()
}

pub(crate) fn is_corrupt(error: &Error, object: &str) -> bool {
    *error.kind() == ErrorKind::Corrupt { object: object.to_owned() }
}

#[test]
fn a_damaged_latest_record_hides_no_other_damage() {
    let (store, stores) = tampered();
    let catalog = fill(&stores, URL);
    let pack = format!("packs/{}", catalog.snapshot(version(2)).unwrap().listed_packs().unwrap()[0].name);
    let whole = open(&stores).fsck(true).unwrap();
    assert_eq!((whole.as_of, whole.damage.len()), (Some(version(4)), 0));
    flip(&store, &record(4));
    let found = open(&stores).fsck(true).unwrap();
    assert_eq!((damaged(&found), found.as_of), (vec![&record(4)[..]], Some(version(3))));
    assert_eq!((found.versions, found.retained, found.packs.count), (5, 4, 3), "all that can be read is checked");
    assert_eq!(found.damage[0].touches[0].versions, [(version(4), version(4))], "it can not be read");
    remove(&store, &pack);
    flip(&store, &record(1));
    let found = open(&stores).fsck(true).unwrap();
    for object in [&record(4), &record(1), &pack] {
        assert!(damaged(&found).contains(&&object[..]), "{object}: {found:?}");
    }
    // Nothing can be read: all of it is named.
    (0..5).filter(|number| ![1, 4].contains(number)).for_each(|number| flip(&store, &record(number)));
    let found = open(&stores).fsck(true).unwrap();
    assert_eq!((damaged(&found).len(), found.as_of, found.retained), (5, None, 0));
    // Damage to `catalog.json` is seen beside it.
    flip(&store, "catalog.json");
    assert_eq!(damaged(&open(&stores).fsck(true).unwrap())[0], "catalog.json");
}

#[test]
fn more_damaged_records_than_are_read_at_once_hide_none_before_them() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    for number in 0..140u64 {
        advance(&catalog, number + 2, &Ops::from([(b"a".to_vec(), Some(number.to_be_bytes().to_vec()))]));
    }
    (3..=140).for_each(|number| flip(&store, &record(number)));
    let found = open(&stores).fsck(false).unwrap();
    assert_eq!((found.damage.len(), found.as_of, found.versions), (138, Some(version(2)), 141));
    let read: Vec<u64> = open(&stores).log().filter_map(Result::ok).map(|found| found.version().0).collect();
    assert_eq!(read, [2, 1, 0]);
}

#[test]
fn the_log_goes_on_past_records_that_can_not_be_read() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    let log = || -> Vec<Result<u64, String>> {
        let found = open(&stores).log().map(|found| match found {
            Ok(snapshot) => Ok(snapshot.version().0),
            Err(error) => match error.kind() {
                ErrorKind::Corrupt { object } => Err(object.clone()),
                _ => panic!("{error}"),
            },
        });
        found.collect()
    };
    flip(&store, &record(2));
    assert_eq!(log(), [Ok(4), Ok(3), Err(record(2)), Ok(1), Ok(0)]);
    flip(&store, &record(4));
    assert_eq!(log(), [Err(record(4)), Ok(3), Err(record(2)), Ok(1), Ok(0)]);
    remove(&store, &record(3));
    remove(&store, &record(1));
    assert_eq!(log(), [Err(record(4)), Err(record(2)), Ok(0)], "what is missing is looked for among what is there");
    remove(&store, &record(4));
    assert_eq!(log(), [Err("versions/latest".to_owned()), Ok(0)], "the hint names it");
    let (store, stores) = tampered();
    fill(&stores, URL);
    remove(&store, &record(4));
    let read: Vec<u64> = open(&stores).log().skip(1).map(|found| found.unwrap().version().0).collect();
    assert_eq!(read, [3, 2, 1, 0], "and the newest that is there comes after it");
}

/// In a folder the hint is written when the record is there.
#[test]
fn a_latest_record_that_is_lost_is_damage_and_nothing_is_made_in_its_place() {
    for (lost, left) in [(vec![4], Some(3)), (vec![3, 4], Some(2)), (vec![0, 1, 2, 3, 4], None)] {
        let (store, stores) = tampered();
        fill(&stores, URL);
        lost.iter().for_each(|number| remove(&store, &record(*number)));
        let before = objects(&store);
        let error = open(&stores).latest().unwrap_err();
        assert!(is_corrupt(&error, "versions/latest"), "{error}");
        assert!(
            error.to_string().contains(&record(4)) && error.to_string().contains("remove versions/latest"),
            "{error}"
        );
        assert!(open(&stores).gc(false).is_err());
        let retention = Retention { last: Some(1), ..Retention::default() };
        assert!(open(&stores).retain(&retention, RunId(9), Timestamp(0), false).is_err());
        assert_eq!(objects(&store), before);
        let Some(left) = left else { continue };
        let found = open(&stores).fsck(true).unwrap();
        assert_eq!(damaged(&found), ["versions/latest"], "{found:?}");
        assert!(found.damage[0].what.contains("it names version 4") && found.damage[0].what.contains(&record(4)));
        assert_eq!(
            open(&stores).snapshot(version(left)).unwrap().version(),
            version(left),
            "what is there can be read"
        );
        remove(&store, "versions/latest");
        assert_eq!(open(&stores).latest().unwrap().version(), version(left), "the way out");
        assert!(open(&stores).fsck(true).unwrap().damage.is_empty());
    }
}

/// A remote store has a hint that is ahead by one when a commit died: that alone says nothing.
#[test]
fn a_hint_that_is_ahead_in_a_remote_store_is_lost_records_when_it_can_be_nothing_else() {
    let (store, stores) = tampered();
    fill(&stores, "s3://bucket/x");
    let open = || Catalog::open(&stores, "s3://bucket/x").unwrap();
    write(&store, "versions/latest", "5\n");
    assert_eq!(open().latest().unwrap().version(), version(4));
    let found = open().fsck(true).unwrap();
    assert_eq!((found.damage.len(), &found.warnings[0].object[..]), (0, "versions/latest"));
    // A run on version 5 has been there.
    write(&store, "packs/0000000000000005-0000000000000001-0000", "x");
    assert_eq!(damaged(&open().fsck(true).unwrap()), ["versions/latest"]);
    remove(&store, "packs/0000000000000005-0000000000000001-0000");
    write(&store, "versions/latest", "6\n");
    assert!(is_corrupt(&open().latest().unwrap_err(), "versions/latest"), "it was written on version 5");
    assert_eq!(damaged(&open().fsck(true).unwrap()), ["versions/latest"]);
    write(&store, "versions/latest", "5\n");
    advance(&open(), 9, &puts(&numbered(0..1, 0)));
    assert!(open().fsck(true).unwrap().warnings.is_empty());
}

#[test]
fn records_beyond_a_gap_are_named() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    for number in [7, 8, 20] {
        write(&store, &record(number), "x");
    }
    let found = open(&stores).fsck(true).unwrap();
    assert_eq!(damaged(&found), [&record(7)[..], &record(20)[..]]);
    assert!(
        found.damage[0].what.contains("versions 7 to 8") && found.damage[0].what.contains("no record of version 5")
    );
    // Without its hint a catalog with a gap ends there.
    let (store, stores) = tampered();
    fill(&stores, URL);
    remove(&store, &record(2));
    remove(&store, "versions/latest");
    assert_eq!(damaged(&open(&stores).fsck(true).unwrap()), [&record(3)[..]]);
    // Without the first record as well there seems to be nothing.
    remove(&store, &record(0));
    remove(&store, &record(1));
    assert!(is_corrupt(&open(&stores).latest().unwrap_err(), &record(0)), "packs are there");
    let found = open(&stores).fsck(true).unwrap();
    assert_eq!((damaged(&found), found.versions), (vec![&record(2)[..], &record(1), &record(0)], 5));
}

/// A damaged record of an earlier version says nothing about the one after it.
#[test]
fn a_damaged_record_before_the_latest_is_no_other_line() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    write(&store, "versions/latest", "3\n");
    flip(&store, &record(3));
    assert_eq!(open(&stores).latest().unwrap().version(), version(4));
}

#[test]
fn a_catalog_whose_versions_are_all_lost_is_not_created_again() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    (0..=4).for_each(|number| remove(&store, &record(number)));
    remove(&store, "versions/latest");
    let before = objects(&store);
    let created = Catalog::create(&stores, URL, Vec::new(), crate::support::identity());
    for error in [open(&stores).latest().unwrap_err(), created.unwrap_err()] {
        assert!(is_corrupt(&error, &record(0)) && error.to_string().contains("a run on version 3"), "{error}");
    }
    assert_eq!(objects(&store), before);
}

/// What is to expire need not be read.
#[test]
fn damaged_records_that_the_rules_do_not_name_expire() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    flip(&store, &record(1));
    let last = |count| Retention { last: Some(count), ..Retention::default() };
    let error = open(&stores).retain(&last(4), RunId(50), Timestamp(1), false).unwrap_err();
    assert!(is_corrupt(&error, &record(1)), "it is one of the four: {error}");
    let done = open(&stores).retain(&last(3), RunId(50), Timestamp(1), false).unwrap();
    assert_eq!(done.expired, [(version(0), version(1))]);
    assert!(open(&stores).fsck(true).unwrap().damage.is_empty());
    open(&stores).gc(false).unwrap();
}

/// Nothing that can be read needs the record of an expired version.
#[test]
fn a_damaged_record_of_an_expired_version_is_a_warning() {
    let (store, stores) = tampered();
    let catalog = fill(&stores, URL);
    let retention = Retention { keep: [version(1), version(4)].into(), ..Retention::default() };
    catalog.retain(&retention, RunId(50), Timestamp(1), false).unwrap();
    for object in [record(0), record(2)] {
        flip(&store, &object);
    }
    let found = open(&stores).fsck(true).unwrap();
    let warned: Vec<&str> = found.warnings.iter().map(|warning| &warning.object[..]).collect();
    assert_eq!((damaged(&found), warned), (vec![], vec![&record(2)[..], &record(0)]));
    assert!(found.warnings[0].what.contains("version 2 has expired"), "{found:?}");
    // Retention by age looks at the record that ended the time of version 1.
    let since = Retention { since: Some(Timestamp(CREATED.0 - 1)), ..Retention::default() };
    let kept = open(&stores).retain(&since, RunId(51), Timestamp(CREATED.0 + 1), true).unwrap();
    assert_eq!(kept.expired, []);
    open(&stores).gc(false).unwrap();
    advance(&open(&stores), 60, &puts(&numbered(0..1, 0)));
    // What can be read is damage; so is a name that is free.
    flip(&store, &record(1));
    remove(&store, &record(2));
    assert_eq!(damaged(&open(&stores).fsck(true).unwrap()), [&record(2)[..], &record(1)]);
    // Whether it has expired is not known when the latest record can not be read.
    write(&store, &record(2), "");
    assert_eq!(damaged(&open(&stores).fsck(true).unwrap()), [&record(1)[..]]);
    flip(&store, &record(6));
    assert!(damaged(&open(&stores).fsck(true).unwrap()).contains(&&record(2)[..]));
}

#[cfg(unix)]
mod folders {
    use super::*;
    use std::path::Path;

    fn site() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        fill(&Stores::new(), &url);
        (folder, url)
    }

    fn open(url: &str) -> Catalog {
        Catalog::open(&Stores::new(), url).unwrap()
    }

    fn pipe(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn socket(path: &Path) {
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }

    fn dangling(path: &Path) {
        std::os::unix::fs::symlink("nowhere", path).unwrap();
    }

    type Put = fn(&Path);
    const NO_FILES: [(&str, Put); 4] = [
        ("a folder", |path| std::fs::create_dir(path).unwrap()),
        ("a link that leads nowhere", dangling),
        ("a named pipe", pipe),
        ("a socket", socket),
    ];

    #[test]
    fn what_takes_the_name_of_the_next_version_is_named_by_the_check_and_by_a_commit() {
        for (what, put) in NO_FILES {
            let (folder, url) = site();
            put(&folder.path().join(record(5)));
            let found = open(&url).fsck(true).unwrap();
            assert_eq!(damaged(&found), [&record(5)[..]], "{what}");
            assert!(found.damage[0].what.contains(what), "{found:?}");
            let base = match open(&url).latest() {
                Ok(base) => base,
                Err(error) => {
                    assert!(matches!(what, "a named pipe" | "a socket"), "{what}");
                    assert!(is_corrupt(&error, &record(5)) && error.to_string().contains(what), "{what}: {error}");
                    continue;
                }
            };
            let draft = begin(&base, 9);
            let tree = edit(&draft, &names(&base), &puts(&numbered(0..1, 0))).unwrap();
            let error = draft.commit(crate::support::next(&tree)).unwrap_err();
            assert!(is_corrupt(&error, &record(5)) && error.to_string().contains(what), "{what}: {error}");
        }
    }

    /// Opening a pipe would wait for whoever writes into it.
    #[test]
    fn what_is_no_file_is_said_and_not_waited_for() {
        for (what, put) in NO_FILES {
            for object in ["catalog.json", "versions/latest", "record", "latest record", "pack"] {
                let (folder, url) = site();
                let object = match object {
                    "record" => record(2),
                    "latest record" => record(4),
                    "pack" => {
                        format!("packs/{}", open(&url).snapshot(version(1)).unwrap().listed_packs().unwrap()[0].name)
                    }
                    object => object.to_owned(),
                };
                std::fs::remove_file(folder.path().join(&object)).unwrap();
                put(&folder.path().join(&object));
                let found = open(&url).fsck(true).unwrap();
                let named = found.damage.iter().find(|damage| damage.object == object && damage.what.contains(what));
                assert!(named.is_some(), "{object} {what}: {found:?}");
                let read = || -> deltic_store::Result<()> {
                    let catalog = open(&url);
                    let tree = names(&catalog.latest()?);
                    tree.scan(deltic_store::KeyRange::all()).try_for_each(|entry| tree.read(&entry?.1).map(|_| ()))?;
                    catalog.snapshot(version(2))?;
                    catalog.gc(true).map(|_| ())
                };
                match read() {
                    Ok(()) => assert_eq!(object, "versions/latest", "{what}"),
                    Err(error) => {
                        let is_missing = matches!(what, "a folder" | "a link that leads nowhere");
                        let lost = is_missing && object == record(4);
                        let object = if lost { "versions/latest" } else { &object };
                        assert!(is_corrupt(&error, object), "{object} {what}: {error}");
                        assert!(is_missing || error.to_string().contains(what), "{object} {what}: {error}");
                    }
                }
            }
        }
    }

    /// `docs/format.md`: readers ignore objects with other names.
    #[test]
    fn foreign_names_are_passed_over_by_all_that_list() {
        use std::os::unix::ffi::OsStrExt;
        let (folder, url) = site();
        let odd: [&[u8]; 9] =
            [b"a\x1b[31mb", b"a\nb", b"\x7f", b"\xff\xfe", b"a~#1", b"..a", b" ", b"%", b"0000000000000002-\x1b"];
        for part in ["", "packs", "progress", "versions"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
            for name in odd {
                std::fs::write(folder.path().join(part).join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
            }
            std::fs::create_dir(folder.path().join(part).join("fol\x1bder")).unwrap();
            std::fs::write(folder.path().join(part).join("fol\x1bder/in\x1bit"), "x").unwrap();
            dangling(&folder.path().join(part).join("li\x1bnk"));
            pipe(&folder.path().join(part).join("pi\x1bpe"));
        }
        let found = open(&url).fsck(true).unwrap();
        assert_eq!((found.damage.len(), found.packs.count, found.versions), (0, 4, 5), "{found:?}");
        assert_eq!(open(&url).gc(false).unwrap().needed.count, 4);
        let options = deltic_store::RepackOptions::default();
        open(&url).repack(&options, RunId(70), Timestamp(0), true).unwrap();
        let base = open(&url).latest().unwrap();
        let draft = begin(&base, 71);
        draft.checkpoints().flush().unwrap();
        let tree = edit(&draft, &names(&base), &puts(&numbered(0..1, 0))).unwrap();
        commit(draft, &tree);
        let left = std::fs::read_dir(folder.path().join("packs")).unwrap().count();
        assert_eq!(left, 5 + odd.len() + 3, "and they stay");
    }
}
