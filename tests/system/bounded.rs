//! Invariant 6, pattern by pattern: a run moves several times the memory that it may take.
//!
//! Each run is a separate process, and the kernel reports its peak memory. Inputs are made once; then each pattern makes its
//! output from them, and makes it again with every partition changed. All files are on the disk: a folder in memory would take
//! the memory that the machine needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use deltic::core::{CatalogId, CatalogUuid, LayerId, RunId, Timestamp, Version};
use deltic::driver::{At, Checkpoint, Import, Job, JobInput, LocalEngine, Mode, Options};
use deltic::prelude::*;
use deltic::store::{Catalog, Committed, Draft, DraftOptions, Error, NewCatalog, NextVersion, Stores};

const MIB: usize = 1 << 20;
/// The instructions for the separate process.
const TOLD: &str = "DELTIC_TEST_BOUNDED";

/// Sends each partition to an output that another one far from it goes to as well, by any pattern.
#[derive(Clone, Copy)]
pub(crate) struct Moves {
    pub(crate) partitions: usize,
    /// Bytes of what is emitted for one partition; else its payload is.
    pub(crate) value_bytes: Option<usize>,
}

impl Moves {
    fn number(key: &Name) -> Result<usize> {
        Ok(key.to_string().parse()?)
    }

    fn far(self, key: &Name) -> Result<String> {
        Ok(format!("{:07}", Moves::number(key)? % self.partitions.div_ceil(2)))
    }

    fn value(self, partition: &Partition) -> Result<String> {
        let text = partition.text()?;
        Ok(self.value_bytes.map_or_else(|| text.to_owned(), |bytes| text.repeat(bytes / text.len())))
    }
}

impl HasLayers for Moves {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("out")?]))
    }
}

impl DirectCompiler for Moves {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("out", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(inputs[0].payload.clone()))
    }
}

/// One value at a time: what a back-end collects is its own.
fn last(values: Values<'_, String>) -> Option<Payload> {
    values.fold(None, |_, value| Some(value)).map(Payload::from)
}

impl MapGroupCompiler for Moves {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        out.emit("out", self.far(input.name())?, self.value(input)?);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(last(values))
    }
}

impl MapSplitCompiler for Moves {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        // Few groups, each of many partitions.
        out.emit("out", format!("{}", Moves::number(input.name())? % 3), self.value(input)?);
        Ok(())
    }

    fn compile_out(
        &self,
        _: &OutKey,
        values: Values<'_, String>,
        out: &mut Publish<'_>,
        _: &Context<'_>,
    ) -> Result<()> {
        values.with_keys().for_each(|(key, value)| out.put("out", &key.name, value));
        Ok(())
    }
}

impl RefTreeCompiler for Moves {
    type Value = String;

    fn structure(&self) -> RefStructure {
        RefStructure::new().reference("next", "in/a")
    }

    fn resolve(&self, partition: &Partition, _: &str, to: &mut Targets) -> Result<()> {
        to.add(format!("{:07}", (Moves::number(partition.name())? + 1) % self.partitions));
        Ok(())
    }

    fn compile_in(&self, input: &Input, found: &References, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for next in found.of(input, "next")?.filter_map(|(_, next)| next) {
            out.emit("out", self.far(input.name())?, self.value(next)?);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(last(values))
    }
}

impl DepCompiler for Moves {
    type Value = String;

    fn compile_in(&self, input: &Whole<'_>, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for partition in input.partitions("in/a")? {
            let partition = partition?;
            out.emit("out", self.far(partition.name())?, self.value(&partition)?);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(last(values))
    }
}

impl GlobalCompiler for Moves {
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for partition in input.partitions("in/a")? {
            let partition = partition?;
            out.put("out", &partition.key.name, partition.payload);
        }
        Ok(())
    }
}

impl IncrementalDepCompiler for Moves {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        for listed in input.list("in/a")? {
            let name = listed?.name;
            let far = self.far(&name)?;
            out.set(&Key { layer: LayerRef::parse("in/a")?, name }, |to| to.add("out", far))?;
        }
        Ok(())
    }

    fn update(
        &self,
        _: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        _: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        for change in changes {
            let InputChange { key, exists, .. } = change?;
            if exists {
                let far = self.far(&key.name)?;
                out.set(&key, |to| to.add("out", far))?;
            }
        }
        Ok(())
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(inputs.last().map(|input| input.payload.clone()))
    }
}

