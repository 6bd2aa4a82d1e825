//! A run after an interrupted one resumes from its checkpoints: it gives the same result as an undisturbed run, and checkpointed
//! results are not compiled again. Checkpoints of other work, or damaged ones, have no effect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deltic::driver::{Checkpoint, Counts, Processing, Report};
use deltic::prelude::*;
use deltic::store::Stores;
use deltic_testkit::store::Operation;
use deltic_testkit::{Fault, Faults, Lab, Random};
use tempfile::TempDir;

use crate::patterns::{Gathers, Groups, Shape};

/// Several batches of each kind.
const INPUTS: u64 = 1500;

/// Operations at the beginning of a first run that may be those which create the catalog.
const CREATION: u64 = 16;

/// Two outputs for each input, too long for a leaf; the second one only where another partition is there.
struct Long;

impl HasLayers for Long {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("y")?]))
    }
}

impl DirectCompiler for Long {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("y", &key.name);
        out.add("y", format!("{}+", key.name));
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let name = output.name.to_string();
        if let Some(other) = name.strip_suffix("7+")
            && !context.exists("in/a", format!("{other}6"))?
        {
            return Ok(None);
        }
        Ok(Some(format!("{name:>150}{}", inputs[0].text()?).into()))
    }
}

fn tasks(version: &str) -> Vec<Task> {
    let shape = |salt, input, output| Shape { salt, inputs: vec![input], references: vec!["in/a"], output };
    vec![
        Task::new("one", MapGroup(Groups(shape(1, "in/a", "x")))).unwrap().version(version),
        Task::new("two", Direct(Long)).unwrap().version("1"),
        Task::new("three", DirectMany(Gathers(shape(3, "y", "z")))).unwrap().version("1"),
    ]
}

/// Keeps everything after each batch.
fn always() -> Option<Checkpoint> {
    Some(Checkpoint { every: Duration::ZERO, clock: Arc::new(|| Duration::ZERO) })
}

/// Catalogs in a folder, whose files can be tampered with.
struct Site {
    folder: TempDir,
    faults: Faults,
    lab: Lab,
}

impl Site {
    /// Inputs of one version, and an output without any run.
    fn new(threads: usize) -> Site {
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::new());
        let stores = Stores::new().with_wrapper(faults.wrapper());
        let mut lab = Lab::on(stores, tasks("1")).at(&format!("file:{}/", folder.path().display()));
        for number in 0..INPUTS {
            lab.put("in/a", format!("{number:04}"), format!("{number:>200}"));
        }
        lab.commit_inputs();
        lab.checkpoint(always());
        lab.threads(threads);
        Site { folder, faults, lab }
    }

    /// Another version of the inputs: most partitions change.
    fn change(&mut self) {
        for number in (0..INPUTS).filter(|number| number % 4 != 0) {
            self.lab.put("in/a", format!("{number:04}"), format!("{number:>300}"));
        }
        self.lab.commit_inputs();
    }

    /// Runs until the operation of a number, from which on the process does nothing any more; whether it got there.
    fn interrupted(&mut self, operation: u64, fault: Fault) -> bool {
        self.faults.from(operation, fault);
        let ended = self.lab.try_run().is_ok();
        self.faults.calm();
        self.lab.forget_caches();
        !ended
    }

    /// How many operations a run takes.
    fn operations(mut self) -> u64 {
        self.faults.calm();
        self.lab.run();
        self.faults.calm().operations.len() as u64
    }

    /// The files of a kind.
    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.folder.path().join("out").join(kind));
        let mut files: Vec<PathBuf> = found.into_iter().flatten().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// What was compiled and taken over, by task.
fn outputs(report: &Report) -> Vec<(u64, u64)> {
    report.tasks.iter().map(|task| (task.counts.compiled, task.counts.resumed)).collect()
}

fn compiled_or_resumed(report: &Report) -> Vec<u64> {
    outputs(report).into_iter().map(|(compiled, resumed)| compiled + resumed).collect()
}

fn resumed(report: &Report) -> u64 {
    outputs(report).into_iter().map(|(_, resumed)| resumed).sum()
}

/// All counts except those of resumed work.
fn other_counts(report: &Report) -> Vec<deltic::driver::Counts> {
    let of = |counts: deltic::driver::Counts| deltic::driver::Counts {
        compiled: counts.compiled + counts.resumed,
        resumed: 0,
        fronts_resumed: 0,
        ..counts
    };
    report.tasks.iter().map(|task| of(task.counts)).collect()
}

