//! Sparse files: an archive holds some ranges of their bytes, and the rest are zeros.

use tar::{GnuExtSparseHeader, GnuHeader, GnuSparseHeader};

use super::BLOCK;
use super::pax::{Records, decimal};
use crate::terminal::failure::Outcome;

/// The longest file with holes that is expanded: a few bytes of an archive could expand to any length.
const LONGEST: u64 = 1 << 30;

/// The most pieces of a file.
const MOST_PIECES: usize = 1 << 20;

/// Takes the next block of the archive.
type NextBlock<'a> = dyn FnMut() -> Outcome<[u8; BLOCK]> + 'a;

/// Pieces of a file, as offset and length; the rest of it is zeros.
#[derive(Debug, Default)]
pub(super) struct Map {
    pieces: Vec<(u64, u64)>,
    size: u64,
}

impl Map {
    /// The map in the old form of GNU, which may continue in further headers.
    ///
    /// The outer result is for errors of reading the archive.
    pub(super) fn of_gnu(header: &GnuHeader, next: &mut NextBlock<'_>) -> Outcome<Result<Map, String>> {
        let mut map = Map { pieces: Vec::new(), size: 0 };
        let add = |map: &mut Map, found: &[GnuSparseHeader]| -> Result<(), String> {
            for piece in found.iter().filter(|piece| piece.numbytes[0] != 0) {
                let (Ok(offset), Ok(length)) = (piece.offset(), piece.length()) else { return Err(bad()) };
                map.add(offset, length)?;
            }
            Ok(())
        };
        let mut problem = header.real_size().map(|size| map.size = size).map_err(|_| bad());
        problem = problem.and_then(|()| add(&mut map, &header.sparse));
        let mut more = header.is_extended();
        while more && problem.is_ok() {
            let mut extension = GnuExtSparseHeader::new();
            extension.as_mut_bytes().copy_from_slice(&next()?);
            problem = add(&mut map, &extension.sparse);
            more = extension.is_extended();
        }
        Ok(problem.map(|()| map))
    }

    /// The map in the forms of pax. In form 1.0 it is before the content, and its length is part of `stored`.
    pub(super) fn of_pax(
        records: &Records,
        stored: &mut u64,
        next: &mut NextBlock<'_>,
    ) -> Outcome<Result<Map, String>> {
        let version =
            match records.one("GNU.sparse.major").and_then(|major| Ok((major, records.one("GNU.sparse.minor")?))) {
                Ok(version) => version,
                Err(why) => return Ok(Err(why)),
            };
        match version {
            (Some(b"1"), Some(b"0")) => {
                let size = match records.number("GNU.sparse.realsize") {
                    Ok(Some(size)) if records.one("GNU.sparse.name").is_ok_and(|name| name.is_some()) => size,
                    _ => return Ok(Err(bad())),
                };
                Map { pieces: Vec::new(), size }.with_stored(stored, next)
            }
            (None, None) => Ok(Map::in_records(records)),
            _ => Ok(Err("it is a sparse file of an unknown form".to_owned())),
        }
    }

    /// Reads the map of form 1.0: numbers in lines, filled up to a block.
    fn with_stored(mut self, stored: &mut u64, next: &mut NextBlock<'_>) -> Outcome<Result<Map, String>> {
        let mut line = Vec::new();
        let (mut count, mut offset) = (None, None);
        while count != Some(self.pieces.len() as u64) || offset.is_some() {
            let Some(rest) = stored.checked_sub(BLOCK as u64) else { return Ok(Err(bad())) };
            *stored = rest;
            for byte in next()? {
                if byte != b'\n' {
                    // The rest of the block after the last line is padding.
                    if count == Some(self.pieces.len() as u64) && offset.is_none() {
                        break;
                    }
                    line.push(byte);
                    continue;
                }
                let Some(number) = decimal(&line).filter(|_| (1..=20).contains(&line.len())) else {
                    return Ok(Err(bad()));
                };
                line.clear();
                match (count, offset.take()) {
                    (None, _) => count = Some(number),
                    (Some(_), None) => offset = Some(number),
                    (Some(_), Some(offset)) => {
                        if let Err(why) = self.add(offset, number) {
                            return Ok(Err(why));
                        }
                    }
                }
                if count == Some(self.pieces.len() as u64) && offset.is_none() {
                    break;
                }
            }
            if line.len() > 20 {
                return Ok(Err(bad()));
            }
        }
        Ok(Ok(self))
    }

