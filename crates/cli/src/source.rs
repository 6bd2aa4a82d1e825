//! What `import` reads: folders and tar archives, as streams of files.
//!
//! A source holds files under relative paths. What is neither a file nor a folder is refused, and so is a path that is
//! absolute, leads upwards or is not UTF-8: nothing is left out quietly, hidden files neither.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// A folder or an archive.
#[derive(Debug)]
pub(crate) enum Source {
    /// A folder.
    Folder(PathBuf),
    /// A tar archive.
    Archive(PathBuf, Packing),
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Source {
    /// Finds out what a path is, by what is there and, for a file, by how its name ends.
    pub(crate) fn find(path: &Path) -> Outcome<Source> {
        let found = fs::metadata(path).map_err(|error| Failure::file("it can not be read", path, &error))?;
        if found.is_dir() {
            return Ok(Source::Folder(path.to_owned()));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let packing = match name.as_str() {
            name if name.ends_with(".tar") => Packing::Plain,
            name if name.ends_with(".tar.gz") || name.ends_with(".tgz") => Packing::Gzip,
            name if name.ends_with(".tar.zst") || name.ends_with(".tzst") => Packing::Zstd,
            _ => {
                return Err(Failure::usage(format!(
                    "{}: this is no source of partitions: expected a folder, .tar, .tar.gz or .tar.zst",
                    path.display()
                )));
            }
        };
        Ok(Source::Archive(path.to_owned(), packing))
    }
}

/// Refuses a source folder that shares files with the catalog that is to be written.
///
/// The catalog's own files are not content: taken as such, each import would find those of the one before.
pub(crate) fn check_apart(source: &Source, url: &str) -> Outcome {
    let Source::Folder(path) = source else { return Ok(()) };
    let Some(folder) = folder_of(url) else { return Ok(()) };
    // Without links, and from the root: else one folder may have many paths.
    let real = |path: &Path| path.canonicalize().map_err(|error| Failure::file("it can not be read", path, &error));
    let (source, catalog) = (real(path)?, real(&folder)?);
    let what = match (source.starts_with(&catalog), catalog.starts_with(&source)) {
        (false, false) => return Ok(()),
        (true, true) => "is the folder of",
        (true, false) => "lies in the folder of",
        (false, true) => "holds",
    };
    let message = format!("{}: this {what} the catalog {url}, whose own files are not to be imported", path.display());
    Err(Failure::usage(message).hint("keep what is imported and the catalog in folders beside each other"))
}

/// The folder of a catalog with a `file:` URL.
fn folder_of(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("file:")?;
    if rest.starts_with("//") { url::Url::parse(url).ok()?.to_file_path().ok() } else { Some(PathBuf::from(rest)) }
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
            // Asked of the entry itself: a link is not followed.
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

/// Reads the bytes of the file that an archive is at.
pub(crate) type ReadFile<'a> = dyn FnMut() -> Outcome<Vec<u8>> + 'a;

/// Reads an archive from its beginning and hands over every file in it: its path, and its bytes once they are asked for.
///
/// Cost: the whole archive is read and, unless a file's bytes are asked for, passed over.
pub(crate) fn files_of_archive(
    path: &Path,
    packing: Packing,
    take: &mut dyn FnMut(String, &mut ReadFile<'_>) -> Outcome,
) -> Outcome {
    let unreadable = |error: std::io::Error| Failure::file("the archive can not be read", path, &error);
    let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
    let stream: Box<dyn Read> = match packing {
        Packing::Plain => Box::new(file),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable)?),
    };
    let mut archive = tar::Archive::new(Tail { stream, zeros: 0 });
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let shown = format!("{}: {}", path.display(), String::from_utf8_lossy(&entry.path_bytes()));
        match entry.header().entry_type() {
            kind if kind.is_dir() => continue,
            kind if kind.is_file() || kind.is_contiguous() => {}
            kind if kind.is_symlink() => return Err(refused(&shown, "a symbolic link")),
            kind if kind.is_hard_link() => return Err(refused(&shown, "a hard link")),
            kind if kind.is_pax_global_extensions() => continue,
            _ => return Err(refused(&shown, "neither a file nor a folder")),
        }
        let member = entry.path().map_err(unreadable)?.into_owned();
        let name = member_name(&member, &shown)?;
        let size = entry.size();
        let mut read = || {
            let mut bytes = Vec::with_capacity(usize::try_from(size.min(64 << 20)).unwrap_or_default());
            entry.read_to_end(&mut bytes).map_err(unreadable)?;
            if bytes.len() as u64 != size {
                return Err(cut_off(path));
            }
            Ok(bytes)
        };
        take(name, &mut read)?;
    }
    let mut tail = archive.into_inner();
    // What follows the end mark is read as well: only so is the checksum of a compressed stream looked at.
    std::io::copy(&mut tail, &mut std::io::sink()).map_err(unreadable)?;
    // Without its end mark, an archive that was cut off between two files looks complete, and the files that are
    // missing would be deleted.
    if tail.zeros < 512 {
        return Err(cut_off(path));
    }
    Ok(())
}

fn cut_off(path: &Path) -> Failure {
    Failure::failed(format!("{}: the archive ends before its end mark: it was cut off", path.display()))
}

/// The name of an archive's member: its path with `/` between the parts, a leading `./` left out.
fn member_name(member: &Path, shown: &str) -> Outcome<String> {
    let mut parts = Vec::new();
    for part in member.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(|| not_utf8(member))?),
            Component::ParentDir => return Err(refused(shown, "a path that leads upwards")),
            Component::RootDir | Component::Prefix(_) => return Err(refused(shown, "an absolute path")),
        }
    }
    Ok(parts.join("/"))
}

fn refused(path: &str, what: &str) -> Failure {
    Failure::failed(format!("{path}: this is {what}: only files in folders can be imported"))
}

fn not_utf8(path: &Path) -> Failure {
    Failure::failed(format!("{}: the name is not UTF-8, as names of partitions have to be", path.display()))
}

/// Counts how many zero bytes a stream ended with.
struct Tail<R> {
    stream: R,
    zeros: u64,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        let zeros = buffer[..read].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros + read as u64 } else { zeros as u64 };
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_below_their_archive() {
        let name = |path: &str| member_name(Path::new(path), path).map_err(|failure| failure.to_string());
        assert_eq!(name("./a/b").unwrap(), "a/b");
        assert_eq!(name("a//b").unwrap(), "a/b");
        assert!(name("a/../b").unwrap_err().contains("upwards"));
        assert!(name("/a").unwrap_err().contains("absolute"));
    }

    #[test]
    fn zeros_at_the_end_are_counted_over_reads() {
        let mut tail = Tail { stream: &[1u8, 0, 0, 2, 0, 0, 0][..], zeros: 0 };
        let mut two = [0; 2];
        while tail.read(&mut two).unwrap() > 0 {}
        assert_eq!(tail.zeros, 3);
    }
}
