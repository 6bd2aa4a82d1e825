//! Half-written files in a folder, which killed writers have left.
//!
//! `object_store` first writes an object to a temporary file, whose name is that of the object with `#` and a number, and
//! renames it at the end. Its listings skip these files, so the folder itself is read. Other stores have no such files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ObjectRoot;
use super::folder::within;
use crate::format::object_name::ObjectName;
use crate::{Error, Result};

/// A file that would have become an object.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// The object.
    pub(crate) name: ObjectName,
    /// Bytes that were written.
    pub(crate) bytes: u64,
    file: PathBuf,
}

impl ObjectRoot {
    /// The same store, with the folder that it lies in.
    pub(crate) fn in_folder(self, folder: &Path) -> ObjectRoot {
        ObjectRoot { folder: Some(folder.into()), ..self }
    }

    /// All half-written files, also those of running writers. Makes no request.
    pub(crate) fn unfinished(&self) -> Result<Vec<Unfinished>> {
        let mut found = Vec::new();
        self.each_in_folder(|part, file_name, file| {
            let Some(name) = object_of(part, file_name) else { return };
            // Does not follow links. A file that is gone by now is finished.
            if let Ok(meta) = file.metadata()
                && meta.is_file()
            {
                found.push(Unfinished { name, bytes: meta.len(), file: file.path() });
            }
        })?;
        found.sort_by(|one, two| one.file.cmp(&two.file));
        Ok(found)
    }

    /// Removes one, unless it is gone already.
    pub(crate) fn remove_unfinished(&self, unfinished: &Unfinished) -> Result<()> {
        match std::fs::remove_file(&unfinished.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let name = unfinished.name;
                let message = format!("{}: the half-written file of {name} could not be removed", self.url);
                Err(Error::unavailable(message).because(&error))
            }
            _ => Ok(()),
        }
    }
}

/// The object that a file was to become.
pub(super) fn object_of(part: &str, file: &str) -> Option<ObjectName> {
    let (name, number) = file.rsplit_once('#')?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    ObjectName::parse(&within(part, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_become_an_object_is_unfinished() {
        let pack = "000000000000002a-0000000000000007-0003";
        for (part, file) in [
            ("packs", format!("{pack}#1")),
            ("progress", format!("{pack}#12")),
            ("versions", "00000000000000000042#1".to_owned()),
            ("versions", "latest#1".to_owned()),
            ("", "catalog.json#1".to_owned()),
            ("", "probe-0000000000000007#1".to_owned()),
        ] {
            let name = object_of(part, &file).expect(&file).to_string();
            assert_eq!(name.rsplit('/').next(), file.split('#').next());
        }
        for (part, file) in [
            ("packs", pack),
            ("packs", "x#1"),
            ("packs", "000000000000002a-0000000000000007-0003#"),
            ("packs", "000000000000002a-0000000000000007-0003#x"),
            ("packs", "000000000000002a-0000000000000007-0003#1#x"),
            ("versions", "42#1"),
            ("versions", "000000000000000000042#1"),
            ("", "latest#1"),
            ("", "notes#1"),
            ("packs", "catalog.json#1"),
        ] {
            assert_eq!(object_of(part, file), None, "{part}/{file}");
        }
    }
}
