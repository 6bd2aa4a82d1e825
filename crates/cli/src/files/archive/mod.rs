//! Tar archives, read as streams. Every form is either expanded to files or refused; nothing is guessed.
//!
//! An import deletes partitions that the archive does not hold. So an archive that is cut, damaged or of an unknown form must not
//! look like a shorter one. Therefore it must end with an end mark, with only zeros after it. A member of an unknown kind, or one
//! that two readers could read differently, is an error.
//!
//! | in the archive | becomes |
//! |---|---|
//! | files, contiguous files | files |
//! | folders, also those of old archives: empty files whose names end with `/`; volume labels | nothing |
//! | names and sizes in extended headers: pax, GNU | those of the next member |
//! | sparse files: GNU's old form, pax 0.0, 0.1 and 1.0 | files, their holes filled with zeros |
//! | everything else: links, devices, multi-volume and incremental archives, metadata that macOS stores as `._` files | an error |

mod form;
mod packing;
mod pax;
mod sparse;
mod stream;
mod write;

use std::path::Path;

use deltic_core::Fields;
use tar::Header;

use crate::files::source::refused;
use crate::terminal::failure::{Failure, Outcome};
use pax::Records;
use sparse::Map;
use stream::Stream;

pub(crate) use packing::{KNOWN, Packing};
pub(crate) use write::Writer;

/// The unit of an archive.
const BLOCK: usize = 512;

/// The longest extended header or long name. Sparse files with many holes have long ones.
const LONGEST_HEADER: u64 = 16 << 20;

/// The prefix of files in which macOS stores the metadata of other files, as `._NAME`.
const APPLE_DOUBLE: [u8; 4] = [0, 5, 0x16, 7];

/// Whether macOS uses such a file name for the metadata of another file.
fn looks_like_metadata(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("._"))
}

/// A file in an archive.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its path, with `/` between the parts; a leading `./` is left out.
    pub(crate) path: String,
    /// The user fields that `export` wrote with it.
    pub(crate) fields: Fields,
}

/// Reads the bytes of the file that an archive is at.
pub(crate) type ReadFile<'a> = dyn FnMut() -> Outcome<Vec<u8>> + 'a;

/// Reads an archive from its beginning, and passes on every file in it, with its bytes if they are requested.
///
/// Cost: the whole archive is read, once. Memory: the current file, if it is requested.
pub(crate) fn files_of_archive(
    path: &Path,
    packing: Packing,
    take: &mut dyn FnMut(Member, &mut ReadFile<'_>) -> Outcome,
) -> Outcome {
    Archive { path, stream: Stream::open(path, packing)? }.read(take)
}

/// An archive while it is read.
struct Archive<'a> {
    path: &'a Path,
    stream: Stream<'a>,
}

/// What extended headers state about the member that follows them.
#[derive(Default)]
struct Described {
    records: Option<Records>,
    /// GNU's long name.
    name: Option<Vec<u8>>,
    /// GNU's long name of a link's target, which is ignored.
    link: bool,
}

