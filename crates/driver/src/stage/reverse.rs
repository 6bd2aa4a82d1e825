//! The last of the three parts of a stage: the tables that are sorted the other way. Reads by what was read make the table
//! `readers`. Claims of groups that become several partitions, by partition, make the table `owners` and the output layers.

use crate::Result;
use crate::engine::Kernel as _;
use crate::engine::kernel::TaskKernel;
use crate::stage::backs::Backs;
use crate::stage::context::{Stage, StageResult};
use crate::stage::range::Range;

/// Writes these tables, range after range, and returns the result of the stage. `read_keys` and `partitions` are ranges of
/// read keys and of outputs; both cover everything.
pub(crate) fn reverse(
    stage: &Stage<'_>,
    kernel: &TaskKernel<'_>,
    backs: Backs<'_>,
    read_keys: &[Range],
    partitions: &[Range],
) -> Result<StageResult> {
    let Backs { edges, contributors, values, errors, failed, reads, mut publishers, claims, mut counts, quarantined } =
        backs;
    let mut state = stage.state.clone();
    if let Some(claims) = claims {
        let (published, mut owners) = claims.finish()?;
        for range in partitions {
            owners.write_range(range.end(), |out, outcome| {
                kernel.go_on()?;
                publishers.offer(&stage.decode(out)?, outcome)
            })?;
            publishers.end_range(range.end())?;
        }
        (state.published, state.owners) = (published, owners.finish()?);
    }
    let outputs = publishers.finish(&mut counts)?;
    (state.edges, state.contributors, state.values, state.errors) = (edges, contributors, values, errors);
    let (reads, mut readers) = reads.finish()?;
    read_keys.iter().try_for_each(|range| readers.write_range(range.end(), || kernel.go_on()))?;
    (state.reads, state.readers) = (reads, readers.finish()?);
    // A full stage began with empty tables, and what failed has written no rows: those of the base are kept.
    if let Some((before, failed)) = stage.before.as_ref().filter(|_| stage.full).zip(failed) {
        before.copy_failed(stage.draft, stage.memo_limit(), &failed, &mut state)?;
    }
    Ok(StageResult { outputs, state, counts, quarantined })
}

/// The same over everything at once.
pub(crate) fn reverse_all(stage: &Stage<'_>, kernel: &TaskKernel<'_>, backs: Backs<'_>) -> Result<StageResult> {
    let all = [Range::all()];
    reverse(stage, kernel, backs, &all, &all)
}
