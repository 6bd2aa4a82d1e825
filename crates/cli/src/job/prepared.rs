//! A run, prepared from the configuration: it holds everything that the run needs except its output catalog.

use std::collections::{BTreeMap, BTreeSet};

use deltic_compiler::{Setup, Task};
use deltic_core::{CatalogId, LayerRef, Version};
use deltic_driver::{At, Job, JobInput, LocalEngine, Observer, Options, Stop};
use deltic_store::{Catalog, ErrorKind, Snapshot, Stores};

use super::inputs::{Inputs, OpenedInput};
use super::requested::Requested;
use super::tasks::{Register, code_of, tasks};
use crate::args::JobArgs;
use crate::catalogs::access;
use crate::config::{Config, DEFAULT_FILE};
use crate::system::{clock, identity};
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::progress::Progress;

/// A URL within this process, for the empty catalog that a plan starts from when the output does not exist yet.
const NOWHERE: &str = "memory:an output that does not exist yet";

/// Adds to a failure that no configuration file was found, which may be its reason.
pub(crate) fn where_from(config: &Config, failure: Failure) -> Failure {
    match config.from_file {
        true => failure,
        false => failure.hint(format!("there is no {DEFAULT_FILE} in this folder; `--config` names another file")),
    }
}

/// Opens stores with the settings of the configuration.
pub(crate) fn stores(config: &Config) -> Outcome<Stores> {
    Ok(access::stores()?.with_patience(config.driver.retry.0.unwrap_or_default()))
}

/// The configured engine.
pub(crate) fn engine(config: &Config) -> LocalEngine {
    LocalEngine::new(config.driver.threads).with_row_memory(config.driver.memory.0)
}

