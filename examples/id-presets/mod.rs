//! The forms of an editor: each preset with all its fields, through references to other presets, in chains.
//!
//! ```text
//! schema/presets ─► preset-index ─► presets-by-id ─┬─► forms ──► forms ──► field-users ──► field-users
//!                                                  │    ▲ (read: presets-by-id, again and again;
//!                                                  │    │  projected: key and type of schema/fields)
//! schema/preset_categories ──────► menus ──► menus │    │
//!                                    ▲ (tree: members in presets-by-id, below each its form)
//! ```
//!
//! A preset lists fields, and `{shop}` for those of the preset `shop`, which may do the same. One without fields takes
//! those of the preset above it in its path. The length of a chain depends on the data, so it is followed by plain tracked
//! reads. A menu's two levels are known in advance, so they are declared. The rules are those of the editor iD.

mod forms;
mod menus;
mod model;

use deltic::prelude::*;

pub use forms::{FieldUsers, Forms, PresetIndex};
pub use menus::Menus;
pub use model::{Form, Preset, preset_id};

use crate::replay::{DataSet, Example};

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Works out the forms of the editor iD, version after version",
    data: DATA,
    inputs: &[("schema", 0)],
    setup,
    show: "forms",
};

/// 1,003 versions of the presets of the editor iD.
pub const DATA: DataSet = DataSet { folder: "id-presets", attribution: None, layers: input_layers, extension: ".json" };

/// The layers of the input catalog.
pub fn input_layers() -> Result<Vec<Layer>> {
    let all = ["fields", "global", "preset_categories", "presets"];
    all.map(|id| Ok(Layer::generic(id)?.with_content_type("application/json"))).into_iter().collect()
}

/// Registers the tasks.
pub fn setup(setup: &mut Setup) -> Result<()> {
    setup.add(Task::new("preset-index", DirectMany(PresetIndex))?.version("1"))?;
    setup.add(Task::new("forms", Direct(Forms))?.version("1"))?;
    // A field has up to hundreds of users, whose names are short: remember them rather than read all their forms again.
    setup.add(Task::new("field-users", MapGroup(FieldUsers))?.version("1").memo(64))?;
    setup.add(Task::new("menus", RefTree(Menus))?.version("1"))
}

fn json_layer(id: &str) -> Result<Layer> {
    Ok(Layer::generic(id)?.with_content_type("application/json"))
}
