//! `rebuild`: a version made again from what its record names.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltic_compiler::{ConfigError, register_recorded};
use deltic_core::CatalogId;
use deltic_driver::{At, Options, Rebuild, Verdict};
use deltic_store::{Catalog, Snapshot};

use super::job::{code_of, engine, load, not_registered, stores};
use crate::args;
use crate::asked::Asked;
use crate::edge;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::out::Out;
use crate::place::{check_apart, check_typed};
use crate::progress::Progress;
use crate::report;
use crate::sources::{Inputs, Register, Source};

/// Rebuilds a version and compares.
pub(super) fn rebuild(
    args: &args::Rebuild,
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
    let config = load(&args.configuration)?;
    let stores = stores(&config)?;
    let version = Catalog::open(&stores, &args.url)?.snapshot(args.version)?;
    let bound: BTreeMap<CatalogId, At> =
        config.catalogs.iter().map(|(id, binding)| (id.clone(), binding.at.clone())).collect();
    // What can not be opened there is looked for where it was.
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
        (id.clone(), Source { snapshot: Some(input.clone()), at: At::Version(input.version()) })
    };
    let asked = Asked::default();
    let sources = Inputs::opened(&config, &stores, &asked, inputs.iter().map(source).collect());
    let tasks = register_recorded(&recorded, &today.sections(), &mut |setup| register(setup, &sources));
    let tasks = tasks.map_err(|error| {
        // A section of which nothing is recorded is that of the day.
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
        ..Options::new(edge::new_run_id()?, edge::now(), config.driver.state_layer.clone())
    };
    let identity = edge::new_catalog()?;
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
        Verdict::Differs => Err(Failure::failed(format!("version {version} does not come out as it is recorded"))),
        Verdict::NotCovered => Err(Failure::failed(format!(
            "version {version} has layers that no task writes and no earlier version is known to have made: nothing can be \
             said of these, and what tasks write came out as it is recorded"
        ))),
    }
}
