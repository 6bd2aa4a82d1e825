//! What back-ends came to, in the order of outputs: the output layers, and the tables of contributors, of what they emitted, of
//! what back-ends read, and of the partitions that groups make.
//!
//! It is the second of the three parts of a stage. Where groups become several partitions, these do not come in order:
//! [`reverse`](crate::stage::reverse) publishes them.

use std::collections::BTreeSet;

use deltic_store::Tree;

use crate::Result;
use crate::engine::kernel::TaskKernel;
use crate::engine::{Outcome, ReduceSink, Reduced};
use crate::error::failure::Quarantined;
use crate::key::OutputKey;
use crate::report::Counts;
use crate::sort::key_set::{KeySet, TOGETHER, TOGETHER_BYTES, Walk, read_ahead_within};
use crate::sort::rows::Row;
use crate::stage::context::Stage;
use crate::stage::contributors::Contributors;
use crate::stage::fronts::Fronts;
use crate::stage::owners::Claims;
use crate::stage::publisher::Publishers;
use crate::stage::quarantine::Quarantine;
use crate::state::reads::{Reader, ReadsWriter};

/// Takes what back-ends came to.
pub(crate) struct BackSink<'a, 's> {
    stage: &'s Stage<'s>,
    kernel: &'s TaskKernel<'s>,
    quarantine: &'s mut Quarantine<'a>,
    edges: Tree,
    publishers: Publishers<'s>,
    contributors: Contributors<'s>,
    reads: ReadsWriter<'s>,
    /// Where groups become several partitions.
    claims: Option<Claims<'s>>,
    /// The affected outputs of an incremental stage that no result has come for yet; in a full one, those held back.
    waiting: Walk<'s>,
    /// Results that are taken together.
    reduced: Vec<Reduced>,
    /// Their bytes.
    reduced_bytes: u64,
    counts: Counts,
}

/// What back-ends came to, and what front-ends had before.
pub(crate) struct Backs<'a> {
    pub(crate) edges: Tree,
    pub(crate) contributors: Tree,
    pub(crate) values: Tree,
    pub(crate) errors: Tree,
    /// What is in quarantine, if anything is.
    pub(crate) failed: Option<BTreeSet<Reader>>,
    pub(crate) reads: ReadsWriter<'a>,
    pub(crate) publishers: Publishers<'a>,
    pub(crate) claims: Option<Claims<'a>>,
    pub(crate) counts: Counts,
    pub(crate) quarantined: Vec<Quarantined>,
}

impl<'a, 's> BackSink<'a, 's> {
    /// A full stage: all outputs are affected, and `held` are held back.
    pub(crate) fn full(
        stage: &'s Stage<'s>,
        kernel: &'s TaskKernel<'s>,
        fronts: Fronts<'s>,
        quarantine: &'s mut Quarantine<'a>,
        held: &'s KeySet,
    ) -> BackSink<'a, 's> {
        let contributors = Contributors::new(stage, kernel, None, None);
        BackSink::new(stage, kernel, fronts, quarantine, held, contributors)
    }

    /// An incremental stage: `wanted` are the affected outputs, `asked` the affected inputs that had something to emit.
    pub(crate) fn incremental(
        stage: &'s Stage<'s>,
        kernel: &'s TaskKernel<'s>,
        fronts: Fronts<'s>,
        quarantine: &'s mut Quarantine<'a>,
        wanted: &'s KeySet,
        asked: &'s KeySet,
    ) -> BackSink<'a, 's> {
        let contributors = Contributors::new(stage, kernel, Some(wanted), Some(asked));
        BackSink::new(stage, kernel, fronts, quarantine, wanted, contributors)
    }

    fn new(
        stage: &'s Stage<'s>,
        kernel: &'s TaskKernel<'s>,
        fronts: Fronts<'s>,
        quarantine: &'s mut Quarantine<'a>,
        waiting: &'s KeySet,
        contributors: Contributors<'s>,
    ) -> BackSink<'a, 's> {
        let Fronts { edges, reads, counts } = fronts;
        BackSink {
            stage,
            kernel,
            quarantine,
            edges,
            publishers: Publishers::new(stage, kernel, stage.full),
            contributors,
            reads,
            claims: stage.task.pattern().splits().then(|| Claims::new(stage, kernel)),
            waiting: waiting.walk(),
            reduced: Vec::new(),
            reduced_bytes: 0,
            counts,
        }
    }

