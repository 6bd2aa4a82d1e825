//! What a store must do for catalogs, as a suite for whoever has a store of their own.
//!
//! [`check_store`] takes any store, [`check_url`] a URL. Both ask for what [`doctor`](crate::doctor()) does, and for more objects than
//! fit into one page of a listing or one request to remove. In a test:
//!
//! ```
//! # use std::sync::Arc;
//! # use object_store::memory::InMemory as MyStore;
//! let found = deltic_store::conformance::check_store(Arc::new(MyStore::new()))?;
//! assert_eq!(found.iter().filter_map(|one| one.problem.as_ref()).collect::<Vec<_>>(), [""; 0]);
//! # Ok::<_, deltic_store::Error>(())
//! ```

use std::sync::Arc;

use bytes::Bytes;
use deltic_core::{RunId, Version};
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

use super::doctor::{Assumption, CHECKS, Check, Finding, failed, try_out};
use crate::backend::blocking::Runtime;
use crate::backend::client::{Executor, ObjectRoot};
use crate::backend::stores::Stores;
use crate::format::object_name::{ListedPack, ObjectName, PackName};
use crate::{Error, Result};

/// A folder whose name has to be escaped in a URL.
const FOLDER: &str = "conformance a b+ä%26%25c";

/// More than the thousand that a page of S3 holds, and than one request removes; and no multiple of any page.
const MANY: u32 = 2345;

const MANY_OBJECTS: Check = Check {
    name: "many objects",
    expected: "thousands of objects are listed, from any name on, and removed, those that are gone already too",
    try_out: many,
};

/// Checks any store, in a folder of its own whose name has to be escaped in a URL. It is emptied again.
///
/// Its requests are driven by a runtime of tokio with timers and sockets. Cost: some 5,000 requests and 100 MB.
pub fn check_store(store: Arc<dyn ObjectStore>) -> Result<Vec<Assumption>> {
    let runtime = Runtime::start()
        .map_err(|error| Error::unavailable("the threads for the store could not be started").because(&error))?;
    let name = store.to_string();
    let store = Arc::new(PrefixStore::new(store, Path::from(FOLDER)));
    Ok(check(&ObjectRoot::new(store, &name, Executor::Runtime(Arc::new(runtime)))))
}

/// Checks the store at a URL, in a folder `conformance-<run>` of its own. It is removed again, and so are folders that were made
/// for it.
///
/// Fails only when the store can not be opened: what it does wrong is a finding. Cost: as of [`check_store`].
pub fn check_url(stores: &Stores, url: &str, run: RunId) -> Result<Vec<Assumption>> {
    Ok(check(&stores.open_scratch(url, &format!("conformance-{run}"))?.client))
}

fn check(client: &ObjectRoot) -> Vec<Assumption> {
    // First, in a folder that is empty: the others leave what they have written to the end.
    try_out(client, std::iter::once(&MANY_OBJECTS).chain(&CHECKS))
}

fn many(client: &ObjectRoot) -> Finding {
    let pack = |seq: u32| PackName { base: Version(u64::from(seq % 3)), run: RunId(seq.into()), seq };
    let ours: Vec<PackName> = (0..MANY).map(pack).collect();
    let found = many_of(client, &ours);
    let removed = client.remove_packs(&ours).map_err(|error| failed("removing failed", &error));
    found.and(removed)?;
    match listed(client.packs())?.len() {
        0 => Ok(()),
        left => Err(format!("{left} objects are listed after all were removed")),
    }
}

fn many_of(client: &ObjectRoot, ours: &[PackName]) -> Finding {
    let length = |name: &PackName| name.seq as usize % 7 + 1;
    let object = |name: &PackName| (ObjectName::Pack(*name), vec![Bytes::from(vec![b'x'; length(name)])]);
    for names in ours.chunks(500) {
        let objects: Vec<_> = names.iter().map(object).collect();
        client.overwrite_all(&objects).map_err(|error| failed("writing failed", &error))?;
    }
    let mut expected: Vec<_> = ours.iter().map(|name| (*name, length(name) as u64)).collect();
    expected.sort_unstable();
    same(&listed(client.packs())?, &expected, "of all objects")?;
    expected.retain(|(name, _)| name.base >= Version(2));
    same(&listed(client.packs_since(Version(2)))?, &expected, "from a name on")?;
    let gone: Vec<PackName> = ours.iter().filter(|name| name.base < Version(2)).copied().collect();
    client.remove_packs(&gone).map_err(|error| failed("removing failed", &error))?;
    same(&listed(client.packs())?, &expected, "after most were removed")?;
    client.remove_packs(&gone[..10]).map_err(|error| failed("removing what is gone already failed", &error))
}

fn listed(found: Result<Vec<ListedPack>>) -> std::result::Result<Vec<(PackName, u64)>, String> {
    let found = found.map_err(|error| failed("listing failed", &error))?;
    Ok(found.into_iter().map(|pack| (pack.name, pack.bytes)).collect())
}

fn same(found: &[(PackName, u64)], expected: &[(PackName, u64)], what: &str) -> Finding {
    if found == expected {
        return Ok(());
    }
    Err(format!("a listing {what} has {} objects of {}, or other ones", found.len(), expected.len()))
}
