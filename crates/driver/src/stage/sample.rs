//! The sample of inputs and outputs that a verification compiles: the digest of a key and a seed decides about each.
//!
//! So a sample is the same each time and on each machine, another seed gives another sample, and a partition that is added
//! or removed changes nothing for the others. If a task is so small that none is taken, the one with the least digest is.

use deltic_compiler::{Lookup as _, Pattern};
use deltic_core::{Hasher, LayerRef};
use deltic_store::KeyRange;

use crate::Result;
use crate::engine::kernel::TaskKernel;
use crate::input::filter::passes_filter;
use crate::key::{EncodedKey, InputKey, LayerIndex, OutputKey, TaskKey};
use crate::sort::key_set::{KeySet, KeySorter, KeyWriter};
use crate::sort::marks::Marks;
use crate::sort::read_ahead::{TOGETHER, read_ahead_within};
use crate::stage::context::Stage;
use crate::stage::dirty::readers;
use crate::state::listed::Listed;

/// A share of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    seed: u64,
    /// A key is taken if the first eight bytes of its digest, as a number, are below this.
    below: u128,
}

/// What a change affects through reads, or the sample: returns inputs, and adds outputs to `outputs`.
pub(crate) fn affected(stage: &Stage<'_>, kernel: &TaskKernel<'_>, outputs: &mut KeySorter) -> Result<KeySet> {
    match stage.checks.sample {
        Some(sample) => sample.affected(stage, kernel, outputs),
        None => readers(stage.view, &stage.state, stage.set_memory(), outputs),
    }
}

impl Sample {
    /// About this number of a million keys.
    pub(crate) fn new(millionths: u32, seed: u64) -> Sample {
        Sample { seed, below: u128::from(millionths) * (1 << 64) / 1_000_000 }
    }

    /// The number by which a key is taken or not.
    pub(crate) fn number(&self, layer: &str, name: &[u8]) -> u64 {
        let mut hasher = Hasher::new("deltic sample 1");
        let digest = hasher.number(self.seed).text(layer).bytes(name).finish();
        u64::from_be_bytes(digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default())
    }

    pub(crate) fn takes(&self, number: u64) -> bool {
        u128::from(number) < self.below
    }

    /// The inputs that are taken, and the contributors of taken outputs; adds these outputs to `outputs`. At least one output
    /// is taken, or one input if there is no output.
    ///
    /// Cost: a walk over the keys of all inputs and outputs. The inputs of a direct task are mapped to outputs too: its
    /// contributors are not recorded, and follow from keys.
    fn affected(&self, stage: &Stage<'_>, kernel: &TaskKernel<'_>, outputs: &mut KeySorter) -> Result<KeySet> {
        let mut inputs = KeySorter::new(stage.set_memory());
        let (has_outputs, beyond) = self.outputs(stage, outputs, &mut inputs)?;
        match stage.task.pattern() {
            // The front-end runs over the whole input.
            Pattern::Dep(_) | Pattern::Global(_) => return Ok(KeySet::default()),
            Pattern::IncrementalDep(_) => return every_input(stage),
            Pattern::Direct { .. } | Pattern::Group(_) => {}
        }
        let direct = match stage.task.pattern() {
            Pattern::Direct { stage, .. } => Some(stage.as_ref()),
            _ => None,
        };
        let layers = stage.view.layers();
        let (mut any, mut least) = (has_outputs, Least(None));
        for (number, tree) in stage.inputs() {
            let layer = layers.get(number.place()).map(|(layer, _)| layer.to_string()).unwrap_or_default();
            for found in tree.scan(KeyRange::all()) {
                let input = InputKey::new(number, found?.0);
                if !passes_filter(stage.task, stage.view, &input)? {
                    continue;
                }
                let number = self.number(&layer, &input.name);
                let mut is_taken = self.takes(number);
                if let (false, Some(direct)) = (is_taken, direct) {
                    is_taken = match kernel.outputs_of(direct, &input) {
                        Ok(outs) => {
                            let takes =
                                |out| self.number_of_output(stage, out).is_some_and(|number| self.takes(number));
                            outs.iter().any(|out| takes(out) || beyond.as_ref() == Some(out))
                        }
                        // The failure is reported when the input is compiled.
                        Err(_) => true,
                    };
                }
                if is_taken {
                    inputs.add(&input.to_bytes(), Marks::empty())?;
                    any = true;
                } else if !any {
                    least.offer(number, &input);
                }
            }
        }
        if let (false, Some((_, input))) = (any, least.0) {
            inputs.add(&input.to_bytes(), Marks::empty())?;
        }
        inputs.finish()
    }

