//! Tests whether a store does what catalogs rely on, in a folder of its own.
//!
//! Each assumption is one check with a plain finding. The suite is for any bucket or folder, before the first catalog is
//! made there or when one behaves strangely; it neither reads nor writes a catalog. The folder is named after a run id, so
//! that runs neither meet each other nor what one that was killed has left.

use std::sync::Arc;

use bytes::Bytes;
use deltic_core::{RunId, Version};
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

use super::many_objects::MANY_OBJECTS;
use crate::backend::blocking::Runtime;
use crate::backend::client::{Executor, ObjectRoot};
use crate::backend::stores::Stores;
use crate::format::object_name::{ObjectName, PackName};
use crate::{Error, ErrorKind, Result};

/// Writers that want to create one object at the same time.
const WRITERS: u64 = 32;

/// How many objects they race for.
const RACES: u64 = 4;

/// The length of the big object: more than a store sends in one piece.
const BIG_BYTES: u64 = 24 << 20;

/// Something that catalogs rely on, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumption {
    /// A short name.
    pub name: &'static str,
    /// What a store has to do.
    pub expected: &'static str,
    /// What it did instead; none when it did what is expected.
    pub problem: Option<String>,
}

/// How much of a store is tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What catalogs rely on. Cost: some 300 requests and 100 MB.
    Brief,
    /// The same, with more objects than fit into one page of a listing or one request to remove. Cost: some 5,000 requests
    /// and 100 MB.
    Full,
}

pub(super) type Finding = std::result::Result<(), String>;

pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    pub(super) try_out: fn(&ObjectRoot) -> Finding,
}

const CHECKS: [Check; 8] = [
    Check {
        name: "read after write",
        expected: "an object that was written is read back at once, whole",
        try_out: read_after_write,
    },
    Check {
        name: "create once",
        expected: "an object that is there is not created again, whether the bytes differ or not",
        try_out: create_once,
    },
    Check {
        name: "one of many creates",
        expected: "when many writers create one object at the same time, exactly one succeeds, and its bytes stay",
        try_out: one_of_many,
    },
    Check {
        name: "overwrite",
        expected: "an object that was overwritten is read as it was written last",
        try_out: overwrite,
    },
    Check {
        name: "absence",
        expected: "an object that does not exist is reported as missing, not as a failure",
        try_out: absence,
    },
    Check {
        name: "ranges",
        expected: "any range of an object is read exactly, that of a big one too, and one beyond its end fails",
        try_out: ranges,
    },
    Check {
        name: "list after write",
        expected: "a listing has every object that was written, with its length, and no other",
        try_out: listing,
    },
    Check {
        name: "delete",
        expected: "an object that was removed is neither read nor listed, and others stay",
        try_out: delete,
    },
];

/// Tries a store out at a URL, in a folder `doctor-<run>` of its own. It is removed again, and so are folders that were made
/// for it; of a run that is killed it stays, and can be removed. `run` must be drawn anew.
///
/// Fails only when the store can not be opened: what it does wrong is a finding.
pub fn doctor(stores: &Stores, url: &str, run: RunId, depth: Depth) -> Result<Vec<Assumption>> {
    Ok(try_out(&stores.open_scratch(url, &folder(run))?.client, depth))
}

/// Tries out any store, also one that no URL leads to, as [`doctor`] does: in a folder whose name begins with `doctor-<run>`
/// and has to be escaped in a URL. Its requests are driven by a runtime of tokio with timers and sockets. In a test:
///
/// ```
/// # use std::sync::Arc;
/// # use deltic_core::RunId;
/// # use object_store::memory::InMemory as MyStore;
/// use deltic_store::{Depth, doctor_store};
///
/// let found = doctor_store(Arc::new(MyStore::new()), RunId(0x5eed), Depth::Full)?;
/// assert_eq!(found.iter().filter_map(|one| one.problem.as_ref()).collect::<Vec<_>>(), [""; 0]);
/// # Ok::<_, deltic_store::Error>(())
/// ```
pub fn doctor_store(store: Arc<dyn ObjectStore>, run: RunId, depth: Depth) -> Result<Vec<Assumption>> {
    let runtime = Runtime::start()
        .map_err(|error| Error::unavailable("the threads for the store could not be started").because(&error))?;
    let name = store.to_string();
    let store = Arc::new(PrefixStore::new(store, Path::from(format!("{}{ESCAPED}", folder(run)))));
    Ok(try_out(&ObjectRoot::new(store, &name, Executor::Runtime(Arc::new(runtime))), depth))
}

