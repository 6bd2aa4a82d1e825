//! Steps 3, 6 and 7 of a stage: what front- and back-ends said becomes edges, reads, contributors and published
//! partitions. Everything comes in order and is written as it comes.

use deltic_core::Digest;
use deltic_store::Tree;

use crate::engine::kernel::TaskKernel;
use crate::engine::{Mapped, Outcome, ReduceSink, Reduced};
use crate::report::Counts;
use crate::report::observe::Event;
use crate::sort::key_set::{Elements, TOGETHER, TOGETHER_BYTES, Walk, read_ahead_within};
use crate::sort::rows::Row;
use crate::stage::context::Stage;
use crate::stage::context::StageResult;
use crate::stage::contributors::Contributors;
use crate::stage::owners::Claims;
use crate::stage::publisher::Publisher;
use crate::stage::quarantine::Quarantine;
use crate::state::reads::{Reader, ReadsWriter};
use crate::state::tables::{TableWriter, edge_key};
use crate::{Element, Result};

/// A stage's results on their way into trees.
pub(crate) struct Settling<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    publishers: Vec<Publisher<'a>>,
    edges: TableWriter<'a>,
    contributors: Contributors<'a>,
    reads: ReadsWriter<'a>,
    /// Where groups become several partitions.
    claims: Option<Claims<'a>>,
    quarantine: Quarantine<'a>,
    /// The affected outputs of an incremental stage that no result has come for yet; in a full one, those held back.
    waiting: Option<Walk<'a>>,
    /// Results that are settled together.
    reduced: Vec<Reduced>,
    /// Their bytes.
    reduced_bytes: u64,
    pub(crate) counts: Counts,
}

impl<'a> Settling<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, kernel: &'a TaskKernel<'a>) -> Settling<'a> {
        let publisher = |tree: &Tree| Publisher::new(stage.draft, tree, stage.full);
        Settling {
            stage,
            kernel,
            publishers: stage.published.iter().map(publisher).collect(),
            edges: TableWriter::new(stage.draft, &stage.state.edges),
            contributors: Contributors::new(stage, kernel, None, None),
            reads: ReadsWriter::new(stage.draft, &stage.state, stage.engine.row_memory() / 4),
            claims: stage.task.pattern().splits().then(|| Claims::new(stage, kernel)),
            quarantine: Quarantine::new(stage, kernel),
            waiting: None,
            reduced: Vec::new(),
            reduced_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Goes on from front-ends to back-ends, once it is known which outputs are affected. `asked` are the affected inputs
    /// that had something to say.
    pub(crate) fn with_wanted<'b>(self, wanted: &'b Elements, asked: &'b Elements) -> Settling<'b>
    where
        'a: 'b,
    {
        let contributors = Contributors::new(self.stage, self.kernel, Some(wanted), Some(asked));
        Settling { contributors, ..self.with_waiting(wanted) }
    }

    /// The same in a full stage: all outputs are affected, and these are held back.
    pub(crate) fn with_held<'b>(self, held: &'b Elements) -> Settling<'b>
    where
        'a: 'b,
    {
        self.with_waiting(held)
    }

