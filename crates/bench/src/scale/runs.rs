//! Real runs on a remote store: requests, bytes, and how many requests had to wait for one another.
//!
//! The clock measures the last one: a run is made on a store that waits before each request, and again, with the catalogs in the
//! same state, on a store that does not wait. The difference, in waits, is the length of the chain.

use std::time::{Duration, Instant};

use anyhow::Result;
use deltic_bench::{Kind, Session, Workload, import_generated, open_input};
use deltic_store::Requests;

use crate::remote::{Remote, bucket, create};

/// Long enough that the time of computing is small in comparison.
const WAIT: Duration = Duration::from_millis(40);

/// What a run cost.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) what: &'static str,
    pub(crate) changed: u64,
    pub(crate) requests: Requests,
    /// Requests one after another.
    pub(crate) chain: f64,
}

/// A full build and runs after changes, of one job, with nothing cached in any.
pub(crate) fn runs(job: Workload, partitions: u64, threads: usize) -> Result<Vec<Ran>> {
    let remote = Remote::default();
    let (fast, slow) = (remote.stores(Duration::ZERO), remote.stores(WAIT));
    import_generated(&open_input(&fast, &bucket("in"))?, partitions, Kind::Base, 0)?;
    create(&fast, &bucket("fast"))?;
    create(&fast, &bucket("slow"))?;
    let mut ran = Vec::new();
    let kinds = [
        ("full build", Kind::All),
        ("nothing changed", Kind::Base),
        ("1 change", Kind::One),
        ("0.1 %", Kind::Permille),
    ];
    for (version, (what, kind)) in (0..).zip(kinds) {
        let changed = kind.changed(partitions).len() as u64;
        if version > 1 {
            import_generated(&open_input(&fast, &bucket("in"))?, partitions, kind, version)?;
        }
        // Two outputs in the same state: one run on each.
        let mut times = Vec::new();
        let mut requests = Requests::default();
        for (stores, output) in [(&fast, "fast"), (&slow, "slow")] {
            let mut session = Session::open(stores, job, &bucket("in"), &bucket(output), threads)?;
            let started = Instant::now();
            let report = session.run()?;
            times.push(started.elapsed());
            requests = report.input_requests + report.output_requests;
        }
        let chain = times[1].saturating_sub(times[0]).as_secs_f64() / WAIT.as_secs_f64();
        ran.push(Ran { what, changed, requests, chain });
    }
    Ok(ran)
}