/// Interrupts a run, full or incremental, at some of its operations, and holds what follows against an undisturbed run.
fn interrupt(incremental: bool, threads: usize, times: u64, seed: u64) {
    interrupt_over(1, incremental, threads, times, seed);
}

/// The same, with full stages that run over this number of ranges.
fn interrupt_over(ranges: usize, incremental: bool, threads: usize, times: u64, seed: u64) {
    let prepared = || {
        let mut site = Site::new(threads);
        site.lab.ranges(ranges);
        if incremental {
            site.lab.run();
            site.change();
        }
        site
    };
    let all = prepared().operations();
    let mut undisturbed = prepared();
    let expected = undisturbed.lab.run().report;
    assert_eq!(resumed(&expected), 0);
    assert!(undisturbed.files("progress").is_empty(), "a run that gets to its end leaves none");
    undisturbed.lab.assert_equals_scratch();

    let (mut random, mut most, mut late) = (Random::new(seed), 0, 0);
    for _ in 0..times {
        let mut site = prepared();
        let operation = CREATION + random.below(all - CREATION);
        let fault = *random.pick(&[Fault::Before, Fault::After]);
        let interrupted = site.interrupted(operation, fault);
        let report = site.lab.run().report;
        let what = format!("seed {seed}, operation {operation} of {all}, {fault:?}: {:?}", outputs(&report));
        if report.version.is_some() {
            assert_eq!(other_counts(&report), other_counts(&expected), "{what}");
            assert!(site.files("progress").is_empty(), "{what}");
        } else {
            // It had been committed, and what was left to do was to tidy up.
            assert_eq!(report.base, expected.version.unwrap(), "{what}");
        }
        site.lab.assert_equals(&undisturbed.lab);
        let damage = site.lab.output_catalog().unwrap().fsck(true).unwrap().damage;
        assert_eq!(damage, [], "{what}");
        most = most.max(resumed(&report));
        late += u64::from(interrupted && operation > all / 2 && resumed(&report) > 0);
    }
    let total: u64 = compiled_or_resumed(&expected).iter().sum();
    println!("{times} interrupted of {all} operations, at most {most} of {total} outputs taken over, {late} late ones");
    // With several threads the number of operations varies, and with it what an interruption leaves.
    if threads == 1 {
        assert!(most * 2 > total && late > 0, "at most {most} of {total} were taken over, {late} times late");
    }
}

#[test]
fn a_full_run_goes_on() {
    interrupt(false, 1, 8, 1);
}

#[test]
fn a_full_run_over_ranges_goes_on() {
    interrupt_over(5, false, 1, 6, 4);
}

#[test]
fn an_incremental_run_goes_on() {
    interrupt(true, 1, 24, 2);
}

#[test]
fn a_run_on_several_threads_goes_on() {
    interrupt(false, 4, 6, 3);
}

/// `cargo test --release -p deltic-tests --test system -- --ignored resumed:: --nocapture`
#[test]
#[ignore = "minutes: run it after changes to what is kept of interrupted runs"]
fn many_runs_go_on() {
    for seed in 10..20 {
        for threads in [1, 2] {
            interrupt(false, threads, 40, seed);
            interrupt_over(7, false, threads, 40, seed);
            interrupt(true, threads, 40, seed);
        }
    }
}

/// Interrupted three quarters through, after which something may happen; how much the next run takes over of each task.
fn after(happens: impl FnOnce(&mut Site)) -> Vec<u64> {
    let all = Site::new(1).operations();
    let mut site = Site::new(1);
    assert!(site.interrupted(all * 3 / 4, Fault::Before));
    happens(&mut site);
    let report = site.lab.run().report;
    site.lab.assert_equals_scratch();
    outputs(&report).into_iter().map(|(_, resumed)| resumed).collect()
}