    fn with_waiting<'b>(self, waiting: &'b Elements) -> Settling<'b>
    where
        'a: 'b,
    {
        Settling {
            contributors: self.contributors,
            quarantine: self.quarantine,
            waiting: Some(waiting.walk()),
            reduced: self.reduced,
            reduced_bytes: self.reduced_bytes,
            stage: self.stage,
            kernel: self.kernel,
            publishers: self.publishers,
            edges: self.edges,
            reads: self.reads,
            claims: self.claims,
            counts: self.counts,
        }
    }

    /// Notes what a front-end said and read; returns the outputs to which it says something new.
    pub(crate) fn front_ran(&mut self, mapped: &Mapped, existed: bool) -> Result<Vec<Element>> {
        if let Some(failure) = &mapped.failed {
            self.counts.fronts += 1;
            self.quarantine.front_failed(&mapped.item, (**failure).clone())?;
            return Ok(Vec::new());
        }
        if !self.stage.keeps_edges() {
            return Ok(Vec::new());
        }
        self.counts.fronts += u64::from(self.stage.is_group());
        let dirty = self.note_front(mapped, existed)?;
        if dirty.is_empty() && !self.stage.full && self.stage.is_group() {
            self.counts.cut_off += 1;
        }
        Ok(dirty)
    }

    /// Notes that an input is gone; returns the outputs that it went into.
    pub(crate) fn front_gone(&mut self, input: &Element) -> Result<Vec<Element>> {
        self.note_front(&Mapped { item: input.clone(), edges: Vec::new(), reads: Vec::new(), failed: None }, true)
    }

    /// Notes that an unchanged input failed when it was asked again.
    pub(crate) fn front_failed_again(&mut self, mapped: Mapped) -> Result<()> {
        mapped.failed.map_or(Ok(()), |failure| self.quarantine.front_failed(&mapped.item, *failure))
    }

    /// Once front-ends are through: holds back the outputs of those that failed, with `among` only of these. Ends the
    /// run if it may not go on.
    pub(crate) fn hold_back(&mut self, among: Option<&Elements>) -> Result<Vec<Vec<u8>>> {
        self.quarantine.hold_back(among)
    }

    fn note_front(&mut self, mapped: &Mapped, existed: bool) -> Result<Vec<Element>> {
        self.note_reads(&Reader::Front(mapped.item.clone()), &mapped.reads)?;
        let before = if existed { self.stage.state.edges_of(&mapped.item)? } else { Vec::new() };
        // The outputs of both lists in order, each once.
        let mut outs: Vec<&Element> = before.iter().chain(&mapped.edges).map(|(out, _)| out).collect();
        outs.sort_unstable();
        outs.dedup();
        let mut dirty = Vec::new();
        for out in outs {
            let (was, is) = (find(&before, out), find(&mapped.edges, out));
            if was != is {
                self.edges.set(&edge_key(&mapped.item, out), is.map(|digest| &digest.as_bytes()[..]))?;
                if !self.stage.full {
                    dirty.push(out.clone());
                }
            }
        }
        Ok(dirty)
    }

    /// Notes what a front-end over the whole input says to an output, in order; returns whether that is new.
    pub(crate) fn whole_said(
        &mut self,
        whole: &Element,
        out: &[u8],
        was: Option<Digest>,
        is: Option<Digest>,
    ) -> Result<bool> {
        if was != is {
            let key = [&whole.to_bytes()[..], out].concat();
            self.edges.set(&key, is.as_ref().map(|digest| &digest.as_bytes()[..]))?;
        }
        Ok(was != is)
    }

    fn note_reads(&mut self, reader: &Reader, now: &[deltic_compiler::Seen]) -> Result<()> {
        self.reads.note(reader, &self.stage.state.reads_of(reader)?, now)
    }

    /// Affected outputs before `out`, or all that are left: nobody contributes to them any more.
    fn nothing_left_before(&mut self, out: Option<&[u8]>) -> Result<()> {
        while let Some(waiting) = &mut self.waiting
            && let Some((next, _)) = waiting.peek()?.filter(|(next, _)| out.is_none_or(|out| *next < out))
        {
            let gone = self.stage.element(next)?;
            waiting.advance()?;
            if self.kernel.is_held(&gone.to_bytes()) {
                self.became(&gone, &Outcome::Held)?;
                continue;
            }
            self.note_reads(&Reader::Back(gone.clone()), &[])?;
            self.contributors.sole(&gone, None)?;
            self.became(&gone, &Outcome::Nothing)?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.reduced_bytes = 0;
        let state = &self.stage.state;
        if !self.stage.full {
            let readers = self.reduced.iter().map(|reduced| Reader::Back(reduced.out.clone()).bytes());
            read_ahead_within(&state.reads, &readers.collect::<Vec<_>>())?;
        }
        for Reduced { out, item, outcome, reads } in std::mem::take(&mut self.reduced) {
            let bytes = out.to_bytes();
            self.nothing_left_before(Some(&bytes))?;
            if let Some(waiting) = &mut self.waiting {
                waiting.take(&bytes)?;
            }
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
            self.note_reads(&Reader::Back(out.clone()), &reads)?;
            let told_by_key = outcome != Outcome::Nothing && reads.is_empty();
            self.contributors.sole(&out, (!told_by_key).then_some(&item))?;
            self.became(&out, &outcome)?;
        }
        Ok(())
    }

    /// What became of a group: of the partition that it is, or of those that it makes.
    fn became(&mut self, group: &Element, outcome: &Outcome) -> Result<()> {
        match (&mut self.claims, outcome) {
            (Some(claims), Outcome::Several(made)) => claims.group_ran(&group.to_bytes(), made),
            (Some(claims), Outcome::Held | Outcome::Failed(_)) => claims.group_kept(group),
            (Some(claims), _) => claims.group_ran(&group.to_bytes(), &[]),
            (None, _) => self.offer(group, outcome),
        }
    }

    fn offer(&mut self, out: &Element, outcome: &Outcome) -> Result<()> {
        let (kernel, stage) = (self.kernel, self.stage);
        let Some(publisher) = self.publishers.get_mut(usize::from(out.layer)) else {
            let message = format!("an output of layer number {}, which the task does not have", out.layer);
            return Err(stage.broken(message));
        };
        publisher.offer(&out.name, outcome, &mut |name| deleted(stage, kernel, out.layer, name))
    }

    /// Everything settled, as trees.
    pub(crate) fn finish(mut self) -> Result<StageResult> {
        self.settle()?;
        self.nothing_left_before(None)?;
        let (kernel, stage) = (self.kernel, self.stage);
        let mut state = stage.state.clone();
        let kept = stage.before.as_ref().filter(|_| stage.full).zip(self.quarantine.readers());
        let quarantined;
        (state.errors, quarantined) = self.quarantine.finish()?;
        self.counts.quarantined = quarantined.len() as u64;
        if let Some(claims) = self.claims.take() {
            let finished = claims.finish(|out, outcome| self.offer(&stage.element(out)?, outcome))?;
            (state.published, state.owners) = finished;
        }
        let mut outputs = Vec::with_capacity(self.publishers.len());
        for (layer, publisher) in (0u16..).zip(&mut self.publishers) {
            outputs.push(publisher.finish(&mut |name| deleted(stage, kernel, layer, name))?);
            self.counts.put += publisher.put;
            self.counts.deleted += publisher.deleted;
        }
        state.edges = self.edges.finish()?;
        (state.contributors, state.values) = self.contributors.finish()?;
        (state.reads, state.readers) = self.reads.finish()?;
        if let Some((before, readers)) = kept {
            before.keep(stage.draft, stage.memo_limit(), &readers, &mut state)?;
        }
        Ok(StageResult { outputs, state, counts: self.counts, quarantined })
    }
}

/// Tells whoever watches that a partition goes.
pub(crate) fn deleted(stage: &Stage<'_>, kernel: &TaskKernel<'_>, layer: u16, name: &[u8]) -> Result<()> {
    let key = kernel.out_key(&Element::new(layer, name))?;
    stage.observer.event(&Event::Deleted { task: stage.task.id(), key: &key });
    Ok(())
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

impl ReduceSink for Settling<'_> {
    fn row(&mut self, row: Row<'_>) -> Result<()> {
        self.contributors.row(row)
    }

    fn reduced(&mut self, reduced: Reduced) -> Result<()> {
        self.reduced_bytes += reduced.weight();
        self.reduced.push(reduced);
        let is_full = self.reduced.len() >= TOGETHER || self.reduced_bytes >= TOGETHER_BYTES as u64;
        if is_full { self.settle() } else { Ok(()) }
    }
}

/// The digest of an edge, if there is one to this output.
pub(crate) fn find<'a>(edges: &'a [(Element, Digest)], out: &Element) -> Option<&'a Digest> {
    edges.binary_search_by(|(known, _)| known.cmp(out)).ok().map(|index| &edges[index].1)
}
