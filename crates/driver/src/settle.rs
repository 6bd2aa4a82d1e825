//! Steps 3, 6 and 7 of a stage: what front- and back-ends said becomes edges, reads, contributors and published
//! partitions. Everything comes in order and is written as it comes.

use std::iter::Peekable;

use deltic_compiler::Pattern;
use deltic_core::NameBytes;
use deltic_store::Tree;

use crate::elements::{Ahead, Elements, TOGETHER, Walk, read_ahead};
use crate::engine::{Mapped, Outcome, ReduceSink, Reduced};
use crate::kernel::TaskKernel;
use crate::observe::Event;
use crate::publish::Publisher;
use crate::report::Counts;
use crate::stage::{Stage, StageResult, find};
use crate::state::{Reader, ReadsWriter, TableWriter, differences, edge_key};
use crate::{Element, Error, Result};

/// A stage's results on their way into trees.
pub(crate) struct Settling<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    publishers: Vec<Publisher<'a>>,
    edges: TableWriter<'a>,
    contributors: Contributors<'a>,
    reads: ReadsWriter<'a>,
    /// In an incremental stage: the affected outputs that no result has come for yet.
    waiting: Option<Walk<'a>>,
    /// Results that are settled together.
    reduced: Vec<Reduced>,
    pub(crate) counts: Counts,
}

impl<'a> Settling<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, kernel: &'a TaskKernel<'a>, wanted: Option<&'a Elements>) -> Settling<'a> {
        let publisher = |tree: &Tree| Publisher::new(stage.draft, tree, stage.full);
        Settling {
            stage,
            kernel,
            publishers: stage.published.iter().map(publisher).collect(),
            edges: TableWriter::new(stage.draft, &stage.state.edges),
            contributors: Contributors::new(stage, wanted),
            reads: ReadsWriter::new(stage.draft, &stage.state, stage.engine.row_memory() / 4),
            waiting: wanted.map(Elements::walk),
            reduced: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Goes on from front-ends to back-ends, once it is known which outputs are affected.
    pub(crate) fn with_wanted<'b>(self, wanted: &'b Elements) -> Settling<'b>
    where
        'a: 'b,
    {
        Settling {
            contributors: Contributors::new(self.stage, Some(wanted)),
            waiting: Some(wanted.walk()),
            reduced: self.reduced,
            stage: self.stage,
            kernel: self.kernel,
            publishers: self.publishers,
            edges: self.edges,
            reads: self.reads,
            counts: self.counts,
        }
    }

    /// Notes what a front-end said and read; returns the outputs to which it says something new.
    pub(crate) fn front_ran(&mut self, mapped: &Mapped, existed: bool) -> Result<Vec<Element>> {
        if !self.stage.is_group() {
            return Ok(Vec::new());
        }
        self.counts.fronts += 1;
        let dirty = self.note_front(mapped, existed)?;
        if dirty.is_empty() && !self.stage.full {
            self.counts.cut_off += 1;
        }
        Ok(dirty)
    }

    /// Notes that an input is gone; returns the outputs that it went into.
    pub(crate) fn front_gone(&mut self, input: &Element) -> Result<Vec<Element>> {
        self.note_front(&Mapped { item: input.clone(), edges: Vec::new(), reads: Vec::new() }, true)
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

    fn note_reads(&mut self, reader: &Reader, now: &[deltic_compiler::Seen]) -> Result<()> {
        let state = &self.stage.state;
        let before: Vec<NameBytes> = if state.reads.is_empty() { Vec::new() } else { state.reads_of(reader)? };
        self.reads.note(reader, &before, now)
    }

    /// Affected outputs before `out`, or all that are left: nobody contributes to them any more.
    fn nothing_left_before(&mut self, out: Option<&[u8]>) -> Result<()> {
        while let Some(waiting) = &mut self.waiting
            && let Some((next, _)) = waiting.peek()?.filter(|(next, _)| out.is_none_or(|out| *next < out))
        {
            let gone = self.stage.element(next)?;
            waiting.advance()?;
            self.note_reads(&Reader::Back(gone.clone()), &[])?;
            self.contributors.sole(&gone, None)?;
            self.offer(&gone, &Outcome::Nothing)?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let state = &self.stage.state;
        if !self.stage.full {
            let readers = self.reduced.iter().map(|reduced| Reader::Back(reduced.out.clone()).bytes());
            read_ahead(&state.reads, &readers.collect::<Vec<_>>())?;
        }
        for Reduced { out, item, outcome, reads } in std::mem::take(&mut self.reduced) {
            let bytes = out.to_bytes();
            self.nothing_left_before(Some(&bytes))?;
            if let Some(waiting) = &mut self.waiting {
                waiting.advance()?;
            }
            self.counts.compiled += 1;
            self.counts.same += u64::from(outcome == Outcome::Same);
            self.note_reads(&Reader::Back(out.clone()), &reads)?;
            let told_by_key = outcome != Outcome::Nothing && reads.is_empty();
            self.contributors.sole(&out, (!told_by_key).then_some(&item))?;
            self.offer(&out, &outcome)?;
        }
        Ok(())
    }

    fn offer(&mut self, out: &Element, outcome: &Outcome) -> Result<()> {
        let (kernel, stage) = (self.kernel, self.stage);
        let Some(publisher) = self.publishers.get_mut(usize::from(out.layer)) else {
            let message = format!("an output of layer number {}, which the task does not have", out.layer);
            return Err(Error::State { task: stage.task.id().clone(), message });
        };
        publisher.offer(&out.name, outcome, &mut |name| deleted(stage, kernel, out.layer, name))
    }

    /// Everything settled, as trees.
    pub(crate) fn finish(mut self) -> Result<StageResult> {
        self.settle()?;
        self.nothing_left_before(None)?;
        let (kernel, stage) = (self.kernel, self.stage);
        let mut outputs = Vec::with_capacity(self.publishers.len());
        for (layer, publisher) in (0u16..).zip(&mut self.publishers) {
            outputs.push(publisher.finish(&mut |name| deleted(stage, kernel, layer, name))?);
            self.counts.put += publisher.put;
            self.counts.deleted += publisher.deleted;
        }
        let mut state = stage.state.clone();
        state.edges = self.edges.finish()?;
        state.contributors = self.contributors.finish()?;
        (state.reads, state.readers) = self.reads.finish()?;
        Ok(StageResult { outputs, state, counts: self.counts })
    }
}

fn deleted(stage: &Stage<'_>, kernel: &TaskKernel<'_>, layer: u16, name: &[u8]) -> Result<()> {
    let key = kernel.out_key(&Element::new(layer, name))?;
    stage.observer.event(&Event::Deleted { task: stage.task.id(), key: &key });
    Ok(())
}

impl ReduceSink for Settling<'_> {
    fn contributor(&mut self, out: &[u8], item: &[u8]) -> Result<()> {
        self.contributors.add(out, item)
    }

    fn reduced(&mut self, reduced: Reduced) -> Result<()> {
        self.reduced.push(reduced);
        if self.reduced.len() < TOGETHER { Ok(()) } else { self.settle() }
    }
}