#[test]
fn other_work_is_not_taken_over() {
    let same = after(|_| ());
    assert!(same[0] > 0 && same[1] > 0, "{same:?}");
    assert_eq!(after(|site| site.lab.checkpoint(None)), [0, 0, 0], "not asked for");
    assert_eq!(after(Site::change), [0, 0, 0], "other inputs");
    let one_gone = after(|site| {
        // Near the end, so that most of what was kept is of inputs that stay as they are.
        site.lab.delete("in/a", "1496");
        site.lab.commit_inputs();
    });
    assert_eq!(one_gone, [0, 0, 0], "any of them may have looked at the one that is gone");
    let other = after(|site| site.lab.set_tasks(tasks("2")));
    assert_eq!((other[0], other[1]), (0, same[1]), "another version of the first task");
    let moved = after(|site| {
        // Another run makes a version of the same inputs; then the task is another one.
        site.lab.checkpoint(None);
        site.lab.run();
        assert!(!site.files("progress").is_empty(), "whoever takes nothing over leaves it");
        site.lab.checkpoint(always());
        site.lab.set_tasks(tasks("2"));
        assert_eq!(resumed(&site.lab.run().report), 0, "another base");
        site.lab.set_tasks(tasks("1"));
    });
    assert_eq!(moved, [0, 0, 0], "another base");
}

/// An output for each input, with the content of another layer.
struct Flagged;

impl HasLayers for Flagged {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/a"])
            .reference_layers(["in/flags"])
            .output_layers([Layer::generic("flagged")?]))
    }
}

impl DirectCompiler for Flagged {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("flagged", &key.name);
    }

    fn compile(&self, output: &OutKey, _: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let flag = context.read("in/flags", "flag")?.map(|flag| flag.payload);
        Ok(Some(format!("{:>200}{flag:?}", output.name.to_string()).into()))
    }
}

/// What is compiled is the same, and what compilers look up beside it is not.
#[test]
fn what_was_only_read_counts() {
    let prepared = || {
        let faults = Faults::new();
        let tasks = vec![Task::new("flagged", Direct(Flagged)).unwrap().version("1")];
        let mut lab = Lab::on(Stores::new().with_wrapper(faults.wrapper()), tasks);
        for number in 0..100 {
            lab.put("in/a", format!("{number:04}"), "x");
        }
        lab.put("in/flags", "flag", "up");
        lab.commit_inputs();
        lab.checkpoint(always());
        (lab, faults)
    };
    let (mut lab, faults) = prepared();
    faults.calm();
    lab.run();
    let all = faults.calm().operations.len() as u64;
    for (flag, expected) in [("up", 100), ("down", 0)] {
        let (mut lab, faults) = prepared();
        // What is left to do is the pack of nodes, the record, the hint and the removal of what was kept.
        faults.from(all - 4, Fault::Before);
        assert!(lab.try_run().is_err());
        faults.calm();
        lab.forget_caches();
        lab.put("in/flags", "flag", flag);
        assert_eq!(resumed(&lab.run().report), expected, "{flag}");
        lab.assert_equals_scratch();
    }
}

/// Whoever asks for everything to be compiled gets what is compiled since, and not what was found out before.
#[test]
fn a_run_of_everything_goes_on_from_its_like() {
    assert_eq!(after(|site| site.lab.full(true)), [0, 0, 0], "it was not asked for everything then");
    let all = Site::new(1).operations();
    let mut site = Site::new(1);
    site.lab.full(true);
    assert!(site.interrupted(all * 3 / 4, Fault::Before));
    let resumed = resumed(&site.lab.run().report);
    assert!(resumed > 0, "{resumed}");
    site.lab.assert_equals_scratch();
}

fn damage(file: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    std::fs::write(file, change(std::fs::read(file).unwrap())).unwrap();
}

#[test]
fn what_is_damaged_is_passed_over() {
    let whole: u64 = after(|_| ()).into_iter().sum();
    let some = |happens: &dyn Fn(&PathBuf, usize)| {
        after(|site| site.files("progress").iter().enumerate().for_each(|(number, file)| happens(file, number)))
    };
    let sum = |resumed: Vec<u64>| resumed.into_iter().sum::<u64>();
    // A third of the objects, each damaged in another part.
    let flipped = sum(some(&|file, number| {
        if number % 3 == 0 {
            damage(file, |mut bytes| {
                let at = bytes.len() * (number % 10) / 10;
                bytes[at] ^= 1;
                bytes
            });
        }
    }));
    assert!(0 < flipped && flipped < whole, "{flipped} of {whole}");
    let cut = sum(some(&|file, number| damage(file, |bytes| bytes[..bytes.len() * (number % 5) / 5].to_vec())));
    assert_eq!(cut, 0);
    let gone = sum(some(&|file, number| {
        if number % 2 == 0 {
            std::fs::remove_file(file).unwrap();
        }
    }));
    assert!(0 < gone && gone < whole, "{gone} of {whole}");
    // Under the name of another, as a copy of a catalog may have it.
    let swapped = after(|site| {
        let files = site.files("progress");
        let contents: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        files.iter().zip(contents.iter().rev()).for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    });
    assert_eq!(sum(swapped), whole, "results are found wherever they lie");
}

