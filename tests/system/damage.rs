//! Runs over damaged catalogs: everything that a run reads of inputs, state and outputs is as it was written. Otherwise the run
//! ends with an error that names the object, changes nothing, and succeeds when the object is restored.

use std::collections::BTreeMap;
use std::path::Path;

use deltic::driver::{Error, ErrorKind as RunErrorKind};
use deltic::prelude::*;
use deltic::store::ErrorKind;
use deltic_testkit::Lab;

use crate::patterns::{Groups, Pairs, Shape};

/// Files by their path below a folder.
type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let mut all = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                all.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    all
}

/// Makes a folder hold these files and no others.
fn restore(folder: &Path, all: &Files) {
    let there = files(folder);
    there
        .keys()
        .filter(|name| !all.contains_key(*name))
        .for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
    let changed = all.iter().filter(|(name, bytes)| there.get(*name) != Some(bytes));
    changed.for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
}

fn tasks() -> Vec<Task> {
    let shape = |salt, input, output| Shape { salt, inputs: vec![input], references: vec!["in/a"], output };
    vec![
        Task::new("one", MapGroup(Groups(shape(7, "in/a", "x")))).unwrap().version("1").memo(200),
        Task::new("two", Direct(Pairs(shape(8, "x", "y")))).unwrap().version("1"),
    ]
}

/// Inputs at two versions more than the output was made from, so that there is work to do.
fn history(place: &str) -> Lab {
    let mut lab = Lab::new(tasks()).at(place);
    for edition in 0..3 {
        for number in (edition * 4)..(edition * 4 + 12) {
            let payload = format!("{:>width$}", edition * number, width = 1 + number % 2 * 300);
            lab.put("in/a", format!("{number:02}"), payload);
        }
        if edition < 2 {
            lab.run();
        }
    }
    lab.commit_inputs();
    lab
}

/// Ways in which a file is wrong: what was done, and the bytes that are there then.
fn ways(name: &str, all: &Files, flips: usize) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let bytes = &all[name];
    let mut ways =
        vec![("removed", None), ("cut", Some(bytes[..bytes.len() / 2].to_vec())), ("emptied", Some(Vec::new()))];
    for flip in 0..flips.min(bytes.len()) {
        let at = flip * bytes.len() / flips;
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        ways.push(("flipped", Some(flipped)));
    }
    // The same folder of the other catalog, and of this one.
    let (catalog, object) = name.split_once('/').unwrap();
    let folder = object.split('/').next().unwrap();
    let mut others = |own: bool, what| {
        let other = all.iter().find(|(other, _)| {
            let (their, object) = other.split_once('/').unwrap();
            *other != name && (their == catalog) == own && object.split('/').next() == Some(folder)
        });
        ways.extend(other.map(|(_, bytes)| (what, Some(bytes.clone()))));
    };
    others(true, "another of its kind");
    others(false, "another catalog's");
    ways.retain(|(_, wrong)| wrong.as_ref() != Some(bytes));
    ways
}

/// What became of the runs.
#[derive(Debug, Default)]
struct Counts {
    damages: u64,
    named: u64,
    did_not_matter: u64,
}

fn every_damage(flips: usize) -> Counts {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut lab = history(&format!("file://{}/", folder.display()));
    let whole = files(folder);
    lab.run();
    let right = (lab.output().digest(), lab.output().state_digest(), lab.output().version());
    let latest = |name: &str| {
        let (folder, object) = name.rsplit_once('/').unwrap();
        folder.ends_with("versions") && object != "latest" && {
            let later = whole.keys().filter(|other| other.starts_with(folder) && !other.ends_with("latest"));
            later.max().is_some_and(|last| last == name)
        }
    };
    let mut counts = Counts::default();
    for name in whole.keys() {
        for (what, wrong) in ways(name, &whole, flips) {
            counts.damages += 1;
            restore(folder, &whole);
            match &wrong {
                Some(bytes) => std::fs::write(folder.join(name), bytes).unwrap(),
                None => std::fs::remove_file(folder.join(name)).unwrap(),
            }
            lab.forget_caches();
            let ran = lab.try_run().map_err(Error::into_kind);
            // What is missing is named by what says that it was there.
            let missed = what == "removed" && latest(name);
            let exchanged = latest(name) && what == "another catalog's";
            match ran {
                Ok(_) => {
                    assert_eq!(
                        (lab.output().digest(), lab.output().state_digest()),
                        (right.0, right.1),
                        "{name} {what}"
                    );
                    counts.did_not_matter += 1;
                }
                Err(RunErrorKind::Store(error)) => {
                    let text = error.to_string();
                    let (catalog, object) = name.split_once('/').unwrap();
                    let ErrorKind::Corrupt { object: named } = error.kind() else { panic!("{name} {what}: {text}") };
                    let object = if missed { "versions/latest" } else { object };
                    assert!(named == object || exchanged, "{name} {what}: {text}");
                    assert!(text.contains(&format!("/{catalog}: ")) && text.contains("restore the object"), "{text}");
                    counts.named += 1;
                }
                Err(kind) => panic!("{name} {what}: an error of another kind: {kind:?}"),
            }
            // Nothing was made of it, and when it is right again the run is made as if nothing had been.
            let mut now = files(folder);
            now.insert(name.clone(), whole[name].clone());
            restore(folder, &now);
            lab.forget_caches();
            lab.run();
            let output = lab.output();
            assert_eq!((output.digest(), output.state_digest(), output.version()), right, "{name} {what}");
        }
    }
    restore(folder, &whole);
    println!("{counts:?} of {} objects", whole.len());
    counts
}