impl Archive<'_> {
    fn read(mut self, take: &mut dyn FnMut(Member, &mut ReadFile<'_>) -> Outcome) -> Outcome {
        let mut described = Described::default();
        let mut members = 0u64;
        loop {
            let block = self.stream.block()?;
            if block == [0; BLOCK] {
                break;
            }
            let header = self.header(&block)?;
            // A header for all members is not a member.
            members += u64::from(kind(header) != b'g');
            match kind(header) {
                b'g' => self.records(header)?.check_global().map_err(|why| self.bad(header, &why))?,
                b'x' => {
                    let records = self.records(header)?;
                    if described.records.replace(records).is_some() {
                        return Err(self.bad(header, "it has two extended headers"));
                    }
                }
                b'L' => {
                    let mut name = self.extension(header)?;
                    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                    if described.name.replace(name).is_some() {
                        return Err(self.bad(header, "it has two long names"));
                    }
                }
                b'K' => {
                    self.extension(header)?;
                    described.link = true;
                }
                _ => self.member(header, &std::mem::take(&mut described), take)?,
            }
        }
        if described.records.is_some() || described.name.is_some() || described.link {
            return Err(self.stream.cut_off());
        }
        // Only zeros are an empty archive, but also the rest of a file that was never written.
        if members == 0 {
            let why = "the archive has no members, not even a folder: it may be incomplete";
            return Err(Failure::failed(format!("{}: {why}", self.path.display()))
                .hint("to empty a layer, import an empty folder"));
        }
        self.stream.end()
    }

    /// Checks a header's sum and takes it as one.
    fn header<'b>(&self, block: &'b [u8; BLOCK]) -> Outcome<&'b Header> {
        let header = Header::from_byte_slice(block);
        let sum =
            block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
        if header.cksum().ok() != Some(sum.sum()) {
            let why = "the archive can not be read: the header of a member is damaged, or this is no tar archive";
            return Err(Failure::failed(format!("{}: {why}", self.path.display())));
        }
        // The magic number without its version: a form in which names may lie elsewhere.
        if block[257..262] == *b"ustar" && header.as_ustar().is_none() && header.as_gnu().is_none() {
            return Err(self.bad(header, "its header has an unknown form"));
        }
        Ok(header)
    }

    /// The records of an extended header.
    fn records(&mut self, header: &Header) -> Outcome<Records> {
        let bytes = self.extension(header)?;
        Records::parse(&bytes).map_err(|why| self.bad(header, &why))
    }

    /// The content of an extended header.
    fn extension(&mut self, header: &Header) -> Outcome<Vec<u8>> {
        let size = self.size(header)?;
        if size > LONGEST_HEADER {
            return Err(self.bad(header, &format!("its extended header is longer than {LONGEST_HEADER} bytes")));
        }
        let bytes = self.stream.bytes(size)?;
        self.stream.skip(0, size)?;
        Ok(bytes)
    }

    /// Passes on a member if it is a file, and skips to the next one.
    fn member(
        &mut self,
        header: &Header,
        described: &Described,
        take: &mut dyn FnMut(Member, &mut ReadFile<'_>) -> Outcome,
    ) -> Outcome {
        let nothing = Records::default();
        let records = described.records.as_ref().unwrap_or(&nothing);
        let path = self.path_of(header, described, records)?;
        let shown = format!("{}: {}", self.path.display(), String::from_utf8_lossy(&path));
        let bad = |why: &str| Failure::failed(format!("{shown}: {why}"));
        let mut stored = match records.number("size").map_err(|why| bad(&why))? {
            Some(size) => size,
            None => self.size(header)?,
        };
        match kind(header) {
            0 | b'0' | b'7' | b'S' => {}
            b'5' | b'V' if stored == 0 => return Ok(()),
            b'5' | b'V' => {
                return Err(bad("this is a folder or a label with content, whose meaning is unknown"));
            }
            b'1' => {
                return Err(refused(&shown, "a hard link")
                    .hint("GNU tar stores files instead of hard links with --hard-dereference"));
            }
            b'2' => return Err(refused(&shown, "a symbolic link")),
            b'3' | b'4' | b'6' => return Err(refused(&shown, "neither a file nor a folder")),
            b'D' | b'M' => {
                return Err(bad(
                    "this is part of an incremental or multi-volume archive, which does not hold all files",
                ));
            }
            other => {
                return Err(bad(&format!("it has the unknown type `{}`", char::from(other))));
            }
        }
        // As old archives have them. No file has such a name.
        if path.ends_with(b"/") {
            return if stored == 0 { Ok(()) } else { Err(bad("its name is that of a folder, but it has content")) };
        }
        let map = match (kind(header), header.as_gnu()) {
            (b'S', Some(_)) if records.is_sparse() => return Err(bad("it has two maps of holes")),
            (b'S', Some(gnu)) => Some(Map::of_gnu(gnu, &mut || self.stream.block())?),
            (b'S', None) => return Err(bad("it is a sparse file of an unknown form")),
            _ if records.is_sparse() => Some(Map::of_pax(records, &mut stored, &mut || self.stream.block())?),
            _ => None,
        };
        let map = map.transpose().map_err(|why| bad(&why))?;
        if let Some(map) = &map {
            map.check(stored).map_err(|why| bad(&why))?;
        }
        let member = Member { path: member_path(&path, &shown)?, fields: records.fields().map_err(|why| bad(&why))? };
        let is_file = records.one(pax::FILE).map_err(|why| bad(&why))?.is_some();
        let is_metadata = looks_like_metadata(&member.path) && !is_file;
        let mut left = stored;
        take(member, &mut || {
            let bytes = self.stream.bytes(std::mem::take(&mut left))?;
            if is_metadata && bytes.starts_with(&APPLE_DOUBLE) {
                let hint = "on macOS, `COPYFILE_DISABLE=1 tar …` or `tar --no-mac-metadata` leaves it out";
                return Err(bad("this is macOS metadata of another file, and no file itself").hint(hint));
            }
            Ok(match &map {
                Some(map) => map.expand(&bytes),
                None => bytes,
            })
        })?;
        self.stream.skip(left, stored)
    }

    /// The path of a member, from the most detailed header.
    fn path_of(&self, header: &Header, described: &Described, records: &Records) -> Outcome<Vec<u8>> {
        let bad = |why: String| self.bad(header, &why);
        let path = records.one("path").map_err(bad)?;
        let real = records.one("GNU.sparse.name").map_err(bad)?;
        match (path, &described.name) {
            (Some(path), Some(name)) if path != name => Err(bad("it has two names".to_owned())),
            (path, name) => {
                let found = real.or(path).or(name.as_deref());
                Ok(found.map_or_else(|| header.path_bytes().into_owned(), <[u8]>::to_vec))
            }
        }
    }

    /// The size in a header. Only the headers of files may state one.
    fn size(&self, header: &Header) -> Outcome<u64> {
        let is_blank = header.as_old().size.iter().all(|byte| matches!(byte, 0 | b' '));
        if is_blank && !matches!(kind(header), 0 | b'0' | b'7' | b'S') {
            return Ok(0);
        }
        let size = header.entry_size().ok().filter(|size| *size <= u64::MAX >> 1);
        size.ok_or_else(|| self.bad(header, "its size is no number"))
    }

    fn bad(&self, header: &Header, why: &str) -> Failure {
        let name = header.path_bytes();
        Failure::failed(format!("{}: {}: {why}", self.path.display(), String::from_utf8_lossy(&name)))
    }
}

/// The type of a member.
fn kind(header: &Header) -> u8 {
    header.as_old().linkflag[0]
}

/// How many bytes follow `size` bytes up to the next block.
fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// A member's path with `/` between the parts, a leading `./` left out.
fn member_path(path: &[u8], shown: &str) -> Outcome<String> {
    let path = std::str::from_utf8(path)
        .map_err(|_| Failure::failed(format!("{shown}: the name is not UTF-8, but names of partitions must be")))?;
    if path.starts_with('/') {
        return Err(refused(shown, "an absolute path"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(refused(shown, "a path that leads upwards"));
    }
    if path.rsplit('/').next().is_none_or(|last| matches!(last, "" | ".")) {
        return Err(Failure::failed(format!("{shown}: a file without a name")));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests;
