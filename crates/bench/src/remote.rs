//! Remote stores without a network: stores in memory that wait before each request, opened by `s3:` URLs and used like any
//! remote store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use deltic_bench::{new_run_id, now};
use deltic_core::CatalogUuid;
use deltic_store::{Catalog, NewCatalog, Stores};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};

/// The URL of a bucket.
pub(crate) fn bucket(name: &str) -> String {
    format!("s3://{name}")
}

/// Stores in memory by the text of the remote store that they replace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remote(Arc<Mutex<HashMap<String, Arc<dyn ObjectStore>>>>);

impl Remote {
    /// Opens remote URLs as stores in memory that wait before each request.
    pub(crate) fn stores(&self, wait: Duration) -> Stores {
        let remote = self.clone();
        Stores::new().with_wrapper(move |replaced| {
            let mut all = remote.0.lock().unwrap_or_else(PoisonError::into_inner);
            let inner = all.entry(replaced.to_string()).or_insert_with(|| Arc::new(InMemory::new()));
            let config = ThrottleConfig {
                wait_get_per_call: wait,
                wait_put_per_call: wait,
                wait_delete_per_call: wait,
                wait_list_per_call: wait,
                wait_list_with_delimiter_per_call: wait,
                ..ThrottleConfig::default()
            };
            Arc::new(ThrottledStore::new(Arc::clone(inner), config))
        })
    }

    /// Empties a bucket.
    pub(crate) fn forget(&self, bucket: &str) {
        let of_bucket = format!("({bucket})");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|store, _| !store.contains(&of_bucket));
    }
}

/// Creates a catalog without layers.
pub(crate) fn create(stores: &Stores, url: &str) -> Result<Catalog> {
    let uuid = CatalogUuid(u128::from(new_run_id()?.0));
    let identity = NewCatalog { uuid, run: new_run_id()?, created: now() };
    Ok(Catalog::create(stores, url, Vec::new(), identity)?)
}
