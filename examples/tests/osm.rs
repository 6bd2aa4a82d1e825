//! The examples over all six versions of the map: which partitions ran for the small update, and that a chain of runs
//! equals a build from scratch.

#![expect(clippy::unwrap_used, reason = "a failure fails the test, and names the place")]

use std::collections::{BTreeMap, BTreeSet};

use deltic::driver::{Mode, Report, TaskReport};
use deltic_examples::replay::{Chain, Example};
use deltic_examples::{difference, feedback, history, lift, pedestrian, validate};
use tempfile::TempDir;

/// An example after all versions of its data.
struct Replayed {
    chain: Chain,
    reports: Vec<Report>,
    _dir: TempDir,
}

/// Replays an example, with catalogs opened again before the small update and after it. Fails unless layers and state
/// equal, at each of these stops and at the end, those of a build from scratch.
fn replay(example: &Example) -> Replayed {
    let dir = tempfile::tempdir().unwrap();
    let open = || Chain::open(example, dir.path(), 2).unwrap();
    let mut reports = Vec::new();
    for last in [2, 3, 6] {
        let chain = open();
        let again = usize::from(!reports.is_empty());
        let mut steps = Vec::new();
        chain.replay(Some(last), |number, report, _| steps.push((number, report.clone()))).unwrap();
        for (number, report) in steps.into_iter().skip(again) {
            assert_eq!(report.version.map(|version| version.0), Some(number), "a version for each of the input");
            reports.push(report);
        }
        let scratch = chain.scratch(&dir.path().join(format!("scratch-{last}"))).unwrap();
        assert!(!chain.compare(&scratch).unwrap().is_empty());
    }
    assert_eq!(reports.len(), 6);
    Replayed { chain: open(), reports, _dir: dir }
}

/// What ran in a version, a line for each task.
fn ran(replayed: &Replayed, version: usize) -> Vec<String> {
    let line = |task: &TaskReport| {
        let counts = &task.counts;
        match &task.mode {
            Mode::Skipped => format!("{}: skipped", task.task),
            _ => format!(
                "{}: {} inputs ({} through reads), {} front-ends, {} cut off, {} again, {} back-ends, {} put, {} deleted",
                task.task,
                counts.inputs,
                counts.inputs_through_reads,
                counts.fronts,
                counts.cut_off,
                counts.fronts_again,
                counts.compiled,
                counts.put,
                counts.deleted
            ),
        }
    };
    replayed.reports[version - 1].tasks.iter().map(line).collect()
}

#[test]
fn lift_merges_what_the_update_touched() {
    let replayed = replay(&lift::EXAMPLE);
    assert_eq!(
        ran(&replayed, 3),
        ["lift: 14 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 9 back-ends, 9 put, 0 deleted",]
    );
    // Lifting loses nothing: every node and way is in one tile of each level.
    for level in [12, 10] {
        let (mut nodes, mut ways, mut references) = (0, 0, 0);
        for (name, payload) in replayed.chain.partitions("topology").unwrap() {
            if name.tile().unwrap().level() == level {
                let tile: lift::Lifted = payload.json().unwrap();
                nodes += tile.nodes.len();
                ways += tile.ways.len();
                references += tile.ways.iter().map(|way| way.nodes.len()).sum::<usize>();
            }
        }
        assert_eq!((nodes, ways, references), (256_677, 13_133, 276_274));
    }
}

