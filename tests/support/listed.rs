//! Finds files of tests that are not listed: they would never run, and nobody would notice.

use std::path::Path;

/// The files below the folder of a test binary that its `main.rs`, and the modules that this lists, do not name.
///
/// A source file is listed as a module of the file above it, or as a target in the package's `Cargo.toml`; any other file in the
/// folder of a module is listed where the module names it.
pub(crate) fn unlisted(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    below(folder, &folder.join("main.rs"), &mut found);
    found.sort();
    found
}

fn below(folder: &Path, module: &Path, found: &mut Vec<String>) {
    let text = std::fs::read_to_string(module).expect("the file of a module");
    let has = |name: &str| text.lines().any(|line| !line.starts_with("//") && line.ends_with(&format!("mod {name};")));
    for entry in std::fs::read_dir(folder).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_str().expect("a name in UTF-8");
        let full = path.file_name().expect("a name").to_str().expect("a name in UTF-8");
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if path.is_dir() && has(name) {
            let inside = path.join("mod.rs");
            let module = if inside.exists() { inside } else { path.with_extension("rs") };
            below(&path, &module, found);
        } else if path.is_dir() {
            sources(&path, found);
        } else if path != module && !(if is_source { has(name) } else { text.contains(full) }) {
            found.push(shown(&path));
        }
    }
}

/// Sources in a folder that is no module: programs of their own.
fn sources(folder: &Path, found: &mut Vec<String>) {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("a manifest");
    for entry in std::fs::read_dir(folder).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        let target = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path);
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source && !manifest.contains(&format!("path = \"{}\"", shown(target))) {
            found.push(shown(&path));
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}
