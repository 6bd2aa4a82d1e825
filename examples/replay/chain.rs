//! The catalogs of a replay, and the runs from one to the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use deltic::compiler::{Setup, Task};
use deltic::core::{CatalogId, Digest, Layer, LayerId, Name, Payload, Version};
use deltic::driver::{At, Import, Job, JobInput, LocalEngine, Options, Report};
use deltic::store::{Catalog, Snapshot, Stores};

use super::{BEFORE, Example};
use crate::history::{self, Step};

/// An input catalog that follows a data set's history, and the output catalog that follows the input.
#[derive(Debug, Clone)]
pub struct Chain {
    example: Example,
    tasks: Vec<Task>,
    engine: Arc<LocalEngine>,
    input: Catalog,
    output: Catalog,
}

impl Chain {
    /// Opens the catalogs `in` and `out` of a folder, or creates them.
    pub fn open(example: &Example, dir: &Path, threads: usize) -> Result<Chain> {
        let mut setup = Setup::default();
        (example.setup)(&mut setup)?;
        Ok(Chain {
            example: example.clone(),
            tasks: setup.finish()?,
            engine: Arc::new(LocalEngine::new(threads)),
            input: open_or_create(&dir.join("in"), (example.data.layers)()?)?,
            output: open_or_create(&dir.join("out"), Vec::new())?,
        })
    }

    /// Imports and compiles version after version up to `last`, and calls `each` with the report of each run. Versions that
    /// were imported before are not imported again; the last of them is compiled again, in case a run stopped in between.
    pub fn replay(&self, last: Option<u64>, mut each: impl FnMut(u64, &Report, Duration)) -> Result<()> {
        let done = self.input_version()?;
        history::replay(&history::data(self.example.data.folder), |step| {
            if last.is_some_and(|last| step.number > last) {
                return Ok(false);
            }
            if step.number > done {
                self.import(&step)?;
            } else if step.number < done {
                return Ok(true);
            }
            let started = Instant::now();
            let report = self.compile(&self.output, step.number, true)?;
            each(step.number, &report, started.elapsed());
            Ok(true)
        })
    }

    /// The latest version of the input.
    pub fn input_version(&self) -> Result<u64> {
        Ok(self.input.latest()?.version().0)
    }

    /// The latest version of the output.
    pub fn output(&self) -> Result<Snapshot> {
        Ok(self.output.latest()?)
    }

    /// The digest of an output layer at every version that has it.
    pub fn digests(&self, layer: &str) -> Result<BTreeMap<Version, Digest>> {
        let id = LayerId::new(layer)?;
        let mut digests = BTreeMap::new();
        for snapshot in self.output.log() {
            let snapshot = snapshot?;
            digests.extend(snapshot.tree(&id).map(|tree| (snapshot.version(), tree.digest())));
        }
        ensure!(!digests.is_empty(), "the output has no layer `{layer}`");
        Ok(digests)
    }

    /// All partitions of an output layer, by name.
    pub fn partitions(&self, layer: &str) -> Result<Vec<(Name, Payload)>> {
        let output = self.output()?;
        let id = LayerId::new(layer)?;
        let found = output.layer(&id).with_context(|| format!("the output has no layer `{layer}`"))?;
        found
            .iter()
            .map(|partition| partition.and_then(|(name, entry)| Ok((name, found.tree().read(&entry)?))))
            .map(|read| Ok(read?))
            .collect()
    }

    /// Builds the latest version of the input from scratch, into a separate catalog.
    pub fn scratch(&self, dir: &Path) -> Result<Snapshot> {
        let scratch = open_or_create(dir, Vec::new())?;
        self.compile(&scratch, self.input_version()?, true)?;
        Ok(scratch.latest()?)
    }

    /// Whether a task reads the output of the run before, so that a build from scratch differs.
    pub fn has_feedback(&self) -> bool {
        let catalogs = self.tasks.iter().flat_map(Task::readable).filter_map(|layer| layer.catalog);
        catalogs.into_iter().any(|catalog| catalog.as_str() == BEFORE)
    }

    /// Compiles all versions of the input one after the other into another catalog, everything in each run.
    pub fn full_runs(&self, dir: &Path, mut each: impl FnMut(&Report, Duration)) -> Result<Chain> {
        let full = Chain { output: open_or_create(dir, Vec::new())?, ..self.clone() };
        for version in 1..=self.input_version()? {
            let started = Instant::now();
            let report = full.compile(&full.output, version, false)?;
            each(&report, started.elapsed());
        }
        Ok(full)
    }

