//! The measurements: samples by size, job and scenario, and figures calculated from them.

use std::fmt;
use std::str::FromStr;

use deltic_bench::{Kind, Workload};
use serde::{Serialize, Serializer};

use crate::measure::Sample;

/// What a run finds when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// No output yet.
    Full,
    /// No changes.
    Noop,
    /// One changed input.
    One,
    /// One changed input of a thousand.
    Permille,
    /// All inputs changed, and an output made from the earlier inputs.
    All,
}

impl Scenario {
    /// What changed in the inputs.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Scenario::Full | Scenario::Noop => Kind::Base,
            Scenario::One => Kind::One,
            Scenario::Permille => Kind::Permille,
            Scenario::All => Kind::All,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Scenario::Full => "full",
            Scenario::Noop => "noop",
            Scenario::One => "one",
            Scenario::Permille => "permille",
            Scenario::All => "all",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Scenario, String> {
        let all = [Scenario::Full, Scenario::Noop, Scenario::One, Scenario::Permille, Scenario::All];
        let expected = "expected `full`, `noop`, `one`, `permille` or `all`";
        all.into_iter().find(|known| known.name() == text).ok_or_else(|| format!("`{text}` is no scenario: {expected}"))
    }
}

/// What Deltic's figures are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rival {
    /// Nothing.
    None,
    /// The reference program, all of it or rewriting a flat index.
    Floor,
    /// The reference program that copies changed blocks of metadata.
    TreeFloor,
    /// Our own full build of the same inputs.
    OwnFull,
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Rival::None => "–",
            Rival::Floor => "floor",
            Rival::TreeFloor => "tree floor",
            Rival::OwnFull => "own full",
        })
    }
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) partitions: u64,
    #[serde(serialize_with = "display")]
    pub(crate) job: Workload,
    #[serde(serialize_with = "display")]
    pub(crate) scenario: Scenario,
    pub(crate) threads: usize,
    pub(crate) ours: Vec<Sample>,
    pub(crate) rival: Rival,
    pub(crate) theirs: Vec<Sample>,
    /// Inputs that changed.
    pub(crate) changed: u64,
    /// Bytes of the outputs that had to be written.
    pub(crate) output_bytes: u64,
    /// The reports of our runs.
    pub(crate) reports: Vec<serde_json::Value>,
}

/// A figure of a sample.
pub(crate) type Figure = fn(&Sample) -> f64;

impl Row {
    /// The median of one of Deltic's figures.
    pub(crate) fn ours(&self, figure: Figure) -> f64 {
        median(self.ours.iter().map(figure).collect()).unwrap_or(0.0)
    }

    /// The median of a figure of the other side.
    pub(crate) fn theirs(&self, figure: Figure) -> Option<f64> {
        median(self.theirs.iter().map(figure).collect())
    }

    /// Our median divided by theirs.
    pub(crate) fn ratio(&self, figure: Figure) -> Option<f64> {
        self.theirs(figure).filter(|theirs| *theirs > 0.0).map(|theirs| self.ours(figure) / theirs)
    }

    /// Our minimum divided by theirs: a busy machine disturbs this least.
    pub(crate) fn ratio_of_least(&self, figure: Figure) -> Option<f64> {
        let least = |samples: &[Sample]| samples.iter().map(figure).reduce(f64::min);
        Some(least(&self.ours)? / least(&self.theirs).filter(|theirs| *theirs > 0.0)?)
    }

    /// The median of a number in the reports, found by the keys on the way to it.
    pub(crate) fn reported(&self, path: &[&str]) -> Option<f64> {
        let find = |report: &serde_json::Value| {
            path.iter().try_fold(report, |value, key| value.get(key)).and_then(serde_json::Value::as_f64)
        };
        median(self.reports.iter().filter_map(find).collect())
    }
}

fn display<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The middle of some numbers; of an even number of them the mean of the two in the middle.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let (low, high) = (numbers.get(numbers.len().checked_sub(1)? / 2)?, numbers.get(numbers.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// How a cost grows between two sizes: 1 is in proportion, 0 not at all.
pub(crate) fn exponent(from: (u64, f64), to: (u64, f64)) -> f64 {
    (to.1 / from.1).ln() / (to.0 as f64 / from.0 as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn exponents() {
        assert!((exponent((10, 5.0), (1000, 500.0)) - 1.0).abs() < 1e-9);
        assert!(exponent((10, 5.0), (1000, 5.0)).abs() < 1e-9);
    }
}
