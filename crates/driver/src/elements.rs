//! Sorted sets of elements that may be larger than memory: which inputs and outputs a change affects.
//!
//! Elements are added in any order ([`Sorter`]) or in order ([`Writer`]), each with marks; equal ones become one with
//! the marks of all. What is beyond its share of memory lies in a file without a name. A set is walked in order, any
//! number of times.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use deltic_store::Tree;

use crate::rows::{RowStream, Rows};
use crate::shuffle::{Shuffle, failed};
use crate::{Element, Result};

/// So many elements are looked up together, and results settled together.
pub(crate) const TOGETHER: usize = 256;

/// Bytes of a set that are read from its file at a time.
const BLOCK: usize = 1 << 16;

/// A sorted set of elements, each as [`Element::write`] makes it and with eight bits of marks.
///
/// Memory: at most the share it was made with. A walk of a set in a file holds a block of it.
#[derive(Debug, Default)]
pub struct Elements {
    /// For each element its length, its marks and its bytes; all of them, unless there is a file.
    held: Vec<u8>,
    file: Option<(Mutex<File>, u64)>,
    count: u64,
}

impl Elements {
    /// The number of elements.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A walk from the first element on.
    pub fn walk(&self) -> Walk<'_> {
        Walk { set: self, block: Vec::new(), at: 0, read: 0 }
    }

    fn read_at(&self, from: u64, into: &mut Vec<u8>) -> std::io::Result<u64> {
        let Some((file, len)) = &self.file else { return Ok(0) };
        let wanted = (len - from).min(BLOCK as u64);
        let start = into.len();
        into.resize(start + wanted as usize, 0);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut into[start..])?;
        Ok(wanted)
    }
}

const HEAD: usize = 3;

/// Goes through a set in order.
#[derive(Debug)]
pub struct Walk<'a> {
    set: &'a Elements,
    /// Of a set in a file: what was read of it last.
    block: Vec<u8>,
    /// Where the next element begins: in the block, or in a set in memory.
    at: usize,
    /// How much of the file was read.
    read: u64,
}

