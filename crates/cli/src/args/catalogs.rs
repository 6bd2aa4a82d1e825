//! The options of commands that look into a catalog, fill it or change it by hand.

use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{Args, Subcommand};
use deltic_core::{BoundingBox, Layer, LayerId};

use super::values::{BOX, bounding_box, layer, layer_name, layer_source, limit, percent};
use crate::named::Which;
use crate::tile_names::TileNames;

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to create the catalog
    pub(crate) url: String,
    /// A layer: ID=generic, ID=tile:here:LEVELS or ID=tile:mercator:LEVELS, with levels such as `12,14` or `0-8`
    #[arg(long = "layer", value_name = "ID=SCHEME", required = true, value_parser = layer)]
    pub(crate) layers: Vec<Layer>,
}

/// `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The catalog
    pub(crate) url: String,
    /// A layer and the folder, .tar, .tar.gz or .tar.zst that it becomes; with `--add` also a single file
    #[arg(long = "layer", value_name = "ID=SOURCE", required_unless_present = "delete", value_parser = layer_source)]
    pub(crate) layers: Vec<(LayerId, PathBuf)>,
    /// Only put what the sources hold: the other partitions of their layers stay
    #[arg(long)]
    pub(crate) add: bool,
    /// Delete a partition; it must be there
    #[arg(long, value_name = "ID=NAME", value_parser = layer_name)]
    pub(crate) delete: Vec<(LayerId, String)>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Replace a layer by a source that is empty
    #[arg(long, conflicts_with = "add", requires = "layers")]
    pub(crate) allow_empty: bool,
    /// Refuse to replace a layer where more of it would be deleted, and more than ten partitions
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = percent, conflicts_with = "add", requires = "layers")]
    pub(crate) most_deleted: u32,
    /// How tiles are written in the names of files; without it, each name must be a tile in one way only
    #[arg(long, value_name = "FORM")]
    pub(crate) names: Option<TileNames>,
    /// Write to a catalog that tasks write to so far; what they remember of it goes
    #[arg(long)]
    pub(crate) take_over: bool,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The catalog
    pub(crate) url: String,
    /// The layer
    pub(crate) layer: LayerId,
    /// Where the layer was named once
    #[arg(
        long = "layer",
        value_name = "ID",
        hide = true,
        value_parser = UnknownArgumentValueParser::suggest("the layer comes before the target: `export URL LAYER TARGET`")
    )]
    no_layer: Option<String>,
    /// The folder to write, empty or not there yet; or the .tar, .tar.gz or .tar.zst, which keeps user fields
    pub(crate) target: PathBuf,
    /// How tiles are written in the names of files; without it, as quadkeys
    #[arg(long, value_name = "FORM")]
    pub(crate) names: Option<TileNames>,
    /// The version, or how far back, such as -1; without it, the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// `layer`.
#[derive(Debug, Subcommand)]
pub(crate) enum LayerCommand {
    /// Add layers, which are empty
    Add(Layers),
    /// Change the schemes of layers; their partitions stay, and must be legal then
    Change(Layers),
    /// Drop layers with their partitions
    Drop(LayerIds),
}

/// `layer add` and `layer change`.
#[derive(Debug, Args)]
pub(crate) struct Layers {
    /// The catalog
    pub(crate) url: String,
    /// The layers: ID=generic, ID=tile:here:LEVELS or ID=tile:mercator:LEVELS
    #[arg(value_name = "ID=SCHEME", required = true, value_parser = layer)]
    pub(crate) layers: Vec<Layer>,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// `layer drop`.
#[derive(Debug, Args)]
pub(crate) struct LayerIds {
    /// The catalog
    pub(crate) url: String,
    /// The layers
    #[arg(value_name = "ID", required = true)]
    pub(crate) layers: Vec<LayerId>,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// `revert`.
#[derive(Debug, Args)]
pub(crate) struct Revert {
    /// The catalog
    pub(crate) url: String,
    /// The version whose layers and partitions it has again, or how far back, such as -1
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) to: Which,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// `log`.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// The catalog
    pub(crate) url: String,
    /// How many versions to list
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = limit)]
    pub(crate) limit: Option<usize>,
}

/// `ls`.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The catalog
    pub(crate) url: String,
    /// The layer; without it, the layers are listed
    pub(crate) layer: Option<LayerId>,
    /// Only names that begin so; for tiles, these quadkey digits
    #[arg(long, value_name = "TEXT", requires = "layer", conflicts_with = "area")]
    pub(crate) prefix: Option<String>,
    /// Only tiles that this box of degrees has points in
    #[arg(long = "box", value_name = BOX, requires = "layer", allow_hyphen_values = true, value_parser = bounding_box)]
    pub(crate) area: Option<BoundingBox>,
    /// The version, or how far back, such as -1; without it, the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// `get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The catalog
    pub(crate) url: String,
    /// The layer
    pub(crate) layer: LayerId,
    /// The partition: a name, a tile's quadkey digits, or `here:` and a HERE tile id
    pub(crate) name: String,
    /// The version, or how far back, such as -1; without it, the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// `diff`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The catalog
    pub(crate) url: String,
    /// The two versions, whichever is older; before them the layer, if only one is to be compared
    #[arg(num_args = 2..=3, required = true, value_names = ["A", "B"], allow_negative_numbers = true)]
    pub(crate) what: Vec<String>,
}

/// `digest`.
#[derive(Debug, Args)]
pub(crate) struct Digest {
    /// The catalog
    pub(crate) url: String,
    /// The version, or how far back, such as -1; without it, the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}

/// `errors`.
#[derive(Debug, Args)]
pub(crate) struct Errors {
    /// The catalog
    pub(crate) url: String,
    /// The version, or how far back, such as -1; without it, the latest
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) version: Option<Which>,
}
