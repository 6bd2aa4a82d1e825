//! Checks of paths that users type: a path is no URL, and does not lie in the folder of a catalog.
//!
//! A catalog treats every file in its folder as its own object. If a source were in there, an import would also read the objects of
//! the import before. If a target were in there, the files of a layer would mix with packs and versions. So `import`, `export` and
//! `rebuild` refuse such paths, for any catalog, by one rule.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::terminal::failure::{Failure, Outcome};

/// Refuses a path that shares files with the catalog at `url`, or lies in the folder of any other local catalog. The path need not
/// exist yet. Cost: two look-ups for each folder above it.
pub(crate) fn check_apart(path: &Path, url: &str) -> Outcome {
    let unknown = |error: io::Error| Failure::file("its place can not be determined", path, &error);
    let place = resolved(path).map_err(unknown)?;
    let own = folder_of(url).map(|folder| resolved(&folder)).transpose().map_err(unknown)?;
    let around = place.ancestors().find(|folder| own.as_deref() == Some(*folder) || is_catalog(folder));
    let catalog = match around {
        Some(folder) if own.as_deref() != Some(folder) => format!("file:{}", folder.display()),
        _ => url.to_owned(),
    };
    let what = match around {
        Some(folder) if folder == place => "is the folder of",
        Some(_) => "lies in the folder of",
        None if own.is_some_and(|own| own.starts_with(&place)) => "holds",
        None => return Ok(()),
    };
    let message =
        format!("{}: this {what} the catalog {catalog}, which must hold only the catalog's files", path.display());
    Err(Failure::usage(message).hint("keep catalogs and other files in separate folders"))
}

/// Refuses a text that was typed as a path and is a URL, or a `~` that no shell has replaced, unless such a path exists. As a path
/// it would become a new folder with a strange name, in which nobody would search.
pub(crate) fn check_typed(path: &Path) -> Outcome {
    let Some(typed) = path.to_str().filter(|_| path.symlink_metadata().is_err()) else { return Ok(()) };
    let refused = |why: &str, hint: String| Err(Failure::usage(format!("{typed}: {why}")).hint(hint));
    if let Some(home) = typed.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        let hint = format!("write `$HOME{home}`, or `./{typed}` for a file or folder of that name");
        return refused("`~` is the home folder only at the beginning of a word", hint);
    }
    if let Some(meant) = folder_of(typed) {
        let hint = format!("write `{}`, or `./{typed}` for a file or folder of that name", meant.display());
        return refused("this is the URL of a catalog, but a path is expected", hint);
    }
    if ["memory:", "s3://", "az://", "gs://"].iter().any(|scheme| typed.starts_with(scheme)) {
        let hint = "files are read and written on this machine only".to_owned();
        return refused("this is the URL of a catalog, but a path is expected", hint);
    }
    Ok(())
}

/// Whether a folder looks like that of a catalog. Other programs also have files called `catalog.json`.
fn is_catalog(folder: &Path) -> bool {
    folder.join("catalog.json").is_file() && folder.join("versions").is_dir()
}

/// The folder of a catalog with a `file:` URL.
fn folder_of(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("file:")?;
    if rest.starts_with("//") { url::Url::parse(url).ok()?.to_file_path().ok() } else { Some(PathBuf::from(rest)) }
}

/// A path from the root and without links, because one folder may have many paths. Its end need not exist.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut found = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
        found = found.canonicalize().unwrap_or(found);
    }
    Ok(found)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed_as_far_as_they_are_there() {
        let site = tempfile::tempdir().unwrap();
        let root = site.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        std::os::unix::fs::symlink("a/b", root.join("link")).unwrap();
        for (path, is) in [
            ("a", "a"),
            ("a/./b", "a/b"),
            ("link", "a/b"),
            ("link/..", "a"),
            ("link/new/deep", "a/b/new/deep"),
            ("new/../link/x", "a/b/x"),
            ("new/x/../../a", "a"),
            ("file/x", "file/x"),
            ("", ""),
        ] {
            let found = resolved(&root.join(path)).unwrap();
            assert_eq!(found, root.join(is), "{path}");
        }
    }
}
