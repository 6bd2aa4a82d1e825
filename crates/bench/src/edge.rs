//! The edge to the machine: the clock and randomness, read here and nowhere else in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use deltic_core::{CatalogUuid, RunId, Timestamp};
use deltic_store::NewCatalog;

/// The time.
#[expect(clippy::disallowed_methods, reason = "everything else takes the time as a parameter, and it is read here")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A run id that was never used before.
pub fn new_run_id() -> anyhow::Result<RunId> {
    Ok(RunId(u64::from_le_bytes(entropy()?)))
}

/// What makes a new catalog itself.
pub(crate) fn new_catalog() -> anyhow::Result<NewCatalog> {
    Ok(NewCatalog { uuid: CatalogUuid(u128::from_le_bytes(entropy()?)), run: new_run_id()?, created: now() })
}

fn entropy<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(bytes)
}
