//! `run` and `plan`: from the configuration to a job, and from what came of it to a report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_compiler::{BadPlan, BadTask, ConfigError, OnError, Pattern, Setup, Task};
use deltic_core::{CatalogId, Key, LayerRef, TaskId, Version};
use deltic_driver::{
    At, Error, Event, Failures, Job, JobInput, LocalEngine, Observer, Options, Phase, Report, Silent, Stop,
};
use deltic_store::{Catalog, ErrorKind, Snapshot, Stores};
use serde::Serialize;
use serde_json::json;

use crate::args;
use crate::asked::Asked;
use crate::config::{Config, DEFAULT_FILE, Sources};
use crate::edge;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::out::Out;
use crate::progress::{Progress, Tasks};
use crate::report;
use crate::sources::{Inputs, Register, Source};

/// A URL within this process, for the empty catalog that a plan starts from when the output does not exist yet.
const NOWHERE: &str = "memory:an output that does not exist yet";

/// Compiles and publishes.
pub(super) fn run(
    args: &args::Run,
    register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    interrupts.may_end("nothing was published");
    let config = load(&args.job.configuration)?;
    let stores = stores(&config)?;
    let prepared =
        Prepared::new(&args.job, &config, &stores, register).map_err(|failure| where_from(&config, failure))?;
    let watched =
        Arc::new(Watched { tasks: progress.tasks(), interrupts: interrupts.clone(), url: prepared.url.to_owned() });
    let catalog = match prepared.find_output()? {
        Some(catalog) => catalog,
        None => {
            // Whatever is wrong with the tasks shows before anything is created.
            deltic_driver::plan(&prepared.job(prepared.nowhere()?, &Silent, "", &Stop::new())?)?;
            prepared.create_output(progress)?
        }
    };
    let awaited = Arc::clone(&watched);
    interrupts.ends_by_itself("nothing was published", move || awaited.tasks.calls.awaited());
    let mut job = prepared.job(catalog.clone(), &*watched, &args.note, interrupts.stop())?;
    job.options.check_determinism = args.check.is_some();
    job.options.take_over = args.take_over;
    let mut report: Report = deltic_driver::run(&job).map_err(|error| prepared.explain(error, &catalog))?;
    if let Some(version) = report.version {
        out.has_done(format!("version {version} was committed"));
    }
    let version = report.version.unwrap_or(report.base);
    interrupts.ends_by_itself(format!("version {version} stands"), || vec!["the report to be read".to_owned()]);
    // All that was asked of the stores, not only since the run began.
    report.output_requests = catalog.requests();
    let inputs = job.inputs.values().filter(|input| input.at != At::Feedback).map(|input| input.catalog.requests());
    report.input_requests = inputs.fold(Default::default(), |sum, one| sum + one);
    out.result("deltic.run/1", Of { url: prepared.url, body: &report }, || report::run_lines(&report))?;
    if args.fail_on_quarantine { without_quarantine(&catalog.snapshot(version)?, prepared.url) } else { Ok(()) }
}

/// Fails where anything is in quarantine.
fn without_quarantine(snapshot: &Snapshot, url: &str) -> Outcome {
    let (version, all) = (snapshot.version(), deltic_driver::quarantined(snapshot)?.len());
    let number = match all {
        0 => return Ok(()),
        1 => "1 partition is".to_owned(),
        all => format!("{all} partitions are"),
    };
    let failure = Failure::failed(format!("{number} in quarantine at version {version}"));
    Err(failure.hint(format!("`deltic errors {}` lists what is", quoted(url))))
}

/// Watches a run, for whoever looks on and for whoever interrupts it.
struct Watched {
    tasks: Tasks,
    interrupts: Interrupts,
    /// Where the output is.
    url: String,
}

