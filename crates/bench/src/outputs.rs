//! The outputs of a build, in a form that can be compared: from Deltic, from the reference programs, or computed again.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use deltic_compiler::{Fixture, OutKey, Pattern};
use deltic_core::{Digest, Hasher, Meta, Name, Payload};
use deltic_store::{Catalog, Entry, KeyRange, Snapshot, Stores, Tree};

use crate::compilers::Workload;
use crate::packed::Packed;
use crate::session::Session;
use crate::workload::{GROUP_DIGITS, Kind, key, payload, tile};

/// Payloads that are read at once.
const BATCH: usize = 1024;

/// The outputs of a build: name, length and BLAKE3 of each, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outputs {
    entries: Vec<(Box<[u8]>, u64, Digest)>,
}

impl Outputs {
    /// Reads the outputs of the latest version of a catalog. Every payload is read and checked.
    pub fn of_catalog(stores: &Stores, url: &str) -> Result<Outputs> {
        let snapshot = Catalog::open(stores, url)?.latest()?;
        let tree = output_tree(&snapshot)?;
        let mut outputs = Outputs::default();
        let mut batch: Vec<Entry> = Vec::with_capacity(BATCH);
        let check = |batch: &mut Vec<Entry>| -> Result<()> {
            for (entry, payload) in batch.iter().zip(tree.read_all(batch)?) {
                ensure!(Digest::of(payload.bytes()) == entry.meta.digest, "{url}: a payload came out changed");
            }
            batch.clear();
            Ok(())
        };
        for found in tree.scan(KeyRange::all()) {
            let (name, entry) = found?;
            outputs.add(name, &entry.meta);
            batch.push(entry);
            if batch.len() == BATCH {
                check(&mut batch)?;
            }
        }
        check(&mut batch)?;
        Ok(outputs)
    }

    /// Like [`Outputs::of_catalog`], but trusts the metadata. Cost: a scan of the layer's tree.
    pub fn of_metadata(snapshot: &Snapshot) -> Result<Outputs> {
        let mut outputs = Outputs::default();
        for found in output_tree(snapshot)?.scan(KeyRange::all()) {
            let (name, entry) = found?;
            outputs.add(name, &entry.meta);
        }
        Ok(outputs)
    }

    /// Reads the outputs of a reference program. Every payload is read and checked.
    pub fn of_packed(folder: &Path) -> Result<Outputs> {
        let packed = Packed::open(folder)?;
        let mut outputs = Outputs::default();
        for entry in packed.entries() {
            let bytes = packed.read(entry)?;
            outputs.entries.push((entry.digits().into(), bytes.len() as u64, entry.digest));
        }
        Ok(outputs)
    }

    fn add(&mut self, name: Box<[u8]>, meta: &Meta) {
        self.entries.push((name, meta.len, meta.digest));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Their bytes together.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|(_, len, _)| len).sum()
    }

    /// One digest of all names, lengths and contents: equal digests, equal outputs.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("deltic-bench outputs 1");
        for (name, len, digest) in &self.entries {
            hasher.bytes(name).number(*len).digest(digest);
        }
        hasher.finish()
    }

    /// These outputs, replaced by those of `newer` where it has them, and the number of new bytes.
    #[must_use]
    pub fn patched(&self, newer: Outputs) -> Outputs {
        let mut entries = self.entries.clone();
        for entry in newer.entries {
            match entries.binary_search_by(|(name, ..)| name.cmp(&entry.0)) {
                Ok(index) => entries[index] = entry,
                Err(index) => entries.insert(index, entry),
            }
        }
        Outputs { entries }
    }

    /// The first output in which two builds differ.
    pub fn first_difference(&self, other: &Outputs) -> Option<String> {
        let differing = self.entries.iter().zip(&other.entries).find(|(one, two)| one != two);
        let name = match differing {
            Some((one, two)) => one.0.clone().min(two.0.clone()),
            None => {
                let (fewer, more) = if self.len() < other.len() { (self, other) } else { (other, self) };
                more.entries.get(fewer.len())?.0.clone()
            }
        };
        Some(String::from_utf8_lossy(&name).into_owned())
    }
}

fn output_tree(snapshot: &Snapshot) -> Result<Tree> {
    let layer = Session::output_layer()?;
    let tree = snapshot.tree(&layer);
    tree.with_context(|| format!("{}: no layer `{layer}`; run a job first", snapshot.catalog().url()))
}

/// Computes outputs by calling the compiler alone, without catalogs: the outputs that the changed partitions of `kind`
/// contribute to, or all outputs for [`Kind::Base`] and [`Kind::All`].
pub fn expected_outputs(workload: Workload, count: u64, kind: Kind, version: u64) -> Result<Outputs> {
    let mut changed = match kind {
        Kind::Base => (0..count).collect(),
        _ => kind.changed(count),
    };
    if workload != Workload::A {
        for number in &mut changed {
            *number -= *number % 16;
        }
        changed.dedup();
    }
    // Job `m` makes the same outputs as `b`.
    let task = if workload == Workload::A { Workload::A } else { Workload::B }.task()?;
    let Pattern::Direct { stage, .. } = task.pattern() else { anyhow::bail!("not a direct compiler") };
    let fixture = Fixture::default();
    let mut outputs = Outputs::default();
    let mut text = String::new();
    for first in changed {
        let (numbers, digits) = match workload {
            Workload::A => (first..first + 1, key(first).to_vec()),
            Workload::B | Workload::M => (first..(first + 16).min(count), key(first)[..GROUP_DIGITS].to_vec()),
        };
        let mut inputs = Vec::new();
        for number in numbers {
            payload(number, kind.version_of(number, count, version), &mut text);
            inputs.push(fixture.input("in/parts", tile(&key(number))?, text.as_str())?);
        }
        let output = OutKey::new(crate::OUTPUT, Name::Tile(tile(&digits)?))?;
        let made: Option<Payload> = stage.compile(&output, &inputs, &fixture.context())?;
        let made = made.with_context(|| format!("{output} was not made"))?;
        outputs.add(digits.into(), &made.meta());
    }
    Ok(outputs)
}
