//! The one executor: runs a task's stage in full or from what changed.
//!
//! The steps, as the design numbers them: changed inputs and readers of changes (1, 2: [`affected`](crate::affected)),
//! front-ends and early cut-off (3), affected outputs (4), their other contributors (5), back-ends and the comparison
//! with what is published (6), new state (7). A full stage is the same with an empty base, every input and no step 5.
//!
//! Everything goes through in order, so state and layers are written as they come and a full stage holds no more than
//! the engine does.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use deltic_compiler::{DirectStage, Pattern, Task};
use deltic_core::Digest;
use deltic_store::{Draft, KeyRange, Tree};

use crate::affected::{Dirty, Readers, dirty_inputs, present, readers};
use crate::engine::{Engine, Item, Mapped, StageSession};
use crate::kernel::TaskKernel;
use crate::observe::Observer;
use crate::report::Counts;
use crate::settle::Settling;
use crate::state::State;
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
        let session = self.engine.stage(&kernel);
        if self.full { self.full(&kernel, session) } else { self.incremental(&kernel, session) }
    }

    fn full<'s>(&'s self, kernel: &'s TaskKernel<'s>, mut session: Box<dyn StageSession + 's>) -> Result<StageResult> {
        let mut settling = Settling::new(self, kernel, None);
        let mut items = self.inputs().flat_map(|(layer, tree)| {
            tree.scan(KeyRange::all()).map(move |found| {
                let (name, entry) = found?;
                Ok(Item { element: Element::new(layer, name), entry })
            })
        });
        session.map(&mut items, &mut |mapped| {
            settling.counts.inputs += 1;
            settling.front_ran(&mapped, false)?;
            Ok(())
        })?;
        session.reduce(None, &mut settling)?;
        settling.finish()
    }

    fn incremental<'s>(
        &'s self,
        kernel: &'s TaskKernel<'s>,
        mut session: Box<dyn StageSession + 's>,
    ) -> Result<StageResult> {
        let Readers { inputs: reading, outputs: by_reads } = readers(self.view, &self.state)?;
        let mut fronts = Settling::new(self, kernel, None);
        let mut dirty = DirtySet::default();

        // Inputs that are gone have no item; they wait here for their place in the order.
        let on_their_way: RefCell<VecDeque<Dirty>> = RefCell::default();
        let mut items = dirty_inputs(self.task, self.view, &reading).filter_map(|found| match found {
            Ok(input) => {
                let item = input.now.clone().map(|entry| Item { element: input.element.clone(), entry });
                on_their_way.borrow_mut().push_back(input);
                item.map(Ok)
            }
            Err(error) => Some(Err(error)),
        });
        let mut front_done = |mapped: Option<Mapped>| -> Result<()> {
            while let Some(input) = on_their_way.borrow_mut().pop_front() {
                fronts.counts.inputs += 1;
                fronts.counts.inputs_through_reads += u64::from(input.through_reads);
                match &mapped {
                    Some(mapped) if mapped.item == input.element => {
                        self.front_said(&mut fronts, &mut dirty, &input, mapped)?;
                        dirty.inputs.insert(input.element);
                        return Ok(());
                    }
                    _ => self.input_gone(kernel, &mut fronts, &mut dirty, &input.element)?,
                }
                dirty.inputs.insert(input.element);
            }
            Ok(())
        };
        session.map(&mut items, &mut |mapped| front_done(Some(mapped)))?;
        drop(items);
        front_done(None)?;

        let through_reads = by_reads.difference(&dirty.outputs).count() as u64;
        dirty.outputs.extend(by_reads);
        let again = self.other_contributors(kernel, &dirty)?;
        fronts.counts.through_reads = through_reads;
        if self.is_group() {
            fronts.counts.fronts_again = again.len() as u64;
        }
        let mut again = again.into_iter().map(|element| {
            let entry = present(self.task, self.view, &element)?;
            Ok(Item { element, entry })
        });
        session.map(&mut again, &mut |_| Ok(()))?;

        let mut backs = fronts.with_wanted(&dirty.outputs);
        session.reduce(Some(&dirty.outputs), &mut backs)?;
        backs.finish()
    }

    /// Step 3 for an input that is there.
    fn front_said(
        &self,
        fronts: &mut Settling<'_>,
        dirty: &mut DirtySet,
        input: &Dirty,
        mapped: &Mapped,
    ) -> Result<()> {
        if self.is_group() {
            dirty.outputs.extend(fronts.front_ran(mapped, input.existed)?);
        } else {
            dirty.claim(mapped.edges.iter().map(|(out, _)| out.clone()), input.existed);
        }
        Ok(())
    }

    /// Step 3 for an input that is gone.
    fn input_gone(
        &self,
        kernel: &TaskKernel<'_>,
        fronts: &mut Settling<'_>,
        dirty: &mut DirtySet,
        input: &Element,
    ) -> Result<()> {
        match self.task.pattern() {
            Pattern::Group(_) => dirty.outputs.extend(fronts.front_gone(input)?),
            Pattern::Direct { stage, .. } => dirty.claim(kernel.outputs_of(stage.as_ref(), input)?, true),
        }
        Ok(())
    }

    /// Step 5: the unchanged inputs whose word is needed to compile the affected outputs.
    fn other_contributors(&self, kernel: &TaskKernel<'_>, dirty: &DirtySet) -> Result<BTreeSet<Element>> {
        let mut again = BTreeSet::new();
        for out in &dirty.outputs {
            let known = self.state.contributors_of(out)?;
            if let (true, Pattern::Direct { stage, one_producer: true }) = (known.is_empty(), self.task.pattern()) {
                self.check_sole_producer(kernel, stage.as_ref(), out, dirty)?;
            }
            again.extend(known.into_iter().filter(|input| !dirty.inputs.contains(input)));
        }
        Ok(again)
    }

    /// An output that state knows no producer of, but that is published, has one: an input that did not change, unless
    /// an affected input had claimed it before. Then nobody else may claim it now.
    fn check_sole_producer(
        &self,
        kernel: &TaskKernel<'_>,
        stage: &dyn DirectStage,
        out: &Element,
        dirty: &DirtySet,
    ) -> Result<()> {
        if !dirty.claimed_anew.contains(out) || dirty.claimed_before.contains(out) {
            return Ok(());
        }
        let published = self.published.get(usize::from(out.layer)).map(|tree| tree.get(&out.name)).transpose()?;
        if published.flatten().is_none() {
            return Ok(());
        }
        // The run fails in any case; looking through all inputs is only for the message.
        let mut claimants: Vec<Element> = Vec::new();
        for (layer, tree) in self.inputs() {
            for found in tree.scan(KeyRange::all()) {
                let input = Element::new(layer, found?.0);
                if kernel.outputs_of(stage, &input)?.contains(out) {
                    claimants.push(input);
                }
            }
        }
        let key = kernel.out_key(out)?;
        match &claimants[..] {
            [first, second, ..] => Err(kernel.two_producers(&key, first, second)),
            _ => Err(Error::State {
                task: self.task.id().clone(),
                message: format!("output {key} is published, but no input is known to make it"),
            }),
        }
    }

    /// The layers that are compiled, by number.
    fn inputs(&self) -> impl Iterator<Item = (u16, &Tree)> {
        let inputs = self.view.iter().filter(|(_, name, _)| self.task.inputs().contains(name));
        inputs.map(|(number, _, layer)| (number, layer.now()))
    }

    pub(crate) fn is_group(&self) -> bool {
        matches!(self.task.pattern(), Pattern::Group(_))
    }
}

/// What an incremental stage has found to be affected.
#[derive(Default)]
struct DirtySet {
    inputs: BTreeSet<Element>,
    outputs: BTreeSet<Element>,
    /// Claimed by an affected input that the base was made from. Direct tasks only.
    claimed_before: BTreeSet<Element>,
    /// Claimed by an affected input that the base knows nothing of. Direct tasks only.
    claimed_anew: BTreeSet<Element>,
}

impl DirtySet {
    fn claim(&mut self, outs: impl IntoIterator<Item = Element>, existed: bool) {
        for out in outs {
            let by = if existed { &mut self.claimed_before } else { &mut self.claimed_anew };
            by.insert(out.clone());
            self.outputs.insert(out);
        }
    }
}

/// The digest of an edge, if there is one to this output.
pub(crate) fn find<'a>(edges: &'a [(Element, Digest)], out: &Element) -> Option<&'a Digest> {
    edges.binary_search_by(|(known, _)| known.cmp(out)).ok().map(|index| &edges[index].1)
}