    /// The number by which an output is taken or not; none if the task does not have its layer.
    fn number_of_output(&self, stage: &Stage<'_>, out: &OutputKey) -> Option<u64> {
        let layer = stage.task.outputs().get(out.layer.place())?;
        Some(self.number(&own(&layer.id), &out.name))
    }

    /// Takes published partitions, or the groups that make them, and their contributors. Returns whether there are any, and
    /// the one that is taken only because no other is.
    fn outputs(
        &self,
        stage: &Stage<'_>,
        outputs: &mut KeySorter,
        inputs: &mut KeySorter,
    ) -> Result<(bool, Option<OutputKey>)> {
        let (mut any, mut least) = (false, Least(None));
        for (number, published) in LayerIndex::all().zip(stage.published) {
            let mut taken: Vec<EncodedKey> = Vec::new();
            for found in published.scan(KeyRange::all()) {
                let out = OutputKey::new(number, found?.0);
                let Some(decides) = self.number_of_output(stage, &out) else { continue };
                if self.takes(decides) {
                    taken.push(out.to_bytes());
                    any = true;
                } else if !any {
                    least.offer(decides, &out);
                }
                if taken.len() == TOGETHER {
                    made_by(stage, &std::mem::take(&mut taken), outputs, inputs)?;
                }
            }
            made_by(stage, &taken, outputs, inputs)?;
        }
        let beyond = least.0.filter(|_| !any).map(|(_, out)| out);
        if let Some(out) = &beyond {
            made_by(stage, &[out.to_bytes()], outputs, inputs)?;
        }
        Ok((any || beyond.is_some(), beyond))
    }
}

/// The key with the least number so far.
struct Least<S>(Option<(u64, TaskKey<S>)>);

impl<S: Clone> Least<S> {
    fn offer(&mut self, number: u64, key: &TaskKey<S>) {
        if self.0.as_ref().is_none_or(|(least, _)| number < *least) {
            self.0 = Some((number, key.clone()));
        }
    }
}

/// Adds partitions, or the groups that make them, and their contributors.
fn made_by(
    stage: &Stage<'_>,
    partitions: &[EncodedKey],
    outputs: &mut KeySorter,
    inputs: &mut KeySorter,
) -> Result<()> {
    let mut groups = Vec::new();
    if stage.task.pattern().splits() {
        read_ahead_within(&stage.state.owners, partitions)?;
        for partition in partitions {
            let owners = Listed::new(&stage.state.owners, partition).map(|owner| Ok(owner?.0));
            let owners = owners.collect::<Result<Vec<_>>>()?;
            if owners.is_empty() {
                let out: OutputKey = stage.decode(partition)?;
                let layer = stage.task.outputs().get(out.layer.place());
                let name = layer.and_then(|layer| layer.name_from_bytes(&out.name).ok());
                let name = name.map(|name| name.to_string()).unwrap_or_default();
                return Err(stage.broken(format!("partition {name} is published, and no group is known to make it")));
            }
            groups.extend(owners);
        }
        groups.sort_unstable();
        groups.dedup();
    } else {
        groups.extend_from_slice(partitions);
    }
    read_ahead_within(&stage.state.contributors, &groups)?;
    for group in groups {
        outputs.add(&group, Marks::READ)?;
        for input in stage.state.contributors_of(&group) {
            inputs.add(&input?.0, Marks::empty())?;
        }
    }
    Ok(())
}

fn every_input(stage: &Stage<'_>) -> Result<KeySet> {
    let mut inputs = KeyWriter::new(stage.set_memory());
    for (number, tree) in stage.inputs() {
        for found in tree.scan(KeyRange::all()) {
            inputs.push(&InputKey::new(number, found?.0).to_bytes(), Marks::empty())?;
        }
    }
    inputs.finish()
}

/// A layer of the output as keys name it.
fn own(layer: &deltic_core::LayerId) -> String {
    LayerRef { catalog: None, layer: layer.clone() }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_its_share_the_same_each_time() {
        let names: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
        let taken = |sample: Sample, layer: &str| {
            names.iter().filter(|name| sample.takes(sample.number(layer, name.as_bytes()))).cloned().collect::<Vec<_>>()
        };
        let tenth = Sample::new(100_000, 7);
        assert!((1_800..2_200).contains(&taken(tenth, "a").len()));
        assert_eq!(taken(tenth, "a"), taken(Sample::new(100_000, 7), "a"));
        assert_ne!(taken(tenth, "a"), taken(Sample::new(100_000, 8), "a"));
        assert_ne!(taken(tenth, "a"), taken(tenth, "b"));
        assert_eq!(taken(Sample::new(1_000_000, 7), "a").len(), names.len());
        assert_eq!(taken(Sample::new(0, 7), "a"), [""; 0]);
    }
}
