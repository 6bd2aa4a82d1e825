//! The last of the three parts of a stage: what was noted by reader and by group, turned round. It becomes the table of readers,
//! by what they looked at, and where groups become several partitions the table of owners and the output layers, by partition.

use crate::Result;
use crate::stage::backs::Backs;
use crate::stage::context::{Stage, StageResult};

/// Turns round what back-ends left, and makes the stage's result of it all.
pub(crate) fn reverse(stage: &Stage<'_>, backs: Backs<'_>) -> Result<StageResult> {
    let Backs { edges, contributors, values, errors, failed, reads, mut publishers, claims, mut counts, quarantined } =
        backs;
    let mut state = stage.state.clone();
    if let Some(claims) = claims {
        let finished = claims.finish(|out, outcome| publishers.offer(&stage.element(out)?, outcome))?;
        (state.published, state.owners) = finished;
    }
    let outputs = publishers.finish(&mut counts)?;
    (state.edges, state.contributors, state.values, state.errors) = (edges, contributors, values, errors);
    (state.reads, state.readers) = reads.finish()?;
    // A full stage has forgotten what the base has of what failed now.
    if let Some((before, failed)) = stage.before.as_ref().filter(|_| stage.full).zip(failed) {
        before.keep(stage.draft, stage.memo_limit(), &failed, &mut state)?;
    }
    Ok(StageResult { outputs, state, counts, quarantined })
}
