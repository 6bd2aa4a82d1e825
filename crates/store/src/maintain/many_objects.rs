//! Whether a store lists and removes more objects than fit into one page of a listing, or into one request.

use bytes::Bytes;
use deltic_core::{RunId, Version};

use super::doctor::{Check, Finding, failed};
use crate::Result;
use crate::backend::client::ObjectRoot;
use crate::format::object_name::{ListedPack, ObjectName, PackName};

/// More than the 1,000 objects of a page of S3, or of one request to remove; and no multiple of a page.
const MANY: u32 = 2345;

pub(super) const MANY_OBJECTS: Check = Check {
    name: "many objects",
    expected: "thousands of objects can be listed from any name on, and be removed, also those that are gone already",
    try_out: many,
};

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
    Err(format!("a listing {what} has {} objects of {}, or wrong ones", found.len(), expected.len()))
}
