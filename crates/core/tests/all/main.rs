//! Tests of the public API that are too big for the side of the code: properties, and values known from elsewhere.

// `cfg(test)` is always so here; it tells clippy that helpers in these files are tests too.
#[cfg(test)]
mod cover;
#[cfg(test)]
mod grid;
#[cfg(test)]
mod hostile;
#[cfg(test)]
#[path = "../../../../tests/support/listed.rs"]
mod listed;
#[cfg(test)]
mod tile;

/// A file of tests that nobody lists would never run.
#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all");
    assert_eq!(listed::unlisted(folder.as_ref()), Vec::<String>::new());
}
