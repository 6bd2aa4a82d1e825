//! `file:` URLs: the folder that one names, made or checked, and the store in it.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

use crate::backend::client::ObjectRoot;
use crate::backend::client::folder::PARTS;
use crate::{Error, ErrorKind, Result};

/// Opens the store in the folder of a URL, `rest` being what follows the scheme; with `make` makes the folder.
pub(super) fn local(url: &str, rest: &str, make: bool) -> Result<Arc<dyn ObjectStore>> {
    let folder = folder(url, rest)?;
    match must_be_there(url, &folder) {
        Err(error) if make && *error.kind() == ErrorKind::NotFound => std::fs::create_dir_all(&folder)
            .map_err(|e| Error::unavailable(format!("{url}: the folder could not be made")).because(&e))?,
        there => there?,
    }
    refuse_links(url, &folder)?;
    let store = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|e| Error::unavailable(format!("{url}: the folder could not be opened")).because(&e))?;
    let store = store.with_fsync(true);
    #[cfg(unix)]
    let store = crate::backend::local::LocalStore::new(store, resolved(folder));
    Ok(Arc::new(store))
}

/// Refuses what is no folder. Only of a path that leads to nothing it is said that there is none: one that can not be
/// walked to its end may lead to a catalog.
fn must_be_there(url: &str, folder: &FilePath) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::invalid(format!("{url}: this is a file, and no folder; a catalog is a folder"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(match std::fs::symlink_metadata(folder) {
            Ok(_) => Error::unavailable(format!("{url}: this is a link that leads nowhere")),
            Err(_) => Error::not_found(format!(
                "{url}: there is no such folder; create the catalog with `deltic init {url} --layer …`"
            )),
        }),
        Err(error) => Err(Error::unavailable(format!("{url}: the folder can not be reached")).because(&error)),
    }
}

/// A folder to try things in. What is put there has to be removed before this is dropped, which removes the folder and
/// those above it that were made for it.
pub(crate) struct Scratch {
    pub(crate) client: ObjectRoot,
    pub(super) _made: Made,
}

/// Folders that go again when this is dropped, if nothing is in them; outer ones first.
pub(super) struct Made(pub(super) Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            if let Err(error) = std::fs::remove_dir(folder) {
                tracing::debug!(%error, folder = %folder.display(), "a folder stays behind");
            }
        }
    }
}

/// The folders that have to be made for a path, outer ones first.
pub(super) fn missing(path: &FilePath) -> Vec<&FilePath> {
    let is_missing = |folder: &&FilePath| !folder.as_os_str().is_empty() && std::fs::symlink_metadata(folder).is_err();
    let mut missing: Vec<&FilePath> = path.ancestors().take_while(is_missing).collect();
    missing.reverse();
    missing
}

/// A folder as the store resolves it: what the process does to its working directory later must not matter.
pub(super) fn resolved(folder: PathBuf) -> PathBuf {
    folder.canonicalize().unwrap_or(folder)
}

/// Refuses a catalog whose own folders are links: what is swept there would be another's.
fn refuse_links(url: &str, folder: &FilePath) -> Result<()> {
    for part in PARTS {
        if std::fs::symlink_metadata(folder.join(part)).is_ok_and(|found| found.is_symlink()) {
            return Err(Error::invalid(format!(
                "{url}: `{part}` is a symbolic link, so that objects of the catalog would lie elsewhere; move the whole \
                 catalog, and let the link lead to it"
            )));
        }
    }
    Ok(())
}

/// The folder of a `file:` URL: `file:relative` and `file:/absolute` are taken as they stand, `file:///absolute` by
/// the rules of URLs (`%20` is a space).
pub(super) fn folder(url: &str, rest: &str) -> Result<PathBuf> {
    let bad =
        || Error::invalid(format!("`{url}` names no folder; expected `file:relative/folder` or `file:///absolute`"));
    if rest.is_empty() {
        return Err(bad());
    }
    if rest.starts_with("//") {
        let parsed = Url::parse(url).map_err(|_| bad())?;
        return parsed.to_file_path().map_err(|()| bad());
    }
    // Only shells know homes, and they look for none within a word.
    if let Some(home) = rest.strip_prefix('~') {
        let meant = if home.is_empty() || home.starts_with('/') {
            format!("for your home folder write `file:$HOME{home}`, and for a folder that is called so `file:./{rest}`")
        } else {
            format!("for a folder that is called so write `file:./{rest}`, and for somebody's home folder its path")
        };
        return Err(Error::invalid(format!("`{url}`: `~` stands for no home folder here; {meant}")));
    }
    Ok(PathBuf::from(rest))
}
