//! `rebuild`: makes a version again from the inputs and settings in its record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use deltic_compiler::{ConfigError, register_recorded};
use deltic_core::{CatalogId, Version};
use deltic_driver::{At, Options, Rebuild, Verdict};
use deltic_store::{Catalog, Snapshot};

use crate::args::ConfigArgs;
use crate::files::paths::{check_apart, check_typed};
use crate::job::Register;
use crate::job::inputs::{Inputs, OpenedInput};
use crate::job::prepared::{engine, stores};
use crate::job::requested::Requested;
use crate::job::tasks::{code_of, not_registered};
use crate::report;
use crate::system::interrupts::Interrupts;
use crate::system::{clock, identity};
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::Out;
use crate::terminal::progress::Progress;

/// `rebuild`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The catalog
    pub(crate) url: String,
    /// The version
    #[arg(long, value_name = "N")]
    pub(crate) version: Version,
    /// Where to create the catalog with the rebuilt version
    #[arg(long, value_name = "URL")]
    pub(crate) into: String,
    /// A file to write the statement to, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) configuration: ConfigArgs,
}

/// Rebuilds a version and compares.
pub(super) fn rebuild(
    args: &Args,
    mut register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    interrupts.may_end("nothing was rebuilt");
    if let Some(path) = &args.statement {
        check_typed(path)?;
        check_apart(path, &args.url)?;
        check_apart(path, &args.into)?;
    }
    let config = args.configuration.load()?;
    let stores = stores(&config)?;
    let version = Catalog::open(&stores, &args.url)?.snapshot(args.version)?;
    let bound: BTreeMap<CatalogId, At> =
        config.catalogs.iter().map(|(id, binding)| (id.clone(), binding.at.clone())).collect();
    // An input that can not be opened there is searched at its recorded URL.
    let catalogs = config.catalogs.iter().filter_map(|(id, binding)| {
        let catalog = Catalog::open(&stores, &binding.url).ok()?;
        matches!(binding.at, At::Latest | At::Version(_)).then(|| (id.clone(), catalog))
    });
    let inputs = deltic_driver::recorded_inputs(&version, &stores, &catalogs.collect())?;

    let place = format!("the record of version {} of {}", version.version(), args.url);
    let recorded = deltic_driver::recorded_tasks(&version);
    let today = config.clone();
    let config = config.with_recorded(&place, &recorded, &inputs);
    let source = |(id, input): (&CatalogId, &Snapshot)| {
        (id.clone(), OpenedInput { snapshot: Some(input.clone()), at: At::Version(input.version()) })
    };
    let requested = Requested::default();
    let sources = Inputs::opened(&config, &stores, &requested, inputs.iter().map(source).collect());
    let tasks = register_recorded(&recorded, &today.sections(), &mut |setup| register(setup, &sources));
    let tasks = tasks.map_err(|error| {
        // A section without a record keeps its current settings.
        let section = error.downcast_ref::<ConfigError>().and_then(|wrong| wrong.path.get(..2));
        let is_recorded = section.is_none_or(|section| config.has(section) || !today.has(section));
        not_registered(if is_recorded { &config } else { &today }, error)
    })?;

    let watched = Arc::new(progress.tasks());
    let awaited = Arc::clone(&watched);
    interrupts.ends_by_itself("nothing was rebuilt", move || awaited.calls.awaited());
    let engine = engine(&config);
    let options = Options {
        code: code_of(&tasks)?,
        ..Options::new(identity::new_run_id()?, clock::now(), config.driver.state_layer.clone())
    };
    let identity = identity::new_catalog()?;
    let (tasks, stop) = (&tasks[..], interrupts.stop().clone());
    let what = Rebuild { version, inputs, bound, tasks, engine: &engine, observer: &*watched, options, stop };
    let create = || Catalog::create(&stores, &args.into, Vec::new(), identity);
    let statement = deltic_driver::rebuild(&what, create)?;
    let made = &statement.rebuilt;
    let made = format!("version {} was rebuilt as version {} of {}", args.version, made.version, made.url);
    out.has_done(made.clone());
    if let Some(path) = &args.statement {
        let failed =
            |error: &std::io::Error| Failure::file("the statement can not be written", path, error).hint(&made);
        let text = serde_json::to_string_pretty(&statement.document());
        let text = text.map_err(|error| Failure::failed(format!("the statement can not be written: {error}")))?;
        std::fs::write(path, text + "\n").map_err(|error| failed(&error))?;
    }
    out.result("deltic.rebuild/2", &statement, || report::statement_lines(&statement))?;
    let version = args.version;
    match statement.verdict {
        Verdict::Equal => Ok(()),
        Verdict::Differs => {
            Err(Failure::failed(format!("the rebuilt version differs from version {version} as recorded")))
        }
        Verdict::NotCovered => Err(Failure::failed(format!(
            "version {version} has layers that no task writes and no known earlier version made: these can not be \
             checked; the layers that tasks write are equal"
        ))),
    }
}