impl Observer for Watched {
    fn event(&self, event: &Event<'_>) {
        self.tasks.event(event);
        if let Event::Keeping { .. } = event
            && self.interrupts.stop().is_asked()
        {
            let awaited = || vec!["what was done to be kept for the next run".to_owned()];
            self.interrupts.ends_by_itself("nothing was published", awaited);
        }
        if let Event::Committing { version } = event {
            let left = format!("whether version {version} was made says `deltic log {}`", self.url);
            let awaited = format!("version {version} to be written");
            self.interrupts.ends_by_itself(left, move || vec![awaited.clone()]);
        }
    }
}

/// Says what a run would do.
pub(super) fn plan(args: &args::Job, register: Register<'_>, progress: &Progress, out: &mut Out) -> Outcome {
    let config = load(&args.configuration)?;
    let stores = stores(&config)?;
    let prepared = Prepared::new(args, &config, &stores, register).map_err(|failure| where_from(&config, failure))?;
    let catalog = match prepared.find_output()? {
        Some(catalog) => catalog,
        None => {
            let (output, url) = (&config.driver.output, prepared.url);
            progress.say(&format!("catalog `{output}` at {url} does not exist yet: a run creates it"));
            prepared.nowhere()?
        }
    };
    let plan = deltic_driver::plan(&prepared.job(catalog, &Silent, "", &Stop::new())?)?;
    out.result("deltic.plan/1", Of { url: prepared.url, body: &plan }, || report::plan_lines(&plan))
}

/// A result with the URL of the catalog that it is about.
#[derive(Serialize)]
struct Of<'a, T> {
    url: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

/// Reads the configuration that the command line asks for.
pub(crate) fn load(args: &args::Configuration) -> Outcome<Config> {
    let environment = std::env::vars_os().collect();
    let sources = Sources { file: args.config.clone(), environment, settings: args.settings.clone() };
    Ok(Config::load(&sources)?)
}

/// What is missing may stand in a file that was not found.
pub(super) fn where_from(config: &Config, failure: Failure) -> Failure {
    match config.from_file {
        true => failure,
        false => failure.hint(format!("there is no {DEFAULT_FILE} in this folder; `--config` names another file")),
    }
}

/// Registers the tasks; what a compiler says about its section gets its place in the configuration.
pub(super) fn tasks(
    config: &Config,
    mut setup: Setup,
    mut register: Register<'_>,
    inputs: &Inputs<'_>,
) -> Outcome<Vec<Task>> {
    let registered = register(&mut setup, inputs).and_then(|()| setup.finish());
    registered.map_err(|error| not_registered(config, error))
}

/// Tasks that could not be registered.
pub(super) fn not_registered(config: &Config, error: anyhow::Error) -> Failure {
    match error.downcast_ref::<ConfigError>() {
        Some(wrong) => config.locate(wrong).into(),
        None if error.is::<BadTask>() || error.is::<BadPlan>() => Failure::usage(format!("{error:#}")),
        None => error.into(),
    }
}

/// The identity of code, where a task states none. To know it takes a look at the whole executable: only where it counts.
pub(super) fn code_of(tasks: &[Task]) -> Outcome<String> {
    let stated = tasks.iter().all(|task| task.code_version().is_some());
    Ok(if stated { String::new() } else { edge::code_identity()? })
}

/// Opens stores as the configuration says.
pub(super) fn stores(config: &Config) -> Outcome<Stores> {
    Ok(super::stores()?.with_patience(config.driver.retry.0.unwrap_or_default()))
}

/// The engine that the configuration asks for.
pub(super) fn engine(config: &Config) -> LocalEngine {
    LocalEngine::new(config.driver.threads).with_row_memory(config.driver.memory.0)
}

