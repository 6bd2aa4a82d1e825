//! The requests of the command line and the job file: versions of inputs, and statements about their changes.

use std::collections::BTreeMap;

use deltic_core::{CatalogId, Version};
use deltic_driver::{At, Processing};

use crate::args::JobArgs;
use crate::config::{Config, JobFile};
use crate::terminal::failure::{Failure, Outcome};

/// The requests for a run.
#[derive(Debug, Default)]
pub(crate) struct Requested {
    inputs: BTreeMap<CatalogId, RequestedInput>,
    /// The version that the output must be at.
    pub(crate) base: Option<Version>,
}

/// The request for an input.
#[derive(Debug)]
struct RequestedInput {
    version: Option<Version>,
    processing: Processing,
    /// Where it is requested.
    place: String,
}

impl Requested {
    /// Reads the options and the job file that they name, and checks them against the configuration.
    pub(crate) fn read(args: &JobArgs, config: &Config) -> Outcome<Requested> {
        let file = args.job.as_deref().map(JobFile::load).transpose()?.unwrap_or_default();
        let mut requested = Requested { inputs: BTreeMap::new(), base: args.expect_base.or(file.base_version) };
        if let (Some(expected), Some(base)) = (args.expect_base, file.base_version)
            && expected != base
        {
            return Err(Failure::usage(format!("--expect-base {expected}: the job file names version {base}")));
        }
        for input in file.inputs {
            let place = input.origin.to_string();
            requested.set_version(input.catalog.clone(), input.version, place.clone(), config)?;
            requested.set_processing(&input.catalog, input.processing, place, config)?;
        }
        for (id, version) in &args.inputs {
            requested.set_version(id.clone(), Some(*version), format!("--input {id}={version}"), config)?;
        }
        for (id, since) in &args.since {
            let place = format!("--since {id}={since}");
            requested.set_processing(id, Processing::Changes { since: *since }, place, config)?;
        }
        for id in &args.no_changes {
            requested.set_processing(id, Processing::NoChanges, format!("--no-changes {id}"), config)?;
        }
        for id in &args.reprocess {
            requested.set_processing(id, Processing::Reprocess, format!("--reprocess {id}"), config)?;
        }
        Ok(requested)
    }

    fn set_version(&mut self, id: CatalogId, version: Option<Version>, place: String, config: &Config) -> Outcome {
        let at = known(&id, &place, config)?;
        if version.is_some() && matches!(at, At::RunsAgo { .. } | At::Feedback) {
            return Err(Failure::usage(format!("{place}: an earlier run determines the version of catalog `{id}`")));
        }
        if self.inputs.contains_key(&id) {
            return Err(Failure::usage(format!("{place}: catalog `{id}` is given twice")));
        }
        self.inputs.insert(id, RequestedInput { version, processing: Processing::Unspecified, place });
        Ok(())
    }

    fn set_processing(&mut self, id: &CatalogId, processing: Processing, place: String, config: &Config) -> Outcome {
        known(id, &place, config)?;
        let new = RequestedInput { version: None, processing: Processing::Unspecified, place: place.clone() };
        let input = self.inputs.entry(id.clone()).or_insert(new);
        if input.processing != Processing::Unspecified {
            return Err(Failure::usage(format!("{place}: {} states something else about catalog `{id}`", input.place)));
        }
        input.processing = processing;
        input.place = place;
        Ok(())
    }

    /// The version of an input to read.
    pub(crate) fn at(&self, id: &CatalogId, bound: &At) -> At {
        let version = self.inputs.get(id).and_then(|input| input.version);
        version.map_or_else(|| bound.clone(), At::Version)
    }

    /// The statement about the changes of an input.
    pub(crate) fn processing(&self, id: &CatalogId) -> Processing {
        self.inputs.get(id).map_or(Processing::Unspecified, |input| input.processing)
    }

    /// Each input that a request names, and the place of the request.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&CatalogId, &str)> {
        self.inputs.iter().map(|(id, input)| (id, input.place.as_str()))
    }
}

fn known<'a>(id: &CatalogId, place: &str, config: &'a Config) -> Outcome<&'a At> {
    let bound = config.catalogs.get(id).map(|binding| &binding.at);
    bound.ok_or_else(|| Failure::usage(format!("{place}: no catalog `{id}` is configured")))
}