/// A data set that is grouped by content, persisted, and published.
fn data_set(moves: Moves) -> Vec<Task> {
    let plan = DataPlan::new("p").version("1");
    let values: DataSet<String, String> = plan.layer("in/a").map_values(move |partition| moves.value(&partition));
    let far = move |key: &String, value| Ok([(moves.far(&Name::generic(key)?)?, value)]);
    let last: DataSet<String, String> = values.reduce(far, |_, last| Ok(last));
    last.publish(Layer::generic("out").unwrap());
    plan.finish().unwrap().into_tasks()
}

/// Makes one output from everything.
struct Counts;

impl HasLayers for Counts {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("out")?]))
    }
}

impl MapGroupCompiler for Counts {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, _: &Context<'_>) -> Result<()> {
        out.emit("out", "all", input.text()?.parse::<u64>()?);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, u64>, _: &Context<'_>) -> Result<Option<Payload>> {
        let (count, sum) = values.fold((0, 0), |(count, sum), value| (count + 1, sum + value));
        Ok(Some(format!("{count} {sum}").into()))
    }
}

/// The patterns that claim bounded memory.
pub(crate) const PATTERNS: [&str; 10] = [
    "direct",
    "map-group",
    "map-group with a memo",
    "map-split",
    "ref-tree",
    "dep",
    "global",
    "incremental-dep",
    "data set",
    "import",
];

pub(crate) fn tasks(pattern: &str, moves: Moves) -> Vec<Task> {
    let task = |pattern: deltic::compiler::Pattern| Task::new("moves", pattern).unwrap().version("1");
    vec![match pattern {
        "direct" => task(Direct(moves).into()),
        "map-group" => task(MapGroup(moves).into()),
        "map-group with a memo" => task(MapGroup(moves).into()).memo(u32::MAX),
        "map-split" => task(MapSplit(moves).into()),
        "ref-tree" => task(RefTree(moves).into()),
        "dep" => task(Dep(moves).into()),
        "global" => task(Global(moves).into()),
        "incremental-dep" => task(IncrementalDep(moves).into()),
        "data set" => return data_set(moves),
        "one output" => task(MapGroup(Counts).into()),
        "one output with a memo" => task(MapGroup(Counts).into()).memo(u32::MAX),
        other => panic!("no pattern is called {other}"),
    }]
}

fn url(folder: &Path, name: &str) -> String {
    format!("file:{}", folder.join(name).display())
}

fn catalog(folder: &Path, name: &str) -> Catalog {
    let (stores, uuid) = (Stores::new(), CatalogUuid(name.len() as u128));
    let new = NewCatalog { uuid, run: RunId(1), created: Timestamp(0) };
    Catalog::open_or_create(&stores, &url(folder, name), vec![Layer::generic("a").unwrap()], new).unwrap()
}

/// A different text for each partition and version, of the given length.
fn text(number: usize, version: usize, bytes: usize) -> Payload {
    format!("{:016}", number * 10 + version).repeat(bytes / 16).into()
}

/// Makes the next version of the input: as many partitions as ever, each with another payload.
fn make_input(folder: &Path, version: usize, partitions: usize, payload_bytes: usize) {
    let base = catalog(folder, "in").latest().unwrap();
    let draft = Draft::begin(&base, RunId(100 + version as u64), DraftOptions::default());
    let puts = (0..partitions).map(|number| {
        let entry = draft.put(&text(number, version, payload_bytes))?;
        Ok::<_, Error>((format!("{number:07}").into_bytes().into(), Some(entry)))
    });
    let tree = draft.edit(&draft.empty_tree(), puts).unwrap();
    let layers = vec![(Layer::generic("a").unwrap(), tree)];
    assert!(matches!(draft.commit(NextVersion { layers, ..NextVersion::default() }).unwrap(), Committed::New(_)));
}

/// The most anonymous memory that this process has had, to a few pages: the most of all memory, less the pages of files.
fn most_anonymous() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    (kib("VmHWM:") - kib("RssFile:") - kib("RssShmem:")) << 10
}

/// What a process of its own does.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    folder: PathBuf,
    pattern: String,
    version: usize,
    partitions: usize,
    payload_bytes: usize,
    value_bytes: Option<usize>,
    most_mib: usize,
}

