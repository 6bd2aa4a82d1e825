//! The next version of an input catalog: from the packed form, or directly from the generator.

use anyhow::{Result, ensure};
use deltic_core::{LayerId, Name, Payload};
use deltic_driver::{Import, ImportReport};
use deltic_store::{KeyRange, Snapshot};
use rayon::prelude::*;

use crate::compilers::INPUT;
use crate::packed::Packed;
use crate::workload::{Kind, key, payload, tile};
use deltic_cli::{new_run_id, now};

/// Partitions that are generated at once.
const CHUNK: usize = 4096;

/// Makes the version after `base` equal to a packed folder. Only payloads that differ are read and uploaded; partitions
/// that the folder does not have are deleted.
pub fn import_packed(base: &Snapshot, packed: &Packed) -> Result<ImportReport> {
    let layer = LayerId::new(INPUT)?;
    let import = Import::begin(base, new_run_id()?)?;
    let tree = base.tree(&layer);
    ensure!(tree.is_some(), "{}: no layer `{layer}`; import into a new catalog", base.catalog().url());
    let mut published = tree.iter().flat_map(|tree| tree.scan(KeyRange::all())).peekable();
    let delete = |name: &[u8]| -> Result<()> {
        import.delete(&layer, &Name::Tile(tile(name)?))?;
        Ok(())
    };
    for entry in packed.entries() {
        while let Some(gone) = published.next_if(|found| found.as_ref().is_ok_and(|(name, _)| **name < *entry.digits()))
        {
            delete(&gone?.0)?;
        }
        let same = published.next_if(|found| !found.as_ref().is_ok_and(|(name, _)| **name != *entry.digits()));
        if let Some((_, before)) = same.transpose()?
            && before.meta.digest == entry.digest
        {
            continue;
        }
        import.put(&layer, &Name::Tile(tile(entry.digits())?), &Payload::new(packed.read(entry)?))?;
    }
    for gone in published {
        delete(&gone?.0)?;
    }
    Ok(import.commit(now(), "")?)
}

/// Puts generated partitions into the version after `base`: of `count` partitions those that `kind` changes, with content
/// `version`; with [`Kind::Base`] all of them, with content 0. All others stay.
pub fn import_generated(base: &Snapshot, count: u64, kind: Kind, version: u64) -> Result<ImportReport> {
    let layer = LayerId::new(INPUT)?;
    let import = Import::begin(base, new_run_id()?)?;
    let (numbers, version) = match kind {
        Kind::Base => ((0..count).collect(), 0),
        _ => (kind.changed(count), version),
    };
    for numbers in numbers.chunks(CHUNK) {
        let make = |number: &u64| {
            let mut text = String::new();
            payload(*number, version, &mut text);
            text
        };
        // Payloads from several threads are put in order, so that neighbours are close together in packs.
        let made: Vec<String> = match numbers {
            [one] => vec![make(one)],
            many => many.par_iter().map(make).collect(),
        };
        for (number, text) in numbers.iter().zip(made) {
            import.put(&layer, &Name::Tile(tile(&key(*number))?), &Payload::from(text))?;
        }
    }
    Ok(import.commit(now(), "")?)
}
