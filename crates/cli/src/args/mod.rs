//! The command line: its commands, their options and what each is for.

mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand};
use deltic_core::{BoundingBox, CatalogId, Layer, LayerId, TaskId, Version};

use crate::commands::{doctor, fsck, gc, repack, retain};
use crate::named::Which;
use crate::out::Format;
use crate::tile_names::TileNames;
use values::{BOX, bounding_box, input, layer, layer_name, layer_source, limit, percent};

/// Incremental compilation of versioned, partitioned data.
///
/// A catalog is named by its URL: `file:folder`, `file:///absolute/folder`, `s3://bucket/folder`, `az://container/folder`
/// or `gs://bucket/folder`; or by the id that the configuration in this folder binds. Credentials are read from the
/// environment. A version is a number, `latest`, or `-1` for the one before the latest.
#[derive(Debug, Parser)]
#[command(name = "deltic", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How to write results
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "All commands"
    )]
    pub(crate) format: Format,

    /// Write nothing to standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "All commands")]
    pub(crate) quiet: bool,

    /// Log more to standard error: once for what happens, twice for details; DELTIC_LOG says it more finely
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "All commands")]
    pub(crate) verbose: u8,
}

/// The command line of a binary, whatever it is called: by the first of its arguments.
pub(crate) fn command(called: Option<&OsString>) -> clap::Command {
    // That one argument may come before two others is more than the parser can say of itself.
    let usage = format!("{} diff [OPTIONS] <URL> [LAYER] <A> <B>", self::called(called));
    Cli::command().mut_subcommand("diff", |diff| diff.override_usage(usage))
}

/// What a binary is called, by the first of its arguments.
pub(crate) fn called(called: Option<&OsString>) -> String {
    let name = called.and_then(|called| std::path::Path::new(called).file_name());
    name.map_or_else(|| "deltic".to_owned(), |name| name.to_string_lossy().into_owned())
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed (data, compiler, store), 2 usage or configuration, 3 conflict (another run was first), 4 done \
but the result could not be written, 130 or 143 stopped by Ctrl-C or SIGTERM.
Results go to standard output, progress and logs to standard error.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a catalog
    Init(Init),
    /// Make layers exactly what folders or archives hold, or add and delete partitions, as one new version
    Import(Import),
    /// Write the partitions of a layer into a folder or an archive
    Export(Export),
    /// Add layers to a catalog, change their schemes or drop them, as one new version
    #[command(subcommand)]
    Layer(LayerCommand),
    /// Make the layers of a catalog what they were at an earlier version, as a new one
    Revert(Revert),
    /// List the versions, newest first
    Log(Log),
    /// List the partitions of a layer, or the layers
    Ls(Ls),
    /// Write the bytes of a partition to standard output
    Get(Get),
    /// List what was added, modified and deleted between two versions
    Diff(Diff),
    /// List the partitions in quarantine: what compilers failed on and kept as it was
    Errors(Errors),
    /// Print the digests of the layers, of the state and of the catalog
    Digest(Digest),
    /// Compile what has changed, and publish it as one new version
    Run(Run),
    /// Say what a run would do, how and why; nothing is compiled or written
    Plan(Job),
    /// Compile what is published again and compare; nothing is written
    Verify(Verify),
    /// Make a version again in a new catalog, from what its record names, and state whether it is the same
    Rebuild(Rebuild),
    /// Say what the tasks are: what each reads, looks at and writes, its steps and its code
    Explain(Configuration),
    /// Say which versions can still be read; the others expire
    Retain(retain::Args),
    /// Remove what no version that can be read needs
    Gc(gc::Args),
    /// Write packs again of which little is needed
    Repack(repack::Args),
    /// Check everything that a catalog holds
    Fsck(fsck::Args),
    /// Check that a store does what catalogs rely on
    Doctor(doctor::Args),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Write a script that completes commands and options in a shell
    Completions(Completions),
    /// Write manual pages, one for each command
    Man(Man),
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder to write them into, which has to be there
    pub(crate) folder: PathBuf,
}

