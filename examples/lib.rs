//! Drivers over real data. Each module holds the compilers of one example; its `main.rs` runs them over the whole
//! history of a data set.
//!
//! | example | data | shows |
//! |---|---|---|
//! | [`transit`] | transit feeds | four tasks, one reading another's output |
//! | [`lift`] | OpenStreetMap | inputs merged into coarser tiles: a direct compiler, M:N |
//! | [`pedestrian`] | OpenStreetMap | references to other partitions: by tracked reads, and in two other ways |
//! | [`validate`] | OpenStreetMap | a chain of tasks, each reading the layer of the one before, up the tree of tiles |
//! | [`difference`] | OpenStreetMap | one catalog read at two versions |
//! | [`feedback`] | OpenStreetMap | tasks that read what they wrote in the last run |
//! | [`browser_compat`] | web features | look-ups of single rows in large tables that change often: projected reads |
//! | [`id_presets`] | forms of a map editor | chains of references, and a declared tree of them |

#[path = "browser-compat/mod.rs"]
pub mod browser_compat;
pub mod difference;
pub mod feedback;
pub mod history;
#[path = "id-presets/mod.rs"]
pub mod id_presets;
pub mod lift;
pub mod osm;
pub mod pedestrian;
pub mod replay;
pub mod transit;
pub mod validate;

/// All programs that use these compilers are ours.
#[global_allocator]
static ALLOCATOR: deltic::Allocator = deltic::Allocator;