/// Runs in the process of its own only.
#[test]
fn one_run_in_a_process_of_its_own() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let Told { folder, pattern, version, partitions, payload_bytes, value_bytes, most_mib } =
        serde_json::from_str(&told).unwrap();
    if pattern == "import" {
        let import = Import::begin(&catalog(&folder, &pattern).latest().unwrap(), RunId(7)).unwrap();
        let layer = LayerId::new("a").unwrap();
        for number in 0..partitions {
            let name = Name::generic(&format!("{number:07}")).unwrap();
            import.put(&layer, &name, &text(number, version, payload_bytes)).unwrap();
        }
        let report = import.commit(Timestamp(0), "").unwrap();
        assert_eq!(report.counts.added + report.counts.modified, partitions as u64);
    } else {
        let engine = LocalEngine::new(2).with_row_memory(4 * MIB);
        let tasks = tasks(&pattern, Moves { partitions, value_bytes });
        let mut options = Options::new(RunId(7), Timestamp(0), LayerId::new("state").unwrap());
        // So that what is done is noted as it is in a long run.
        options.checkpoint =
            Some(Checkpoint { every: std::time::Duration::MAX, clock: std::sync::Arc::new(Default::default) });
        let report = Job::new(&catalog(&folder, &pattern), &tasks, options)
            .input(
                CatalogId::new("in").unwrap(),
                JobInput::new(catalog(&folder, "in"), At::Version(Version(version as u64))),
            )
            .run(&engine)
            .unwrap();
        let counts = report.tasks.last().unwrap().counts;
        assert_eq!(matches!(report.tasks[0].mode, Mode::Full { .. }), version == 1);
        let outputs = if pattern.starts_with("one output") { 1 } else { partitions / 2 };
        assert!(counts.put as usize >= outputs, "{counts:?}");
    }
    let most = most_anonymous();
    println!("most anonymous memory: {} MiB", most / MIB);
    assert!(most <= most_mib * MIB, "{} MiB of {most_mib}", most / MIB);
}

/// Makes the outputs of these patterns from a number of partitions, and makes them again with everything changed.
fn within(most_mib: usize, patterns: &[&str], partitions: usize, payload_bytes: usize, value_bytes: Option<usize>) {
    let moved = partitions * value_bytes.unwrap_or(payload_bytes);
    assert!(moved >= 4 * most_mib * MIB, "{} MiB are not four times {most_mib}", moved / MIB);
    made_twice_within(most_mib, patterns, partitions, payload_bytes, value_bytes);
}

fn made_twice_within(
    most_mib: usize,
    patterns: &[&str],
    partitions: usize,
    payload_bytes: usize,
    value_bytes: Option<usize>,
) {
    let folder = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    for version in [1, 2] {
        make_input(folder.path(), version, partitions, payload_bytes);
    }
    for pattern in patterns {
        for version in [1, 2] {
            let (folder, pattern) = (folder.path().to_owned(), (*pattern).to_owned());
            let told = Told { folder, pattern, version, partitions, payload_bytes, value_bytes, most_mib };
            let test = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "bounded::one_run_in_a_process_of_its_own", "--nocapture"])
                .env(TOLD, serde_json::to_string(&told).unwrap())
                .env("TMPDIR", &told.folder)
                // What an allocator keeps for later is not what is measured.
                .env("MALLOC_ARENA_MAX", "2")
                .env("MALLOC_MMAP_THRESHOLD_", "131072")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&test.stdout);
            let line = text.lines().find(|line| line.contains("most anonymous memory")).unwrap_or_default();
            println!("{}, version {version}: {line}", told.pattern);
            if !test.status.success() {
                failed.push(format!(
                    "{}, version {version}: {text}{}",
                    told.pattern,
                    String::from_utf8_lossy(&test.stderr)
                ));
            }
        }
        // Gigabytes for all patterns together.
        std::fs::remove_dir_all(folder.path().join(pattern)).unwrap();
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_pattern_moves_four_times_the_memory_it_takes() {
    within(128, &PATTERNS, 1024, MIB / 2, None);
}

/// A batch is 256 items, whatever they emit.
#[test]
fn small_inputs_with_large_values() {
    let patterns = ["map-group", "map-group with a memo", "map-split", "dep", "data set"];
    within(128, &patterns, 128, 64, Some(4 * MIB));
}

/// Each contributor is a row of several tables. A list of them alone would take 170 MiB more.
#[test]
#[ignore = "minutes: run it, with optimisation, after changes to what is kept of contributors"]
fn one_output_made_from_everything() {
    made_twice_within(160, &["one output", "one output with a memo"], 3_000_000, 16, None);
}

#[test]
fn large_payloads() {
    within(160, &["direct", "global", "incremental-dep", "map-group", "import"], 80, 8 * MIB, None);
}
