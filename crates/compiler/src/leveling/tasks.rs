//! The tasks that keep a layer of leveling points.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::ensure;
use deltic_core::{Grid, Layer, Tile};
use serde_json::json;

use crate::error::Result;
use crate::io::partition::Input;
use crate::leveling::stages::{Heavy, Names, Points, Sums, Weigh, Weights};
use crate::patterns::direct::{Direct, DirectMany};
use crate::patterns::map_group::MapGroup;
use crate::tasks::setup::Setup;
use crate::tasks::task::Task;

/// A layer of leveling points to be made from weights.
///
/// ```
/// # use deltic_compiler::prelude::*;
/// # fn main() -> Result<()> {
/// // Points between level 4 and 14 such that each stands for at most 100 kB of nodes.
/// let density = Leveling::new("density", ["map/node"], Grid::Here, 4..=14, 100_000).version("1");
/// let mut setup = Setup::default();
/// density.register(&mut setup)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Leveling {
    layer: String,
    inputs: Vec<String>,
    grid: Grid,
    levels: RangeInclusive<u8>,
    threshold: u64,
    weigh: Arc<Weigh>,
    version: Option<String>,
}

impl Leveling {
    /// Points in the output layer `layer`, at `levels` of a grid, from the coarsest to the finest. A point represents at most `threshold`,
    /// in the unit of the weights.
    ///
    /// By default the weight of an input partition is its length in bytes, at its tile; then the inputs must be layers of tiles.
    pub fn new(
        layer: &str,
        inputs: impl IntoIterator<Item: ToString>,
        grid: Grid,
        levels: RangeInclusive<u8>,
        threshold: u64,
    ) -> Leveling {
        let inputs = inputs.into_iter().map(|layer| layer.to_string()).collect();
        let weigh = |input: &Input| Ok(vec![(input.tile()?, input.meta.len)]);
        Leveling { layer: layer.to_owned(), inputs, grid, levels, threshold, weigh: Arc::new(weigh), version: None }
    }

    /// Sets a function that returns the weights of a partition: for any number of tiles, of any level from the coarsest on. A weight at a
    /// level beyond the finest counts for the tile of the finest level that holds it.
    #[must_use]
    pub fn weigh_by(mut self, weigh: impl Fn(&Input) -> Result<Vec<(Tile, u64)>> + Send + Sync + 'static) -> Leveling {
        self.weigh = Arc::new(weigh);
        self
    }

    /// States the version of the code, as [`Task::version`] does: change it when the weighing function changes.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Leveling {
        self.version = Some(version.into());
        self
    }

    /// The tasks, producers first: one that weighs, one for each level that adds up, one that finds heavy tiles, one that finds points.
    /// All layers but that of the points are private.
    ///
    /// Cost: a change of a weight compiles one tile of each level twice, from at most five partitions. The state has every tile above a
    /// weight: about 4/3 of the number of weights where they are dense.
    ///
    /// Errors: a level that does not exist, no level, or ids that are not legal.
    pub fn tasks(&self) -> Result<Vec<Task>> {
        let (coarsest, finest) = (*self.levels.start(), *self.levels.end());
        ensure!(
            coarsest <= finest && finest <= Tile::MAX_LEVEL,
            "leveling `{}`: there are no levels {coarsest} to {finest}: put the coarsest first, and the finest at most at {}",
            self.layer,
            Tile::MAX_LEVEL
        );
        let names = Names { layer: self.layer.clone(), grid: self.grid, coarsest, finest };
        let mut tasks = vec![self.task("weights", |id| {
            let weights = Weights { names: names.clone(), inputs: self.inputs.clone(), weigh: Arc::clone(&self.weigh) };
            private(Task::new(id, MapGroup(weights))?)
        })?];
        for level in (coarsest..finest).rev() {
            let sums = Sums { names: names.clone(), level };
            tasks.push(self.task(&format!("sum-{level}"), |id| private(Task::new(id, DirectMany(sums))?))?);
        }
        let heavy = Heavy { names: names.clone(), threshold: self.threshold };
        let configuration = json!({ "threshold": self.threshold });
        tasks.push(self.task("heavy", |id| private(Task::new(id, Direct(heavy))?.configured(configuration)))?);
        tasks.push(self.task("points", |id| Task::new(id, DirectMany(Points(names))))?);
        Ok(tasks)
    }

    /// Registers the tasks.
    pub fn register(&self, setup: &mut Setup) -> Result<()> {
        self.tasks()?.into_iter().try_for_each(|task| setup.add(task))
    }

    fn task(&self, id: &str, make: impl FnOnce(&str) -> Result<Task>) -> Result<Task> {
        let task = make(&format!("{}.{id}", self.layer))?;
        Ok(match &self.version {
            Some(version) => task.version(version),
            None => task,
        })
    }
}

fn private(task: Task) -> Result<Task> {
    let outputs: Vec<Layer> = task.outputs().to_vec();
    outputs.iter().try_fold(task, |task, layer| task.keep_private(layer.id.as_str()))
}

impl fmt::Debug for Leveling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leveling { layer, inputs, levels, threshold, .. } = self;
        let mut shown = f.debug_struct("Leveling");
        shown.field("layer", layer).field("inputs", inputs).field("levels", levels).field("threshold", threshold);
        shown.finish_non_exhaustive()
    }
}
