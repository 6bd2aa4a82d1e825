//! A laboratory: input catalogs in memory to edit, a driver to run, and methods to inspect the output.

mod held;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_compiler::Task;
use deltic_core::{
    CatalogId, CatalogUuid, Grid, IntoName, Layer, LayerId, LayerRef, Name, Payload, RunId, Timestamp, Version,
};
use deltic_driver::{At, Checkpoint, Import, Job, JobInput, LocalEngine, Options, Processing, Report};
use deltic_store::{Catalog, NewCatalog, Snapshot, Stores};

use crate::log::RunLog;

/// Catalogs in memory and the tasks under test.
///
/// Input catalogs and their layers are those that the tasks name. All layers are generic, except those of [`Lab::tiles`].
#[derive(Debug)]
pub struct Lab {
    stores: Stores,
    /// The prefix of the URLs of all catalogs.
    place: String,
    tasks: Vec<Task>,
    settings: BTreeMap<LayerRef, Layer>,
    pending: BTreeMap<(CatalogId, LayerId, Name), Option<Payload>>,
    inputs: BTreeMap<CatalogId, Catalog>,
    output: Option<Catalog>,
    bound: BTreeMap<CatalogId, At>,
    processing: BTreeMap<CatalogId, Processing>,
    threads: usize,
    row_memory: usize,
    ranges: usize,
    full: bool,
    checkpoint: Option<Checkpoint>,
    check_determinism: bool,
    take_over: bool,
    code: String,
    ids: u64,
}

/// One run in a lab.
#[derive(Debug)]
pub struct LabRun {
    /// What the run did.
    pub report: Report,
    log: Arc<RunLog>,
}

impl LabRun {
    /// The front- and back-ends that ran and the partitions that were deleted, a line each, sorted.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Fails unless exactly these front- and back-ends ran and these partitions were deleted, in any order: a line each, such
    /// as `front shout notes/text/a`, `back shout loud/a`, `gone shout loud/a`. One that ran twice is listed twice.
    ///
    /// ```
    /// # use deltic_compiler::prelude::*;
    /// # use deltic_testkit::Lab;
    /// # fn test(shout: Task) {
    /// let mut lab = Lab::new(vec![shout]);
    /// lab.put("notes/text", "a", "hello");
    /// lab.run().assert_ran(&["back shout loud/a"]);
    /// lab.run().assert_ran(&[]);
    /// lab.delete("notes/text", "a");
    /// lab.run().assert_ran(&["gone shout loud/a"]);
    /// # }
    /// ```
    #[track_caller]
    pub fn assert_ran(&self, expected: &[&str]) {
        let difference = self.log.difference(expected);
        assert!(
            difference.is_empty(),
            "it ran and was not expected (+), was expected and did not run (-):\n{}",
            difference.join("\n")
        );
    }
}

impl Lab {
    /// A lab for these tasks. State a version for each; otherwise each build of the test binary counts as other code.
    pub fn new(tasks: Vec<Task>) -> Lab {
        Lab::on(Stores::new(), tasks)
    }

    /// A lab whose catalogs (`memory:` URLs) are opened through `stores`: to count requests, or to fail them.
    pub fn on(stores: Stores, tasks: Vec<Task>) -> Lab {
        let mut settings = BTreeMap::new();
        for layer in tasks.iter().flat_map(Task::readable).filter(|layer| layer.catalog.is_some()) {
            settings.insert(layer.clone(), must(Layer::generic(layer.layer.as_str()), "layer"));
        }
        Lab {
            stores,
            place: "memory:".to_owned(),
            tasks,
            settings,
            pending: BTreeMap::new(),
            inputs: BTreeMap::new(),
            output: None,
            bound: BTreeMap::new(),
            processing: BTreeMap::new(),
            threads: 1,
            row_memory: LocalEngine::ROW_MEMORY,
            ranges: 1,
            full: false,
            checkpoint: None,
            check_determinism: false,
            take_over: false,
            code: "testkit".to_owned(),
            ids: 0,
        }
    }

    /// Puts all catalogs under URLs with this prefix, instead of `memory:`.
    #[must_use]
    pub fn at(mut self, place: &str) -> Lab {
        place.clone_into(&mut self.place);
        self
    }

    /// Makes an input layer a tile layer of all levels.
    #[must_use]
    pub fn tiles(mut self, layer: &str, grid: Grid) -> Lab {
        let layer = must(LayerRef::parse(layer), "layer");
        let settings = must(Layer::tiles(layer.layer.as_str(), grid, 0..=31), "layer");
        self.settings.insert(layer, settings);
        self
    }

    /// Runs on this many threads from now on; the default is 1.
    pub fn threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Holds this many bytes of rows in memory from now on; with 0 every batch goes through a file.
    pub fn row_memory(&mut self, bytes: usize) {
        self.row_memory = bytes;
    }

    /// Runs full stages over this many ranges of keys from now on, each of which writes its part of every tree.
    pub fn ranges(&mut self, ranges: usize) {
        self.ranges = ranges;
    }

