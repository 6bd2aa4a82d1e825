//! The description of an example.

use deltic::compiler::Setup;
use deltic::core::Layer;

/// The catalog id by which tasks of any example know their own output as the last run left it.
pub const BEFORE: &str = "before-this-run";

/// An example: a data set and the tasks that compile it.
#[derive(Debug, Clone)]
pub struct Example {
    /// What it does, as in `--help`.
    pub about: &'static str,
    /// The data set.
    pub data: DataSet,
    /// The catalog ids that the tasks know the data set by, each with how many versions it stays behind the latest.
    pub inputs: &'static [(&'static str, u64)],
    /// Registers the tasks.
    pub setup: fn(&mut Setup) -> anyhow::Result<()>,
    /// The output layer to look at first.
    pub show: &'static str,
}

/// A history that ships with the examples.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// Its folder in `examples/data`.
    pub folder: &'static str,
    /// The notice that its licence requires wherever it is used.
    pub attribution: Option<&'static str>,
    /// The layers of the input catalog.
    pub layers: fn() -> anyhow::Result<Vec<Layer>>,
    /// The end of file names of the data set, after the partition's name.
    pub extension: &'static str,
}
