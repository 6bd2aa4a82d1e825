//! `file:` URLs: creates or checks the folder, and opens the store in it.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

use crate::backend::client::ObjectRoot;
use crate::backend::client::folder::PARTS;
use crate::{Error, ErrorKind, Result};

/// Opens the store in the folder of a URL; `rest` is what follows the scheme. With `make` creates the folder.
pub(super) fn local(url: &str, rest: &str, make: bool) -> Result<Arc<dyn ObjectStore>> {
    let folder = folder(url, rest)?;
    match must_be_there(url, &folder) {
        Err(error) if make && *error.kind() == ErrorKind::NotFound => std::fs::create_dir_all(&folder)
            .map_err(|e| Error::unavailable(format!("{url}: the folder could not be created")).because(&e))?,
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

/// Refuses what is not a folder. Only a path that leads to nothing is an error of the kind not found: a path that can not be followed
/// to its end may lead to a catalog.
fn must_be_there(url: &str, folder: &FilePath) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::invalid(format!("{url}: this is a file, not a folder; a catalog is a folder"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(match std::fs::symlink_metadata(folder) {
            Ok(_) => Error::unavailable(format!("{url}: this is a link that leads nowhere")),
            Err(_) => Error::not_found(format!(
                "{url}: there is no such folder; create the catalog with `deltic init {url} --layer …`"
            )),
        }),
        Err(error) => Err(Error::unavailable(format!("{url}: the folder can not be reached")).because(&error)),
    }
}

/// A temporary folder for tests of a store. Remove its objects before this is dropped: the drop removes the folder, and the folders
/// above it that were created for it.
pub(crate) struct Scratch {
    pub(crate) client: ObjectRoot,
    pub(super) _folders: NewFolders,
}

/// Created folders, outer ones first. The drop removes those that are empty.
pub(super) struct NewFolders(pub(super) Vec<PathBuf>);

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            if let Err(error) = std::fs::remove_dir(folder) {
                tracing::debug!(%error, folder = %folder.display(), "a folder could not be removed");
            }
        }
    }
}

/// The folders that have to be created for a path, outer ones first.
pub(super) fn missing(path: &FilePath) -> Vec<&FilePath> {
    let is_missing = |folder: &&FilePath| !folder.as_os_str().is_empty() && std::fs::symlink_metadata(folder).is_err();
    let mut missing: Vec<&FilePath> = path.ancestors().take_while(is_missing).collect();
    missing.reverse();
    missing
}

/// The absolute path of a folder, as the store resolves it: later changes of the working directory must not matter.
pub(super) fn resolved(folder: PathBuf) -> PathBuf {
    folder.canonicalize().unwrap_or(folder)
}

/// Refuses a catalog whose own folders are links: the sweep would remove another catalog's objects.
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

/// The folder of a `file:` URL. The path in `file:relative` and `file:/absolute` is used unchanged; in `file:///absolute` the rules of
/// URLs hold (`%20` is a space).
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
    // Only shells expand `~`, and not within a word.
    if let Some(home) = rest.strip_prefix('~') {
        let meant = if home.is_empty() || home.starts_with('/') {
            format!("for your home folder write `file:$HOME{home}`, and for a folder of this name `file:./{rest}`")
        } else {
            format!("for a folder of this name write `file:./{rest}`, and for somebody's home folder its path")
        };
        return Err(Error::invalid(format!("`{url}`: `~` is not the home folder here; {meant}")));
    }
    Ok(PathBuf::from(rest))
}
