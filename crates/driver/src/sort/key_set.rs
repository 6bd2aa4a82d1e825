//! Sorted sets of encoded keys that may be larger than memory: the inputs and outputs that a change affects.
//!
//! Keys are added in any order ([`KeySorter`]) or in order ([`KeyWriter`]), each with marks; equal keys become one with
//! the marks of all. A set that exceeds its memory is written to a file without a name. It can be walked in order, any
//! number of times.

use deltic_core::TaskId;

use crate::Result;
use crate::key::{EncodedKey, TaskKey};
use crate::sort::external::{Shuffle, failed};
use crate::sort::marks::Marks;
use crate::sort::read_ahead::TOGETHER;
use crate::sort::rows::{RowStream, Rows};
use crate::sort::spill::{Spill, SpillWriter, damaged};

/// A sorted set of encoded keys, each with eight bits of marks.
///
/// Memory: at most the share it was made with. A walk of a set in a file holds a block of it.
#[derive(Debug, Default)]
pub struct KeySet {
    /// For each key its length, its marks and its bytes; all of them, unless there is a file.
    held: Vec<u8>,
    file: Option<Spill>,
    count: u64,
}

impl KeySet {
    /// The number of keys.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A walk from the first key on.
    pub fn walk(&self) -> Walk<'_> {
        Walk { set: self, block: Vec::new(), at: 0, read: 0 }
    }
}

const HEAD: usize = 3;

/// A walk over a set, in order.
#[derive(Debug)]
pub struct Walk<'a> {
    set: &'a KeySet,
    /// Of a set in a file: the bytes that were read last.
    block: Vec<u8>,
    /// Where the next key begins: in the block, or in a set in memory.
    at: usize,
    /// The number of blocks that were read.
    read: u64,
}

