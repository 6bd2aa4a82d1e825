//! The work folder of a comparison: in memory if the system has such a place, and removed in every case.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

/// The start of the names of work folders; the number of the process follows.
const PREFIX: &str = "deltic-bench-";

/// A work folder. Removed when dropped, on Ctrl-C, and by the next comparison if this process was killed.
#[derive(Debug)]
pub(crate) struct Area {
    folder: PathBuf,
}

impl Area {
    /// Makes a work folder below `parent`.
    pub(crate) fn create(parent: &Path) -> Result<Area> {
        remove_left_overs(parent);
        let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        remove_on_signal(folder.clone())?;
        Ok(Area { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folders of processes that have ended.
fn remove_left_overs(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid: Option<u32> =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Blocks the signals with which a user ends a program, and waits for them on a separate thread, which cleans up. Commands
/// that are started do not inherit the block.
fn remove_on_signal(folder: PathBuf) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().context("blocking signals")?;
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            // The measured command may still write; it got the signal too, or fails soon.
            let _ = std::fs::remove_dir_all(&folder);
            let _ = std::fs::remove_dir_all(&folder);
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

/// Copies a folder by hard links: the objects of a catalog are never changed in place, so the copy is another
/// catalog from now on. Cost: one link an object.
pub(crate) fn clone_catalog(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                clone_catalog(&entry.path(), &target).map_err(std::io::Error::other)?;
            } else {
                std::fs::hard_link(entry.path(), target)?;
            }
        }
        Ok(())
    };
    copy().with_context(|| format!("linking {} to {}", from.display(), to.display()))
}

/// Removes a folder if it exists.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_overs_of_the_dead_go() {
        let parent = tempfile::tempdir().unwrap();
        // Process numbers end below this one.
        let dead = parent.path().join(format!("{PREFIX}4194305"));
        let alive = parent.path().join(format!("{PREFIX}{}", std::process::id()));
        let other = parent.path().join("deltic-bench-notes");
        for folder in [&dead, &alive, &other] {
            std::fs::create_dir(folder).unwrap();
        }
        remove_left_overs(parent.path());
        assert!(!dead.exists() && alive.exists() && other.exists());
    }

    #[test]
    fn a_cloned_catalog_leaves_the_original_alone() {
        let parent = tempfile::tempdir().unwrap();
        let (one, two) = (parent.path().join("one"), parent.path().join("two"));
        std::fs::create_dir_all(one.join("packs")).unwrap();
        std::fs::write(one.join("packs/p"), "bytes").unwrap();
        clone_catalog(&one, &two).unwrap();
        assert_eq!(std::fs::read(two.join("packs/p")).unwrap(), b"bytes");
        remove(&two).unwrap();
        remove(&two).unwrap();
        assert!(one.join("packs/p").exists());
    }
}
