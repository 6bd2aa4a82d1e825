//! The executor: runs a task's stage in full, or from what changed.
//!
//! 1. The changed inputs, and the inputs and outputs that read something that changed: [`dirty`](crate::stage::dirty).
//! 2. Front-ends of the affected inputs, early cut-off, the table of edges: [`fronts`](crate::stage::fronts).
//! 3. The affected outputs and their other contributors: [`incremental`](crate::stage::incremental).
//! 4. Back-ends, the comparison with what is published, layers and tables: [`backs`](crate::stage::backs).
//! 5. The tables that are sorted the other way: [`reverse`](crate::stage::reverse).
//!
//! An incremental stage takes all of these steps. A full stage takes 2, 4 and 5 with an empty base and every input. Stages
//! of three patterns differ more: a front-end over the whole input and a global compiler
//! ([`whole_input`](crate::stage::whole_input)), and a graph that the user keeps ([`user_graph`](crate::stage::user_graph)).
//!
//! Inputs and outputs come in the order of their keys. So tables and layers are written as results come, and a stage needs
//! no more memory than its engine.

pub(crate) mod backs;
pub(crate) mod checks;
pub(crate) mod context;
pub(crate) mod contributors;
pub(crate) mod dirty;
pub(crate) mod fronts;
pub(crate) mod incremental;
pub(crate) mod owners;
pub(crate) mod publisher;
pub(crate) mod quarantine;
pub(crate) mod range;
pub(crate) mod reverse;
pub(crate) mod sample;
pub(crate) mod user_graph;
pub(crate) mod whole_input;

use deltic_compiler::{Pattern, Seen};
use deltic_store::Tree;

use crate::Result;
use crate::checkpoint::resume::Resuming;
use crate::determinism::DeterminismCheck;
use crate::engine::kernel::{Held, TaskKernel};
use crate::engine::{Item, StageSession};
use crate::input::filter::filtered;
use crate::key::{EncodedKey, InputKey, InputSide, LayerIndex, OutputSide, TaskKey};
use crate::report::stop::Stop;
use crate::sort::key_set::KeyWriter;
use crate::sort::marks::Marks;
use crate::stage::backs::BackSink;
use crate::stage::checks::Checks;
use crate::stage::context::{Stage, StageResult};
use crate::stage::fronts::FrontSink;
use crate::stage::quarantine::Quarantine;
use crate::stage::range::Range;
use crate::stage::reverse::reverse;
use crate::state::read_keys::RecordedRead;

