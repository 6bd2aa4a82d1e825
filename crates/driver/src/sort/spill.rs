//! Files for data that does not fit into memory: written once, then read in order, any number of times.
//!
//! A file never has a name, so nothing is left behind however the process ends. It is a sequence of blocks of 64 KiB, of
//! which the last may be shorter. Each is followed by a check: the first eight bytes of the BLAKE3 of its number and its
//! bytes. A block is checked before any of it is used; otherwise an error of the disk would become part of a layer.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use deltic_core::Hasher;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 1 << 16;

/// Bytes of a block's check.
const CHECK: usize = 8;

/// A file that was written.
#[derive(Debug)]
pub(crate) struct Spill {
    file: Mutex<File>,
    len: u64,
}

impl Spill {
    /// Appends the bytes of a block to `into`; none if there is no such block.
    pub(crate) fn read_block(&self, number: u64, into: &mut Vec<u8>) -> Result<()> {
        let bytes = self.len.saturating_sub(number * BLOCK as u64).min(BLOCK as u64) as usize;
        if bytes == 0 {
            return Ok(());
        }
        let start = into.len();
        into.resize(start + bytes + CHECK, 0);
        let read = {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let from = file.seek(SeekFrom::Start(number * (BLOCK + CHECK) as u64));
            from.and_then(|_| file.read_exact(&mut into[start..]))
        };
        let (block, found) = into[start..].split_at(bytes);
        let read = read.and_then(|()| if check(number, block)[..] == *found { Ok(()) } else { Err(damaged()) });
        into.truncate(start + if read.is_ok() { bytes } else { 0 });
        read
    }

    /// Reads it from the beginning.
    pub(crate) fn read(self) -> SpillReader {
        SpillReader { spill: self, next: 0, block: Vec::new(), at: 0 }
    }
}

/// The error for a file that differs from what was written.
pub(crate) fn damaged() -> Error {
    Error::new(ErrorKind::InvalidData, "what was written to it is not what is read back")
}

fn check(number: u64, block: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    let digest = Hasher::new("deltic spill 1").number(number).raw(block).finish();
    check.copy_from_slice(&digest.as_bytes()[..CHECK]);
    check
}

/// Writes a file from its beginning to its end. Memory: a block.
#[derive(Debug)]
pub(crate) struct SpillWriter {
    file: File,
    block: Vec<u8>,
    blocks: u64,
}

impl SpillWriter {
    pub(crate) fn new() -> Result<SpillWriter> {
        Ok(SpillWriter { file: tempfile::tempfile()?, block: Vec::with_capacity(BLOCK + CHECK), blocks: 0 })
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while self.block.len() + bytes.len() >= BLOCK {
            let (now, rest) = bytes.split_at(BLOCK - self.block.len());
            self.block.extend_from_slice(now);
            self.write_block()?;
            bytes = rest;
        }
        self.block.extend_from_slice(bytes);
        Ok(())
    }

    fn write_block(&mut self) -> Result<()> {
        let check = check(self.blocks, &self.block);
        self.block.extend_from_slice(&check);
        self.file.write_all(&self.block)?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Spill> {
        let len = self.blocks * BLOCK as u64 + self.block.len() as u64;
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(Spill { file: Mutex::new(self.file), len })
    }
}

/// Reads a file from its beginning. Memory: a block.
#[derive(Debug)]
pub(crate) struct SpillReader {
    spill: Spill,
    next: u64,
    block: Vec<u8>,
    at: usize,
}

impl SpillReader {
    /// Bytes that are still to be read.
    pub(crate) fn left(&self) -> u64 {
        let read = (self.next * BLOCK as u64).min(self.spill.len);
        self.spill.len - read + (self.block.len() - self.at) as u64
    }
}

impl Read for SpillReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.at == self.block.len() {
            self.block.clear();
            self.at = 0;
            self.spill.read_block(self.next, &mut self.block)?;
            self.next += 1;
        }
        let taken = buffer.len().min(self.block.len() - self.at);
        buffer[..taken].copy_from_slice(&self.block[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
impl Spill {
    /// Changes the file behind its back: `change` is given all its bytes.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut file = self.file.lock().unwrap();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        change(&mut bytes);
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&bytes).unwrap();
    }

    /// A file whose blocks hold `bytes`, with checks that are right.
    pub(crate) fn of(bytes: &[u8]) -> Spill {
        let mut writer = SpillWriter::new().unwrap();
        writer.write(bytes).unwrap();
        writer.finish().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(len: usize) -> Vec<u8> {
        (0..len as u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(len).collect()
    }

    fn all(spill: Spill) -> Result<Vec<u8>> {
        let mut reader = spill.read();
        let mut all = Vec::new();
        let mut piece = [0; 1000];
        while reader.left() > 0 {
            let taken = reader.read(&mut piece)?;
            all.extend_from_slice(&piece[..taken]);
        }
        assert_eq!(reader.read(&mut piece)?, 0);
        Ok(all)
    }

    #[test]
    fn bytes_come_back_whatever_their_number() {
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 77] {
            for piece in [1, 7, 1000, BLOCK, 5 * BLOCK].into_iter().filter(|piece| *piece > 1 || len <= BLOCK) {
                let mut writer = SpillWriter::new().unwrap();
                numbered(len).chunks(piece).for_each(|piece| writer.write(piece).unwrap());
                let spill = writer.finish().unwrap();
                assert_eq!(spill.len, len as u64);
                assert!(all(spill).unwrap() == numbered(len), "{len} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn every_damage_is_noticed_before_anything_of_the_block_is_used() {
        let made = || Spill::of(&numbered(2 * BLOCK + 100));
        let whole = 2 * (BLOCK + CHECK) + 100 + CHECK;
        for at in (0..whole).step_by(997).chain(whole - 110..whole) {
            for cut in [false, true] {
                let spill = made();
                spill.tamper(|bytes| if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << (at % 8) });
                for number in 0..3 {
                    let mut block = Vec::new();
                    let read = spill.read_block(number, &mut block);
                    let hit = number as usize == at / (BLOCK + CHECK) || cut && number as usize > at / (BLOCK + CHECK);
                    assert_eq!((read.is_err(), block.is_empty()), (hit, hit), "byte {at}, block {number}");
                }
            }
        }
        // Blocks that changed places.
        let spill = made();
        spill.tamper(|bytes| bytes[..2 * (BLOCK + CHECK)].rotate_left(BLOCK + CHECK));
        assert!(all(spill).is_err());
    }
}