/// Everything that a run needs except its output catalog.
pub(crate) struct Prepared<'a> {
    args: &'a JobArgs,
    pub(super) config: &'a Config,
    stores: &'a Stores,
    pub(super) tasks: Vec<Task>,
    /// The inputs, at the versions that this run reads.
    pub(super) inputs: BTreeMap<CatalogId, OpenedInput>,
    requested: Requested,
    pub(crate) engine: LocalEngine,
    code: String,
    /// The URL of the output.
    pub(crate) url: &'a str,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(
        args: &'a JobArgs,
        config: &'a Config,
        stores: &'a Stores,
        register: Register<'_>,
    ) -> Outcome<Prepared<'a>> {
        let output = &config.driver.output;
        let requested = Requested::read(args, config)?;
        let sources = Inputs::open(config, stores, &requested);
        let tasks = tasks(config, Setup::new(config.sections()).with_filters(config.filters()), register, &sources)?;
        if tasks.is_empty() {
            return Err(Failure::usage("there is no task to run").hint(
                "a driver binary registers tasks in its `main`; `deltic` itself has one task, `copy`, if it is configured \
                 under `[compiler.copy]`",
            ));
        }
        let Some(url) = config.catalogs.get(output).map(|bound| bound.url.as_str()) else {
            return Err(Failure::usage(format!(
                "the output catalog `{output}` is not configured: add it under `[catalogs]`, or name another one with \
                 `driver.output`"
            )));
        };
        let mut inputs = BTreeMap::new();
        let read: BTreeSet<LayerRef> = tasks.iter().flat_map(Task::readable).collect();
        let mut read_too = Vec::new();
        for (layer, id) in read.iter().filter_map(|layer| Some((layer, layer.catalog.as_ref()?))) {
            match config.catalogs.get(id) {
                _ if id == output => {
                    return Err(Failure::usage(format!(
                        "layer `{layer}` is read from the output catalog: write `{}` to read the layer that another task \
                         makes",
                        layer.layer
                    )));
                }
                // The driver names the task that needs a catalog which is not configured.
                None => {}
                Some(_) if inputs.contains_key(id) => {}
                Some(bound) => {
                    inputs.extend(sources.source(id)?.map(|input| (id.clone(), input)));
                    if let At::RunsAgo { of, .. } = &bound.at {
                        read_too.push(of.clone());
                    }
                }
            }
        }
        for id in read_too {
            inputs.extend(sources.source(&id)?.map(|input| (id, input)));
        }
        if let Some((id, place)) = requested.places().find(|(id, _)| !inputs.contains_key(*id)) {
            return Err(Failure::usage(format!("{place}: no task reads catalog `{id}`")));
        }
        let (code, engine) = (code_of(&tasks)?, engine(config));
        Ok(Prepared { args, config, stores, tasks, inputs, requested, engine, code, url })
    }

    pub(crate) fn job<'j>(
        &'j self,
        output: &Catalog,
        observer: &'j dyn Observer,
        note: &str,
        stop: &Stop,
    ) -> Outcome<Job<'j>> {
        let driver = &self.config.driver;
        let options = Options {
            code: self.code.clone(),
            run: identity::new_run_id()?,
            started: clock::now(),
            incremental: driver.incremental && !self.args.full,
            expect_base: self.requested.base,
            state_layer: driver.state_layer.clone(),
            note: note.to_owned(),
            checkpoint: driver.checkpoint.0.map(clock::checkpoint),
            compatible: self.args.compatible,
            take_over: false,
            check_determinism: false,
        };
        let input = |id: &CatalogId, source: &OpenedInput| JobInput {
            catalog: source.snapshot.as_ref().map_or(output, |snapshot| snapshot.catalog()).clone(),
            at: source.at.clone(),
            processing: self.requested.processing(id),
        };
        let job = Job::new(output, &self.tasks, options).watched_by(observer).stopped_by(stop);
        Ok(self.inputs.iter().fold(job, |job, (id, source)| job.input(id.clone(), input(id, source))))
    }

    /// The id of the output catalog.
    pub(crate) fn output(&self) -> &CatalogId {
        &self.config.driver.output
    }

    /// The output catalog, if it exists.
    pub(crate) fn find_output(&self) -> Outcome<Option<Catalog>> {
        let found = Catalog::open(self.stores, self.url).and_then(|catalog| catalog.latest());
        match found {
            Ok(latest) => match self.snapshots().find(|(_, input)| input.uuid() == latest.uuid()) {
                Some((id, input)) => {
                    let (output, url, same) = (&self.config.driver.output, self.url, input.catalog().url());
                    let message =
                        format!("catalog `{id}` at {same} and the output `{output}` at {url} are the same catalog");
                    Err(Failure::usage(message).hint("the output must be a catalog that no task reads; to read an earlier output bind an id with `{ feedback = true }`"))
                }
                None => Ok(Some(latest.catalog().clone())),
            },
            Err(error) if *error.kind() == ErrorKind::NotFound => match self.requested.base {
                None | Some(Version(0)) => {
                    let place = Catalog::check_place(self.stores, self.url);
                    place.map_err(|error| {
                        Failure::from(error).hint(self.config.origin_of_url(&self.config.driver.output))
                    })?;
                    Ok(None)
                }
                Some(expected) => Err(Failure::conflict(format!(
                    "the output catalog {} does not exist, but version {expected} was expected",
                    self.url
                ))),
            },
            Err(error) => Err(Failure::from(error).hint(self.config.origin_of_url(&self.config.driver.output))),
        }
    }

    fn snapshots(&self) -> impl Iterator<Item = (&CatalogId, &Snapshot)> {
        self.inputs.iter().filter_map(|(id, source)| Some((id, source.snapshot.as_ref()?)))
    }

    pub(crate) fn create_output(&self, progress: &Progress) -> Outcome<Catalog> {
        match Catalog::create(self.stores, self.url, Vec::new(), identity::new_catalog()?) {
            Ok(catalog) => {
                progress.print(&format!("created catalog `{}` at {}", self.config.driver.output, self.url));
                Ok(catalog)
            }
            // Another run has just created it. The first of the two to commit wins.
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(Catalog::open(self.stores, self.url)?),
            Err(error) => Err(error.into()),
        }
    }

    /// An empty catalog within this process.
    pub(crate) fn nowhere(&self) -> Outcome<Catalog> {
        Ok(Catalog::create(&Stores::new(), NOWHERE, Vec::new(), identity::new_catalog()?)?)
    }
}