#[test]
fn runs_over_damage_name_it_and_can_be_made_again() {
    let counts = every_damage(6);
    assert!(counts.named > 40 && counts.did_not_matter > 10, "{counts:?}");
}

/// Looks at an atlas for each text, and takes what it can not read for something else.
#[derive(Clone, Copy)]
enum Careless {
    /// An error like any other.
    PassesOn,
    /// An error of its own.
    Retells,
    /// Nothing.
    Overlooks,
}

impl HasLayers for Careless {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .reference_layers(["in/atlas"])
            .output_layers([Layer::generic("maps")?]))
    }
}

impl DirectCompiler for Careless {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("maps", &key.name);
    }

    fn compile(&self, _: &OutKey, _: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let map = context.read("in/atlas", "world");
        let map = match self {
            Careless::PassesOn => map?,
            Careless::Retells => map.map_err(|error| anyhow!("no world: {error}"))?,
            Careless::Overlooks => map.unwrap_or_default(),
        };
        Ok(Some(map.map_or_else(|| "nothing".into(), |map| map.payload)))
    }
}

/// Copies an atlas, and leaves out what it can not read.
struct Overlooks;

impl HasLayers for Overlooks {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/atlas", "in/texts"]).output_layers([Layer::generic("maps")?]))
    }
}

impl GlobalCompiler for Overlooks {
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for map in input.partitions("in/atlas")?.flatten() {
            out.put("maps", &map.key.name, map.payload);
        }
        Ok(())
    }
}

/// What a store fails on is the store's failure, whatever a compiler makes of it: nothing is published without it, and
/// no partition is put in quarantine for it.
#[test]
fn what_can_not_be_read_is_no_failure_of_compilers_and_can_not_be_overlooked() {
    let direct = |careless| Task::new("maps", Direct(careless)).unwrap();
    let tasks = [
        direct(Careless::PassesOn),
        direct(Careless::Retells),
        direct(Careless::Overlooks),
        Task::new("maps", Global(Overlooks)).unwrap(),
    ];
    for (number, task) in tasks.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let task = task.version("1").on_error(OnError::QUARANTINE);
        let mut lab = Lab::new(vec![task]).at(&format!("file://{}/", folder.path().display()));
        for threads in [1, 2] {
            lab.threads(threads);
            lab.put("in/texts", "a", format!("a text {threads}"));
            lab.put("in/atlas", "world", "earth ".repeat(100) + &threads.to_string());
            lab.commit_inputs();
            let whole = files(folder.path());
            let mut damaged = whole.clone();
            for file in damaged.values_mut() {
                let found = file.windows(6).position(|bytes| bytes == b"earth ");
                found.into_iter().for_each(|at| file[at] ^= 1);
            }
            restore(folder.path(), &damaged);
            lab.forget_caches();
            match lab.try_run().map_err(Error::into_kind) {
                Err(RunErrorKind::Store(error)) => {
                    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
                }
                other => panic!("{number}, {threads} threads: {other:?}"),
            }
            let mut now = files(folder.path());
            now.extend(whole);
            restore(folder.path(), &now);
            lab.forget_caches();
            lab.run();
            lab.assert_equals_scratch();
        }
    }
}

/// `cargo test --release -p deltic-tests --test system -- --ignored damage:: --nocapture`
#[test]
#[ignore = "minutes: many bytes of every object"]
fn runs_over_much_more_damage() {
    every_damage(400);
}