    /// Checks that output and state equal those of another chain at every version of the input, and counts these.
    pub fn compare_versions(&self, other: &Chain) -> Result<usize> {
        let (ours, theirs) = (self.states()?, other.states()?);
        for (version, digests) in &ours {
            ensure!(theirs.get(version) == Some(digests), "output or state differ at version {version} of the input");
        }
        ensure!(ours.len() == theirs.len(), "one chain has compiled {} versions, one {}", ours.len(), theirs.len());
        Ok(ours.len())
    }

    /// Digests of layers and state as they last were at each version of the input.
    fn states(&self) -> Result<BTreeMap<Version, (Digest, Digest)>> {
        let input = self.input.latest()?.uuid();
        let mut states = BTreeMap::new();
        for snapshot in self.output.log() {
            let snapshot = snapshot?;
            let of_input = snapshot.record().dependencies.iter().find(|known| known.uuid == input);
            if let Some(known) = of_input {
                states.entry(known.version).or_insert((snapshot.digest(), snapshot.state_digest()));
            }
        }
        Ok(states)
    }

    /// Checks that output and state equal those of a build from scratch, and lists the layers: partitions and digest.
    pub fn compare(&self, scratch: &Snapshot) -> Result<Vec<(LayerId, u64, Digest)>> {
        let chain = self.output()?;
        let mut layers = Vec::new();
        for layer in scratch.layers() {
            let digest = |snapshot: &Snapshot| snapshot.tree(&layer.id).map(|tree| (tree.digest(), tree.count()));
            let (Some((ours, count)), Some((theirs, _))) = (digest(&chain), digest(scratch)) else { continue };
            ensure!(ours == theirs, "layer {} differs from a build from scratch: {ours}, not {theirs}", layer.id);
            layers.push((layer.id.clone(), count, ours));
        }
        ensure!(chain.digest() == scratch.digest() && chain.state_digest() == scratch.state_digest(), "state differs");
        Ok(layers)
    }

    /// Commits the changes of a version as the next version of the input catalog.
    fn import(&self, step: &Step) -> Result<()> {
        let import = Import::begin(&self.input.latest()?, deltic::new_run_id()?)?;
        for (layer, name, bytes) in &step.put {
            let (layer, name) = self.place(&import, layer, name)?;
            import.put(&layer, &name, &bytes.clone().into())?;
        }
        for (layer, name) in &step.deleted {
            let (id, partition) = self.place(&import, layer, name)?;
            let existed = import.delete(&id, &partition)?;
            ensure!(existed, "version {} deletes {layer}/{name}, which does not exist", step.number);
        }
        let report = import.commit(deltic::now(), &format!("upstream version {}", step.number))?;
        ensure!(
            report.version.is_some_and(|version| version.0 == step.number),
            "version {} was imported before",
            step.number
        );
        Ok(())
    }

    /// The partition of a file of the data set.
    fn place(&self, import: &Import, layer: &str, file: &str) -> Result<(LayerId, Name)> {
        let extension = self.example.data.extension;
        let name = file.strip_suffix(extension);
        let name = name.with_context(|| format!("file {layer}/{file} does not end in `{extension}`"))?;
        let id = LayerId::new(layer)?;
        let name = import.layer(&id)?.parse_name(name)?;
        Ok((id, name))
    }

    /// Runs all tasks into a catalog over a version of the input.
    fn compile(&self, output: &Catalog, version: u64, incremental: bool) -> Result<Report> {
        let input = |(id, behind): &(&str, u64)| {
            // Version 0 of a catalog is empty.
            let at = At::Version(Version(version.saturating_sub(*behind)));
            Ok((CatalogId::new(id)?, JobInput::new(self.input.clone(), at)))
        };
        let mut inputs: BTreeMap<_, _> = self.example.inputs.iter().map(input).collect::<Result<_>>()?;
        inputs.insert(CatalogId::new(BEFORE)?, JobInput::new(output.clone(), At::Feedback));
        let options =
            Options { incremental, ..Options::new(deltic::new_run_id()?, deltic::now(), LayerId::new("state")?) };
        let mut job = Job::new(output, &self.tasks, options);
        job.inputs = inputs;
        Ok(job.run(&*self.engine)?)
    }
}

fn open_or_create(dir: &Path, layers: Vec<Layer>) -> Result<Catalog> {
    let url = format!("file:{}", dir.display());
    let stores = Stores::new();
    Ok(Catalog::open_or_create(&stores, &url, layers, deltic::new_catalog()?)?)
}
