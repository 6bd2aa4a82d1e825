//! What a catalog's folder holds besides its objects: things that have the name of an object and are not files, and foreign files.

use std::fs::{DirEntry, FileType};
use std::io::ErrorKind;
use std::path::Path;

use super::{ObjectRoot, unfinished};
use crate::format::object_name::ObjectName;
use crate::{Error, Result};

/// What operating systems put into folders, or into the root of a volume, by themselves.
const SYSTEM_FILES: [&str; 2] = [".DS_Store", "lost+found"];

/// The folders of a catalog.
pub(crate) const PARTS: [&str; 3] = ["packs", "progress", "versions"];

/// The error for something that has the name of an object and is not a file. It is damage: a retry would fail in the same way.
#[derive(Debug, thiserror::Error)]
#[error("it is {0}, not a file")]
pub(crate) struct NotAFile(&'static str);

impl NotAFile {
    #[cfg(unix)]
    pub(crate) fn error(what: &'static str) -> object_store::Error {
        object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(NotAFile(what)) }
    }

    /// Whether an error of a store is this one.
    pub(super) fn of(error: &object_store::Error) -> Option<&NotAFile> {
        match error {
            object_store::Error::Generic { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

/// What is at a path, if it is not a file or a link to one.
pub(crate) fn not_a_file(path: &Path) -> Option<&'static str> {
    let own = std::fs::symlink_metadata(path).ok()?;
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => None,
        Ok(found) => Some(kind(found.file_type())),
        // A link that may not be followed may lead to a file.
        Err(error) if own.is_symlink() && error.kind() != ErrorKind::PermissionDenied => {
            Some("a link that leads nowhere")
        }
        Err(_) => None,
    }
}

/// The kind of something that is not a file.
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
    /// What has the name of an object, if it is not a file. Makes no request.
    pub(crate) fn not_a_file(&self, name: &ObjectName) -> Option<&'static str> {
        not_a_file(&self.folder.as_ref()?.join(name.to_string()))
    }

    /// Everything that has the name of an object and is not a file, by name. Makes no request.
    pub(crate) fn not_files(&self) -> Result<Vec<(ObjectName, &'static str)>> {
        let mut found = Vec::new();
        self.each_in_folder(|part, name, file| {
            let named = ObjectName::parse(&within(part, name));
            found.extend(named.and_then(|named| Some((named, not_a_file(&file.path())?))));
        })?;
        found.sort_unstable();
        Ok(found)
    }

    /// The paths in the folder that do not belong to a catalog, without files that operating systems put there. Makes no request.
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
                } else if !SYSTEM_FILES.contains(&path.as_str())
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

    /// Calls `look` for everything in a catalog's folders whose name is UTF-8, with the folder that it lies in.
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
