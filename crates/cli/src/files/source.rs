//! The source of an import: a folder, an [archive](crate::files::archive) or a single file.
//!
//! A source holds files under relative paths. Entries that are neither files nor folders are refused, and so are paths that are
//! absolute, lead upwards or are not UTF-8. Nothing is skipped silently, and hidden files are files too.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::archive::{KNOWN, Packing};
use crate::files::paths::check_typed;
use crate::terminal::failure::{Failure, Outcome};

/// A folder, an archive or a single file.
#[derive(Debug)]
pub(crate) enum Source {
    /// A folder.
    Folder(PathBuf),
    /// A tar archive.
    Archive(PathBuf, Packing),
    /// A file of a folder, which becomes one partition.
    File(PathBuf, String),
}

impl Source {
    /// Finds out what a path is: by its type and, for a file, by the end of its name. Single files are refused if the layer is
    /// replaced by its source.
    pub(crate) fn find(path: &Path, single: bool) -> Outcome<Source> {
        check_typed(path)?;
        let found = fs::metadata(path).map_err(|error| Failure::file("it can not be read", path, &error))?;
        if found.is_dir() {
            return Ok(Source::Folder(path.to_owned()));
        }
        if let Some(packing) = Packing::of(path) {
            return Ok(Source::Archive(path.to_owned(), packing));
        }
        match path.file_name() {
            Some(name) if single => {
                let name = name.to_str().ok_or_else(|| not_utf8(path))?.to_owned();
                let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
                Ok(Source::File(folder.to_owned(), name))
            }
            _ => {
                let what = "an import can not read this: expected a folder or an archive";
                let failure = Failure::usage(format!("{}: {what} ({KNOWN})", path.display()));
                Err(failure.hint("`--add` adds a single file to the layer"))
            }
        }
    }
}

/// The paths of all files in a folder and below, relative to it with `/` between the parts, sorted.
pub(crate) fn files_of_folder(root: &Path) -> Outcome<Vec<String>> {
    let mut files = Vec::new();
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        let failed = |error: std::io::Error| Failure::file("the folder can not be read", &folder, &error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| not_utf8(&path))?;
            // The type of the entry itself: a link is not followed.
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                pending.push((path, format!("{prefix}{name}/")));
            } else if kind.is_file() {
                files.push(format!("{prefix}{name}"));
            } else {
                let what = if kind.is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
                return Err(refused(&path.display().to_string(), what));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The error for an entry that is no file.
pub(crate) fn refused(path: &str, what: &str) -> Failure {
    Failure::failed(format!("{path}: this is {what}: only files in folders can be imported"))
}

fn not_utf8(path: &Path) -> Failure {
    Failure::failed(format!("{}: the name is not UTF-8, but names of partitions must be", path.display()))
}