impl Walk<'_> {
    /// The element at hand and its marks; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<(&[u8], u8)>> {
        if let Some((_, len)) = &self.set.file {
            // An element is far shorter than half a block.
            if self.block.len() - self.at < BLOCK / 2 && self.read < *len {
                self.block.drain(..self.at);
                self.at = 0;
                self.read += self.set.read_at(self.read, &mut self.block).map_err(failed)?;
            }
        }
        let Some([low, high, marks, rest @ ..]) = self.bytes().get(self.at..) else { return Ok(None) };
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        Ok(rest.get(..len).map(|element| (element, *marks)))
    }

    /// Goes on to the next element.
    pub fn advance(&mut self) -> Result<()> {
        if let Some((element, _)) = self.peek()? {
            self.at += HEAD + element.len();
        }
        Ok(())
    }

    /// The next elements, as many as are looked up together, each with its marks; none at the end.
    pub(crate) fn some(&mut self) -> Result<Vec<(Vec<u8>, u8)>> {
        let mut some = Vec::new();
        while some.len() < TOGETHER
            && let Some((element, marks)) = self.peek()?
        {
            some.push((element.to_vec(), marks));
            self.advance()?;
        }
        Ok(some)
    }

    /// Passes all elements before `element`; says whether it is in the set, and passes it too then.
    pub fn take(&mut self, element: &[u8]) -> Result<bool> {
        while let Some((next, _)) = self.peek()? {
            if next > element {
                break;
            }
            let found = next == element;
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

/// Takes elements in order.
#[derive(Debug)]
pub(crate) struct Writer {
    budget: usize,
    set: Elements,
}

impl Writer {
    /// A writer that holds about so many bytes in memory.
    pub(crate) fn new(budget: usize) -> Writer {
        Writer { budget, set: Elements::default() }
    }

    /// Adds an element that sorts after all others so far.
    pub(crate) fn push(&mut self, element: &[u8], marks: u8) -> Result<()> {
        let Elements { held, count, .. } = &mut self.set;
        held.extend_from_slice(&(element.len() as u16).to_le_bytes());
        held.push(marks);
        held.extend_from_slice(element);
        *count += 1;
        if held.len() > self.budget { self.spill() } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<Elements> {
        if self.set.file.is_some() {
            self.spill()?;
        }
        Ok(self.set)
    }

    fn spill(&mut self) -> Result<()> {
        let Elements { held, file, .. } = &mut self.set;
        let (file, len) = match file {
            Some(file) => file,
            none => none.insert((Mutex::new(tempfile::tempfile().map_err(failed)?), 0)),
        };
        *len += held.len() as u64;
        file.get_mut().unwrap_or_else(PoisonError::into_inner).write_all(held).map_err(failed)?;
        held.clear();
        Ok(())
    }
}

/// Takes elements in any order, equal ones any number of times.
#[derive(Debug)]
pub(crate) struct Sorter {
    budget: usize,
    sorted: Shuffle,
    batch: Rows,
}

impl Sorter {
    /// A sorter that holds about so many bytes in memory.
    pub(crate) fn new(budget: usize) -> Sorter {
        Sorter { budget, sorted: Shuffle::new(budget), batch: Rows::default() }
    }

    pub(crate) fn add(&mut self, element: &[u8], marks: u8) -> Result<()> {
        self.batch.push(element, &[], &[marks]);
        if self.batch.len() < 16 * TOGETHER {
            return Ok(());
        }
        self.sorted.push(std::mem::take(&mut self.batch))
    }

    /// The set of what was added, without the elements of another set.
    pub(crate) fn finish_without(mut self, others: &Elements) -> Result<Elements> {
        self.sorted.push(self.batch)?;
        let mut rows = self.sorted.finish()?;
        let mut others = others.walk();
        let mut set = Writer::new(self.budget);
        let mut element = Vec::new();
        while let Some(row) = rows.peek()? {
            element.clear();
            element.extend_from_slice(row.out);
            let mut marks = 0;
            while let Some(row) = rows.peek()?.filter(|row| row.out == element) {
                marks |= row.value.first().copied().unwrap_or_default();
                rows.advance()?;
            }
            if !others.take(&element)? {
                set.push(&element, marks)?;
            }
        }
        set.finish()
    }

    /// The set of what was added.
    pub(crate) fn finish(self) -> Result<Elements> {
        self.finish_without(&Elements::default())
    }
}

/// Look-ups in a table that go through a set in order: reads the leaves of many of them together, ahead of the first.
pub(crate) struct Ahead<'a> {
    table: Tree,
    walk: Walk<'a>,
    reached: Vec<u8>,
}

impl<'a> Ahead<'a> {
    /// Look-ups of elements of a set, which the table's keys begin with.
    pub(crate) fn new(table: &Tree, wanted: &'a Elements) -> Ahead<'a> {
        Ahead { table: table.clone(), walk: wanted.walk(), reached: Vec::new() }
    }

    /// To be called before the look-up of an element.
    pub(crate) fn reach(&mut self, element: &[u8]) -> Result<()> {
        if element <= &self.reached[..] || self.table.is_empty() || self.walk.set.len() < 2 {
            return Ok(());
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while keys.len() < TOGETHER
            && let Some((next, _)) = self.walk.peek()?
        {
            if next >= element {
                keys.push(next.to_vec());
            }
            self.walk.advance()?;
        }
        self.reached = keys.last().cloned().unwrap_or_else(|| element.to_vec());
        read_ahead_within(&self.table, &keys)
    }
}

/// Reads the leaves of ascending keys together. One key on a local store is as well looked up when it is needed.
pub(crate) fn read_ahead<K: AsRef<[u8]>>(table: &Tree, keys: &[K]) -> Result<()> {
    if !table.is_empty() && (keys.len() > 1 || table.is_remote() && !keys.is_empty()) {
        table.read_ahead(&keys.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// The same for all keys that begin with some ascending prefixes, none of which begins with another: the leaves that
/// each of them begins and ends in.
pub(crate) fn read_ahead_within<K: AsRef<[u8]>>(table: &Tree, prefixes: &[K]) -> Result<()> {
    if table.is_empty() || prefixes.len() < 2 && !table.is_remote() {
        return Ok(());
    }
    let both = |prefix: &K| [prefix.as_ref().to_vec(), [prefix.as_ref(), &[0xff]].concat()];
    read_ahead(table, &prefixes.iter().flat_map(both).collect::<Vec<_>>())
}

/// The elements of a set, decoded; `None` for bytes that are no element.
pub(crate) fn decoded(set: &Elements) -> impl Iterator<Item = Result<Option<Element>>> + '_ {
    let mut walk = set.walk();
    std::iter::from_fn(move || {
        let element = match walk.peek() {
            Ok(Some((mut bytes, _))) => Element::read(&mut bytes),
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        Some(walk.advance().map(|()| element))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(set: &Elements) -> Vec<(Vec<u8>, u8)> {
        let mut walk = set.walk();
        let mut all = Vec::new();
        while let Some((element, marks)) = walk.peek().unwrap() {
            all.push((element.to_vec(), marks));
            walk.advance().unwrap();
        }
        all
    }

    #[test]
    fn a_set_is_sorted_and_its_marks_joined_in_memory_and_in_a_file() {
        let made = |budget: usize| {
            let (mut sorter, mut even) = (Sorter::new(budget), Writer::new(budget));
            let mut number = 7u32;
            for _ in 0..50_000u32 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sorter.add(format!("{:05}", (number >> 8) % 20_000).as_bytes(), 1 << (number >> 24 & 3)).unwrap();
            }
            for n in (0..20_000).step_by(2) {
                even.push(format!("{n:05}").as_bytes(), 0).unwrap();
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
