//! A full stage over ranges of keys, each of which writes its part of every tree, gives the same result as one over everything.

use deltic::prelude::*;
use deltic_testkit::Lab;

use crate::batches::Looks;
use crate::bounded::{Moves, PATTERNS, tasks};

const PARTITIONS: usize = 3000;

/// Fills, then runs in full over what is published: some partitions changed, some are gone, and with them what was made of them.
fn chain(mut lab: Lab) -> Lab {
    lab.full(true);
    for edition in 0..2 {
        for number in 0..PARTITIONS {
            let name = format!("{number:07}");
            match (number + edition) % 5 {
                0 if edition > 0 => lab.delete("in/a", name),
                1 if edition > 0 => {}
                _ => lab.put("in/a", name, format!("{:016}", number * 10 + edition).repeat(12)),
            }
        }
        lab.run();
    }
    lab
}

#[test]
fn every_pattern_comes_to_the_same_over_any_ranges() {
    for pattern in PATTERNS.into_iter().filter(|pattern| *pattern != "import") {
        let moves = || tasks(pattern, Moves { partitions: PARTITIONS, value_bytes: None });
        let whole = chain(Lab::new(moves()));
        for ranges in [2, 7, 400] {
            let mut lab = Lab::new(moves());
            lab.ranges(ranges);
            lab.threads(2);
            let lab = chain(lab);
            println!("{pattern}, {ranges} ranges");
            lab.assert_equals(&whole);
        }
    }
}

/// What is read, and by whom, is a table by what was read, and one by reader.
#[test]
fn tracked_reads_come_to_the_same() {
    let run = |ranges| {
        let mut lab = Lab::new(vec![Task::new("looks", Direct(Looks)).unwrap().version("1")]);
        lab.ranges(ranges);
        lab.full(true);
        for edition in 0..2 {
            let text = format!("{edition}");
            (0..1500).for_each(|n| lab.put("in/r", format!("{n:07}-{}", (n + edition) % 5), &*text));
            (0..1500).for_each(|n| lab.put("in/a", format!("{n:07}"), "x"));
            (0..edition * 700).for_each(|n| lab.delete("in/a", format!("{n:07}")));
            lab.run();
        }
        lab
    };
    let whole = run(1);
    for ranges in [3, 50] {
        run(ranges).assert_equals(&whole);
    }
}

/// However many ranges an engine is asked for, there are no more than partitions.
#[test]
fn there_are_no_more_ranges_than_partitions() {
    let run = |ranges| {
        let mut lab = Lab::new(vec![Task::new("looks", Direct(Looks)).unwrap().version("1")]);
        lab.ranges(ranges);
        lab.full(true);
        (0..40).for_each(|n| lab.put("in/r", format!("{n:07}-{}", n % 5), "x"));
        (0..40).for_each(|n| lab.put("in/a", format!("{n:07}"), "x"));
        lab.run();
        lab
    };
    run(usize::MAX).assert_equals(&run(1));
}
