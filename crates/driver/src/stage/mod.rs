//! The one executor: runs a task's stage in full or from what changed.
//!
//! The steps, as the design numbers them: changed inputs and readers of changes (1, 2: [`affected`](crate::stage::dirty)),
//! front-ends and early cut-off (3), affected outputs (4), their other contributors (5), back-ends and the comparison
//! with what is published (6), new state (7: [`settle`](crate::stage::sink)). [`incremental`](crate::stage::incremental) takes all
//! of them; a full stage is the same with an empty base, every input and no step 5.
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
pub(crate) mod reverse;
pub(crate) mod sample;
pub(crate) mod user_graph;
pub(crate) mod whole_input;

use deltic_compiler::Pattern;
use deltic_store::KeyRange;

use crate::checkpoint::resume::Resuming;
use crate::determinism::Twice;
use crate::engine::kernel::{Held, TaskKernel};
use crate::engine::{Item, StageSession};
use crate::input::filter::subjects;
use crate::report::stop::Stop;
use crate::sort::key_set::Writer;
use crate::stage::backs::BackSink;
use crate::stage::checks::Checks;
use crate::stage::context::{Stage, StageResult};
use crate::stage::fronts::{FrontSink, Fronts};
use crate::stage::quarantine::Quarantine;
use crate::stage::reverse::reverse;
use crate::{Element, Result};

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
            Pattern::Graph(graph) => user_graph::run(self, kernel, twice, graph.as_ref(), session),
            _ if self.full => self.full(kernel, session),
            _ => incremental::run(self, kernel, session),
        }
    }

    fn full<'s>(&'s self, kernel: &'s TaskKernel<'s>, mut session: Box<dyn StageSession + 's>) -> Result<StageResult> {
        let mut quarantine = Quarantine::new(self, kernel);
        let fronts = self.fronts(session.as_mut(), FrontSink::new(self, &mut quarantine))?;
        let mut held = Writer::new(self.set_memory());
        quarantine.hold_back(None)?.iter().try_for_each(|out| held.push(out, 0))?;
        let held = held.finish()?;
        let mut backs = BackSink::full(self, kernel, fronts, &mut quarantine, &held);
        session.reduce(None, &mut backs)?;
        reverse(self, backs.finish()?)
    }

    /// The first part: runs the front-ends of all inputs. What they emit stays with the session.
    fn fronts<'s>(&'s self, session: &mut dyn StageSession, mut sink: FrontSink<'s, '_>) -> Result<Fronts<'s>> {
        let mut items = self.inputs().flat_map(|(layer, tree)| {
            tree.scan(KeyRange::all()).map(move |found| {
                let (name, entry) = found?;
                Ok(Item { element: Element::new(layer, name), entry })
            })
        });
        let mut items = subjects(self.task, self.view, &mut items, |item: &Item| item.element.clone());
        session.map(&mut items, &mut |mapped| {
            sink.counts.inputs += 1;
            sink.front_ran(&mapped, false, &mut |_| Ok(()))
        })?;
        sink.finish()
    }
}