/// Progress whose packs are gone or cut refers to nothing that can be read.
#[test]
fn packs_that_are_not_whole_are_not_referred_to() {
    let gone = after(|site| site.files("packs").iter().for_each(|pack| std::fs::remove_file(pack).unwrap()));
    assert_eq!(gone[1], 0);
    let cut = after(|site| {
        site.files("packs").iter().for_each(|pack| damage(pack, |bytes| bytes[..bytes.len() - 1].to_vec()));
    });
    assert_eq!(cut[1], 0);
}

/// An object of progress that is valid in itself and names no packs, as `docs/format.md` describes it.
fn without_packs(object: &[u8]) -> Vec<u8> {
    let footer = object.len() - 48;
    let len = u64::from_le_bytes(object[footer..footer + 8].try_into().unwrap());
    let (results, index) = object[..footer].split_at(footer - len as usize);
    let after_number = |bytes: &[u8]| 1 + bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    assert!(index[0] < 0x80, "the number of packs takes a byte");
    let mut rest = &index[1..];
    for _ in 0..index[0] {
        // Base, run, number, length.
        rest = &rest[after_number(rest) + 8..];
        rest = &rest[after_number(rest)..];
        rest = &rest[after_number(rest)..];
    }
    let index = [&[0][..], rest].concat();
    let len = index.len() as u64;
    let digest = deltic::core::Digest::of(&index);
    [results, &index, &len.to_le_bytes(), digest.as_bytes(), &object[object.len() - 8..]].concat()
}

/// Results that refer to packs which nobody has looked for are not used; no run fails for them.
#[test]
fn packs_that_are_not_named_are_not_referred_to() {
    let strange = after(|site| {
        for file in site.files("progress") {
            damage(&file, |object| without_packs(&object));
        }
        site.files("packs").iter().for_each(|pack| std::fs::remove_file(pack).unwrap());
    });
    assert!(strange[0] > 0, "the objects are read: {strange:?}");
    assert_eq!(strange[1], 0);
}

#[test]
fn a_sweep_knows_progress() {
    let all = Site::new(1).operations();
    let mut site = Site::new(1);
    assert!(site.interrupted(all * 3 / 4, Fault::Before));
    let catalog = site.lab.output_catalog().unwrap().clone();
    let kept = site.files("progress");
    let would = catalog.gc(true).unwrap();
    let done = catalog.gc(false).unwrap();
    assert_eq!((would, kept.clone()), (done.clone(), site.files("progress")));
    assert_eq!((done.progress_removed.count, done.progress_kept.count), (0, kept.len() as u64));
    // A damaged one is no damage of the catalog.
    damage(&kept[0], |_| Vec::new());
    assert_eq!(catalog.fsck(true).unwrap().damage, []);
    // A version that nobody went on for: now nobody can any more.
    site.lab.checkpoint(None);
    site.lab.run();
    let would = catalog.gc(true).unwrap();
    assert_eq!(would.progress_removed.count, kept.len() as u64);
    assert_eq!(site.files("progress"), kept, "a dry run removes nothing");
    assert_eq!(catalog.gc(false).unwrap(), would);
    assert_eq!(site.files("progress"), Vec::<PathBuf>::new());
}

/// A run that gets to its end before its first checkpoint, and one that is small, ask and write nothing for it.
#[test]
fn who_is_fast_pays_nothing() {
    let requests = |checkpoint: Option<Checkpoint>, inputs: u64| {
        let faults = Faults::new();
        let mut lab = Lab::on(Stores::new().with_wrapper(faults.wrapper()), tasks("1"));
        for number in 0..inputs {
            lab.put("in/a", format!("{number:04}"), format!("{number:>200}"));
        }
        lab.commit_inputs();
        lab.checkpoint(checkpoint);
        faults.calm();
        lab.run();
        faults.calm().operations.len()
    };
    let later = |every| Some(Checkpoint { every, clock: Arc::new(|| Duration::from_secs(7)) });
    let minute = later(Duration::from_secs(60));
    assert_eq!(requests(minute.clone(), 20), requests(None, 20));
    // One listing for all tasks.
    assert_eq!(requests(minute, INPUTS), requests(None, INPUTS) + 1);
    assert!(requests(later(Duration::ZERO), INPUTS) > requests(None, INPUTS) + 10);
}

