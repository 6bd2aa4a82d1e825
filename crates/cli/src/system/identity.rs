//! New ids, from the randomness of the system; and the identity of the running executable.

use anyhow::Context as _;
use deltic_core::{CatalogUuid, RunId};
use deltic_store::NewCatalog;

use super::clock::now;

/// A new run id: 64 bits of the system's randomness.
pub fn new_run_id() -> anyhow::Result<RunId> {
    Ok(RunId(u64::from_le_bytes(entropy()?)))
}

/// The identity of a new catalog: its uuid, the run that creates it, the time.
pub fn new_catalog() -> anyhow::Result<NewCatalog> {
    let uuid = CatalogUuid(u128::from_le_bytes(entropy()?));
    Ok(NewCatalog { uuid, run: new_run_id()?, created: now() })
}

/// The identity of the running executable, for tasks that state no version of their code: `executable blake3:…`.
///
/// Cost: a pass over the file.
pub fn code_identity() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("the running executable can not be found")?;
    let digest = || -> std::io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(&path)?)?;
        Ok(hasher.finalize())
    };
    let digest = digest().with_context(|| format!("the running executable {} can not be read", path.display()))?;
    Ok(format!("executable blake3:{digest}"))
}

fn entropy<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system provides no randomness")?;
    Ok(bytes)
}
