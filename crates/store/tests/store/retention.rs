//! Which versions can be read: what the rules keep, what dropped versions say, and that names stay taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use deltic_core::{RunId, Timestamp, Version};
use deltic_store::testing::{RequestLog, answers};
use deltic_store::{Catalog, Draft, DraftOptions, ErrorKind, Result, Retained, Retention, Stores, Tag};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::second_read::garbled;
use crate::support::{
    Ops, advance, begin, changes, commit, content, create, edit, in_memory, names, next, numbered, puts, tampered,
    version,
};

fn last(count: u64) -> Retention {
    Retention { last: Some(count), ..Retention::default() }
}

fn keep(versions: &[u64]) -> Retention {
    Retention { keep: versions.iter().copied().map(Version).collect(), ..Retention::default() }
}

fn since(time: u64) -> Retention {
    Retention { since: Some(Timestamp(time)), ..Retention::default() }
}

fn retain(catalog: &Catalog, rules: &Retention) -> Result<Retained> {
    let run = RunId(1000 + catalog.latest()?.version().0);
    catalog.retain(rules, run, Timestamp(9_000_000), false)
}

fn readable(catalog: &Catalog) -> Vec<u64> {
    catalog
        .latest()
        .unwrap()
        .record()
        .retained_versions()
        .map(|version| version.0)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Versions up to `count`, each made a second after the one before.
fn versions(catalog: &Catalog, count: u64) {
    for number in catalog.latest().unwrap().version().0 + 1..=count {
        let base = catalog.latest().unwrap();
        let draft = begin(&base, 10 + number);
        let tree = edit(&draft, &names(&base), &puts(&numbered(0..3, number as u32))).unwrap();
        let next = deltic_store::NextVersion { created: Timestamp(1000 * number), ..next(&tree) };
        assert!(matches!(draft.commit(next).unwrap(), deltic_store::Committed::New(_)));
    }
}

#[test]
fn the_last_versions_are_kept_and_doing_it_again_drops_nothing() {
    let catalog = in_memory();
    versions(&catalog, 5);
    let done = retain(&catalog, &last(3)).unwrap();
    assert_eq!((done.version, done.expired), (Some(version(6)), vec![(version(0), version(2))]));
    assert_eq!(done.retained, [(version(3), version(6))]);
    assert_eq!(readable(&catalog), [3, 4, 5, 6]);
    let (before, after) = (catalog.snapshot(version(5)).unwrap(), catalog.latest().unwrap());
    assert_eq!((before.digest(), before.state_digest()), (after.digest(), after.state_digest()));
    assert!(changes(&names(&before), &names(&after)).is_empty());
    // Version 6 says what version 5 says, so it does not push out another.
    assert_eq!(retain(&catalog, &last(3)).unwrap().version, None);
    assert_eq!(catalog.latest().unwrap().version(), version(6));
    versions(&catalog, 8);
    assert_eq!(retain(&catalog, &last(3)).unwrap().expired, [(version(3), version(4))], "5 and 6, 7 and 8 are three");
    assert_eq!(readable(&catalog), [5, 6, 7, 8, 9]);
}

#[test]
fn an_expired_version_says_what_can_be_read_and_its_name_stays_taken() {
    let (store, stores) = tampered();
    let catalog = create(&stores, "memory:x");
    versions(&catalog, 4);
    retain(&catalog, &keep(&[1, 3])).unwrap();
    assert_eq!(readable(&catalog), [1, 3, 4, 5]);
    for catalog in [catalog.clone(), Catalog::open(&stores, "memory:x").unwrap()] {
        let error = catalog.snapshot(version(2)).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Expired);
        let text = error.to_string();
        assert!(text.contains("version 2 has expired") && text.contains("1, 3-5"), "{text}");
        assert_eq!(content(&names(&catalog.snapshot(version(3)).unwrap())), numbered(0..3, 3));
        assert_eq!(*catalog.snapshot(version(77)).unwrap_err().kind(), ErrorKind::NotFound);
    }
    let listed: Vec<u64> = catalog.log().map(|found| found.unwrap().version().0).collect();
    assert_eq!(listed, [5, 4, 3, 2, 1, 0], "the log tells of expired versions as well");
    assert!(crate::support::objects(&store).keys().any(|object| object.ends_with("00002")));
}