impl Stage<'_> {
    pub(crate) fn run(self) -> Result<StageResult> {
        let kernel = TaskKernel {
            task: self.task,
            view: self.view,
            published: self.published,
            draft: self.draft,
            observer: self.observer,
            held: Held::default(),
            stop: self.stop,
            failed: Stop::new(),
            keeps: true,
        };
        let Checks { offenders, shuffled, .. } = self.checks;
        let uncached = offenders.map(|_| self.view.without_caches(self.task.projections()));
        let second = uncached.as_ref().map(|view| kernel.to_compare(view));
        let check = offenders.zip(second.as_ref());
        let check = check.map(|(offenders, second)| DeterminismCheck { first: &kernel, second, offenders, shuffled });
        let resuming = Resuming::new(&kernel, self.checkpoint.as_ref());
        let session = match &check {
            Some(check) => self.engine.stage(check),
            None => self.engine.stage(&resuming),
        };
        let mut result = self.run_in(&kernel, check.as_ref(), session)?;
        resuming.count(&mut result.counts);
        Ok(result)
    }

    fn run_in<'s>(
        &'s self,
        kernel: &'s TaskKernel<'s>,
        check: Option<&DeterminismCheck<'_>>,
        session: Box<dyn StageSession + 's>,
    ) -> Result<StageResult> {
        match self.task.pattern() {
            Pattern::Dep(dep) => whole_input::dep(self, kernel, check, dep.as_ref(), session),
            Pattern::Global(global) => whole_input::global(self, kernel, check, global.as_ref()),
            Pattern::IncrementalDep(graph) => user_graph::run(self, kernel, check, graph.as_ref(), session),
            _ if self.full => self.full(kernel, session),
            _ => incremental::run(self, kernel, session),
        }
    }

    /// A full stage: its three parts, each range after range. The engine decides the number of ranges.
    fn full<'s>(&'s self, kernel: &'s TaskKernel<'s>, mut session: Box<dyn StageSession + 's>) -> Result<StageResult> {
        let Ranges { inputs, outputs, read_keys } = self.ranges()?;
        let mut quarantine = Quarantine::new(self, kernel);
        let mut fronts = FrontSink::new(self, &mut quarantine);
        inputs.iter().try_for_each(|range| self.fronts(range, session.as_mut(), &mut fronts))?;
        let fronts = fronts.finish()?;
        let mut held = KeyWriter::new(self.set_memory());
        quarantine.hold_back(None)?.iter().try_for_each(|out| held.push(out, Marks::empty()))?;
        let held = held.finish()?;
        let mut backs = BackSink::full(self, kernel, fronts, &mut quarantine, &held);
        let mut sorted = session.sorted()?;
        for range in &outputs {
            sorted.reduce(range.end(), None, &mut backs)?;
            backs.end_range(range.end())?;
        }
        // The rows are not needed any more, and take memory and disk.
        drop(sorted);
        reverse(self, kernel, backs.finish()?, &read_keys, &outputs)
    }

    /// Runs the front-ends of the inputs in a range. The session keeps the rows that they emit.
    fn fronts(&self, range: &Range, session: &mut dyn StageSession, sink: &mut FrontSink<'_, '_>) -> Result<()> {
        let mut items = self.inputs().flat_map(|(layer, tree)| {
            let found = range.names(layer).map(|names| tree.scan(names)).into_iter().flatten();
            found.map(move |found| {
                let (name, entry) = found?;
                Ok(Item { key: InputKey::new(layer, name), entry })
            })
        });
        let mut items = filtered(self.task, self.view, &mut items, |item: &Item| item.key.clone());
        session.map(&mut items, &mut |mapped| {
            sink.counts.inputs += 1;
            sink.front_ran(&mapped, false, &mut |_| Ok(()))
        })?;
        sink.end_range()
    }

    /// The ranges that a full stage runs over. Where they are cut decides only how much work each of them has.
    fn ranges(&self) -> Result<Ranges> {
        let wanted = self.engine.ranges();
        if !self.is_in_ranges() {
            let all = || vec![Range::all()];
            return Ok(Ranges { inputs: all(), outputs: all(), read_keys: all() });
        }
        let encoded = |keys: &[InputKey]| keys.iter().map(TaskKey::to_bytes).collect::<Vec<_>>();
        let inputs = spread::<InputSide>(self.inputs(), wanted)?;
        let published = spread::<OutputSide>(LayerIndex::all().zip(self.published), wanted)?;
        let outputs: Vec<EncodedKey> = match published.is_empty() {
            // Before there are any outputs, they are taken to have the layers and names of the inputs.
            true => encoded(&inputs),
            false => published.iter().map(TaskKey::to_bytes).collect(),
        };
        let read_key = |input: &InputKey| RecordedRead::of(&Seen::Partition(input.layer.0, input.name.clone())).key;
        Ok(Ranges {
            read_keys: Range::behind(inputs.iter().map(read_key)),
            inputs: Range::behind(encoded(&inputs)),
            outputs: Range::behind(outputs),
        })
    }
}

/// Keys that end ranges of about equal size: `wanted` of them over all layers, more or less. Cost: a few nodes.
fn spread<'a, S>(
    layers: impl Iterator<Item = (LayerIndex, &'a Tree)> + Clone,
    wanted: usize,
) -> Result<Vec<TaskKey<S>>> {
    let count: u64 = layers.clone().map(|(_, tree)| tree.count()).sum();
    let mut cuts = Vec::new();
    for (layer, tree) in layers {
        let parts = (u128::from(tree.count()) * wanted as u128).div_ceil(u128::from(count.max(1)));
        let keys = tree.split_keys(usize::try_from(parts).unwrap_or(usize::MAX))?;
        cuts.extend(keys.into_iter().map(|name| TaskKey::new(layer, name)));
    }
    Ok(cuts)
}

/// Ranges of inputs, of outputs, and of read keys. Each list covers everything.
struct Ranges {
    inputs: Vec<Range>,
    outputs: Vec<Range>,
    read_keys: Vec<Range>,
}
