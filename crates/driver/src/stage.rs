//! The one executor: runs a task's stage in full or from what changed.
//!
//! The steps, as the design numbers them: changed inputs and readers of changes (1, 2: [`affected`]), front-ends and
//! early cut-off (3), affected outputs (4), their other contributors (5), back-ends and the comparison with what is
//! published (6), new state (7). A full stage is the same with an empty base, every input and no step 5.

use std::collections::BTreeSet;

use deltic_compiler::{Pattern, Task};
use deltic_core::{Digest, NameBytes, Payload};
use deltic_store::{Draft, KeyRange, Tree};

use crate::affected::{Affected, affected, present};
use crate::engine::{Engine, Item, Mapped, Outcome, Reduced, StageSession};
use crate::kernel::TaskKernel;
use crate::observe::{Event, Observer};
use crate::publish::Publisher;
use crate::report::Counts;
use crate::state::{Reader, State, TableOps, apply, edge_key, update_reads};
use crate::view::View;
use crate::{Element, Error, Result};

/// What a stage works with.
pub(crate) struct Stage<'a> {
    pub(crate) task: &'a Task,
    pub(crate) view: &'a View,
    /// The output layers as published, by number.
    pub(crate) published: &'a [Tree],
    /// What the task remembers; empty tables for a full run.
    pub(crate) state: State,
    pub(crate) full: bool,
    pub(crate) draft: &'a Draft,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) observer: &'a dyn Observer,
}

/// What a stage made.
pub(crate) struct StageResult {
    /// The output layers, by number.
    pub(crate) outputs: Vec<Tree>,
    pub(crate) state: State,
    pub(crate) counts: Counts,
}

impl Stage<'_> {
    pub(crate) fn run(self) -> Result<StageResult> {
        let kernel = TaskKernel {
            task: self.task,
            view: self.view,
            published: self.published,
            draft: self.draft,
            observer: self.observer,
        };
        let publishers = self.published.iter().map(|tree| Publisher::new(tree, self.full)).collect();
        let mut execution = Execution {
            stage: &self,
            kernel: &kernel,
            publishers,
            edges: TableOps::new(),
            contributors: TableOps::new(),
            reads: TableOps::new(),
            readers: TableOps::new(),
            counts: Counts::default(),
        };
        let session = self.engine.stage(&kernel);
        if self.full {
            execution.full(session)?;
        } else {
            execution.incremental(session)?;
        }
        execution.finish()
    }

    /// The layers that are compiled, by number.
    fn inputs(&self) -> impl Iterator<Item = (u16, &Tree)> {
        let inputs = self.view.iter().filter(|(_, name, _)| self.task.inputs().contains(name));
        inputs.map(|(number, _, layer)| (number, layer.now()))
    }

    fn is_group(&self) -> bool {
        matches!(self.task.pattern(), Pattern::Group(_))
    }
}

struct Execution<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    publishers: Vec<Publisher>,
    edges: TableOps,
    contributors: TableOps,
    reads: TableOps,
    readers: TableOps,
    counts: Counts,
}

impl<'a> Execution<'a> {
    fn full(&mut self, mut session: Box<dyn StageSession + 'a>) -> Result<()> {
        let stage = self.stage;
        let mut items = stage.inputs().flat_map(|(layer, tree)| {
            tree.scan(KeyRange::all()).map(move |found| {
                let (name, entry) = found?;
                Ok(Item { element: Element::new(layer, name), entry })
            })
        });
        session.map(&mut items, &mut |mapped| {
            self.counts.inputs += 1;
            self.front_said(&mapped, &[]).map(|_| ())
        })?;
        session.reduce(None, &mut |reduced| self.settle(reduced, true))
    }

