//! An archive, read block by block, up to its end mark and the zeros after it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::packing::Trailing;
use super::{BLOCK, Packing, padding};
use crate::terminal::failure::{Failure, Outcome};

/// The end mark: two blocks of zeros, of which the second may be missing. Programs add zeros up to the end of a record: of 10 KiB
/// in most cases, and `tar --concatenate` one record more; else of a power of two up to the second number here.
const END: u64 = 2 * BLOCK as u64;
pub(super) const RECORD: u64 = 10 << 10;
pub(super) const LARGEST_RECORD: u64 = 1 << 20;

/// This much memory is allocated for a file because its header asks for it; more only as its bytes are read.
const TAKEN_AT_ONCE: u64 = 64 << 20;

/// An archive's bytes, and how many of them have been read.
pub(super) struct Stream<'a> {
    path: &'a Path,
    from: Box<dyn Read>,
    at: u64,
}

impl<'a> Stream<'a> {
    /// Opens an archive.
    pub(super) fn open(path: &'a Path, packing: Packing) -> Outcome<Stream<'a>> {
        let from = File::open(path).and_then(|file| packing.unpack(file));
        let from = from.map_err(|error| Failure::file("the archive can not be read", path, &error))?;
        Ok(Stream { path, from, at: 0 })
    }

    /// The next block.
    pub(super) fn block(&mut self) -> Outcome<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.some(&mut block[filled..])? {
                0 => return Err(self.cut_off()),
                read => filled += read,
            }
        }
        Ok(block)
    }

    /// The next bytes.
    pub(super) fn bytes(&mut self, size: u64) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(TAKEN_AT_ONCE)).unwrap_or_default());
        let read = (&mut *self).take(size).read_to_end(&mut bytes);
        read.map_err(|error| self.unreadable(&error))?;
        if (bytes.len() as u64) < size { Err(self.cut_off()) } else { Ok(bytes) }
    }

    /// Skips the next bytes, and the rest of their last block.
    pub(super) fn skip(&mut self, size: u64, of: u64) -> Outcome {
        let size = size + padding(of);
        let skipped = std::io::copy(&mut (&mut *self).take(size), &mut std::io::sink());
        if skipped.map_err(|error| self.unreadable(&error))? < size { Err(self.cut_off()) } else { Ok(()) }
    }

    /// Checks that only zeros follow the block that began the end mark, and not more of them than programs write. Reading them also
    /// checks the checksum of a compressed stream.
    pub(super) fn end(&mut self) -> Outcome {
        let message = |path: &Path, why: &str| Failure::failed(format!("{}: {why}", path.display()));
        let end = self.at - BLOCK as u64;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = self.some(&mut buffer)?;
            if buffer[..read].iter().any(|byte| *byte != 0) {
                let why = "data follows the archive's end mark: the archive is damaged, or these are several archives in one file";
                let hint = "join archives with `tar --concatenate`, or unpack them into one folder";
                return Err(message(self.path, why).hint(hint));
            }
            if read == 0 {
                break;
            }
        }
        let (total, zeros) = (self.at, self.at - end);
        let powers = std::iter::successors(Some(BLOCK as u64), |record| Some(2 * record));
        let powers = powers.take_while(|record| *record <= LARGEST_RECORD).map(|record| (record, record));
        let mut filled = powers.chain([(RECORD, 2 * RECORD)]);
        if zeros > END && !filled.any(|(record, most)| total.is_multiple_of(record) && zeros < most + END) {
            let why = "more zeros follow the archive's end mark than programs write: the archive is incomplete";
            let hint = "if it is complete, pack it again with `tar` without --blocking-factor";
            return Err(message(self.path, why).hint(hint));
        }
        Ok(())
    }

    /// As many bytes as are available at once; 0 at the end.
    fn some(&mut self, buffer: &mut [u8]) -> Outcome<usize> {
        loop {
            match self.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read.map_err(|error| self.unreadable(&error)),
            }
        }
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        let failure = Failure::file("the archive can not be read", self.path, error);
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Trailing>()) {
            Some(trailing) => failure.hint(trailing.hint()),
            None => failure,
        }
    }

    pub(super) fn cut_off(&self) -> Failure {
        Failure::failed(format!(
            "{}: the archive ends before its end mark: it was cut off; create it again, or transfer it again",
            self.path.display()
        ))
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}