#[test]
fn the_version_that_stood_at_the_time_is_kept() {
    let catalog = in_memory();
    versions(&catalog, 5);
    assert_eq!(retain(&catalog, &since(0)).unwrap().version, None, "all were made later");
    retain(&catalog, &since(3500)).unwrap();
    assert_eq!(readable(&catalog), [3, 4, 5, 6], "version 3 was the latest at 3500");
    let both = Retention { keep: [version(3)].into(), ..last(1) };
    retain(&catalog, &both).unwrap();
    assert_eq!(readable(&catalog), [3, 5, 6, 7], "rules add up");
}

#[test]
fn what_can_not_be_kept_is_refused_and_nothing_happens() {
    let catalog = in_memory();
    versions(&catalog, 4);
    let kind = |rules: &Retention| retain(&catalog, rules).unwrap_err().kind().clone();
    assert_eq!(kind(&keep(&[9])), ErrorKind::NotFound);
    assert_eq!(kind(&Retention::default()), ErrorKind::InvalidInput);
    assert_eq!(kind(&last(0)), ErrorKind::InvalidInput);
    retain(&catalog, &last(2)).unwrap();
    assert_eq!(kind(&keep(&[1])), ErrorKind::Expired);
    assert_eq!(readable(&catalog), [3, 4, 5]);
    let would = catalog.retain(&last(1), RunId(1), Timestamp(0), true).unwrap();
    assert_eq!((would.version, would.expired.len()), (None, 1));
    assert_eq!(readable(&catalog), [3, 4, 5]);
}

#[test]
fn a_race_with_a_run_is_a_conflict() {
    let stores = Stores::new();
    let one = create(&stores, "memory:x");
    versions(&one, 3);
    let two = Catalog::open(&stores, "memory:x").unwrap();
    let draft = begin(&two.latest().unwrap(), 77);
    let tree = edit(&draft, &names(draft.base()), &Ops::from([(b"new".to_vec(), Some(vec![1]))])).unwrap();
    retain(&one, &last(1)).unwrap();
    assert!(matches!(draft.commit(next(&tree)).unwrap_err().kind(), ErrorKind::Conflict { .. }));
    // A draft that began before, and took a tree of a version that was retained then, is no way around it.
    let expired = two.snapshot(version(2));
    assert_eq!(*expired.unwrap_err().kind(), ErrorKind::Expired, "the conflict has shown the later version");
}

#[test]
fn what_has_expired_can_not_be_committed_again() {
    let catalog = in_memory();
    versions(&catalog, 3);
    let (old, kept) = (catalog.snapshot(version(1)).unwrap(), catalog.snapshot(version(2)).unwrap());
    retain(&catalog, &keep(&[2])).unwrap();
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(50), DraftOptions::default());
    let error = draft.editor(&names(&old)).unwrap_err();
    assert!(*error.kind() == ErrorKind::InvalidInput && error.to_string().contains("does not retain it"), "{error}");
    let error = draft.commit(next(&names(&old))).unwrap_err();
    assert!(error.to_string().contains("version 1 can not be part of a version made from version 4"), "{error}");
    let draft = begin(&base, 51);
    let reverted = draft.adopt(&names(&kept));
    assert_eq!(content(&names(&commit(draft, &reverted))), numbered(0..3, 2));
}

/// Requests follow what has to be looked at, not how many versions there are.
#[test]
fn keeping_the_last_few_of_many_looks_at_few() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, "memory:x");
    for number in 0..300 {
        advance(&catalog, 100 + number, &puts(&numbered(0..1, number as u32)));
    }
    log.take();
    retain(&catalog, &last(5)).unwrap();
    let asked = log.take().len();
    assert!(asked <= 70, "{asked} requests");
    assert_eq!(readable(&catalog).len(), 6);
}

const DAY: u64 = 86_400_000;
const NOW: u64 = 20_000 * DAY;

/// A catalog whose versions from 1 on are dated so many days from now, and which of them `--since` seven days keeps.
fn kept_since_a_week(days: &[i64]) -> Vec<u64> {
    let new = deltic_store::NewCatalog { created: Timestamp(0), ..crate::support::identity() };
    let catalog = Catalog::create(&Stores::new(), "memory:x", vec![crate::support::layer()], new).unwrap();
    for (number, days) in (1u32..).zip(days) {
        let base = catalog.latest().unwrap();
        let draft = begin(&base, 10 + u64::from(number));
        let tree = edit(&draft, &names(&base), &puts(&numbered(0..3, number))).unwrap();
        let created = Timestamp((NOW as i64 + days * DAY as i64) as u64);
        let next = deltic_store::NextVersion { created, ..next(&tree) };
        assert!(matches!(draft.commit(next).unwrap(), deltic_store::Committed::New(_)));
    }
    let done = catalog.retain(&since(NOW - 7 * DAY), RunId(99), Timestamp(NOW), true).unwrap();
    done.retained.iter().flat_map(|(first, last)| first.0..=last.0).filter(|number| *number > 0).collect()
}