    fn incremental(&mut self, mut session: Box<dyn StageSession + 'a>) -> Result<()> {
        let stage = self.stage;
        let Affected { inputs, outputs: by_reads } = affected(stage.task, stage.view, &stage.state)?;
        self.counts.inputs = inputs.len() as u64;
        self.counts.inputs_through_reads = inputs.values().filter(|dirty| dirty.through_reads).count() as u64;

        let mut outputs = Claims::default();
        let mut items = inputs
            .iter()
            .filter_map(|(element, dirty)| Some(Ok(Item { element: element.clone(), entry: dirty.now.clone()? })));
        session.map(&mut items, &mut |mapped| {
            let existed = inputs.get(&mapped.item).is_some_and(|dirty| dirty.existed);
            if stage.is_group() {
                let before = if existed { stage.state.edges_of(&mapped.item)? } else { Vec::new() };
                outputs.dirty.extend(self.front_said(&mapped, &before)?);
            } else {
                outputs.claim(mapped.edges.into_iter().map(|(out, _)| out), existed);
            }
            Ok(())
        })?;
        for (gone, _) in inputs.iter().filter(|(_, dirty)| dirty.now.is_none()) {
            match stage.task.pattern() {
                Pattern::Group(_) => {
                    let before = stage.state.edges_of(gone)?;
                    let nothing = Mapped { item: gone.clone(), edges: Vec::new(), reads: Vec::new(), rows: Vec::new() };
                    outputs.dirty.extend(self.front_settled(&nothing, &before)?);
                }
                Pattern::Direct { stage, .. } => outputs.claim(self.kernel.outputs_of(stage.as_ref(), gone)?, true),
            }
        }
        let through_reads = by_reads.difference(&outputs.dirty).count();
        outputs.dirty.extend(by_reads);

        let again = self.other_contributors(&inputs.keys().collect(), &outputs)?;
        if stage.is_group() {
            self.counts.fronts_again = again.len() as u64;
        }
        let mut again = again.into_iter().map(|element| {
            let entry = present(stage.task, stage.view, &element)?;
            Ok(Item { element, entry })
        });
        session.map(&mut again, &mut |_| Ok(()))?;

        let mut waiting = outputs.dirty.iter().peekable();
        session.reduce(Some(&outputs.dirty), &mut |reduced| {
            while let Some(gone) = waiting.next_if(|wanted| **wanted < reduced.out) {
                self.nothing_left(gone)?;
            }
            waiting.next();
            self.settle(reduced, false)
        })?;
        waiting.try_for_each(|gone| self.nothing_left(gone))?;
        self.counts.through_reads = through_reads as u64;
        Ok(())
    }

    /// Step 3 for a front-end that ran: notes its edges and reads; returns the outputs it says something new to.
    fn front_said(&mut self, mapped: &Mapped, before: &[(Element, Digest)]) -> Result<Vec<Element>> {
        if !self.stage.is_group() {
            return Ok(Vec::new());
        }
        self.counts.fronts += 1;
        let dirty = self.front_settled(mapped, before)?;
        if dirty.is_empty() && !self.stage.full {
            self.counts.cut_off += 1;
        }
        Ok(dirty)
    }

    fn front_settled(&mut self, mapped: &Mapped, before: &[(Element, Digest)]) -> Result<Vec<Element>> {
        let reader = Reader::Front(mapped.item.clone());
        self.note_reads(&reader, &mapped.reads)?;
        let mut dirty = Vec::new();
        for (out, _) in before.iter().filter(|(out, _)| find(&mapped.edges, out).is_none()) {
            self.edges.insert(edge_key(&mapped.item, out), None);
            dirty.push(out.clone());
        }
        for (out, digest) in mapped.edges.iter().filter(|(out, digest)| find(before, out) != Some(digest)) {
            let value = Payload::new(digest.as_bytes().to_vec());
            self.edges.insert(edge_key(&mapped.item, out), Some(value));
            dirty.push(out.clone());
        }
        Ok(dirty)
    }

    /// Step 5: the unchanged inputs whose word is needed to compile the affected outputs.
    fn other_contributors(&self, dirty_inputs: &BTreeSet<&Element>, outputs: &Claims) -> Result<BTreeSet<Element>> {
        let stage = self.stage;
        let mut again = BTreeSet::new();
        for out in &outputs.dirty {
            let known = stage.state.contributors_of(out)?;
            if known.is_empty() && matches!(stage.task.pattern(), Pattern::Direct { one_producer: true, .. }) {
                self.check_sole_producer(out, outputs)?;
            }
            again.extend(known.into_iter().filter(|input| !dirty_inputs.contains(input)));
        }
        Ok(again)
    }

    /// An output that state knows no producer of, but that is published, has one: an input that did not change, unless
    /// an affected input had claimed it before. Then nobody else may claim it now.
    fn check_sole_producer(&self, out: &Element, outputs: &Claims) -> Result<()> {
        if !outputs.claimed_anew.contains(out) || outputs.claimed_before.contains(out) {
            return Ok(());
        }
        let published = self.stage.published.get(usize::from(out.layer)).map(|tree| tree.get(&out.name)).transpose()?;
        if published.flatten().is_none() {
            return Ok(());
        }
        // The run fails in any case; looking through all inputs is only for the message.
        let mut claimants: Vec<Element> = Vec::new();
        let Pattern::Direct { stage, .. } = self.stage.task.pattern() else { return Ok(()) };
        for (layer, tree) in self.stage.inputs() {
            for found in tree.scan(KeyRange::all()) {
                let input = Element::new(layer, found?.0);
                if self.kernel.outputs_of(stage.as_ref(), &input)?.contains(out) {
                    claimants.push(input);
                }
            }
        }
        let key = self.kernel.out_key(out)?;
        match &claimants[..] {
            [first, second, ..] => Err(self.kernel.two_producers(&key, first, second)),
            _ => Err(Error::State {
                task: self.stage.task.id().clone(),
                message: format!("output {key} is published, but no input is known to make it"),
            }),
        }
    }