/// Copies what another task makes; fails on some of it until it is mended.
struct Copies {
    mended: bool,
}

impl HasLayers for Copies {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["y"]).output_layers([Layer::generic("copies")?]))
    }
}

impl DirectCompiler for Copies {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("copies", &key.name);
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        ensure!(self.mended || !output.name.to_string().ends_with("07"), "not this one");
        Ok(Some(format!("{:>300}", inputs[0].text()?).into()))
    }
}

/// What tasks made that got to their end need not be made again when the one that failed is mended.
#[test]
fn a_run_that_fails_keeps_what_was_done() {
    let tasks = |mended| {
        let last = Task::new("last", Direct(Copies { mended })).unwrap().version(if mended { "2" } else { "1" });
        tasks("1").into_iter().chain([last]).collect::<Vec<_>>()
    };
    let prepared = |inputs| {
        let mut site = Site::new(2);
        (inputs..INPUTS).for_each(|number| site.lab.delete("in/a", format!("{number:04}")));
        site.lab.commit_inputs();
        // An hour that never passes.
        let checkpoint = Checkpoint { every: Duration::from_secs(3600), clock: Arc::new(|| Duration::ZERO) };
        site.lab.checkpoint(Some(checkpoint));
        site.lab.set_tasks(tasks(false));
        site
    };
    let fail = |site: &mut Site| {
        let failed = site.lab.try_run().err().unwrap().to_string();
        assert!(failed.contains("not this one"), "{failed}");
        site.lab.forget_caches();
    };
    let mut site = prepared(INPUTS);
    // The second one takes over from the first, and what that has kept stays for the third.
    fail(&mut site);
    let kept = site.files("progress");
    assert!(!kept.is_empty());
    fail(&mut site);
    assert_eq!(site.files("progress"), kept, "nothing was done that was not done before");
    site.lab.set_tasks(tasks(true));
    let report = site.lab.run().report;
    let by_task: BTreeMap<String, Counts> =
        report.tasks.iter().map(|task| (task.task.to_string(), task.counts)).collect();
    assert_eq!((by_task["two"].compiled, by_task["two"].resumed), (0, 2 * INPUTS));
    assert_eq!(by_task["one"].fronts_resumed, INPUTS);
    assert_eq!((by_task["last"].resumed, by_task["last"].compiled > 0), (0, true), "it is another version of it");
    assert!(site.files("progress").is_empty(), "it got to its end");
    site.lab.assert_equals_scratch();

    let mut small = prepared(20);
    fail(&mut small);
    assert!(small.files("progress").is_empty(), "nobody would look for it");
}

/// Whoever has an input reprocessed knows of something that the run does not: nothing is taken over but from its like.
#[test]
fn a_reprocessed_input_is_compiled_again() {
    let mut site = Site::new(1);
    site.lab.run();
    site.change();
    let all = {
        let mut other = Site::new(1);
        other.lab.run();
        other.change();
        other.operations()
    };
    assert!(site.interrupted(all * 3 / 4, Fault::Before));
    assert!(!site.files("progress").is_empty());
    site.lab.processing("in", Processing::Reprocess);
    let report = site.lab.run().report;
    assert_eq!(resumed(&report), 0, "{:?}", outputs(&report));
    assert!(outputs(&report)[1].0 >= 2 * INPUTS - 100, "all of it: {:?}", outputs(&report));
    site.lab.assert_equals_scratch();
}

/// A store that fails is not asked to keep anything.
#[test]
fn a_store_that_fails_is_not_asked_to_keep_anything() {
    let puts = |checkpoint| {
        let mut site = Site::new(1);
        site.lab.checkpoint(checkpoint);
        site.faults.from(CREATION, Fault::Before);
        site.lab.try_run().err().unwrap();
        site.faults.calm().operations.into_iter().filter(|operation| *operation == Operation::Put).count()
    };
    let hourly = Checkpoint { every: Duration::from_secs(3600), clock: Arc::new(|| Duration::ZERO) };
    assert_eq!(puts(Some(hourly)), puts(None));
}
