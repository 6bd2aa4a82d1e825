//! The reference programs: how they are found, built in a separate folder, and called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use deltic_bench::Workload;

/// Where their sources are searched, in addition to the given folder.
const PLACES: [&str; 2] = ["../shared/bench", "shared/bench"];

/// The built programs.
#[derive(Debug)]
pub(crate) struct Reference {
    programs: PathBuf,
}

impl Reference {
    /// Builds the programs from `given`, or from the usual place; none if they are not found.
    ///
    /// The sources are copied first: their folder is not written to.
    pub(crate) fn find_and_build(given: Option<&Path>, build: &Path) -> Result<Option<Reference>> {
        let is_source =
            |folder: &Path| folder.join("Cargo.toml").is_file() && folder.join("src/bin/floor.rs").is_file();
        let source = match given {
            Some(folder) => {
                ensure!(is_source(folder), "{}: no sources of the reference programs there", folder.display());
                folder.to_owned()
            }
            None => match PLACES.iter().map(PathBuf::from).find(|folder| is_source(folder)) {
                Some(folder) => folder,
                None => return Ok(None),
            },
        };
        let copy = build.join("source");
        let copied = || -> std::io::Result<()> {
            std::fs::create_dir_all(copy.join("src/bin"))?;
            write_if_changed(&source.join("Cargo.toml"), &copy.join("Cargo.toml"))?;
            for folder in ["src", "src/bin"] {
                for entry in std::fs::read_dir(source.join(folder))? {
                    let entry = entry?;
                    if entry.file_type()?.is_file() {
                        write_if_changed(&entry.path(), &copy.join(folder).join(entry.file_name()))?;
                    }
                }
            }
            Ok(())
        };
        copied().with_context(|| format!("copying {} to {}", source.display(), copy.display()))?;
        let target = build.join("target");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--quiet"]).current_dir(&copy).env("CARGO_TARGET_DIR", &target);
        let status = command.status().context("starting cargo")?;
        if !status.success() {
            bail!("{}: the reference programs could not be built: cargo ended with {status}", copy.display());
        }
        Ok(Some(Reference { programs: target.join("release") }))
    }

    /// A full build.
    pub(crate) fn full(&self, workload: Workload, packed: &Path, output: &Path) -> Command {
        self.program("floor", &[workload.reference().as_ref(), packed, output])
    }

    /// A comparison of two equal indexes.
    pub(crate) fn nothing_changed(&self, packed: &Path) -> Command {
        self.program("floor", &["nop".as_ref(), packed, packed])
    }

    /// An incremental build that rewrites a flat index.
    pub(crate) fn flat(&self, workload: Workload, old: &Path, new: &Path, base: &Path, output: &Path) -> Command {
        self.program("floor", &["inc".as_ref(), workload.reference().as_ref(), old, new, base, output])
    }

    /// Cuts an index into blocks, once.
    pub(crate) fn tree_init(&self, packed: &Path, tree: &Path) -> Command {
        self.program("tree", &["init".as_ref(), packed, tree])
    }

    /// Makes the second version of a tree.
    pub(crate) fn tree_next(&self, packed: &Path, tree: &Path) -> Command {
        self.program("tree", &["next".as_ref(), packed, tree])
    }

    /// An incremental build of job `a` that copies changed blocks.
    pub(crate) fn tree(&self, input: &Path, packed: &Path, output: &Path) -> Command {
        self.program("tree", &["inc".as_ref(), "a".as_ref(), input, packed, output])
    }

    fn program(&self, name: &str, arguments: &[&Path]) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.args(arguments);
        command
    }
}

/// Copies a file, unless the copy exists: cargo compares times.
fn write_if_changed(from: &Path, to: &Path) -> std::io::Result<()> {
    let bytes = std::fs::read(from)?;
    if std::fs::read(to).is_ok_and(|there| there == bytes) { Ok(()) } else { std::fs::write(to, bytes) }
}
