//! Data sets: describe a job as typed collections that derive from one another. It becomes a chain of ordinary tasks.
//!
//! ```
//! use deltic_compiler::prelude::*;
//!
//! /// Where people may walk: footways, drawn by tile with the points that they name.
//! fn pedestrian(level: u8) -> Result<DataPlan> {
//!     let plan = DataPlan::new("pedestrian").version("1");
//!
//!     let points = plan.layer::<String>("osm/node").map_values(|node| node.json::<[f64; 2]>()).id("points");
//!     plan.layer::<String>("osm/way")
//!         .map_values(|way| way.json::<Vec<String>>())
//!         .filter(|_, nodes| Ok(nodes.len() > 1))
//!         .resolve(&points, |_, nodes| Ok(nodes.clone()), |_, _, found| {
//!             Ok(found.into_iter().filter_map(|(_, point)| point).collect::<Vec<_>>())
//!         })
//!         .group_by(move |id: &String, line| {
//!             let tile = line.first().map(|[lon, lat]| Grid::Here.tile_at(level, *lon, *lat)).transpose()?;
//!             Ok(tile.map(|tile| (tile, (id.clone(), line))))
//!         })
//!         .id("lines-by-tile")
//!         .publish_with(Layer::tiles("footways", Grid::Here, [level])?, |_, lines| Ok(Some(Payload::from_json(&lines)?)));
//!     Ok(plan)
//! }
//!
//! # fn main() -> Result<()> {
//! let stages = pedestrian(12)?.finish()?;
//! assert_eq!(stages.to_string(), "\
//! pedestrian.footways (map-group)
//!   reads   osm/way
//!   looks   osm/node
//!   steps   map-values, filter, resolve (map-values as points), group-by as lines-by-tile
//!   writes  footways
//! ");
//! # Ok(())
//! # }
//! ```
//!
//! There is no engine of its own: every stage is a direct or map-group compiler over closures, and private layers connect the stages
//! (see [`Task::keep_private`](crate::Task::keep_private)). So everything that holds for tasks holds here: what a change re-runs, early
//! cut-off, tracked reads, errors that name the partition.
//!
//! A stage has one shuffle. Steps on keys and values fuse into the stage beside them, before or after the shuffle. Joins and unions of
//! sets without a shuffle fuse too. A set gets a layer of its own where it is persisted, where a second shuffle follows, where keys are
//! looked up after a shuffle, and where several sets follow one with a shuffle.

mod compilers;
mod flow;
mod joins;
mod key;
mod merge;
mod plan;
mod publish;
mod resolve;
mod set;
mod shuffle;
mod stages;
mod value;

pub use key::DataKey;
pub use plan::{BadPlan, DataPlan};
pub use publish::{Part, Published};
pub use resolve::LookUp;
pub use set::DataSet;
pub use stages::{Stage, Stages};
pub use value::{Data, Member};