/// All that a run needs but its output catalog.
pub(super) struct Prepared<'a> {
    args: &'a args::Job,
    config: &'a Config,
    stores: &'a Stores,
    tasks: Vec<Task>,
    /// What is read, at the versions that this run reads.
    inputs: BTreeMap<CatalogId, Source>,
    asked: Asked,
    engine: LocalEngine,
    code: String,
    /// Where the output is.
    pub(super) url: &'a str,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(
        args: &'a args::Job,
        config: &'a Config,
        stores: &'a Stores,
        register: Register<'_>,
    ) -> Outcome<Prepared<'a>> {
        let output = &config.driver.output;
        let asked = Asked::read(args, config)?;
        let sources = Inputs::open(config, stores, &asked);
        let tasks = tasks(config, Setup::new(config.sections()).with_filters(config.filters()), register, &sources)?;
        if tasks.is_empty() {
            return Err(Failure::usage("there is no task to run").hint(
                "a driver binary registers tasks in its `main`; `deltic` itself has one, `copy`, once it is configured \
                 under `[compiler.copy]`",
            ));
        }
        let Some(url) = config.catalogs.get(output).map(|bound| bound.url.as_str()) else {
            return Err(Failure::usage(format!(
                "no catalog `{output}` is configured to write to: add it under `[catalogs]`, or name another with \
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
                        "layer `{layer}` is read from the catalog that is written: write `{}` to read what another task \
                         makes",
                        layer.layer
                    )));
                }
                // The driver names the task that asks for a catalog which is not configured.
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
        if let Some((id, place)) = asked.places().find(|(id, _)| !inputs.contains_key(*id)) {
            return Err(Failure::usage(format!("{place}: no task reads catalog `{id}`")));
        }
        let (code, engine) = (code_of(&tasks)?, engine(config));
        Ok(Prepared { args, config, stores, tasks, inputs, asked, engine, code, url })
    }

    pub(super) fn job<'j>(
        &'j self,
        output: Catalog,
        observer: &'j dyn Observer,
        note: &str,
        stop: &Stop,
    ) -> Outcome<Job<'j>> {
        let driver = &self.config.driver;
        let options = Options {
            code: self.code.clone(),
            run: edge::new_run_id()?,
            started: edge::now(),
            incremental: driver.incremental && !self.args.full,
            expect_base: self.asked.base,
            state_layer: driver.state_layer.clone(),
            note: note.to_owned(),
            checkpoint: driver.checkpoint.0.map(edge::checkpoint),
            compatible: self.args.compatible,
            take_over: false,
            check_determinism: false,
        };
        let input = |id: &CatalogId, source: &Source| JobInput {
            catalog: source.snapshot.as_ref().map_or(&output, |snapshot| snapshot.catalog()).clone(),
            at: source.at.clone(),
            processing: self.asked.said(id),
        };
        let inputs = self.inputs.iter().map(|(id, source)| (id.clone(), input(id, source))).collect();
        Ok(Job { inputs, output, tasks: &self.tasks, engine: &self.engine, observer, options, stop: stop.clone() })
    }

    /// The output catalog, if it exists.
    pub(super) fn find_output(&self) -> Outcome<Option<Catalog>> {
        let found = Catalog::open(self.stores, self.url).and_then(|catalog| catalog.latest());
        match found {
            Ok(latest) => match self.snapshots().find(|(_, input)| input.uuid() == latest.uuid()) {
                Some((id, input)) => {
                    let (output, url, same) = (&self.config.driver.output, self.url, input.catalog().url());
                    let message = format!("catalogs `{id}` at {same} and `{output}` at {url} are the same");
                    Err(Failure::usage(message).hint("what is written has to be a catalog of its own"))
                }
                None => Ok(Some(latest.catalog().clone())),
            },
            Err(error) if *error.kind() == ErrorKind::NotFound => match self.asked.base {
                None | Some(Version(0)) => {
                    let place = Catalog::check_place(self.stores, self.url);
                    place.map_err(|error| {
                        Failure::from(error).hint(self.config.origin_of_url(&self.config.driver.output))
                    })?;
                    Ok(None)
                }
                Some(expected) => Err(Failure::conflict(format!(
                    "the output catalog {} does not exist, and was expected at version {expected}",
                    self.url
                ))),
            },
            Err(error) => Err(Failure::from(error).hint(self.config.origin_of_url(&self.config.driver.output))),
        }
    }

    fn snapshots(&self) -> impl Iterator<Item = (&CatalogId, &Snapshot)> {
        self.inputs.iter().filter_map(|(id, source)| Some((id, source.snapshot.as_ref()?)))
    }

    fn create_output(&self, progress: &Progress) -> Outcome<Catalog> {
        match Catalog::create(self.stores, self.url, Vec::new(), edge::new_catalog()?) {
            Ok(catalog) => {
                progress.say(&format!("created catalog `{}` at {}", self.config.driver.output, self.url));
                Ok(catalog)
            }
            // Another run has just created it, and the two will see which of them commits first.
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(Catalog::open(self.stores, self.url)?),
            Err(error) => Err(error.into()),
        }
    }

    /// An empty catalog that nobody else sees.
    fn nowhere(&self) -> Outcome<Catalog> {
        Ok(Catalog::create(&Stores::new(), NOWHERE, Vec::new(), edge::new_catalog()?)?)
    }

    /// Adds what helps to an error of a run: that the base stands, and how to look at the input in question.
    pub(super) fn explain(&self, error: Error, output: &Catalog) -> Failure {
        let (mut hints, mut details) = (Vec::new(), Vec::new());
        if let Error::Compiler(failures) = &error {
            let Failures { all, cut_short, because, passed } = failures;
            details.extend([
                ("failures", json!(all)),
                ("cut_short", json!(cut_short)),
                ("because", json!(because)),
                ("limits_passed", json!(passed)),
            ]);
            let input = failures.all.iter().find_map(|failure| self.get_command(failure.input.as_ref()?));
            let which = if failures.all.len() == 1 { "this" } else { "the first" };
            hints.extend(input.map(|command| format!("see {which} input: {command}")));
            hints.extend(self.quarantine_hint(failures));
        }
        if matches!(error, Error::Owned { .. }) {
            let binding = self.config.origin_of_url(&self.config.driver.output);
            hints.extend([
                binding,
                "bind another catalog to write to; tasks that have other ids now name the earlier ones by `previously`; to \
                 replace what is there add `--take-over`"
                    .to_owned(),
            ]);
        }
        if let Error::NotDeterministic { offenders, .. } = &error {
            // The first is in the message.
            hints.extend(offenders.iter().skip(1).map(ToString::to_string));
        }
        let mut failure = Failure::from(error);
        if !failure.is_stopped()
            && let Ok(base) = output.latest()
        {
            failure = failure.hint(format!("nothing was published; version {} stands", base.version()));
        }
        let failure = details.into_iter().fold(failure, |failure, (field, value)| failure.detail(field, value));
        hints.into_iter().fold(failure.detail("url", self.url), Failure::hint)
    }

    /// How to go on without the partitions that failed, where that is possible.
    fn quarantine_hint(&self, failures: &Failures) -> Option<String> {
        let single = failures.all.iter().all(|failure| matches!(failure.phase, Phase::Front | Phase::Back));
        let tasks: BTreeSet<&TaskId> = failures.all.iter().map(|failure| &failure.task).collect();
        let aborts = |task: &&Task| task.policy() == OnError::Abort && !matches!(task.pattern(), Pattern::Global(_));
        let mut aborting = self.tasks.iter().filter(|task| tasks.contains(task.id())).filter(aborts);
        let task = aborting.next().filter(|_| single && !failures.cut_short)?;
        let what = if failures.all.len() == 1 { "its last good output" } else { "their last good output" };
        let more = if aborting.next().is_some() { ", and so for the other tasks" } else { "" };
        Some(format!(r#"to keep {what} and go on: set compiler.{}.on_error = "quarantine"{more}"#, task.id()))
    }

    /// The command that shows an input.
    fn get_command(&self, key: &Key) -> Option<String> {
        let id = key.layer.catalog.as_ref()?;
        // What an earlier run knows is not known here.
        let At::Version(version) = self.inputs.get(id)?.at else { return None };
        let url = &self.config.catalogs.get(id)?.url;
        let name = quoted(&key.name.to_string());
        Some(format!("deltic get {} {} {name} --version {version}", quoted(url), key.layer.layer))
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("br-rio.json"), "br-rio.json");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