#[test]
fn pedestrian_redraws_what_reads_what_the_update_touched_in_three_ways() {
    let replayed = replay(&pedestrian::EXAMPLE);
    // 17 of 179 tiles of ways read a part of the index or a tile of nodes that changed; one emits something new.
    assert_eq!(
        ran(&replayed, 3),
        [
            "node-places: 8 inputs (0 through reads), 8 front-ends, 1 cut off, 30 again, 5 back-ends, 5 put, 0 deleted",
            "pedestrian: 17 inputs (11 through reads), 17 front-ends, 16 cut off, 0 again, 3 back-ends, 3 put, 0 deleted",
            "node-tiles: 8 inputs (2 through reads), 8 front-ends, 7 cut off, 0 again, 1 back-ends, 1 put, 0 deleted",
            "pedestrian-ref-tree: 16 inputs (10 through reads), 16 front-ends, 15 cut off, 0 again, 3 back-ends, 3 put, 0 deleted",
            "pedestrian.pedestrian-data-sets: 17 inputs (11 through reads), 17 front-ends, 16 cut off, 0 again, 3 back-ends, 3 put, 0 deleted",
        ]
    );
    // All methods to find nodes give the same result, at every version.
    let [expected, others @ ..] = pedestrian::WAYS.map(|(layer, _)| replayed.chain.digests(layer).unwrap());
    assert_eq!(expected.keys().map(|version| version.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(expected.values().collect::<BTreeSet<_>>().len(), 6, "each version changed the network");
    assert!(others.iter().all(|digests| *digests == expected));
    // A path is in every tile that it has a node in, and no node is missing in the data.
    let (mut ids, mut tiles) = (BTreeSet::new(), 0);
    for (_, payload) in replayed.chain.partitions("pedestrian").unwrap() {
        let tile: serde_json::Value = payload.json().unwrap();
        for path in tile["features"].as_array().unwrap() {
            assert_eq!(path["properties"]["missing"], 0);
            ids.insert(path["id"].as_u64().unwrap());
        }
        tiles += 1;
    }
    assert_eq!((tiles, ids.len()), (207, 3_178));
}

#[test]
fn validate_rolls_up_what_the_update_touched() {
    let replayed = replay(&validate::EXAMPLE);
    // 16 of 209 inputs refer to elements that may have been added or removed. The update adds nodes and ways, so the sums
    // change up to the root.
    assert_eq!(
        ran(&replayed, 3),
        [
            "node-places: 8 inputs (0 through reads), 8 front-ends, 1 cut off, 30 again, 5 back-ends, 5 put, 0 deleted",
            "way-places: 6 inputs (0 through reads), 6 front-ends, 3 cut off, 0 again, 2 back-ends, 2 put, 0 deleted",
            "relation-places: skipped",
            "topology: 16 inputs (10 through reads), 16 front-ends, 11 cut off, 0 again, 5 back-ends, 5 put, 0 deleted",
            "roll-up-12: 5 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 4 back-ends, 4 put, 0 deleted",
            "roll-up-10: 4 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 2 back-ends, 2 put, 0 deleted",
            "roll-up-8: 2 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 1 back-ends, 1 put, 0 deleted",
            "roll-up-0: 1 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 1 back-ends, 1 put, 0 deleted",
            "assessment: 1 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 1 back-ends, 1 put, 0 deleted",
        ]
    );
    // The content of the last version, counted in the extract itself.
    let root = replayed.chain.partitions("metrics-0").unwrap();
    let metrics: validate::Metrics = root[0].1.json().unwrap();
    for (name, count) in [
        ("way", 13_133),
        ("way-node", 276_274),
        ("way-node-dangling", 0),
        ("relation", 289),
        ("relation-node-dangling", 55),
        ("relation-way-dangling", 24_639),
        ("relation-relation-dangling", 643),
    ] {
        assert_eq!(metrics[name], count, "{name}");
    }
    let members = ["relation-node", "relation-way", "relation-relation"].map(|name| metrics[name]);
    assert_eq!(members.iter().sum::<u64>(), 28_460);
}

#[test]
fn difference_compares_what_either_step_changed() {
    let replayed = replay(&difference::EXAMPLE);
    // 14 partitions differ now. 487 differed in the step before, which `before` takes now: their reports are deleted or changed.
    assert_eq!(
        ran(&replayed, 3),
        [
            "difference: 501 inputs (0 through reads), 0 front-ends, 0 cut off, 0 again, 486 back-ends, 14 put, 475 deleted"
        ]
    );
    // There is a report for each change in the data set's own list, and no other.
    let mut reports = BTreeSet::new();
    for layer in ["node", "way", "relation"] {
        for (name, _) in replayed.chain.partitions(&format!("{layer}-changes")).unwrap() {
            reports.insert(format!("{layer}/{name}.jsonl"));
        }
    }
    let changes = history::changes(&history::data("osm-andorra")).unwrap();
    let last = changes.into_iter().filter(|change| change.number == 6).map(|change| change.partition);
    assert_eq!(reports, last.collect());
}

/// In how many versions each node of the last one had changed, by tile: counted in the data set itself.
fn changes_of_nodes() -> BTreeMap<String, feedback::Counts> {
    let mut tiles: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    let mut known: BTreeMap<u64, (serde_json::Value, u64)> = BTreeMap::new();
    let mut by_tile: BTreeMap<String, feedback::Counts> = BTreeMap::new();
    history::replay(&history::data("osm-andorra"), |step| {
        for (_, name) in step.deleted.iter().filter(|(layer, _)| layer == "node") {
            tiles.remove(name);
        }
        for (_, name, bytes) in step.put.into_iter().filter(|(layer, ..)| layer == "node") {
            let lines = std::str::from_utf8(&bytes)?.lines();
            tiles.insert(name, lines.map(serde_json::from_str).collect::<Result<_, _>>()?);
        }
        let before = std::mem::take(&mut known);
        by_tile.clear();
        for (tile, node) in tiles.iter().flat_map(|(tile, nodes)| nodes.iter().map(move |node| (tile, node))) {
            let id = node["id"].as_u64().unwrap();
            let changes = before.get(&id).map_or(0, |(last, changes)| changes + u64::from(last != node));
            known.insert(id, (node.clone(), changes));
            if changes > 0 {
                let tile = tile.strip_suffix(".jsonl").unwrap().to_owned();
                by_tile.entry(tile).or_default().insert(id, changes);
            }
        }
        Ok(true)
    })
    .unwrap();
    by_tile
}

#[test]
fn feedback_adds_to_what_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::open(&feedback::EXAMPLE, dir.path(), 2).unwrap();
    let mut reports: Vec<Report> = Vec::new();
    chain.replay(None, |_, report, _| reports.push(report.clone())).unwrap();
    assert_eq!(reports.iter().map(|report| report.version.unwrap().0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);

    // From one base, an incremental and a full run give the same result, at every version.
    let full = chain.full_runs(&dir.path().join("full"), |report, _| {
        assert!(report.tasks.iter().all(|task| matches!(task.mode, Mode::Full { .. })));
    });
    assert_eq!(chain.compare_versions(&full.unwrap()).unwrap(), 6);
    let fronts = |report: &Report| report.tasks[0].counts.inputs;
    assert!(reports[1..].iter().all(|report| matches!(report.tasks[0].mode, Mode::Incremental { .. })));
    assert!(fronts(&reports[2]) < 10, "{} inputs for a small update", fronts(&reports[2]));

    let counts = || -> BTreeMap<String, feedback::Counts> {
        let all = chain.partitions("node-changes").unwrap().into_iter();
        all.map(|(name, payload)| (name.to_string(), payload.json().unwrap())).collect()
    };
    let expected = changes_of_nodes();
    assert!(counts() == expected, "counted in another way, nodes have changed in other numbers of versions");
    assert_eq!(expected.values().flatten().map(|(_, changes)| changes).max(), Some(&4));

    // Without a change: the first run finds its own output changed, and makes it again; the next has nothing to do.
    let mut again = Vec::new();
    for _ in 0..2 {
        chain.replay(None, |number, report, _| again.push((number, report.clone()))).unwrap();
    }
    let puts = |report: &Report| report.tasks.iter().map(|task| task.counts.put + task.counts.deleted).sum::<u64>();
    assert_eq!((again[0].0, puts(&again[0].1)), (6, 0));
    assert_eq!((again[1].0, again[1].1.version), (6, None));
    assert!(counts() == expected);
}