    /// Reads the maps of forms 0.0, a record for each number, and 0.1, one list.
    fn in_records(records: &Records) -> Result<Map, String> {
        let size = records.number("GNU.sparse.size")?.ok_or_else(bad)?;
        let mut map = Map { pieces: Vec::new(), size };
        let mut numbers = Vec::new();
        let list = records.one("GNU.sparse.map")?;
        for (key, value) in records.iter() {
            let expected = if numbers.len() % 2 == 0 { "GNU.sparse.offset" } else { "GNU.sparse.numbytes" };
            if matches!(key, "GNU.sparse.offset" | "GNU.sparse.numbytes") {
                numbers.push(decimal(value).filter(|_| key == expected && list.is_none()).ok_or_else(bad)?);
            }
        }
        for number in list.into_iter().flat_map(|list| list.split(|byte| *byte == b',')) {
            numbers.push(decimal(number).ok_or_else(bad)?);
        }
        let pieces = numbers.chunks_exact(2);
        if !pieces.remainder().is_empty() || records.number("GNU.sparse.numblocks")? != Some(pieces.len() as u64) {
            return Err(bad());
        }
        pieces.into_iter().try_for_each(|piece| map.add(piece[0], piece[1]))?;
        Ok(map)
    }

    fn add(&mut self, offset: u64, length: u64) -> Result<(), String> {
        let from = self.pieces.last().map_or(0, |(offset, length)| offset + length);
        let end = offset.checked_add(length).filter(|end| from <= offset && *end <= self.size);
        if end.is_none() || self.pieces.len() >= MOST_PIECES {
            return Err(bad());
        }
        self.pieces.push((offset, length));
        Ok(())
    }

    /// Checks that the map describes `stored` bytes.
    pub(super) fn check(&self, stored: u64) -> Result<(), String> {
        if self.size > LONGEST {
            return Err(format!(
                "with its holes it is {} bytes long, and such files may have at most {LONGEST}",
                self.size
            ));
        }
        let pieces = || self.pieces.iter().filter(|(_, length)| *length > 0);
        // When a piece does not fill its last block, some programs begin the next piece there, and some at the next block.
        let ends_early = pieces().rev().skip(1).any(|(_, length)| length % BLOCK as u64 != 0);
        let sum: u64 = pieces().map(|(_, length)| length).sum();
        if sum != stored || ends_early { Err(bad()) } else { Ok(()) }
    }

    /// The file, from its pieces one after the other. The map has been checked.
    pub(super) fn expand(&self, stored: &[u8]) -> Vec<u8> {
        let mut file = Vec::with_capacity(self.size as usize);
        let mut rest = stored;
        for (offset, length) in &self.pieces {
            let (piece, after) = rest.split_at((*length as usize).min(rest.len()));
            file.resize(*offset as usize, 0);
            file.extend_from_slice(piece);
            rest = after;
        }
        file.resize(self.size as usize, 0);
        file
    }
}

fn bad() -> String {
    "the map of its holes is damaged, or of an unknown form".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(size: u64, pieces: &[(u64, u64)]) -> Result<Map, String> {
        let mut map = Map { pieces: Vec::new(), size };
        pieces.iter().try_for_each(|(offset, length)| map.add(*offset, *length))?;
        map.check(pieces.iter().map(|(_, length)| length).sum())?;
        Ok(map)
    }

    #[test]
    fn pieces_ascend_within_the_file() {
        assert_eq!(map(6, &[(1, 2), (6, 0)]).unwrap().expand(b"ab"), b"\0ab\0\0\0");
        assert_eq!(map(3, &[]).unwrap().expand(b""), [0; 3]);
        assert!(map(2000, &[(0, 512), (1024, 3)]).is_ok());
        for pieces in [&[(1, 6)][..], &[(2, 1), (0, 1)], &[(0, 2), (1, 1)], &[(u64::MAX, 2)], &[(0, 3), (4, 1)]] {
            assert!(map(6, pieces).is_err(), "{pieces:?}");
        }
        assert!(map(6, &[(0, 2)]).unwrap().check(3).is_err());
    }

    #[test]
    fn what_is_made_of_holes_has_a_limit() {
        assert!(map(LONGEST, &[]).is_ok());
        assert!(map(LONGEST + 1, &[]).unwrap_err().contains("at most 1073741824"));
        let mut many = Map { pieces: vec![(0, 0); MOST_PIECES - 1], size: 1 };
        assert!(many.add(0, 0).is_ok());
        assert!(many.add(0, 0).is_err());
    }
}
