//! One job between two catalogs: opened once, run any number of times.

use anyhow::{Context as _, Result};
use deltic_compiler::Task;
use deltic_core::{CatalogId, LayerId};
use deltic_driver::{At, Error, ErrorKind as RunErrorKind, Job, JobInput, LocalEngine, Options, Report};
use deltic_store::{Catalog, ErrorKind, Snapshot, Stores};

use crate::compilers::{CATALOG, OUTPUT, Workload, input_layer};
use deltic_cli::{new_catalog, new_run_id, now};

/// A job, its catalogs and its engine.
#[derive(Debug)]
pub struct Session {
    stores: Stores,
    input: Catalog,
    output: Catalog,
    tasks: Vec<Task>,
    engine: LocalEngine,
    full: bool,
}

impl Session {
    /// Opens a job between two catalogs. The output catalog is created if its folder does not exist. An existing input or output
    /// gets no request. 0 threads are one for each processor.
    pub fn open(stores: &Stores, workload: Workload, input: &str, output: &str, threads: usize) -> Result<Session> {
        Session::with_task(stores, workload.task()?, input, output, threads)
    }

    /// The same for another task than those of the jobs. It reads catalog `in`.
    pub fn with_task(stores: &Stores, task: Task, input: &str, output: &str, threads: usize) -> Result<Session> {
        let output = match Catalog::open(stores, output) {
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                Catalog::create(stores, output, Vec::new(), new_catalog()?)?
            }
            opened => opened?,
        };
        Ok(Session {
            stores: stores.clone(),
            input: Catalog::open(stores, input)?,
            output,
            tasks: vec![task],
            engine: LocalEngine::new(threads),
            full: false,
        })
    }

    /// Runs in full from now on.
    pub fn full(&mut self, full: bool) {
        self.full = full;
    }

    /// Runs once: in full if there is no output yet, else incrementally.
    pub fn run(&mut self) -> Result<Report> {
        match self.try_run() {
            // A folder without a catalog in it: create one and try again. Only a run that finds none pays for this.
            Err(error) if matches!(error.kind(), RunErrorKind::Store(error) if *error.kind() == ErrorKind::NotFound) => {
                self.input.latest()?;
                self.output = Catalog::create(&self.stores, self.output.url(), Vec::new(), new_catalog()?)?;
                Ok(self.try_run()?)
            }
            result => Ok(result?),
        }
    }

    fn try_run(&self) -> deltic_driver::Result<Report> {
        let setup = |error: anyhow::Error| Error::new(RunErrorKind::Setup, format!("{error:#}"));
        let id = |text| CatalogId::new(text).map_err(|error| setup(error.into()));
        let input = JobInput::new(self.input.clone(), At::Latest);
        let state_layer = LayerId::new("state").map_err(|error| setup(error.into()))?;
        let options =
            Options { incremental: !self.full, ..Options::new(new_run_id().map_err(setup)?, now(), state_layer) };
        Job::new(&self.output, &self.tasks, options).input(id(CATALOG)?, input).run(&self.engine)
    }

    /// The input catalog.
    pub fn input(&self) -> &Catalog {
        &self.input
    }

    /// The version that the last run made.
    pub fn output(&self) -> Result<Snapshot> {
        Ok(self.output.latest()?)
    }

    /// The id of the output layer.
    pub fn output_layer() -> Result<LayerId> {
        Ok(LayerId::new(OUTPUT)?)
    }
}

/// Opens an input catalog at its latest version, or creates it with one empty layer.
pub fn open_input(stores: &Stores, url: &str) -> Result<Snapshot> {
    let catalog = Catalog::open_or_create(stores, url, vec![input_layer()?], new_catalog()?)?;
    catalog.latest().with_context(|| format!("opening {url}"))
}