    /// Runs every task in full from now on, or no longer.
    pub fn full(&mut self, full: bool) {
        self.full = full;
    }

    /// Writes checkpoints this often from now on, so that the next run can resume from an interrupted one; or no longer.
    pub fn checkpoint(&mut self, checkpoint: Option<Checkpoint>) {
        self.checkpoint = checkpoint;
    }

    /// Runs every front- and back-end twice from now on, or no longer: a run fails if any result differs the second
    /// time.
    pub fn check_determinism(&mut self, check: bool) {
        self.check_determinism = check;
    }

    /// Allows runs to take the output over from other tasks from now on, or no longer.
    pub fn take_over(&mut self, take_over: bool) {
        self.take_over = take_over;
    }

    /// Runs as another build of the program from now on, which matters for tasks that state no version.
    pub fn code(&mut self, code: &str) {
        code.clone_into(&mut self.code);
    }

    /// Replaces the tasks, as a new build of a driver or a changed configuration does.
    pub fn set_tasks(&mut self, tasks: Vec<Task>) {
        self.tasks = tasks;
    }

    /// Reads this version of an input from now on, not the latest.
    pub fn pin(&mut self, catalog: &str, version: u64) {
        self.bound.insert(must(CatalogId::new(catalog), "catalog"), At::Version(Version(version)));
    }

    /// Reads the latest version of an input again.
    pub fn unpin(&mut self, catalog: &str) {
        self.bound.remove(&must(CatalogId::new(catalog), "catalog"));
    }

    /// Binds an id to the versions of an input that the last runs read. Its layers are those that are read under either id.
    #[must_use]
    pub fn runs_ago(mut self, id: &str, of: &str, runs: u64) -> Lab {
        let (id, of) = (must(CatalogId::new(id), "catalog"), must(CatalogId::new(of), "catalog"));
        let read = self.settings.extract_if(.., |layer, _| layer.catalog.as_ref() == Some(&id)).collect::<Vec<_>>();
        for (layer, settings) in read {
            self.settings.insert(LayerRef { catalog: Some(of.clone()), ..layer }, settings);
        }
        self.bound.insert(id, At::RunsAgo { of, runs });
        self
    }

    /// Binds an id to the output in the base. The result then depends on earlier runs, so it can not be compared with a run
    /// from scratch: compare the lab with one that is always [`full`](Lab::full).
    #[must_use]
    pub fn feedback(mut self, id: &str) -> Lab {
        let id = must(CatalogId::new(id), "catalog");
        self.settings.retain(|layer, _| layer.catalog.as_ref() != Some(&id));
        self.bound.insert(id, At::Feedback);
        self
    }

    /// Makes the statement of a job about an input, from now on.
    pub fn processing(&mut self, catalog: &str, processing: Processing) {
        self.processing.insert(must(CatalogId::new(catalog), "catalog"), processing);
    }

    /// Puts a partition into the next version of an input.
    pub fn put(&mut self, layer: &str, name: impl IntoName, payload: impl Into<Payload>) {
        self.edit(layer, name, Some(payload.into()));
    }

    /// Deletes a partition in the next version of an input.
    pub fn delete(&mut self, layer: &str, name: impl IntoName) {
        self.edit(layer, name, None);
    }

    fn edit(&mut self, layer: &str, name: impl IntoName, payload: Option<Payload>) {
        let layer = must(LayerRef::parse(layer), "layer");
        assert!(self.settings.contains_key(&layer), "no task reads `{layer}`");
        let Some(catalog) = layer.catalog else { panic!("`{}` is not a layer of an input catalog", layer.layer) };
        self.pending.insert((catalog, layer.layer, must(name.into_name(), "name")), payload);
    }

    /// Commits the put and deleted partitions as new versions of the inputs.
    pub fn commit_inputs(&mut self) {
        let catalogs: Vec<CatalogId> = self.settings.keys().filter_map(|layer| layer.catalog.clone()).collect();
        for id in catalogs {
            let catalog = self.input(&id);
            let mine: Vec<_> = self.pending.extract_if(.., |(catalog, ..), _| *catalog == id).collect();
            if mine.is_empty() {
                continue;
            }
            let run = RunId(self.next_id());
            let base = must(catalog.latest(), "opening an input");
            let import = must(Import::begin(&base, run), "importing");
            for ((_, layer, name), payload) in mine {
                match payload {
                    Some(payload) => must(import.put(&layer, &name, &payload), "putting an input"),
                    None => drop(must(import.delete(&layer, &name), "deleting an input")),
                }
            }
            must(import.commit(Timestamp(0), ""), "committing an input");
        }
    }

    /// Commits the edits of the inputs, then runs the driver. A failure fails the test.
    pub fn run(&mut self) -> LabRun {
        must(self.try_run(), "the run failed")
    }

    /// Commits the edits of the inputs, then runs the driver.
    pub fn try_run(&mut self) -> deltic_driver::Result<LabRun> {
        self.commit_inputs();
        let output = match &self.output {
            Some(output) => output.clone(),
            None => self.create("out", Vec::new()),
        };
        self.output = Some(output.clone());
        self.run_into(&output, !self.full)
    }

