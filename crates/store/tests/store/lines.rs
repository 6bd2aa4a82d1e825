//! Two lines of history in one catalog: records that are left over beyond a gap that has been filled since.

use deltic_store::Catalog;

use crate::standing::{URL, damaged, fill, is_corrupt, open, record};
use crate::support::{advance, create, numbered, objects, puts, remove, tampered, version, write};

/// Records that are left over from before a gap must not follow what is made in the gap.
#[test]
fn what_is_beyond_a_gap_hides_nothing_that_is_committed() {
    let gap = |url: &str| {
        let (store, stores) = tampered();
        let catalog = fill(&stores, url);
        for number in 5..=6 {
            advance(&catalog, number, &puts(&numbered(0..1, number as u32)));
        }
        (4..=5).for_each(|number| remove(&store, &record(number)));
        write(&store, "versions/latest", "3\n");
        (store, stores)
    };
    for url in [URL, "s3://bucket/x"] {
        let (store, stores) = gap(url);
        let writer = Catalog::open(&stores, url).unwrap();
        advance(&writer, 20, &puts(&numbered(5..6, 20)));
        advance(&writer, 21, &puts(&numbered(5..6, 21)));
        let refused = |catalog: &Catalog, hint: &str| {
            let error = catalog.latest().unwrap_err();
            assert!(
                is_corrupt(&error, &record(6)) && error.to_string().contains("does not follow"),
                "{hint:?}: {error}"
            );
        };
        refused(&writer, "it made version 5");
        for hint in ["5\n", "4\n", "2\n", "1\n", "0\n", "none"] {
            write(&store, "versions/latest", hint);
            refused(&Catalog::open(&stores, url).unwrap(), hint);
        }
        remove(&store, "versions/latest");
        refused(&Catalog::open(&stores, url).unwrap(), "it is missing");
        let found = Catalog::open(&stores, url).unwrap().fsck(true).unwrap();
        assert!(damaged(&found).contains(&&record(5)[..]), "{found:?}");
        // The way out.
        remove(&store, &record(6));
        assert_eq!(Catalog::open(&stores, url).unwrap().latest().unwrap().version(), version(5));
    }
}

/// What a search has passed over is looked at too, in as many batches as there are.
#[test]
fn what_a_search_passes_over_is_of_one_line() {
    const LATEST: u64 = 140;
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    (1..=LATEST).for_each(|number| drop(advance(&catalog, number, &puts(&numbered(0..1, number as u32)))));
    remove(&store, "versions/latest");
    let found = open(&stores);
    assert_eq!(found.latest().unwrap().version(), version(LATEST));
    assert!(found.requests().gets <= LATEST + 20, "each once: {:?}", found.requests());
    // Another history from some version on, as records that are left over have it.
    let (other_store, other) = tampered();
    let twin = create(&other, URL);
    (1..=LATEST).for_each(|number| drop(advance(&twin, 1000 + number, &puts(&numbered(0..1, number as u32)))));
    for first in [6, 69, 70, 71, 133, 134, LATEST] {
        let whole = objects(&store);
        for number in first..=LATEST {
            write(&store, &record(number), objects(&other_store)[&record(number)].clone());
        }
        let error = open(&stores).latest().unwrap_err();
        assert!(is_corrupt(&error, &record(first)), "{first}: {error}");
        for number in first..=LATEST {
            write(&store, &record(number), whole[&record(number)].clone());
        }
    }
    // One that is missing in between is no reason to take what is behind it.
    remove(&store, &record(70));
    let error = open(&stores).latest().unwrap_err();
    assert!(is_corrupt(&error, &record(70)) && error.to_string().contains("missing"), "{error}");
}

/// Somebody who is at work while records are lost, and their numbers are given again, is not told that those are left over.
#[test]
fn who_read_a_version_that_is_another_now_is_told_so() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    let at_work = open(&stores);
    at_work.latest().unwrap();
    remove(&store, &record(4));
    remove(&store, "versions/latest");
    let other = open(&stores);
    advance(&other, 30, &puts(&numbered(0..1, 30)));
    advance(&other, 31, &puts(&numbered(0..1, 31)));
    let error = at_work.latest().unwrap_err();
    assert!(is_corrupt(&error, &record(4)) && error.to_string().contains("another history"), "{error}");
    assert_eq!(open(&stores).latest().unwrap().version(), version(5));
}

/// The list by which people decide what to move away has all that is there.
#[test]
fn the_log_lists_both_lines_where_they_meet() {
    let (store, stores) = tampered();
    let catalog = fill(&stores, URL);
    (5..=7).for_each(|number| drop(advance(&catalog, number, &puts(&numbered(0..1, number as u32)))));
    (4..=5).for_each(|number| remove(&store, &record(number)));
    write(&store, "versions/latest", "3\n");
    let writer = open(&stores);
    (20..=21).for_each(|run| drop(advance(&writer, run, &puts(&numbered(5..6, run as u32)))));
    let row = |found: deltic_store::Result<deltic_store::Snapshot>| match found {
        Ok(snapshot) => snapshot.version().0.to_string(),
        Err(error) => error.to_string().split(": ").nth(1).unwrap_or_default().split(' ').next().unwrap().to_owned(),
    };
    let rows: Vec<String> = open(&stores).log().map(row).collect();
    let [six, five] = [6, 5].map(record);
    assert_eq!(rows, [&six, "7", "6", &five, "4", "3", "2", "1", "0"]);
}
