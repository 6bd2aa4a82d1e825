//! The results of front-ends, in the order of their inputs: the tables of edges and of what front-ends read.
//!
//! This is the first of the three parts of a stage, and its keys are inputs. The later parts need its results by output
//! and by what was read: the session sorts the emitted rows by output, and [`reverse`](crate::stage::reverse) the reads.

use deltic_core::Digest;
use deltic_store::Tree;

use crate::Result;
use crate::engine::Mapped;
use crate::key::{InputKey, OutputKey};
use crate::report::Counts;
use crate::sort::merge_join::{Side, merge_join};
use crate::stage::context::Stage;
use crate::stage::quarantine::Quarantine;
use crate::state::reads::{Reader, ReadsWriter};
use crate::state::tables::{TableWriter, row_key};

/// Takes the results of front-ends.
pub(crate) struct FrontSink<'a, 'q> {
    stage: &'a Stage<'a>,
    quarantine: &'q mut Quarantine<'a>,
    edges: TableWriter<'a>,
    reads: ReadsWriter<'a>,
    pub(crate) counts: Counts,
}

/// The results of all front-ends.
pub(crate) struct Fronts<'a> {
    pub(crate) edges: Tree,
    /// Goes on with the reads of back-ends, which are behind those of front-ends in the same table.
    pub(crate) reads: ReadsWriter<'a>,
    pub(crate) counts: Counts,
}

impl<'a, 'q> FrontSink<'a, 'q> {
    pub(crate) fn new(stage: &'a Stage<'a>, quarantine: &'q mut Quarantine<'a>) -> FrontSink<'a, 'q> {
        FrontSink {
            stage,
            quarantine,
            edges: TableWriter::new(stage.writers(), &stage.state.edges),
            reads: ReadsWriter::new(stage.writers(), &stage.state, stage.engine.row_memory() / 4),
            counts: Counts::default(),
        }
    }

    /// Records what a front-end emitted and read; `dirty` takes the outputs to which it emits something new, in order.
    pub(crate) fn front_ran(
        &mut self,
        mapped: &Mapped,
        existed: bool,
        dirty: &mut dyn FnMut(&OutputKey) -> Result<()>,
    ) -> Result<()> {
        if let Some(failure) = &mapped.failed {
            self.counts.fronts += 1;
            // Its rows of the base are not touched. In a full stage there are none yet, and `reverse` copies them.
            return self.quarantine.front_failed(&mapped.item, (**failure).clone());
        }
        if !self.stage.keeps_edges() {
            return Ok(());
        }
        self.counts.fronts += u64::from(self.stage.is_group());
        let is_new = self.record(mapped, existed, dirty)?;
        if !is_new && !self.stage.full && self.stage.is_group() {
            self.counts.cut_off += 1;
        }
        Ok(())
    }

    /// Records that an input was removed; `dirty` takes the outputs to which it contributed.
    pub(crate) fn front_gone(
        &mut self,
        input: &InputKey,
        dirty: &mut dyn FnMut(&OutputKey) -> Result<()>,
    ) -> Result<()> {
        let nothing = Mapped { item: input.clone(), edges: Vec::new(), reads: Vec::new(), failed: None };
        self.record(&nothing, true, dirty).map(drop)
    }

    /// Returns whether it emits anything new to any output.
    fn record(
        &mut self,
        mapped: &Mapped,
        existed: bool,
        dirty: &mut dyn FnMut(&OutputKey) -> Result<()>,
    ) -> Result<bool> {
        let reader = Reader::Front(mapped.item.clone());
        self.reads.record(&self.stage.state, &reader, &mapped.reads)?;
        let (stage, mut is_new) = (self.stage, false);
        // Not collected: an input may have contributed to every output.
        let before = existed.then(|| stage.state.edges_of(&mapped.item)).into_iter().flatten();
        for side in merge_join(before, &mapped.edges, |(was, _), (is, _)| was.cmp(is)) {
            let (out, is) = match side? {
                // Early cut-off: the same values as before do not affect the output.
                Side::Both((_, was), (_, is)) if was == *is => continue,
                Side::Both((out, _), (_, is)) => (out, Some(is)),
                Side::Left((out, _)) => (out, None),
                Side::Right((out, is)) => (out.clone(), Some(is)),
            };
            self.edges.set(&row_key(&mapped.item, &out), is.map(|digest| &digest.as_bytes()[..]))?;
            is_new = true;
            // In a full stage all outputs are affected.
            if !stage.full {
                dirty(&out)?;
            }
        }
        Ok(is_new)
    }

    /// Records what a front-end over the whole input emits to an output, in order; returns whether that is new.
    pub(crate) fn whole_emitted(
        &mut self,
        whole: &InputKey,
        out: &[u8],
        was: Option<Digest>,
        is: Option<Digest>,
    ) -> Result<bool> {
        if was != is {
            self.edges.set_row(&whole.to_bytes(), out, is.as_ref().map(|digest| &digest.as_bytes()[..]))?;
        }
        Ok(was != is)
    }

    /// Ends a range of inputs.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        self.edges.end_range()?;
        self.reads.end_range()
    }

    pub(crate) fn finish(self) -> Result<Fronts<'a>> {
        Ok(Fronts { edges: self.edges.finish()?, reads: self.reads, counts: self.counts })
    }
}
