//! The results of back-ends, in the order of outputs: the output layers, and the tables of contributors, of memos, of what
//! back-ends read, and of the partitions that groups make.
//!
//! This is the second of the three parts of a stage. Partitions of groups do not come in the order of partitions, so
//! [`reverse`](crate::stage::reverse) publishes them.
//!
//! Rows and results reach the sink in two streams, each in order but not in step. Rows alone decide contributors and
//! memos; results alone decide everything else. So no step waits for the other stream.

use std::collections::BTreeSet;

use deltic_store::Tree;

use crate::Result;
use crate::engine::kernel::TaskKernel;
use crate::engine::{Outcome, ReduceSink, Reduced};
use crate::error::failure::Quarantined;
use crate::key::OutputKey;
use crate::report::Counts;
use crate::sort::key_set::{KeySet, Walk};
use crate::sort::read_ahead::{TOGETHER, TOGETHER_BYTES, read_ahead_within};
use crate::sort::rows::Row;
use crate::stage::context::Stage;
use crate::stage::contributors::Contributors;
use crate::stage::fronts::Fronts;
use crate::stage::owners::Claims;
use crate::stage::publisher::Publishers;
use crate::stage::quarantine::Quarantine;
use crate::state::reads::{Reader, ReadsWriter};

/// Takes rows and the results of back-ends.
pub(crate) struct BackSink<'a, 's> {
    stage: &'s Stage<'s>,
    kernel: &'s TaskKernel<'s>,
    quarantine: &'s mut Quarantine<'a>,
    edges: Tree,
    publishers: Publishers<'s>,
    contributors: Contributors<'s>,
    reads: ReadsWriter<'s>,
    /// If groups become several partitions.
    claims: Option<Claims<'s>>,
    /// The affected outputs of an incremental stage that have no result yet; in a full one, those that are held back.
    waiting: Walk<'s>,
    /// Results that are recorded together.
    reduced: Vec<Reduced>,
    /// Their bytes.
    reduced_bytes: u64,
    counts: Counts,
}

/// The results of all back-ends, with those of front-ends.
pub(crate) struct Backs<'a> {
    pub(crate) edges: Tree,
    pub(crate) contributors: Tree,
    pub(crate) values: Tree,
    pub(crate) errors: Tree,
    /// The readers in quarantine, if there are any.
    pub(crate) failed: Option<BTreeSet<Reader>>,
    pub(crate) reads: ReadsWriter<'a>,
    pub(crate) publishers: Publishers<'a>,
    pub(crate) claims: Option<Claims<'a>>,
    pub(crate) counts: Counts,
    pub(crate) quarantined: Vec<Quarantined>,
}

impl<'a, 's> BackSink<'a, 's> {
    /// The sink of a full stage: all outputs are affected, and `held` are held back.
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

    /// The sink of an incremental stage: `wanted` are the affected outputs, `ran` the dirty inputs without those
    /// that failed.
    pub(crate) fn incremental(
        stage: &'s Stage<'s>,
        kernel: &'s TaskKernel<'s>,
        fronts: Fronts<'s>,
        quarantine: &'s mut Quarantine<'a>,
        wanted: &'s KeySet,
        ran: &'s KeySet,
    ) -> BackSink<'a, 's> {
        let contributors = Contributors::new(stage, kernel, Some(wanted), Some(ran));
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

    /// Records that affected outputs before `out`, or all that are left, have no contributors any more.
    ///
    /// No row comes for such an output, so no back-end runs and no result names it: that it is passed over is the only
    /// sign that it must be deleted. What is held back looks the same here, and stays as it is published.
    fn record_without_rows(&mut self, out: Option<&[u8]>) -> Result<()> {
        while let Some((next, _)) = self.waiting.peek()?.filter(|(next, _)| out.is_none_or(|out| *next < out)) {
            let gone: OutputKey = self.stage.decode(next)?;
            self.waiting.advance()?;
            if self.kernel.is_held(&gone.to_bytes()) {
                self.record(&gone, &Outcome::Held)?;
                continue;
            }
            self.reads.record(&self.stage.state, &Reader::Back(gone.clone()), &[])?;
            self.contributors.sole(&gone, None)?;
            self.record(&gone, &Outcome::Nothing)?;
        }
        Ok(())
    }

    /// Records the results that have come so far.
    fn flush(&mut self) -> Result<()> {
        self.reduced_bytes = 0;
        let state = &self.stage.state;
        if !self.stage.full {
            let readers = self.reduced.iter().map(|reduced| Reader::Back(reduced.out.clone()).bytes());
            read_ahead_within(&state.reads, &readers.collect::<Vec<_>>())?;
        }
        for Reduced { out, item, outcome, reads } in std::mem::take(&mut self.reduced) {
            let bytes = out.to_bytes();
            // In this order: the writers of tables and layers take keys in order only.
            self.record_without_rows(Some(&bytes))?;
            self.waiting.take(&bytes)?;
            match outcome {
                Outcome::Held => {
                    self.record(&out, &outcome)?;
                    continue;
                }
                Outcome::Failed(failure) => {
                    self.counts.compiled += 1;
                    self.quarantine.back_failed(&out, *failure)?;
                    // Its reads of the base stay: a back-end that failed returns none, and the next run tries it again in
                    // any case.
                    self.contributors.sole(&out, Some(&item))?;
                    self.record(&out, &Outcome::Held)?;
                    continue;
                }
                _ => {}
            }
            self.counts.compiled += 1;
            self.counts.same += u64::from(outcome.is_same());
            self.reads.record(&self.stage.state, &Reader::Back(out.clone()), &reads)?;
            // The producer of a published output is the input that maps to it, which an affected input finds by its key.
            // That fails in two cases, and they need a row: nothing is published, or a read affects the output while its
            // producer is unchanged.
            let is_implied = outcome != Outcome::Nothing && reads.is_empty();
            self.contributors.sole(&out, (!is_implied).then_some(&item))?;
            self.record(&out, &outcome)?;
        }
        Ok(())
    }

    /// Records the outcome of an output, or of a group with the partitions that it makes.
    fn record(&mut self, group: &OutputKey, outcome: &Outcome) -> Result<()> {
        match (&mut self.claims, outcome) {
            (Some(claims), Outcome::Several(made)) => claims.group_ran(&group.to_bytes(), made),
            (Some(claims), Outcome::Held | Outcome::Failed(_)) => claims.group_kept(group),
            (Some(claims), _) => claims.group_ran(&group.to_bytes(), &[]),
            (None, _) => self.publishers.offer(group, outcome),
        }
    }

    /// Ends a range of outputs: all later ones lie behind `end`.
    pub(crate) fn end_range(&mut self, end: Option<&[u8]>) -> Result<()> {
        self.flush()?;
        self.record_without_rows(end)?;
        self.contributors.end_range(end)?;
        self.reads.end_range()?;
        match &mut self.claims {
            Some(claims) => claims.end_range(),
            None => self.publishers.end_range(end),
        }
    }

    /// Ends the run if too many partitions failed.
    pub(crate) fn finish(mut self) -> Result<Backs<'s>> {
        self.flush()?;
        self.record_without_rows(None)?;
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