impl Command {
    /// The catalog that it is about, as it was typed, unless the configuration says it.
    pub(crate) fn url_mut(&mut self) -> Option<&mut String> {
        Some(match self {
            Command::Init(args) => &mut args.url,
            Command::Import(args) => &mut args.url,
            Command::Export(args) => &mut args.url,
            Command::Layer(LayerCommand::Add(args) | LayerCommand::Change(args)) => &mut args.url,
            Command::Layer(LayerCommand::Drop(args)) => &mut args.url,
            Command::Revert(args) => &mut args.url,
            Command::Log(args) => &mut args.url,
            Command::Ls(args) => &mut args.url,
            Command::Get(args) => &mut args.url,
            Command::Diff(args) => &mut args.url,
            Command::Errors(args) => &mut args.url,
            Command::Digest(args) => &mut args.url,
            Command::Rebuild(args) => &mut args.url,
            Command::Retain(args) => &mut args.url,
            Command::Gc(args) => &mut args.url,
            Command::Repack(args) => &mut args.url,
            Command::Fsck(args) => &mut args.url,
            Command::Doctor(args) => &mut args.url,
            Command::Run(_)
            | Command::Plan(_)
            | Command::Verify(_)
            | Command::Explain(_)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Man(_) => return None,
        })
    }
}

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
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Refuse to replace a layer where more of it would be deleted, and more than ten partitions
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = percent)]
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

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) job: Job,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
    /// Run everything twice, and publish nothing if anything comes out differently the second time
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) check: Option<Check>,
    /// Fail with exit code 1 where anything is in quarantine after the run, although the rest was published
    #[arg(long)]
    pub(crate) fail_on_quarantine: bool,
    /// Write to a catalog that imports or other tasks write to so far, and replace what is there
    #[arg(long)]
    pub(crate) take_over: bool,
}

/// What a run or a verification can check besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Check {
    // Not doc comments, as in `Format`.
    Determinism,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// About so much of all inputs and outputs
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = percent, conflicts_with = "all")]
    pub(crate) sample: u32,
    /// Everything: all partitions, all of the state, and that nothing is missing
    #[arg(long)]
    pub(crate) all: bool,
    /// Another number takes another sample
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Only these tasks
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) tasks: Vec<TaskId>,
    /// Run everything twice, in unusual order, and list what comes out differently
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) check: Option<Check>,
}

/// `rebuild`.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The catalog
    pub(crate) url: String,
    /// The version
    #[arg(long, value_name = "N")]
    pub(crate) version: Version,
    /// Where to create the catalog that it is made in
    #[arg(long, value_name = "URL")]
    pub(crate) into: String,
    /// A file to write the statement to, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
}

/// What `run` and `plan` share.
#[derive(Debug, Default, Args)]
pub(crate) struct Job {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// Read an input catalog at this version; without it, at its latest
    #[arg(long = "input", value_name = "ID=VERSION", value_parser = input)]
    pub(crate) inputs: Vec<(CatalogId, Version)>,
    /// A file that says what is known of inputs, which versions of them to read and what to compile in full
    #[arg(long, value_name = "FILE")]
    pub(crate) job: Option<PathBuf>,
    /// Say that an input changed since this version; the report says where the output was made from another one
    #[arg(long, value_name = "ID=VERSION", value_parser = input)]
    pub(crate) since: Vec<(CatalogId, Version)>,
    /// Say that an input did not change; the report says where it did, and what changed is compiled
    #[arg(long, value_name = "ID")]
    pub(crate) no_changes: Vec<CatalogId>,
    /// Compile all tasks that read this input in full
    #[arg(long, value_name = "ID")]
    pub(crate) reprocess: Vec<CatalogId>,
    /// Compile everything, changed or not
    #[arg(long)]
    pub(crate) full: bool,
    /// Fail with exit code 3 unless the output catalog is at this version
    #[arg(long, value_name = "N")]
    pub(crate) expect_base: Option<Version>,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Configuration {
    /// The configuration file; without it, application.conf is read if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set a value over those of the file and the environment, such as driver.threads=4
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every effective value
    Show(Show),
}

/// `config show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// Say where each value came from
    #[arg(long)]
    pub(crate) origin: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command(None).debug_assert();
    }
}