/// The table of contributors in the making.
///
/// For most tasks it follows the rows, which come sorted by output and input. A direct task with one producer an output
/// writes it by what became of each output instead.
struct Contributors<'a> {
    stage: &'a Stage<'a>,
    table: TableWriter<'a>,
    one_producer: bool,
    /// The affected outputs that no row has come for yet.
    waiting: Option<Walk<'a>>,
    ahead: Option<Ahead<'a>>,
    /// The output whose rows are coming, and its contributors in the base that are still to be met.
    current: Vec<u8>,
    before: Peekable<std::vec::IntoIter<Vec<u8>>>,
}

impl<'a> Contributors<'a> {
    fn new(stage: &'a Stage<'a>, wanted: Option<&'a Elements>) -> Contributors<'a> {
        Contributors {
            stage,
            table: TableWriter::new(stage.draft, &stage.state.contributors),
            one_producer: matches!(stage.task.pattern(), Pattern::Direct { one_producer: true, .. }),
            waiting: wanted.map(Elements::walk),
            ahead: wanted.map(|wanted| Ahead::new(&stage.state.contributors, wanted)),
            current: Vec::new(),
            before: Vec::new().into_iter().peekable(),
        }
    }

    /// A row of a task that keeps all contributors.
    fn add(&mut self, out: &[u8], item: &[u8]) -> Result<()> {
        if self.one_producer {
            return Ok(());
        }
        if self.current != out {
            self.end_output()?;
            self.pass_over(Some(out))?;
            self.current.extend_from_slice(out);
            self.before = self.known(out)?.into_iter().peekable();
        }
        while let Some(gone) = self.before.next_if(|before| before[..] < *item) {
            self.table.set(&[out, &gone].concat(), None)?;
        }
        if self.before.next_if(|before| before[..] == *item).is_none() {
            self.table.set(&[out, item].concat(), Some(&[]))?;
        }
        Ok(())
    }

    /// What is kept for an output of a task with one producer an output.
    fn sole(&mut self, out: &Element, item: Option<&Element>) -> Result<()> {
        if !self.one_producer {
            return Ok(());
        }
        let out = out.to_bytes();
        let now: Vec<Vec<u8>> = item.map(Element::to_bytes).into_iter().collect();
        let before = self.known(&out)?;
        differences(&before, &now, |item, is_new| self.table.set(&[&out, item].concat(), is_new.then_some(&[])))
    }

    fn finish(mut self) -> Result<Tree> {
        self.end_output()?;
        self.pass_over(None)?;
        self.table.finish()
    }

    fn end_output(&mut self) -> Result<()> {
        for gone in self.before.by_ref() {
            self.table.set(&[&self.current[..], &gone].concat(), None)?;
        }
        self.current.clear();
        Ok(())
    }

    /// Affected outputs without rows lose all contributors.
    fn pass_over(&mut self, out: Option<&[u8]>) -> Result<()> {
        while !self.one_producer
            && let Some(waiting) = &mut self.waiting
            && let Some((next, _)) = waiting.peek()?.filter(|(next, _)| out.is_none_or(|out| *next <= out))
        {
            let next = next.to_vec();
            waiting.advance()?;
            if out != Some(&next) {
                for gone in self.known(&next)? {
                    self.table.set(&[&next[..], &gone].concat(), None)?;
                }
            }
        }
        Ok(())
    }

    /// The contributors of an output in the base.
    fn known(&mut self, out: &[u8]) -> Result<Vec<Vec<u8>>> {
        if let Some(ahead) = &mut self.ahead {
            ahead.reach(out)?;
        }
        self.stage.state.contributors_of(out)
    }
}