    /// Affected outputs before `out`, or all that are left: nobody contributes to them any more.
    fn nothing_left_before(&mut self, out: Option<&[u8]>) -> Result<()> {
        while let Some((next, _)) = self.waiting.peek()?.filter(|(next, _)| out.is_none_or(|out| *next < out)) {
            let gone: OutputKey = self.stage.decode(next)?;
            self.waiting.advance()?;
            if self.kernel.is_held(&gone.to_bytes()) {
                self.became(&gone, &Outcome::Held)?;
                continue;
            }
            self.reads.note(&self.stage.state, &Reader::Back(gone.clone()), &[])?;
            self.contributors.sole(&gone, None)?;
            self.became(&gone, &Outcome::Nothing)?;
        }
        Ok(())
    }

    /// Takes the results that have come so far.
    fn flush(&mut self) -> Result<()> {
        self.reduced_bytes = 0;
        let state = &self.stage.state;
        if !self.stage.full {
            let readers = self.reduced.iter().map(|reduced| Reader::Back(reduced.out.clone()).bytes());
            read_ahead_within(&state.reads, &readers.collect::<Vec<_>>())?;
        }
        for Reduced { out, item, outcome, reads } in std::mem::take(&mut self.reduced) {
            let bytes = out.to_bytes();
            self.nothing_left_before(Some(&bytes))?;
            self.waiting.take(&bytes)?;
            match outcome {
                Outcome::Held => {
                    self.became(&out, &outcome)?;
                    continue;
                }
                Outcome::Failed(failure) => {
                    self.counts.compiled += 1;
                    self.quarantine.back_failed(&out, *failure)?;
                    self.contributors.sole(&out, Some(&item))?;
                    self.became(&out, &Outcome::Held)?;
                    continue;
                }
                _ => {}
            }
            self.counts.compiled += 1;
            self.counts.same += u64::from(outcome.is_same());
            self.reads.note(&self.stage.state, &Reader::Back(out.clone()), &reads)?;
            let told_by_key = outcome != Outcome::Nothing && reads.is_empty();
            self.contributors.sole(&out, (!told_by_key).then_some(&item))?;
            self.became(&out, &outcome)?;
        }
        Ok(())
    }

    /// What became of a group: of the partition that it is, or of those that it makes.
    fn became(&mut self, group: &OutputKey, outcome: &Outcome) -> Result<()> {
        match (&mut self.claims, outcome) {
            (Some(claims), Outcome::Several(made)) => claims.group_ran(&group.to_bytes(), made),
            (Some(claims), Outcome::Held | Outcome::Failed(_)) => claims.group_kept(group),
            (Some(claims), _) => claims.group_ran(&group.to_bytes(), &[]),
            (None, _) => self.publishers.offer(group, outcome),
        }
    }

    /// Ends a range of outputs: nothing that comes from here on lies before `end`.
    pub(crate) fn end_range(&mut self, end: Option<&[u8]>) -> Result<()> {
        self.flush()?;
        self.nothing_left_before(end)?;
        self.contributors.end_range(end)?;
        self.reads.end_range()?;
        match &mut self.claims {
            Some(claims) => claims.end_range(),
            None => self.publishers.end_range(end),
        }
    }

    /// Ends the run where too much failed.
    pub(crate) fn finish(mut self) -> Result<Backs<'s>> {
        self.flush()?;
        self.nothing_left_before(None)?;
        let failed = self.quarantine.readers();
        let (errors, quarantined) = self.quarantine.finish()?;
        self.counts.quarantined = quarantined.len() as u64;
        let (contributors, values) = self.contributors.finish()?;
        let BackSink { edges, reads, publishers, claims, counts, .. } = self;
        Ok(Backs { edges, contributors, values, errors, failed, reads, publishers, claims, counts, quarantined })
    }
}

impl Outcome {
    fn is_same(&self) -> bool {
        match self {
            Outcome::Same => true,
            Outcome::Several(made) => made.iter().all(|(_, entry)| entry.is_none()),
            Outcome::Nothing | Outcome::New(_) | Outcome::Failed(_) | Outcome::Held => false,
        }
    }
}

impl ReduceSink for BackSink<'_, '_> {
    fn row(&mut self, row: Row<'_>) -> Result<()> {
        self.contributors.row(row)
    }

    fn reduced(&mut self, reduced: Reduced) -> Result<()> {
        self.reduced_bytes += reduced.weight();
        self.reduced.push(reduced);
        let is_full = self.reduced.len() >= TOGETHER || self.reduced_bytes >= TOGETHER_BYTES as u64;
        if is_full { self.flush() } else { Ok(()) }
    }
}