/// What the times in the records contradict does not expire.
#[test]
fn clocks_that_go_back_or_ahead_expire_nothing_that_may_be_younger() {
    const YEARS: i64 = 3650;
    for (days, kept, why) in [
        (&[-40, -20, -10, -3, -1][..], &[3, 4, 5][..], "times that ascend: what stood a week ago, and all later"),
        (
            &[-40, -20, YEARS, -3, -400, -1],
            &[2, 3, 4, 5, 6],
            "3 may have been made just before 4, and 2 stood until then",
        ),
        (&[-40, -20, -400, -1], &[2, 3, 4], "3 was made after 2, so that its time is wrong: maybe yesterday"),
        (&[-40, -20, -400, -10, -1], &[4, 5], "that 4 is older than a week nothing contradicts"),
        (&[-40, YEARS, -10, -1], &[3, 4], "a time to come is wrong by itself and says nothing of others"),
        (&[-40, -2, -30, -29, -1], &[1, 2, 3, 4, 5], "either 2 is ahead or 3 and 4 are behind"),
        (&[-40, -30, YEARS], &[2, 3], "nothing says when 3 was made"),
        (&[YEARS, YEARS], &[1, 2], "nothing is known"),
        (&[-40, -20, -20, -20, -1], &[4, 5], "equal times contradict nothing"),
    ] {
        assert_eq!(kept_since_a_week(days), kept, "{days:?}: {why}");
    }
}

/// The version after one that is kept alone has expired, and says how long that one stood.
#[test]
fn expired_versions_say_how_long_those_before_them_stood() {
    let catalog = in_memory();
    versions(&catalog, 9);
    retain(&catalog, &keep(&[2, 6])).unwrap();
    assert_eq!(readable(&catalog), [2, 6, 9, 10]);
    retain(&catalog, &since(2999)).unwrap();
    assert_eq!(readable(&catalog), [2, 6, 9, 10,], "2 stood until 3 was made, which was later");
    retain(&catalog, &since(3000)).unwrap();
    assert_eq!(readable(&catalog), [6, 9, 10, 11]);
}

/// One answer that is not the store's must not let a version expire that is to be kept.
#[test]
fn a_record_that_can_be_read_the_second_time_is_kept() {
    let (left, store) = (Arc::new(AtomicU32::new(0)), Arc::new(InMemory::new()));
    let (inner, wrong) = (Arc::clone(&store), Arc::clone(&left));
    let garble = answers(move |object, answer| {
        let take = |left: u32| left.checked_sub(1);
        let is_wrong = object.ends_with("00003") && wrong.fetch_update(Relaxed, Relaxed, take).is_ok();
        if is_wrong { garbled(answer) } else { answer }
    });
    let stores = Stores::new().with_wrapper(move |_| garble(Arc::clone(&inner) as Arc<dyn ObjectStore>));
    let catalog = create(&stores, "memory:x");
    versions(&catalog, 5);
    left.store(1, Relaxed);
    assert_eq!(retain(&catalog, &last(3)).unwrap().expired, [(version(0), version(2))]);
    assert_eq!(left.load(Relaxed), 0, "it was asked for");
    assert_eq!(readable(&catalog), [3, 4, 5, 6]);
}

fn tag(name: &str, number: u64) -> Tag {
    Tag { name: name.to_owned(), version: version(number), note: format!("why {name}") }
}

fn tagged(tags: &[Tag], untag: &[&str]) -> Retention {
    let untag = untag.iter().map(|name| (*name).to_owned()).collect();
    Retention { tags: tags.to_vec(), untag, ..Retention::default() }
}