fn folder(run: RunId) -> String {
    format!("doctor-{run}")
}

/// What a URL has to escape.
const ESCAPED: &str = " a b+ä%26%25c";

/// Makes the checks in a folder that is empty, and empties it again.
fn try_out(client: &ObjectRoot, depth: Depth) -> Vec<Assumption> {
    let one = |check: &Check| Assumption {
        name: check.name,
        expected: check.expected,
        problem: (check.try_out)(client).err(),
    };
    // Many objects first, while the folder is empty: the others leave what they have written to the end.
    let many = (depth == Depth::Full).then_some(&MANY_OBJECTS);
    let found = many.into_iter().chain(&CHECKS).map(one).collect();
    clean(client);
    found
}

/// An object of the scratch folder. Numbers keep the checks apart.
fn object(number: u64) -> ObjectName {
    ObjectName::Probe(RunId(number))
}

const RACED: u64 = 100;

fn pack(seq: u32) -> PackName {
    PackName { base: Version(1), run: RunId(1), seq }
}

const PACKS: u32 = 12;

fn clean(client: &ObjectRoot) {
    for name in (0..10).chain(RACED..RACED + RACES).map(object) {
        if let Err(error) = client.remove_if_there(&name) {
            tracing::warn!(%error, "an object of the check could not be removed");
        }
    }
    let packs: Vec<PackName> = (0..PACKS).map(pack).collect();
    if let Err(error) = client.remove_packs(&packs) {
        tracing::warn!(%error, "objects of the check could not be removed");
    }
}

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn failed(doing: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{doing}: {error}");
    if let Some(cause) = error.source() {
        text.push_str(&format!(": {cause}"));
    }
    text
}

fn put(client: &ObjectRoot, name: &ObjectName, bytes: &Bytes) -> Finding {
    client.overwrite(name, std::slice::from_ref(bytes)).map_err(|error| failed("writing failed", &error))
}

fn read(client: &ObjectRoot, name: &ObjectName) -> std::result::Result<Option<Bytes>, String> {
    client.get(name).map_err(|error| failed("reading failed", &error))
}

fn expect(client: &ObjectRoot, name: &ObjectName, bytes: &Bytes, when: &str) -> Finding {
    match read(client, name)? {
        Some(found) if found == *bytes => Ok(()),
        Some(found) => Err(format!("{when}, other bytes were read: {} of {} bytes", found.len(), bytes.len())),
        None => Err(format!("{when}, the object was not there")),
    }
}

fn read_after_write(client: &ObjectRoot) -> Finding {
    for round in 0..5 {
        let bytes = body(&format!("round {round}"));
        put(client, &object(round), &bytes)?;
        expect(client, &object(round), &bytes, "after it was written")?;
    }
    Ok(())
}

fn create_once(client: &ObjectRoot) -> Finding {
    let (name, first) = (object(5), body("first"));
    client.create(&name, &first).map_err(|error| failed("a new object could not be created", &error))?;
    for again in ["second", "first"] {
        match client.create(&name, &body(again)) {
            Ok(()) => {
                return Err(
                    "an object that was there was created again: two runs would lose each other's versions".to_owned()
                );
            }
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(error) => return Err(failed("the second creation was refused unclearly", &error)),
        }
        expect(client, &name, &first, "after a second creation")?;
    }
    Ok(())
}

