//! The one executor: runs a task's stage in full or from what changed.
//!
//! The steps, as the design numbers them: changed inputs and readers of changes (1, 2: [`affected`](crate::stage::dirty)),
//! front-ends and early cut-off (3), affected outputs (4), their other contributors (5), back-ends and the comparison
//! with what is published (6), new state (7: [`fronts`](crate::stage::fronts), [`backs`](crate::stage::backs),
//! [`reverse`](crate::stage::reverse)). [`incremental`](crate::stage::incremental) takes all of them; a full stage is the same with an empty base, every input and no step 5.
//!
//! Everything goes through in order, so state and layers are written as they come and a stage holds no more than the
//! engine does.

pub(crate) mod backs;
pub(crate) mod base_tables;
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
use crate::determinism::Twice;
use crate::engine::kernel::{Held, TaskKernel};
use crate::engine::{Item, StageSession};
use crate::input::filter::subjects;
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
use crate::state::looks::Look;

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
        let Checks { twice, shuffled, .. } = self.checks;
        let forgetful = twice.map(|_| self.view.forgetful(self.task.projections()));
        let second = forgetful.as_ref().map(|view| kernel.to_compare(view));
        let twice = twice.zip(second.as_ref());
        let twice = twice.map(|(offenders, second)| Twice { first: &kernel, second, offenders, shuffled });
        let resuming = Resuming::new(&kernel, self.progress.as_ref());
        let session = match &twice {
            Some(twice) => self.engine.stage(twice),
            None => self.engine.stage(&resuming),
        };
        let mut result = self.run_in(&kernel, twice.as_ref(), session)?;
        resuming.count(&mut result.counts);
        Ok(result)
    }

    fn run_in<'s>(
        &'s self,
        kernel: &'s TaskKernel<'s>,
        twice: Option<&Twice<'_>>,
        session: Box<dyn StageSession + 's>,
    ) -> Result<StageResult> {
        match self.task.pattern() {
            Pattern::Dep(dep) => whole_input::dep(self, kernel, twice, dep.as_ref(), session),
            Pattern::Global(global) => whole_input::global(self, kernel, twice, global.as_ref()),
            Pattern::IncrementalDep(graph) => user_graph::run(self, kernel, twice, graph.as_ref(), session),
            _ if self.full => self.full(kernel, session),
            _ => incremental::run(self, kernel, session),
        }
    }

    /// All of a full stage: its three parts, each range after range. The engine says over how many.
    fn full<'s>(&'s self, kernel: &'s TaskKernel<'s>, mut session: Box<dyn StageSession + 's>) -> Result<StageResult> {
        let Ranges { inputs, outputs, seen } = self.ranges()?;
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
        drop(sorted);
        reverse(self, kernel, backs.finish()?, &seen, &outputs)
    }

    /// Runs the front-ends of the inputs in a range. What they emit stays with the session.
    fn fronts(&self, range: &Range, session: &mut dyn StageSession, sink: &mut FrontSink<'_, '_>) -> Result<()> {
        let mut items = self.inputs().flat_map(|(layer, tree)| {
            let found = range.names(layer).map(|names| tree.scan(names)).into_iter().flatten();
            found.map(move |found| {
                let (name, entry) = found?;
                Ok(Item { key: InputKey::new(layer, name), entry })
            })
        });
        let mut items = subjects(self.task, self.view, &mut items, |item: &Item| item.key.clone());
        session.map(&mut items, &mut |mapped| {
            sink.counts.inputs += 1;
            sink.front_ran(&mapped, false, &mut |_| Ok(()))
        })?;
        sink.end_range()
    }

    /// The ranges that a full stage runs over. Where they are cut decides nothing but how much each of them has to do.
    fn ranges(&self) -> Result<Ranges> {
        let wanted = self.engine.ranges();
        if !self.is_in_ranges() {
            let all = || vec![Range::all()];
            return Ok(Ranges { inputs: all(), outputs: all(), seen: all() });
        }
        let encoded = |keys: &[InputKey]| keys.iter().map(TaskKey::to_bytes).collect::<Vec<_>>();
        let inputs = spread::<InputSide>(self.inputs(), wanted)?;
        let published = spread::<OutputSide>(LayerIndex::all().zip(self.published), wanted)?;
        let outputs: Vec<EncodedKey> = match published.is_empty() {
            // Before there are any outputs, they are taken to have the layers and names of the inputs.
            true => encoded(&inputs),
            false => published.iter().map(TaskKey::to_bytes).collect(),
        };
        let look = |input: &InputKey| Look::of(&Seen::Partition(input.layer.0, input.name.clone())).bytes;
        Ok(Ranges {
            seen: Range::behind(inputs.iter().map(look)),
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

/// Ranges of inputs, of outputs, and of what compilers look at. Each list covers everything.
struct Ranges {
    inputs: Vec<Range>,
    outputs: Vec<Range>,
    seen: Vec<Range>,
}
