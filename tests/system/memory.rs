//! Invariant 6: memory is a setting, not a function of the catalog's size.
//!
//! A build of several times the memory that it may take, and then a run with everything changed, each in a separate process,
//! which measures its anonymous memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use deltic::core::{CatalogId, CatalogUuid, LayerId, RunId, Timestamp};
use deltic::driver::{Event, Job, LocalEngine, Mode, Observer, Options};
use deltic::prelude::*;
use deltic::store::{Catalog, Committed, Draft, DraftOptions, Error, NewCatalog, NextVersion, Stores};

/// 128 MiB, and 64 MiB for each of two threads.
const MOST_BYTES: u64 = 256 << 20;
/// The environment variables of the separate process: where its catalogs are, and the number of partitions.
const FOLDER: &str = "DELTIC_TEST_MEMORY_FOLDER";
const PARTITIONS: &str = "DELTIC_TEST_MEMORY_PARTITIONS";

/// Sends each partition to an output far from where it came from, which two others go to as well.
struct Scatter {
    outputs: u64,
}

impl HasLayers for Scatter {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("scattered")?]))
    }
}

impl MapGroupCompiler for Scatter {
    type Value = Vec<u8>;

    fn compile_in(&self, input: &Input, out: &mut Emit<Vec<u8>>, _: &Context) -> Result<()> {
        let number: u64 = input.name().to_string().parse()?;
        let far = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.outputs;
        out.emit("scattered", format!("{far:08}"), input.bytes().to_vec());
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<Vec<u8>>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(values.flatten().collect::<Vec<u8>>().into()))
    }
}

/// Looks at this process's anonymous memory from time to time.
#[derive(Default)]
struct Watch {
    events: AtomicU64,
    most: AtomicU64,
}

impl Observer for Watch {
    fn event(&self, _: &Event<'_>) {
        if self.events.fetch_add(1, Ordering::Relaxed).is_multiple_of(2000) {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
            let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            self.most.fetch_max(kib << 10, Ordering::Relaxed);
        }
    }
}

fn url(folder: &Path, name: &str) -> String {
    format!("file:{}", folder.join(name).display())
}

fn identity(number: u64) -> NewCatalog {
    NewCatalog { uuid: CatalogUuid(u128::from(number)), run: RunId(number), created: Timestamp(0) }
}

/// Makes the next version of the input catalog: as many partitions as ever, each with another payload.
fn make_input(folder: &Path, version: u64, partitions: u64, payload_bytes: usize) {
    let layer = Layer::generic("a").unwrap();
    let stores = Stores::new();
    let catalog = Catalog::open_or_create(&stores, &url(folder, "in"), vec![layer.clone()], identity(1)).unwrap();
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(100 + version), DraftOptions::default());
    let puts = (0..partitions).map(|number| {
        let payload: Payload = format!("{:0payload_bytes$}", number * 10 + version).into();
        Ok::<_, Error>((format!("{number:08}").into_bytes().into(), Some(draft.put(&payload)?)))
    });
    let tree = draft.edit(&draft.empty_tree(), puts).unwrap();
    let committed = draft.commit(NextVersion { layers: vec![(layer, tree)], ..NextVersion::default() }).unwrap();
    assert!(matches!(committed, Committed::New(_)));
}

/// Runs in the process of its own only.
#[test]
fn build_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let partitions: u64 = std::env::var(PARTITIONS).unwrap().parse().unwrap();
    let stores = Stores::new();
    let input = Catalog::open(&stores, &url(&folder, "in")).unwrap();
    let version = input.latest().unwrap().version().0;
    let output = Catalog::open_or_create(&stores, &url(&folder, "out"), Vec::new(), identity(3)).unwrap();
    let (engine, watch) = (LocalEngine::new(2).with_row_memory(16 << 20), Watch::default());
    let tasks = [Task::new("scatter", MapGroup(Scatter { outputs: partitions / 3 })).unwrap().version("1")];
    let report =
        Job::new(&output, &tasks, Options::new(RunId(200 + version), Timestamp(0), LayerId::new("state").unwrap()))
            .input(CatalogId::new("in").unwrap(), input)
            .watched_by(&watch)
            .run(&engine)
            .unwrap();
    assert_eq!(report.tasks[0].counts.fronts, partitions);
    assert_eq!(matches!(report.tasks[0].mode, Mode::Full { .. }), version == 1);
    println!("most anonymous memory: {} MiB", watch.most.load(Ordering::Relaxed) >> 20);
    assert!(watch.most.load(Ordering::Relaxed) <= MOST_BYTES);
}

/// Builds, changes everything, and runs again; `limit` are KiB that the process may have of private memory.
fn build_and_change_everything(partitions: u64, payload_bytes: usize, limit: Option<u64>) {
    // On the disk: a folder in memory would take what the machine needs.
    let folder = tempfile::tempdir().unwrap();
    for (version, what) in [(1, "full build"), (2, "everything changed")] {
        make_input(folder.path(), version, partitions, payload_bytes);
        let limit = limit.map_or_else(String::new, |limit| format!("ulimit -d {limit}; "));
        let test = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "memory::build_in_a_process_of_its_own", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(PARTITIONS, partitions.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&test.stdout);
        assert!(test.status.success(), "{what}: {text}{}", String::from_utf8_lossy(&test.stderr));
        let line = text.lines().find(|line| line.contains("most anonymous memory")).unwrap();
        println!("{partitions} partitions, {what}: {line}");
    }
}

#[test]
fn a_build_larger_than_memory() {
    build_and_change_everything(300_000, 1000, None);
}

/// `DELTIC_MEMORY=10000000 cargo test --release -p deltic-tests --test system -- --ignored under_512 --nocapture`
#[test]
#[ignore = "long: run with --ignored, and DELTIC_MEMORY=PARTITIONS for another number than a million"]
fn many_small_partitions_under_512_mib() {
    let partitions = std::env::var("DELTIC_MEMORY").map_or(1_000_000, |text| text.parse().unwrap());
    build_and_change_everything(partitions, 24, Some(512 << 10));
}