    /// Steps 6 and 7 for an output that was compiled.
    fn settle(&mut self, reduced: Reduced, full: bool) -> Result<()> {
        let Reduced { out, items, outcome, reads } = reduced;
        self.counts.compiled += 1;
        self.counts.same += u64::from(matches!(outcome, Outcome::Same(_)));
        self.note_reads(&Reader::Back(out.clone()), &reads)?;
        let told_by_key = matches!(self.stage.task.pattern(), Pattern::Direct { one_producer: true, .. })
            && outcome != Outcome::Nothing
            && reads.is_empty();
        self.note_contributors(&out, if told_by_key { &[] } else { &items }, full)?;
        self.offer(out, outcome)
    }

    /// Steps 6 and 7 for an output that nobody contributes to any more.
    fn nothing_left(&mut self, out: &Element) -> Result<()> {
        self.note_reads(&Reader::Back(out.clone()), &[])?;
        self.note_contributors(out, &[], false)?;
        self.offer(out.clone(), Outcome::Nothing)
    }

    fn offer(&mut self, out: Element, outcome: Outcome) -> Result<()> {
        let Some(publisher) = self.publishers.get_mut(usize::from(out.layer)) else {
            let message = format!("an output of layer number {}, which the task does not have", out.layer);
            return Err(Error::State { task: self.stage.task.id().clone(), message });
        };
        if publisher.offer(out.name.clone(), outcome)? {
            let key = self.kernel.out_key(&out)?;
            self.stage.observer.event(&Event::Deleted { task: self.stage.task.id(), key: &key });
        }
        Ok(())
    }

    fn note_reads(&mut self, reader: &Reader, now: &[deltic_compiler::Seen]) -> Result<()> {
        let before: Vec<NameBytes> =
            if self.stage.state.reads.is_empty() { Vec::new() } else { self.stage.state.reads_of(reader)? };
        update_reads(reader, &before, now, &mut self.reads, &mut self.readers);
        Ok(())
    }

    fn note_contributors(&mut self, out: &Element, now: &[Element], full: bool) -> Result<()> {
        let before = if full { Vec::new() } else { self.stage.state.contributors_of(out)? };
        for gone in before.iter().filter(|input| now.binary_search(input).is_err()) {
            self.contributors.insert(edge_key(out, gone), None);
        }
        for new in now.iter().filter(|input| before.binary_search(input).is_err()) {
            self.contributors.insert(edge_key(out, new), Some(Payload::default()));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<StageResult> {
        let stage = self.stage;
        let mut outputs = Vec::with_capacity(self.publishers.len());
        for (layer, publisher) in (0u16..).zip(&mut self.publishers) {
            outputs.push(publisher.finish(stage.draft, |name| {
                let key = self.kernel.out_key(&Element::new(layer, name))?;
                stage.observer.event(&Event::Deleted { task: stage.task.id(), key: &key });
                Ok(())
            })?);
            self.counts.put += publisher.put;
            self.counts.deleted += publisher.deleted;
        }
        let mut state = stage.state.clone();
        state.edges = apply(stage.draft, &state.edges, self.edges)?;
        state.contributors = apply(stage.draft, &state.contributors, self.contributors)?;
        state.reads = apply(stage.draft, &state.reads, self.reads)?;
        state.readers = apply(stage.draft, &state.readers, self.readers)?;
        Ok(StageResult { outputs, state, counts: self.counts })
    }
}

/// The outputs that affected inputs go into.
#[derive(Default)]
struct Claims {
    dirty: BTreeSet<Element>,
    /// Claimed by an affected input that the base was made from.
    claimed_before: BTreeSet<Element>,
    /// Claimed by an affected input that the base knows nothing of.
    claimed_anew: BTreeSet<Element>,
}

impl Claims {
    fn claim(&mut self, outs: impl IntoIterator<Item = Element>, existed: bool) {
        for out in outs {
            let by = if existed { &mut self.claimed_before } else { &mut self.claimed_anew };
            by.insert(out.clone());
            self.dirty.insert(out);
        }
    }
}

fn find<'a>(edges: &'a [(Element, Digest)], out: &Element) -> Option<&'a Digest> {
    edges.binary_search_by(|(known, _)| known.cmp(out)).ok().map(|index| &edges[index].1)
}
