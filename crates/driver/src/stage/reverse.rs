//! The last of the three parts of a stage. It sorts looks by what was looked at, which makes the table of readers. Where groups become
//! several partitions, it sorts their claims by partition, which makes the table of owners and the output layers.

use crate::Result;
use crate::engine::Kernel as _;
use crate::engine::kernel::TaskKernel;
use crate::stage::backs::Backs;
use crate::stage::context::{Stage, StageResult};
use crate::stage::range::Range;

/// Sorts what back-ends left the other way, range after range, and makes the stage's result of it all. `seen` are ranges of what was
/// looked at, `partitions` of outputs; both cover everything.
pub(crate) fn reverse(
    stage: &Stage<'_>,
    kernel: &TaskKernel<'_>,
    backs: Backs<'_>,
    seen: &[Range],
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
    seen.iter().try_for_each(|range| readers.write_range(range.end(), || kernel.go_on()))?;
    (state.reads, state.readers) = (reads, readers.finish()?);
    // A full stage has forgotten what the base has of what failed now.
    if let Some((before, failed)) = stage.before.as_ref().filter(|_| stage.full).zip(failed) {
        before.keep(stage.draft, stage.memo_limit(), &failed, &mut state)?;
    }
    Ok(StageResult { outputs, state, counts, quarantined })
}

/// The same over everything at once.
pub(crate) fn reverse_all(stage: &Stage<'_>, kernel: &TaskKernel<'_>, backs: Backs<'_>) -> Result<StageResult> {
    let all = [Range::all()];
    reverse(stage, kernel, backs, &all, &all)
}
