//! An open folder: files below it are read and written without following links.
//!
//! After a folder was listed, another program may replace a folder in it by a link. Reads and writes would then go elsewhere. So
//! a path is opened part by part from the open folder, and each part must be a folder, or a file, at the moment when it is
//! opened. Only the folder itself, which users name, may be a link.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A folder that is open.
pub(crate) struct Folder(imp::Folder);

impl Folder {
    /// Opens a folder, by a path that may have links.
    pub(crate) fn open(folder: &Path) -> io::Result<Folder> {
        imp::Folder::open(folder).map(Folder)
    }

    /// Reads the file at a path of parts with `/` between them. Anything else than a file is an error: it neither waits for a pipe
    /// nor reads a device.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut file = self.0.file(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no longer a file"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Creates a new file, and the folders above it.
    pub(crate) fn create(&self, path: &str) -> io::Result<File> {
        self.0.create(path)
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }
}

#[cfg(unix)]
mod imp {
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use nix::errno::Errno;
    use nix::fcntl::{OFlag, open, openat};
    use nix::sys::stat::{Mode, mkdirat};
    use nix::unistd::{UnlinkatFlags, unlinkat};

    const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

    pub(super) struct Folder(OwnedFd);

    impl Folder {
        pub(super) fn open(folder: &Path) -> io::Result<Folder> {
            Ok(Folder(open(folder, FOLDER, Mode::empty())?))
        }

        pub(super) fn file(&self, path: &str) -> io::Result<File> {
            let (folder, name) = self.walk(path, false)?;
            // Without waiting: opening a pipe to read would block until another program writes.
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
            Ok(File::from(openat(folder.as_ref().unwrap_or(&self.0), name, flags, Mode::empty()).map_err(explain)?))
        }

        pub(super) fn create(&self, path: &str) -> io::Result<File> {
            let (folder, name) = self.walk(path, true)?;
            // A link counts as existing, wherever it leads.
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mode = Mode::from_bits_truncate(0o666);
            Ok(File::from(openat(folder.as_ref().unwrap_or(&self.0), name, flags, mode).map_err(explain)?))
        }

        pub(super) fn remove(&self, path: &str) -> io::Result<()> {
            let (folder, name) = self.walk(path, false)?;
            Ok(unlinkat(folder.as_ref().unwrap_or(&self.0), name, UnlinkatFlags::NoRemoveDir)?)
        }

        /// The folder of the last part of a path, if it is not this one, and that part.
        fn walk<'a>(&self, path: &'a str, make: bool) -> io::Result<(Option<OwnedFd>, &'a str)> {
            if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads out of its folder"));
            }
            let Some((folders, name)) = path.rsplit_once('/') else { return Ok((None, path)) };
            let mut folder: Option<OwnedFd> = None;
            for part in folders.split('/') {
                let here = folder.as_ref().unwrap_or(&self.0);
                if make {
                    match mkdirat(here, part, Mode::from_bits_truncate(0o777)) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                let next = openat(here, part, FOLDER | OFlag::O_NOFOLLOW, Mode::empty()).map_err(explain)?;
                folder = Some(next);
            }
            Ok((folder, name))
        }
    }

    /// Names the link in the errors that systems return for a link that they must not follow.
    fn explain(error: Errno) -> io::Error {
        match error {
            Errno::ELOOP | Errno::EMLINK => io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link"),
            Errno::ENOTDIR => {
                io::Error::new(io::ErrorKind::InvalidInput, "part of its path is a symbolic link or a file")
            }
            error => error.into(),
        }
    }
}

/// On systems that can not open a path part by part, the path is searched for links before.
#[cfg(not(unix))]
mod imp {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::{Path, PathBuf};

    pub(super) struct Folder(PathBuf);

    impl Folder {
        pub(super) fn open(folder: &Path) -> io::Result<Folder> {
            fs::read_dir(folder)?;
            Ok(Folder(folder.to_owned()))
        }

        pub(super) fn file(&self, path: &str) -> io::Result<File> {
            File::open(self.walk(path, false)?)
        }

        pub(super) fn create(&self, path: &str) -> io::Result<File> {
            OpenOptions::new().write(true).create_new(true).open(self.walk(path, true)?)
        }

        pub(super) fn remove(&self, path: &str) -> io::Result<()> {
            fs::remove_file(self.walk(path, false)?)
        }

        fn walk(&self, path: &str, make: bool) -> io::Result<PathBuf> {
            let mut at = self.0.clone();
            let mut parts = path.split('/').peekable();
            while let Some(part) = parts.next() {
                if matches!(part, "" | "." | "..") || part.contains(['\\', ':']) {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads out of its folder"));
                }
                at.push(part);
                if make && parts.peek().is_some() && !at.exists() {
                    fs::create_dir(&at)?;
                }
                if fs::symlink_metadata(&at).is_ok_and(|found| found.is_symlink()) {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link"));
                }
            }
            Ok(at)
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder, and beside it another that must stay unreachable.
    fn site() -> (tempfile::TempDir, Folder) {
        let site = tempfile::tempdir().unwrap();
        for folder in ["in/sub", "out"] {
            std::fs::create_dir_all(site.path().join(folder)).unwrap();
        }
        std::fs::write(site.path().join("out/a"), "outside").unwrap();
        std::fs::write(site.path().join("in/sub/a"), "inside").unwrap();
        let folder = Folder::open(&site.path().join("in")).unwrap();
        (site, folder)
    }

    #[test]
    fn links_are_not_followed_whenever_they_appear() {
        let (site, folder) = site();
        let at = |path: &str| site.path().join("in").join(path);
        assert_eq!(folder.read("sub/a").unwrap(), b"inside");
        symlink("../out/a", at("file")).unwrap();
        assert!(folder.read("file").unwrap_err().to_string().contains("symbolic link"));
        // A folder that was listed becomes a link before its files are read, and before others are written into it.
        std::fs::rename(at("sub"), at("moved")).unwrap();
        symlink("../out", at("sub")).unwrap();
        assert!(folder.read("sub/a").unwrap_err().to_string().contains("symbolic link"));
        assert!(folder.create("sub/b").is_err() && folder.create("sub/c/b").is_err() && folder.create("file").is_err());
        assert!(folder.remove("sub/a").is_err());
        assert_eq!(std::fs::read_dir(site.path().join("out")).unwrap().count(), 1);
        assert_eq!(std::fs::read(site.path().join("out/a")).unwrap(), b"outside");
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_read() {
        let (site, folder) = site();
        nix::unistd::mkfifo(&site.path().join("in/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::net::UnixListener::bind(site.path().join("in/socket")).unwrap();
        for path in ["pipe", "socket", "sub"] {
            assert!(folder.read(path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_stay_below() {
        let (site, folder) = site();
        for path in ["", "/", "/etc/passwd", "..", "../out/a", "sub/../../out/a", "sub//a", "./sub/a", "sub/", "a\0b"] {
            assert!(
                folder.read(path).is_err() && folder.create(path).is_err() && folder.remove(path).is_err(),
                "{path:?}"
            );
        }
        folder.create("x/y/z").unwrap().write_all(b"z").unwrap();
        assert_eq!(folder.read("x/y/z").unwrap(), b"z");
        assert!(folder.create("x/y/z").is_err(), "what is there is not written over");
        folder.remove("x/y/z").unwrap();
        assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 2);
    }
}
