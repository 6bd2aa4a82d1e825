//! The publisher: writes compiled partitions into the output layers.
//!
//! It has two modes. *Incremental*: partitions that were not offered stay. *Full snapshot*: partitions that were not
//! offered are deleted. In both, an offer that equals the published partition changes nothing, so the tree keeps every
//! node in which nothing changed.

use std::iter::Peekable;

use deltic_core::NameBytes;
use deltic_store::{Entry, KeyRange, Scan, Tree};

use crate::Result;
use crate::engine::kernel::TaskKernel;
use crate::engine::{Kernel as _, Outcome};
use crate::key::{LayerIndex, OutputKey};
use crate::report::Counts;
use crate::report::observe::Event;
use crate::stage::context::Stage;
use crate::state::tree_writer::{TreeWriter, Writers};

/// Publishes into all output layers of a task. Outcomes come in the order of their keys.
pub(crate) struct Publishers<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    /// By number of layer.
    layers: Vec<Publisher<'a>>,
}

impl<'a> Publishers<'a> {
    /// With `full`, partitions that are not offered are deleted.
    pub(crate) fn new(stage: &'a Stage<'a>, kernel: &'a TaskKernel<'a>, full: bool) -> Publishers<'a> {
        let layers = stage.published.iter().map(|tree| Publisher::new(stage.writers(), tree, full)).collect();
        Publishers { stage, kernel, layers }
    }

    /// Takes the outcome of one output.
    pub(crate) fn offer(&mut self, out: &OutputKey, outcome: &Outcome) -> Result<()> {
        let (stage, kernel) = (self.stage, self.kernel);
        let Some(publisher) = self.layers.get_mut(out.layer.place()) else {
            let message = format!("an output of layer number {}, which the task does not have", out.layer);
            return Err(stage.broken(message));
        };
        publisher.offer(&out.name, outcome, &mut |name| deleted(stage, kernel, out.layer, name))
    }

    /// Ends a range of outputs: all later offers lie behind `end`.
    pub(crate) fn end_range(&mut self, end: Option<&[u8]>) -> Result<()> {
        let (stage, kernel) = (self.stage, self.kernel);
        for (layer, publisher) in LayerIndex::all().zip(&mut self.layers) {
            publisher.end_range(layer, end, &mut |name| deleted(stage, kernel, layer, name))?;
        }
        Ok(())
    }

    /// The new trees of the layers, by number; counts what was put and deleted.
    pub(crate) fn finish(self, counts: &mut Counts) -> Result<Vec<Tree>> {
        let (stage, kernel) = (self.stage, self.kernel);
        let mut trees = Vec::with_capacity(self.layers.len());
        for (layer, mut publisher) in LayerIndex::all().zip(self.layers) {
            publisher.pass_over(|_| true, &mut |name| deleted(stage, kernel, layer, name))?;
            counts.put += publisher.put;
            counts.deleted += publisher.deleted;
            trees.push(publisher.tree.finish()?);
        }
        Ok(trees)
    }
}

/// Reports to the observer that a partition is deleted.
fn deleted(stage: &Stage<'_>, kernel: &TaskKernel<'_>, layer: LayerIndex, name: &[u8]) -> Result<()> {
    // A layer may lose all that it had, which nothing else is asked about.
    kernel.go_on()?;
    let key = kernel.out_key(&OutputKey::new(layer, name))?;
    stage.observer.event(&Event::Deleted { task: stage.task.id(), key: &key });
    Ok(())
}

/// Publishes into one layer. Offers come in the order of names and are written at once. Memory: a few tree nodes.
struct Publisher<'a> {
    tree: TreeWriter<'a>,
    /// In a full snapshot: the published partitions behind the last offer.
    rest: Option<Peekable<Scan>>,
    put: u64,
    deleted: u64,
}

impl<'a> Publisher<'a> {
    fn new(writers: Writers<'a>, published: &Tree, full: bool) -> Publisher<'a> {
        let rest = (full && !published.is_empty()).then(|| published.scan(KeyRange::all()).peekable());
        Publisher { tree: writers.tree(published), rest, put: 0, deleted: 0 }
    }

    /// Takes the outcome of one output; `gone` gets the names of published partitions that are deleted.
    fn offer(&mut self, name: &NameBytes, outcome: &Outcome, gone: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.pass_over(|published| published < name, gone)?;
        let in_rest = self.rest.as_mut().map(|rest| rest.next_if(|found| is_name(found, name)).is_some());
        match outcome {
            Outcome::New(entry) => {
                self.put += 1;
                self.tree.set(name, Some(entry))
            }
            // Partitions of a group are offered one by one.
            Outcome::Same | Outcome::Several(_) | Outcome::Failed(_) | Outcome::Held => Ok(()),
            Outcome::Nothing => {
                let is_published = match in_rest {
                    Some(is_published) => is_published,
                    None => self.tree.before().get(name)?.is_some(),
                };
                if is_published { self.delete(name, gone) } else { Ok(()) }
            }
        }
    }

    fn end_range(
        &mut self,
        layer: LayerIndex,
        end: Option<&[u8]>,
        gone: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let is_before =
            |name: &NameBytes| end.is_none_or(|end| OutputKey::new(layer, name.clone()).to_bytes()[..] < *end);
        self.pass_over(is_before, gone)?;
        self.tree.end_range()
    }

    /// In a full snapshot, deletes the published partitions before the current one, which were not offered.
    fn pass_over(
        &mut self,
        is_before: impl Fn(&NameBytes) -> bool,
        gone: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while let Some(rest) = &mut self.rest {
            let goes = |found: &deltic_store::Result<(NameBytes, Entry)>| match found {
                Ok((published, _)) => is_before(published),
                Err(_) => true,
            };
            let Some(found) = rest.next_if(goes) else { break };
            self.delete(&found?.0, gone)?;
        }
        Ok(())
    }

    fn delete(&mut self, name: &[u8], gone: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        gone(name)?;
        self.deleted += 1;
        self.tree.set(name, None)
    }
}

fn is_name(found: &deltic_store::Result<(NameBytes, Entry)>, name: &NameBytes) -> bool {
    found.as_ref().is_ok_and(|(published, _)| published == name)
}