    /// Runs every task from scratch into a separate catalog, and returns the result.
    pub fn scratch(&mut self) -> Snapshot {
        self.commit_inputs();
        let id = self.next_id();
        let output = self.create(&format!("scratch-{id}"), Vec::new());
        must(self.run_into(&output.clone(), false), "the run from scratch failed");
        must(output.latest(), "opening the scratch catalog")
    }

    /// The version that the last run committed.
    pub fn output(&self) -> Snapshot {
        let Some(output) = &self.output else { panic!("nothing has run yet") };
        must(output.latest(), "opening the output")
    }

    /// The output catalog.
    pub fn output_catalog(&self) -> Option<&Catalog> {
        self.output.as_ref()
    }

    /// Opens all catalogs again, as another process would: nothing is cached.
    pub fn forget_caches(&mut self) {
        for catalog in self.inputs.values_mut().chain(&mut self.output) {
            *catalog = must(Catalog::open(&self.stores, catalog.url()), "opening a catalog again");
        }
    }

    /// An input catalog.
    pub fn input_catalog(&mut self, id: &str) -> Catalog {
        self.input(&must(CatalogId::new(id), "catalog"))
    }

    /// The names in a layer of the output, in order.
    pub fn names(&self, layer: &str) -> Vec<String> {
        let layer = must(LayerId::new(layer), "layer");
        let output = self.output();
        let found = output.layer(&layer).map(|layer| layer.iter()).into_iter().flatten();
        found.map(|found| must(found, "scan").0.to_string()).collect()
    }

    /// The text of a published partition.
    pub fn text(&self, layer: &str, name: impl IntoName) -> Option<String> {
        let snapshot = self.output();
        let layer = snapshot.layer(&must(LayerId::new(layer), "layer"))?;
        let payload = must(layer.read(&must(name.into_name(), "name")), "reading an output")?;
        Some(String::from_utf8_lossy(payload.bytes()).into_owned())
    }

    fn options(&mut self, incremental: bool) -> Options {
        Options {
            code: self.code.clone(),
            run: RunId(self.next_id()),
            started: Timestamp(0),
            incremental,
            expect_base: None,
            compatible: false,
            take_over: self.take_over,
            state_layer: must(LayerId::new("state"), "layer"),
            note: String::new(),
            checkpoint: self.checkpoint.clone(),
            check_determinism: self.check_determinism,
        }
    }

    fn run_into(&mut self, output: &Catalog, incremental: bool) -> deltic_driver::Result<LabRun> {
        self.with_job(output, incremental, |job, engine, log| Ok(LabRun { report: job.run(engine)?, log }))
    }

    /// Calls a closure with the job of a run, and with the log that observes it.
    fn with_job<T>(
        &mut self,
        output: &Catalog,
        incremental: bool,
        work: impl FnOnce(&Job<'_>, &LocalEngine, Arc<RunLog>) -> T,
    ) -> T {
        let ids = self.settings.keys().filter_map(|layer| layer.catalog.clone());
        let ids: BTreeSet<CatalogId> = ids.chain(self.bound.keys().cloned()).collect();
        let mut inputs = BTreeMap::new();
        for id in ids {
            let at = self.bound.get(&id).cloned().unwrap_or_default();
            let catalog = match &at {
                At::Feedback => output.clone(),
                At::RunsAgo { of, .. } => {
                    let url = self.input(of).url().to_owned();
                    must(Catalog::open(&self.stores, &url), "opening an input once more")
                }
                At::Latest | At::Version(_) => self.input(&id),
            };
            let processing = self.processing.get(&id).copied().unwrap_or_default();
            inputs.insert(id, JobInput { catalog, at, processing });
        }
        let log = Arc::new(RunLog::default());
        let engine = LocalEngine::new(self.threads).with_row_memory(self.row_memory).with_ranges(self.ranges);
        let options = self.options(incremental);
        let mut job = Job::new(output, &self.tasks, options).watched_by(log.as_ref());
        job.inputs = inputs;
        work(&job, &engine, Arc::clone(&log))
    }

    fn input(&mut self, id: &CatalogId) -> Catalog {
        if let Some(catalog) = self.inputs.get(id) {
            return catalog.clone();
        }
        let mine = self.settings.iter().filter(|(layer, _)| layer.catalog.as_ref() == Some(id));
        let layers = mine.map(|(_, settings)| settings.clone()).collect();
        let catalog = self.create(&format!("in-{id}"), layers);
        self.inputs.insert(id.clone(), catalog.clone());
        catalog
    }

    fn create(&mut self, name: &str, layers: Vec<Layer>) -> Catalog {
        let url = format!("{}{name}", self.place);
        let (uuid, run) = (CatalogUuid(u128::from(self.next_id())), RunId(self.next_id()));
        let identity = NewCatalog { uuid, run, created: Timestamp(0) };
        must(Catalog::create(&self.stores, &url, layers, identity), "creating a catalog")
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}

pub(crate) fn must<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