impl Walk<'_> {
    /// The current key and its marks; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<(&[u8], Marks)>> {
        let Some([low, high, marks, ..]) = self.bytes_ahead(HEAD)? else { return Ok(None) };
        let (len, marks) = (usize::from(u16::from_le_bytes([*low, *high])), Marks::from_bits_retain(*marks));
        let key = self.bytes_ahead(HEAD + len)?.and_then(|bytes| bytes.get(HEAD..));
        key.map(|key| Some((key, marks))).ok_or_else(|| failed(damaged()))
    }

    /// The next `wanted` bytes; `None` at the end, and an error if the set ends within them.
    fn bytes_ahead(&mut self, wanted: usize) -> Result<Option<&[u8]>> {
        if let Some(file) = &self.set.file {
            while self.block.len() - self.at < wanted {
                self.block.drain(..self.at);
                self.at = 0;
                let kept = self.block.len();
                file.read_block(self.read, &mut self.block).map_err(failed)?;
                self.read += 1;
                if self.block.len() == kept {
                    break;
                }
            }
        }
        let bytes = &self.bytes()[self.at..];
        if bytes.is_empty() {
            return Ok(None);
        }
        bytes.get(..wanted).map(Some).ok_or_else(|| failed(damaged()))
    }

    /// Goes on to the next key.
    pub fn advance(&mut self) -> Result<()> {
        if let Some((key, _)) = self.peek()? {
            self.at += HEAD + key.len();
        }
        Ok(())
    }

    /// The next keys, as many as are looked up together, each with its marks; none at the end.
    pub(crate) fn some(&mut self) -> Result<Vec<(EncodedKey, Marks)>> {
        let mut some = Vec::new();
        while some.len() < TOGETHER
            && let Some((key, marks)) = self.peek()?
        {
            some.push((key.into(), marks));
            self.advance()?;
        }
        Ok(some)
    }

    /// Advances behind `key`; returns whether the set contains it. Keys are asked for in order.
    pub fn take(&mut self, key: &[u8]) -> Result<bool> {
        while let Some((next, _)) = self.peek()? {
            if next > key {
                break;
            }
            let found = next == key;
            self.advance()?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn bytes(&self) -> &[u8] {
        if self.set.file.is_some() { &self.block } else { &self.set.held }
    }
}

/// Makes a set of keys that come in order.
#[derive(Debug)]
pub(crate) struct KeyWriter {
    budget: usize,
    set: KeySet,
    file: Option<SpillWriter>,
}

impl KeyWriter {
    /// A writer that holds about `budget` bytes in memory.
    pub(crate) fn new(budget: usize) -> KeyWriter {
        KeyWriter { budget, set: KeySet::default(), file: None }
    }

    /// Adds a key that sorts after all others so far.
    pub(crate) fn push(&mut self, key: &[u8], marks: Marks) -> Result<()> {
        let KeySet { held, count, .. } = &mut self.set;
        held.extend_from_slice(&(key.len() as u16).to_le_bytes());
        held.push(marks.bits());
        held.extend_from_slice(key);
        *count += 1;
        if held.len() > self.budget { self.spill() } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<KeySet> {
        if self.file.is_some() {
            self.spill()?;
        }
        self.set.file = self.file.map(SpillWriter::finish).transpose().map_err(failed)?;
        Ok(self.set)
    }

    fn spill(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(SpillWriter::new().map_err(failed)?),
        };
        file.write(&self.set.held).map_err(failed)?;
        self.set.held.clear();
        Ok(())
    }
}

/// Makes a set of keys that come in any order, equal ones any number of times.
#[derive(Debug)]
pub(crate) struct KeySorter {
    budget: usize,
    sorted: Shuffle,
    batch: Rows,
}

impl KeySorter {
    /// A sorter that holds about `budget` bytes in memory.
    pub(crate) fn new(budget: usize) -> KeySorter {
        KeySorter { budget, sorted: Shuffle::new(budget), batch: Rows::default() }
    }

    pub(crate) fn add(&mut self, key: &[u8], marks: Marks) -> Result<()> {
        self.batch.push(key, &[], &[marks.bits()]);
        if self.batch.len() < 16 * TOGETHER {
            return Ok(());
        }
        self.sorted.push(std::mem::take(&mut self.batch))
    }

    /// The set of the added keys, without those of another set.
    pub(crate) fn finish_without(mut self, others: &KeySet) -> Result<KeySet> {
        self.sorted.push(self.batch)?;
        let mut rows = self.sorted.finish()?;
        let mut others = others.walk();
        let mut set = KeyWriter::new(self.budget);
        let mut key = Vec::new();
        while let Some(row) = rows.peek()? {
            key.clear();
            key.extend_from_slice(row.out);
            let mut marks = Marks::empty();
            while let Some(row) = rows.peek()?.filter(|row| row.out == key) {
                marks |= Marks::from_bits_retain(row.value.first().copied().unwrap_or_default());
                rows.advance()?;
            }
            if !others.take(&key)? {
                set.push(&key, marks)?;
            }
        }
        set.finish()
    }

    /// The set of the added keys.
    pub(crate) fn finish(self) -> Result<KeySet> {
        self.finish_without(&KeySet::default())
    }
}

/// The keys of a set that a stage of `task` made.
pub(crate) fn decoded<S>(task: &TaskId, set: &KeySet) -> impl Iterator<Item = Result<TaskKey<S>>> {
    let mut walk = set.walk();
    std::iter::from_fn(move || {
        let key = match walk.peek() {
            Ok(Some((encoded, _))) => TaskKey::decode(task, encoded),
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        Some(walk.advance().and(key))
    })
}

#[cfg(test)]
impl KeySet {
    /// A set that lies in a file.
    pub(crate) fn of_file(file: Spill) -> KeySet {
        KeySet { file: Some(file), ..KeySet::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(set: &KeySet) -> Vec<(Vec<u8>, u8)> {
        let mut walk = set.walk();
        let mut all = Vec::new();
        while let Some((key, marks)) = walk.peek().unwrap() {
            all.push((key.to_vec(), marks.bits()));
            walk.advance().unwrap();
        }
        all
    }

    #[test]
    fn a_set_that_was_damaged_or_ends_within_a_key_is_an_error() {
        let made = || {
            let mut writer = KeyWriter::new(0);
            (0..20_000).for_each(|n| writer.push(format!("{n:05}").as_bytes(), Marks::CLAIMED_BEFORE).unwrap());
            writer.finish().unwrap()
        };
        let count = |set: &KeySet| {
            let (mut walk, mut count) = (set.walk(), 0);
            while walk.peek()?.is_some() {
                walk.advance()?;
                count += 1;
            }
            Ok::<_, crate::Error>(count)
        };
        assert_eq!(count(&made()).unwrap(), 20_000);
        for at in [0, 70_000, 140_000] {
            for cut in [false, true] {
                let set = made();
                let file = set.file.as_ref().unwrap();
                file.tamper(|file| if cut { file.truncate(at) } else { file[at] ^= 0x40 });
                assert!(count(&set).unwrap_err().to_string().contains("check that disk"), "{at} {cut}");
            }
        }
        for bytes in [&[1u8][..], &[1, 0], &[1, 0, 0], &[2, 0, 0, b'x'], &[0xff, 0xff, 0, b'x']] {
            let set = KeySet::of_file(Spill::of(bytes));
            assert!(count(&set).is_err(), "{bytes:?}");
            assert!(count(&KeySet { held: bytes.to_vec(), ..KeySet::default() }).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_set_is_sorted_and_its_marks_joined_in_memory_and_in_a_file() {
        let made = |budget: usize| {
            let (mut sorter, mut even) = (KeySorter::new(budget), KeyWriter::new(budget));
            let mut number = 7u32;
            for _ in 0..50_000u32 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sorter
                    .add(
                        format!("{:05}", (number >> 8) % 20_000).as_bytes(),
                        Marks::from_bits_retain(1 << (number >> 24 & 3)),
                    )
                    .unwrap();
            }
            for n in (0..20_000).step_by(2) {
                even.push(format!("{n:05}").as_bytes(), Marks::empty()).unwrap();
            }
            let even = even.finish().unwrap();
            let odd = sorter.finish_without(&even).unwrap();
            assert_eq!(odd.file.is_some(), budget == 0);
            (walked(&odd), odd.len(), walked(&even), odd)
        };
        let (odd, count, even, set) = made(1 << 30);
        let spilled = made(0);
        assert_eq!((&odd, count, &even), (&spilled.0, spilled.1, &spilled.2));
        assert_eq!(odd.len() as u64, count);
        assert!(odd.is_sorted_by(|a, b| a.0 < b.0) && odd.iter().all(|(name, marks)| name[4] % 2 == 1 && *marks != 0));
        assert!(odd.iter().any(|(_, marks)| *marks == 15));
        for set in [set, spilled.3] {
            let mut walk = set.walk();
            assert!(!walk.take(b"00000").unwrap() && walk.take(&odd[7].0).unwrap() && !walk.take(&odd[7].0).unwrap());
            assert!(walk.take(&odd[odd.len() - 1].0).unwrap() && walk.peek().unwrap().is_none());
        }
    }
}
