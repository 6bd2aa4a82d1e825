//! What a catalog asks of a store, asked of servers: more objects than one listing or one removal takes, names that a URL
//! has to escape, and what they say of an object that is there.
//!
//! `.ci/servers` starts the servers and names them in the environment; a folder is always asked.

use bytes::Bytes;
use deltic_core::{RunId, Version};

use crate::backend::client::ObjectRoot;
use crate::backend::stores::Stores;
use crate::format::object_name::{ObjectName, PackName};
use crate::{Error, ErrorKind};

/// More than the thousand that a page of S3 holds, and than one request removes; and no multiple of any page.
const PACKS: u32 = 2345;

fn pack(base: u64, seq: u32) -> PackName {
    PackName { base: Version(base), run: RunId(seq.into()), seq }
}

fn ask(root: &ObjectRoot) -> Result<(), Error> {
    let ours: Vec<PackName> = (0..PACKS).map(|seq| pack(u64::from(seq % 3), seq)).collect();
    let bodies = |seq: u32| vec![Bytes::from(vec![b'x'; seq as usize % 7 + 1])];
    let objects: Vec<_> = ours.iter().map(|name| (ObjectName::Pack(*name), bodies(name.seq))).collect();
    objects.chunks(500).try_for_each(|objects| root.overwrite_all(objects))?;

    let mut expected: Vec<_> = ours.iter().map(|name| (*name, u64::from(name.seq % 7 + 1))).collect();
    expected.sort_unstable();
    let listed = |found: Vec<crate::format::object_name::ListedPack>| {
        found.iter().map(|p| (p.name, p.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(listed(root.packs()?), expected);
    expected.retain(|(name, _)| name.base >= Version(2));
    assert_eq!(listed(root.packs_since(Version(2))?), expected);

    let gone: Vec<PackName> = ours.iter().filter(|name| name.base < Version(2)).copied().collect();
    root.remove_packs(&gone)?;
    assert_eq!(listed(root.packs()?), expected);
    root.remove_packs(&ours)?;
    assert!(root.packs()?.is_empty());
    root.remove_packs(&ours[..10])?;

    let (name, body) = (ObjectName::Version(Version(7)), Bytes::from_static(b"first"));
    root.create(&name, &body).unwrap();
    let again = root.create(&name, &Bytes::from_static(b"second")).unwrap_err();
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again}");
    assert_eq!(root.get(&name)?, Some(body));
    assert_eq!(root.get(&ObjectName::Version(Version(8)))?, None);
    let beyond = root.get_ranges(&[(name, 3..9)]).unwrap_err();
    assert!(matches!(beyond.kind(), ErrorKind::Corrupt { .. }), "{beyond}");
    root.remove_if_there(&name)?;
    root.remove_if_there(&name)
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    ask(&Stores::new().open_or_make(&format!("file:{}/a b+ä%", folder.path().display())).unwrap()).unwrap();
}

fn server(variable: &str) {
    let Ok(url) = std::env::var(variable) else {
        println!("skipped: {variable} names no store; .ci/servers does");
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let own = own.path().file_name().unwrap().to_str().unwrap().to_owned();
    ask(&Stores::new().open_or_make(&format!("{url}/a b+ä%26%25c/{own}")).unwrap()).unwrap();
}

#[test]
fn s3() {
    server("DELTIC_TEST_S3");
}

#[test]
fn azure() {
    server("DELTIC_TEST_AZURE");
}
