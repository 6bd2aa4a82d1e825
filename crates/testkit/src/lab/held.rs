//! Comparisons of a lab's output: with a run from scratch, another lab, a verification, a rebuild.

use deltic_core::{CatalogUuid, RunId, Timestamp, Version};
use deltic_driver::{LocalEngine, Plan, Rebuild, Statement, Stop, Verification, Verify};
use deltic_store::{Catalog, Comparison, NewCatalog, Snapshot};

use super::{Lab, must};

impl Lab {
    /// Fails unless outputs and state equal, digest for digest, those of a run from scratch.
    pub fn assert_equals_scratch(&mut self) {
        if let Err(difference) = self.compare_with_scratch() {
            panic!("incremental differs from scratch: {difference}");
        }
    }

    /// Fails unless the last versions of both labs have one number, and equal outputs, state and dependencies.
    pub fn assert_equals(&self, other: &Lab) {
        let (one, other) = (self.output(), other.output());
        if let Err(difference) = compare(&one, &other) {
            panic!("the labs differ: {difference}");
        }
        assert_eq!(one.version(), other.version(), "the labs made different numbers of versions");
        let versions = |snapshot: &Snapshot| {
            let dependencies = snapshot.record().dependencies.iter();
            dependencies.map(|known| (known.catalog.clone(), known.version, known.digest)).collect::<Vec<_>>()
        };
        assert_eq!(versions(&one), versions(&other), "the labs were made from different versions");
    }

    /// Compares layers and state with a run from scratch; returns the first difference.
    pub fn compare_with_scratch(&mut self) -> Result<(), String> {
        let scratch = self.scratch();
        compare(&self.output(), &scratch)
    }

    /// Plans a run. The output must exist.
    pub fn plan(&mut self) -> deltic_driver::Result<Plan> {
        self.commit_inputs();
        let Some(output) = self.output.clone() else { panic!("nothing has run yet") };
        self.with_job(&output, true, |job, _, _| job.plan())
    }

    /// Compiles published partitions, or a sample of them, again, and returns the differences.
    pub fn verify(&mut self, what: &Verify) -> deltic_driver::Result<Verification> {
        let Some(output) = self.output.clone() else { panic!("nothing has run yet") };
        self.with_job(&output, true, |job, engine, _| job.verify(engine, what))
    }

    /// Fails unless everything published, state included, equals what the current tasks compile from its inputs, also
    /// when it is compiled twice in another order.
    pub fn assert_verified(&mut self) {
        let before = std::mem::replace(&mut self.check_determinism, true);
        let found = must(self.verify(&Verify::default()), "verifying");
        self.check_determinism = before;
        if let Some(difference) = found.differences.first() {
            panic!("{} differences, first: {difference}", found.differences.len() as u64 + found.more_differences);
        }
        if let Some(offender) = found.offenders.first() {
            panic!("{} offenders, first: {offender}", found.offenders.len() as u64 + found.more_offenders);
        }
    }

    /// Makes a version of the output again in a separate catalog, and states whether both are equal.
    pub fn rebuild(&mut self, version: u64) -> deltic_driver::Result<Statement> {
        let Some(output) = self.output.clone() else { panic!("nothing has run yet") };
        let version = output.snapshot(Version(version))?;
        let inputs = deltic_driver::recorded_inputs(&version, &self.stores, &self.inputs)?;
        let name = format!("rebuilt-{}", self.next_id());
        let options = self.options(true);
        let engine = LocalEngine::new(self.threads).with_row_memory(self.row_memory).with_ranges(self.ranges);
        let url = format!("{}{name}", self.place);
        let identity = NewCatalog {
            uuid: CatalogUuid(u128::from(self.next_id())),
            run: RunId(self.next_id()),
            created: Timestamp(0),
        };
        let (bound, tasks, observer) = (self.bound.clone(), &self.tasks, &deltic_driver::Silent);
        let what = Rebuild { version, inputs, bound, tasks, engine: &engine, observer, options, stop: Stop::new() };
        deltic_driver::rebuild(&what, || Catalog::create(&self.stores, &url, Vec::new(), identity))
    }
}

/// Names the first layer or state table in which two versions differ.
pub(crate) fn compare(one: &Snapshot, other: &Snapshot) -> Result<(), String> {
    for part in one.parts().chain(other.parts()) {
        let compared = one.compare(other, &part);
        if compared.has_other_content() {
            return Err(format!("{part}{}", first_difference(&compared)));
        }
    }
    if one.digest() != other.digest() {
        return Err("the catalogs' digests".to_owned());
    }
    Ok(())
}

fn first_difference(compared: &Comparison<'_>) -> String {
    if compared.before().is_none() || compared.after().is_none() {
        return ": only one has it".to_owned();
    }
    match compared.changes().next() {
        Some(Ok(change)) => {
            let side = match (&change.before, &change.after) {
                (Some(_), Some(_)) => "has other content",
                (Some(_), None) => "should not exist",
                (None, _) => "is missing",
            };
            format!(": `{}` {side}", String::from_utf8_lossy(&change.key).escape_debug())
        }
        Some(Err(error)) => format!(": {error}"),
        None => String::new(),
    }
}