fn one_of_many(client: &ObjectRoot) -> Finding {
    for name in (RACED..RACED + RACES).map(object) {
        let ended: Vec<_> = std::thread::scope(|scope| {
            let create = |writer: u64| (writer, client.create(&name, &body(&writer.to_string())));
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || create(writer))).collect();
            writers.into_iter().filter_map(|writer| writer.join().ok()).collect()
        });
        let winners: Vec<u64> = ended.iter().filter(|(_, result)| result.is_ok()).map(|(writer, _)| *writer).collect();
        let &[winner] = &winners[..] else {
            let count = winners.len();
            let mut what = format!("{count} of {WRITERS} writers succeeded in creating one object at the same time");
            if let Some(Err(error)) = ended.first().map(|(_, result)| result).filter(|_| count == 0) {
                what.push_str(&format!(": {error}"));
            }
            return Err(what);
        };
        expect(client, &name, &body(&winner.to_string()), "after many had created it at the same time")?;
    }
    Ok(())
}

fn overwrite(client: &ObjectRoot) -> Finding {
    for round in 0..10 {
        // Lengths change, so that old and new can not be mistaken for each other.
        let bytes = body(&"x".repeat(round * 7 % 5 + 1));
        put(client, &object(6), &bytes)?;
        expect(client, &object(6), &bytes, "after it was overwritten")?;
    }
    Ok(())
}

fn absence(client: &ObjectRoot) -> Finding {
    match read(client, &object(7))? {
        None => Ok(()),
        Some(_) => Err("an object was read that was never written".to_owned()),
    }
}

fn ranges(client: &ObjectRoot) -> Finding {
    let name = object(8);
    let bytes: Bytes =
        (0..BIG_BYTES / 8).flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    put(client, &name, &bytes)?;
    let middle = BIG_BYTES / 2;
    let all = [0..1, 0..100, middle - 7..middle + 9, BIG_BYTES - 1..BIG_BYTES, 1..BIG_BYTES - 1, 0..BIG_BYTES];
    let wanted: Vec<_> = all.iter().map(|range| (name, range.clone())).collect();
    let found = client.get_ranges(&wanted).map_err(|error| failed("reading ranges failed", &error))?;
    for (range, found) in all.iter().zip(found) {
        if found != bytes.slice(range.start as usize..range.end as usize) {
            return Err(format!("other bytes were read for the range from {} to {}", range.start, range.end));
        }
    }
    match client.get_ranges(&[(name, BIG_BYTES - 1..BIG_BYTES + 1)]) {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. }) => Ok(()),
        Err(error) => Err(failed("a range beyond the end failed unclearly", &error)),
        Ok(_) => Err("a range beyond the end of an object was read".to_owned()),
    }
}

/// The packs that are listed, by sequence number and length.
fn listed(client: &ObjectRoot) -> std::result::Result<Vec<(u32, u64)>, String> {
    let found = client.packs().map_err(|error| failed("listing failed", &error))?;
    Ok(found.into_iter().map(|pack| (pack.name.seq, pack.bytes)).collect())
}

fn listing(client: &ObjectRoot) -> Finding {
    let mut expected = Vec::new();
    for seq in 0..PACKS {
        let bytes = body(&"x".repeat(seq as usize + 1));
        put(client, &ObjectName::Pack(pack(seq)), &bytes)?;
        expected.push((seq, bytes.len() as u64));
        let found = listed(client)?;
        if found != expected {
            return Err(format!(
                "after {} objects were written, {} were listed, or wrong ones",
                expected.len(),
                found.len()
            ));
        }
    }
    Ok(())
}

fn delete(client: &ObjectRoot) -> Finding {
    let gone: Vec<PackName> = (0..PACKS).filter(|seq| seq % 2 == 0).map(pack).collect();
    let stays: Vec<u32> = (0..PACKS).filter(|seq| seq % 2 == 1).collect();
    for seq in 0..PACKS {
        put(client, &ObjectName::Pack(pack(seq)), &body(&"x".repeat(seq as usize + 1)))?;
    }
    client.remove_packs(&gone).map_err(|error| failed("removing failed", &error))?;
    for name in &gone {
        if read(client, &ObjectName::Pack(*name))?.is_some() {
            return Err("an object was read after it had been removed".to_owned());
        }
    }
    if listed(client)?.into_iter().map(|(seq, _)| seq).ne(stays) {
        return Err("a listing after some were removed does not have exactly the others".to_owned());
    }
    client.remove_packs(&gone).map_err(|error| failed("removing what is gone already failed", &error))
}
