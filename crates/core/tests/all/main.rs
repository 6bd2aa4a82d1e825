//! Tests of the public API that are too big for the side of the code: properties, and values known from elsewhere.

// `cfg(test)` is always so here; it tells clippy that helpers in these files are tests too.
#[cfg(test)]
mod cover;
#[cfg(test)]
mod grid;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tile;

/// A file that is not listed above would never run.
#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(
            module == "main" || include_str!("main.rs").contains(&format!("mod {module};")),
            "{name} is not listed"
        );
    }
}
