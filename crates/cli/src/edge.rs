//! The edge to the machine: the clock, randomness and the running executable, read here and nowhere else.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use deltic_core::{CatalogUuid, RunId, Timestamp};
use deltic_driver::Checkpoint;
use deltic_store::NewCatalog;

/// The time.
#[expect(clippy::disallowed_methods, reason = "everything else takes the time as a parameter, and it is read here")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// When a run keeps what it has done: so long after the last time, by the machine's clock.
pub fn checkpoint(every: Duration) -> Checkpoint {
    let start = Instant::now();
    Checkpoint { every, clock: Arc::new(move || start.elapsed()) }
}

/// A run id that was never used before: 64 bits of the system's randomness.
pub fn new_run_id() -> anyhow::Result<RunId> {
    Ok(RunId(u64::from_le_bytes(entropy()?)))
}

/// What makes a new catalog itself: its uuid, the run that creates it, the time.
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
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(bytes)
}
