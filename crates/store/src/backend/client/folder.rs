//! What is in the folder of a catalog besides its objects: what has the name of an object and is no file, and the files of others.

use std::fs::{DirEntry, FileType};
use std::io::ErrorKind;
use std::path::Path;

use super::{ObjectRoot, unfinished};
use crate::format::object_name::ObjectName;
use crate::{Error, Result};

/// What systems put into folders, and into the root of a volume, by themselves.
const OF_SYSTEMS: [&str; 2] = [".DS_Store", "lost+found"];

/// The folders of a catalog.
pub(crate) const PARTS: [&str; 3] = ["packs", "progress", "versions"];

/// The error for what is in the place of an object and is no file. It is damage: asked again, it would be the same.
#[derive(Debug, thiserror::Error)]
#[error("it is {0}, and no file")]
pub(crate) struct NoFile(&'static str);

impl NoFile {
    #[cfg(unix)]
    pub(crate) fn error(what: &'static str) -> object_store::Error {
        object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(NoFile(what)) }
    }

    /// Whether an error of a store is this one.
    pub(super) fn of(error: &object_store::Error) -> Option<&NoFile> {
        match error {
            object_store::Error::Generic { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

/// What is at a path, if it is no file and leads to none.
pub(crate) fn no_file(path: &Path) -> Option<&'static str> {
    let own = std::fs::symlink_metadata(path).ok()?;
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => None,
        Ok(found) => Some(kind(found.file_type())),
        // Whether a link leads anywhere that may not be followed nobody knows.
        Err(error) if own.is_symlink() && error.kind() != ErrorKind::PermissionDenied => {
            Some("a link that leads nowhere")
        }
        Err(_) => None,
    }
}

/// What that is which is no file.
pub(crate) fn kind(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a named pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    if found.is_dir() { "a folder" } else { "something else" }
}

impl ObjectRoot {
    /// What is in the place of an object of a folder, if it is no file. Makes no request.
    pub(crate) fn no_file(&self, name: &ObjectName) -> Option<&'static str> {
        no_file(&self.folder.as_ref()?.join(name.to_string()))
    }

    /// All that has the name of an object of a folder and is no file, by name. Makes no request.
    pub(crate) fn no_files(&self) -> Result<Vec<(ObjectName, &'static str)>> {
        let mut found = Vec::new();
        self.each_in_folder(|part, name, file| {
            let named = ObjectName::parse(&within(part, name));
            found.extend(named.and_then(|named| Some((named, no_file(&file.path())?))));
        })?;
        found.sort_unstable();
        Ok(found)
    }

    /// What lies in a folder and is nothing of a catalog's, by its path in there; what systems put into each folder, or each
    /// volume, aside. Makes no request.
    pub(crate) fn foreign(&self) -> Result<Vec<String>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let (mut foreign, mut parts) = (Vec::new(), vec![String::new()]);
        while let Some(part) = parts.pop() {
            let failed = |error: std::io::Error| {
                Error::unavailable(format!("{}: folder `{part}` could not be listed", self.url)).because(&error)
            };
            for file in std::fs::read_dir(folder.join(&part)).map_err(failed)? {
                let file = file.map_err(failed)?;
                let name = file.file_name();
                let path = within(&part, &name.to_string_lossy());
                if PARTS.contains(&path.as_str()) && file.file_type().map_err(failed)?.is_dir() {
                    parts.push(path);
                } else if !OF_SYSTEMS.contains(&path.as_str())
                    && ObjectName::parse(&path).is_none()
                    && unfinished::object_of(&part, &name.to_string_lossy()).is_none()
                {
                    foreign.push(path);
                }
            }
        }
        foreign.sort_unstable();
        Ok(foreign)
    }

    /// Looks at all that lies in a catalog's folders and has a name that is text, each with the folder it lies in.
    pub(super) fn each_in_folder(&self, mut look: impl FnMut(&str, &str, &DirEntry)) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for part in [""].into_iter().chain(PARTS) {
            let failed = |error: std::io::Error| {
                Error::unavailable(format!("{}: folder `{part}` could not be listed", self.url)).because(&error)
            };
            let files = match std::fs::read_dir(folder.join(part)) {
                Ok(files) => files,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            for file in files {
                let file = file.map_err(failed)?;
                if let Some(name) = file.file_name().to_str() {
                    look(part, name, &file);
                }
            }
        }
        Ok(())
    }
}

/// The name of an object in one of a catalog's folders.
pub(super) fn within(part: &str, name: &str) -> String {
    if part.is_empty() { name.to_owned() } else { format!("{part}/{name}") }
}
