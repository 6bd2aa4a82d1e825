//! Random tasks over random histories of an input that is restored from a copy now and then.

use std::collections::BTreeMap;

use deltic::driver::Mode;
use deltic::prelude::*;
use deltic_testkit::{Edit, Lab, Random, RandomHistory};
use proptest::prelude::*;

use super::Folders;
use crate::patterns::{TILES, random_tasks};

/// How often something happened in random histories.
#[derive(Debug, Default)]
struct Happened {
    full: u64,
    found: u64,
}

/// What an input holds.
type Content = BTreeMap<(String, Name), Payload>;

fn set(lab: &mut Lab, layer: &str, name: &Name, payload: Option<Payload>) {
    match payload {
        Some(payload) => lab.put(layer, name, payload),
        None => lab.delete(layer, name),
    }
}

/// A history in which the input is now and then replaced by a copy that was made of it, and goes on from there.
fn random_history(seed: u64, happened: &mut Happened) {
    let layers =
        vec![("in/a".to_owned(), RandomHistory::generic_names(4)), (TILES.to_owned(), RandomHistory::tile_names(2))];
    let history = RandomHistory { layers, steps: 9, contents: 4 }.make(seed);
    let mut folders = Folders::with(Lab::new(random_tasks(seed)).tiles(TILES, Grid::Here));
    let mut random = Random::new(seed ^ 0x0dd);
    folders.save("in", "copy");
    let (mut content, mut copied) = (Content::new(), Content::new());
    for (number, step) in history.into_iter().enumerate() {
        match random.below(4) {
            0 => {
                std::fs::remove_dir_all(folders.folder("copy")).unwrap();
                folders.save("in", "copy");
                copied.clone_from(&content);
            }
            1 => {
                folders.restore("in", "copy");
                let lost = std::mem::replace(&mut content, copied.clone());
                // What was lost is sometimes made again, under another number.
                if random.below(3) > 0 {
                    for edition in 0..=random.below(3) {
                        folders.next(&[("not there before", &edition.to_string())]);
                    }
                    folders.lab.delete("in/a", "not there before");
                    for (layer, name) in content.keys().chain(lost.keys()) {
                        set(&mut folders.lab, layer, name, lost.get(&(layer.clone(), name.clone())).cloned());
                    }
                    folders.lab.commit_inputs();
                    content = lost;
                    let (name, payload) = (Name::generic("00").unwrap(), Payload::from(format!("step {number}")));
                    set(&mut folders.lab, "in/a", &name, Some(payload.clone()));
                    content.insert(("in/a".to_owned(), name), payload);
                }
            }
            _ => {}
        }
        for Edit { layer, name, payload } in step {
            set(&mut folders.lab, &layer, &name, payload.clone());
            match payload {
                Some(payload) => drop(content.insert((layer, name), payload)),
                None => drop(content.remove(&(layer, name))),
            }
            // Several versions a run, so that numbers of two histories meet and pass each other.
            if random.below(2) == 0 {
                folders.lab.commit_inputs();
            }
        }
        let run = folders.lab.run();
        let notes = run.report.notes.join("\n");
        happened.found += u64::from(notes.contains("the changes since its version"));
        let is_full = notes.contains("are compiled in full");
        happened.full += u64::from(is_full);
        if number > 0 {
            let full = |mode: &Mode| matches!(mode, Mode::Full { reason } if reason.contains("are not known: "));
            let by_task = run.report.tasks.iter().any(|task| full(&task.mode));
            assert_eq!(by_task, is_full, "seed {seed}, step {number}: {notes}");
        }
        if let Err(difference) = folders.lab.compare_with_scratch() {
            panic!("seed {seed}, step {number}: incremental differs from scratch: {difference}; {notes}");
        }
        let again = folders.lab.run();
        assert_eq!((again.report.version, again.log().as_str()), (None, ""), "seed {seed}, step {number}");
    }
    folders.lab.assert_verified();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) })]

    #[test]
    fn random_histories_of_an_input_that_is_restored(seed: u64) {
        random_history(seed, &mut Happened::default());
    }
}

/// Both ways out are met.
#[test]
fn inputs_that_are_restored_now_and_then() {
    let mut happened = Happened::default();
    for seed in 0..6 {
        random_history(seed, &mut happened);
    }
    assert!(happened.full > 0 && happened.found > 0, "{happened:?}");
}

/// `DELTIC_SEEDS=FROM..TO` selects them; the default is 200.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_restored_inputs() {
    let mut happened = Happened::default();
    for seed in crate::seeds::seeds("0..200") {
        random_history(seed, &mut happened);
    }
    println!("{happened:?}");
}
