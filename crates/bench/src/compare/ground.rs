//! Everything that the runs at one size need, made on first use: inputs as catalogs and in packed form.
//!
//! Each version of the inputs is a separate catalog that shares objects by hard links, and so is each copy of a base output. So a
//! measured run can be repeated any number of times with exactly the same work.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use deltic_bench::{Kind, generate, generate_on, import_generated, open_input};
use deltic_store::Stores;

use super::area::{clone_catalog, remove};
use super::reference::Reference;
use crate::measure::measure;

/// The content version of all changed partitions.
pub(crate) const CHANGED: u64 = 1;

/// A folder with the inputs of one size.
#[derive(Debug)]
pub(crate) struct Ground {
    folder: PathBuf,
    pub(crate) count: u64,
}

impl Ground {
    /// A new folder for `count` partitions.
    pub(crate) fn new(area: &Path, count: u64) -> Result<Ground> {
        let folder = area.join(count.to_string());
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Ground { folder, count })
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A place in the folder where nothing exists.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        remove(&path)?;
        Ok(path)
    }

    /// The input catalog whose latest version has the changes of `kind`. It is made on top of the base version.
    pub(crate) fn input(&self, kind: Kind) -> Result<String> {
        let folder = self.path(&format!("in-{kind:?}"));
        if !folder.exists() {
            if kind != Kind::Base {
                self.input(Kind::Base)?;
                clone_catalog(&self.path(&format!("in-{:?}", Kind::Base)), &folder)?;
            }
            let base = open_input(&Stores::new(), &url(&folder))?;
            import_generated(&base, self.count, kind, CHANGED)?;
        }
        Ok(url(&folder))
    }

    /// The inputs in packed form, for the reference programs.
    pub(crate) fn packed(&self, kind: Kind) -> Result<PathBuf> {
        let folder = self.path(&format!("packed-{kind:?}"));
        if !folder.exists() {
            match kind {
                Kind::Base => generate(&folder, self.count, kind, CHANGED)?,
                _ => generate_on(&self.packed(Kind::Base)?, &folder, kind, CHANGED)?,
            }
        }
        Ok(folder)
    }

    /// Removes the files that only the reference programs need.
    pub(crate) fn drop_packed(&self) -> Result<()> {
        for kind in [Kind::Base, Kind::One, Kind::Permille, Kind::All] {
            remove(&self.path(&format!("packed-{kind:?}")))?;
        }
        ["tree-in", "tree-out", "floor-out", "floor-inc"].iter().try_for_each(|name| remove(&self.path(name)))
    }

    /// A copy of an output catalog, which a run may change.
    pub(crate) fn copy_of(&self, base: &Path) -> Result<String> {
        let copy = self.fresh("out-work")?;
        clone_catalog(base, &copy)?;
        Ok(url(&copy))
    }

    /// Prepares the reference program that copies blocks: trees over two versions of the input and over its output.
    pub(crate) fn trees(&self, reference: &Reference, kind: Kind, output: &Path) -> Result<(PathBuf, PathBuf)> {
        let (input, made) = (self.fresh("tree-in")?, self.fresh("tree-out")?);
        measure(&mut reference.tree_init(&self.packed(Kind::Base)?, &input))?;
        measure(&mut reference.tree_next(&self.packed(kind)?, &input))?;
        measure(&mut reference.tree_init(output, &made))?;
        Ok((input, made))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The URL of a catalog in a folder.
pub(crate) fn url(folder: &Path) -> String {
    format!("file:{}", folder.display())
}