#[test]
fn what_has_a_tag_is_kept_by_every_retention_until_it_has_none() {
    let catalog = in_memory();
    versions(&catalog, 5);
    let done = retain(&catalog, &tagged(&[tag("keep/b", 2), tag("keep/a", 2), tag("keep/c", 1)], &[])).unwrap();
    assert_eq!((done.version, &done.expired[..]), (Some(version(6)), &[][..]), "tags alone let nothing expire");
    assert_eq!(done.tags, [tag("keep/a", 2), tag("keep/b", 2), tag("keep/c", 1)]);
    for rules in [last(1), keep(&[5]), since(8_999_999)] {
        retain(&catalog, &rules).unwrap();
        assert!(readable(&catalog).starts_with(&[1, 2]), "{rules:?}");
    }
    versions(&catalog, 8);
    assert_eq!(catalog.latest().unwrap().record().tags, done.tags, "a commit carries them on");
    // With a rule beside it nothing expires that has just got a name, and what has just lost it does.
    let rules = Retention { last: Some(1), ..tagged(&[tag("keep/d", 7)], &["keep/c"]) };
    retain(&catalog, &rules).unwrap();
    assert_eq!(readable(&catalog)[..2], [2, 7]);
    let done = retain(&catalog, &tagged(&[], &["keep/a"])).unwrap();
    assert_eq!((done.tags, done.expired), (vec![tag("keep/b", 2), tag("keep/d", 7)], vec![]));
    retain(&catalog, &last(1)).unwrap();
    assert_eq!(readable(&catalog)[..2], [2, 7], "it has another name");
    assert_eq!(retain(&catalog, &tagged(&[tag("keep/b", 2)], &[])).unwrap().version, None, "as it is already");
    let again = [Tag { note: "another reason".to_owned(), ..tag("keep/b", 2) }];
    assert!(retain(&catalog, &tagged(&again, &[])).unwrap().version.is_some());
    let moved = tagged(&[tag("keep/b", 7)], &["keep/b"]);
    assert_eq!(retain(&catalog, &moved).unwrap().tags[0], tag("keep/b", 7), "taken away, then set");
    retain(&catalog, &last(1)).unwrap();
    assert_eq!(catalog.snapshot(version(2)).unwrap_err().kind(), &ErrorKind::Expired);
    catalog.gc(false).unwrap();
    assert!(catalog.fsck(true).unwrap().damage.is_empty());
}

#[test]
fn tags_that_can_not_be_set_or_taken_away_change_nothing() {
    let catalog = in_memory();
    versions(&catalog, 3);
    retain(&catalog, &Retention { tags: vec![tag("keep/a", 2)], ..last(2) }).unwrap();
    let stands = catalog.latest().unwrap().version();
    let long = "x".repeat(129);
    let why = Tag { note: "see https://bob:secret@wiki/x".to_owned(), ..tag("keep/b", 2) };
    let many: Vec<Tag> = (0..1024).map(|number| tag(&format!("keep/{number}"), 2)).collect();
    for (rules, says) in [
        (tagged(&[tag("keep/a", 3)], &[]), "is already on version 2, not on 3: remove it first"),
        (tagged(&[tag("keep/b", 0)], &[]), "has expired"),
        (tagged(&[tag("keep/b", 9)], &[]), "there is no version 9"),
        (tagged(&[], &["keep/b"]), "no version is kept as `b`; the names in use are `a`"),
        (tagged(&[tag("", 2)], &[]), "`` is not a valid name of a tag"),
        (tagged(&[tag("a\u{7}", 2)], &[]), "`a\\u{7}` is not a valid name of a tag"),
        (tagged(&[tag(&long, 2)], &[]), "is not a valid name of a tag"),
        (tagged(&many, &[]), "it would have 1025 tags, more than the 1024 that it can have"),
        (tagged(&[tag("https://bob:secret@wiki/x", 2)], &[]), "holds a URL with a password"),
        (tagged(&[why], &[]), "tag `keep/b` holds a URL with a password"),
    ] {
        let error = retain(&catalog, &rules).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(catalog.latest().unwrap().version(), stands);
    }
    let legal = tagged(&[tag(&long[1..], 2)], &[]);
    assert!(retain(&catalog, &legal).unwrap().version.is_some());
    assert!(retain(&catalog, &tagged(&many[..1022], &[])).unwrap().version.is_some());
}

/// Whoever asks says it by a wrong year, and would let everything expire.
#[test]
fn a_time_to_come_lets_nothing_expire() {
    let catalog = in_memory();
    versions(&catalog, 3);
    let error = retain(&catalog, &since(9_000_001)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("in the future: it is 1970-01-01T02:30:00.000Z now"), "{error}");
    assert!(retain(&catalog, &since(9_000_000)).is_ok());
}
