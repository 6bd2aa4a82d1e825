//! Packed histories of real data: a tar stream of the partitions that each version put and deleted.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What one version changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The version, from 1.
    pub number: u64,
    /// Partitions added or replaced: layer, name, bytes.
    pub put: Vec<(String, String, Vec<u8>)>,
    /// Partitions deleted: layer, name.
    pub deleted: Vec<(String, String)>,
}

/// A line of the data set's own list of its changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeLine {
    /// The version.
    pub number: u64,
    /// `A`, `M` or `D`.
    pub operation: char,
    /// `<layer>/<name>`.
    pub partition: String,
}

/// The folder of a data set that ships with the examples.
pub fn data(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(set)
}

/// Reads `history.tar.zst` of a data set version by version, in order, with only one in memory. Stops after the first
/// error, or when `each` returns `false`.
pub fn replay(set: &Path, mut each: impl FnMut(Step) -> Result<bool>) -> Result<()> {
    let path = set.join("history.tar.zst");
    let packed = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(packed)?);
    let mut step = Step::default();
    for member in archive.entries()? {
        let mut member = member?;
        if !member.header().entry_type().is_file() {
            continue;
        }
        let name = member.path()?.to_str().context("a member's name is not UTF-8")?.to_owned();
        let (version, rest) = name.split_once('/').with_context(|| format!("member `{name}` has no version"))?;
        let number = version.strip_prefix('v').and_then(|digits| digits.parse().ok());
        let number: u64 = number.with_context(|| format!("member `{name}` has no version"))?;
        if number != step.number {
            let before = std::mem::replace(&mut step, Step { number, ..Step::default() });
            if before.number > 0 && !each(before)? {
                return Ok(());
            }
        }
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes)?;
        match rest.strip_prefix("put/").map(partition) {
            Some(partition) => {
                let (layer, key) = partition?;
                step.put.push((layer, key, bytes));
            }
            None if rest == "del.txt" => {
                let text = String::from_utf8(bytes).context("del.txt is not UTF-8")?;
                step.deleted = text.lines().map(partition).collect::<Result<_>>()?;
            }
            None => bail!("member `{name}` is neither a partition nor a list of deletions"),
        }
    }
    if step.number > 0 {
        each(step)?;
    }
    Ok(())
}

/// Reads `changes.tsv.zst`: which partitions each version added, modified and deleted.
pub fn changes(set: &Path) -> Result<Vec<ChangeLine>> {
    let path = set.join("changes.tsv.zst");
    let packed = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let text = std::io::read_to_string(zstd::stream::read::Decoder::new(packed)?)?;
    let line = |line: &str| {
        let mut columns = line.split('\t');
        let number = columns.next()?.strip_prefix('v')?.parse().ok()?;
        Some(ChangeLine { number, operation: columns.next()?.chars().next()?, partition: columns.next()?.to_owned() })
    };
    text.lines().skip(1).map(|text| line(text).with_context(|| format!("`{text}` is no change"))).collect()
}

fn partition(text: &str) -> Result<(String, String)> {
    let (layer, name) = text.split_once('/').with_context(|| format!("`{text}` has no layer"))?;
    Ok((layer.to_owned(), name.to_owned()))
}
