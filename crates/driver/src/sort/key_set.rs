//! Sorted sets of elements that may be larger than memory: which inputs and outputs a change affects.
//!
//! Elements are added in any order ([`Sorter`]) or in order ([`Writer`]), each with marks; equal ones become one with
//! the marks of all. What is beyond its share of memory lies in a file without a name. A set is walked in order, any
//! number of times.

use deltic_store::Tree;

use crate::Result;
use crate::element::Element;
use crate::sort::external::{Shuffle, failed};
use crate::sort::marks::Marks;
use crate::sort::rows::{RowStream, Rows};
use crate::sort::spill::{Spill, SpillWriter, damaged};

/// So many elements are looked up together, and results settled together.
pub(crate) const TOGETHER: usize = 256;

/// About how many bytes of them, whatever their number.
pub(crate) const TOGETHER_BYTES: usize = 1 << 20;

/// A sorted set of elements, each as [`Element::write`] makes it and with eight bits of marks.
///
/// Memory: at most the share it was made with. A walk of a set in a file holds a block of it.
#[derive(Debug, Default)]
pub struct Elements {
    /// For each element its length, its marks and its bytes; all of them, unless there is a file.
    held: Vec<u8>,
    file: Option<Spill>,
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
    /// How many blocks of the file were read.
    read: u64,
}

impl Walk<'_> {
    /// The element at hand and its marks; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<(&[u8], Marks)>> {
        let Some([low, high, marks, ..]) = self.at_hand(HEAD)? else { return Ok(None) };
        let (len, marks) = (usize::from(u16::from_le_bytes([*low, *high])), Marks::from_bits_retain(*marks));
        let element = self.at_hand(HEAD + len)?.and_then(|bytes| bytes.get(HEAD..));
        element.map(|element| Some((element, marks))).ok_or_else(|| failed(damaged()))
    }

    /// The next so many bytes; `None` at the end, and an error where it comes before there are so many.
    fn at_hand(&mut self, wanted: usize) -> Result<Option<&[u8]>> {
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

    /// Goes on to the next element.
    pub fn advance(&mut self) -> Result<()> {
        if let Some((element, _)) = self.peek()? {
            self.at += HEAD + element.len();
        }
        Ok(())
    }

    /// The next elements, as many as are looked up together, each with its marks; none at the end.
    pub(crate) fn some(&mut self) -> Result<Vec<(Vec<u8>, Marks)>> {
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
    file: Option<SpillWriter>,
}

impl Writer {
    /// A writer that holds about so many bytes in memory.
    pub(crate) fn new(budget: usize) -> Writer {
        Writer { budget, set: Elements::default(), file: None }
    }

    /// Adds an element that sorts after all others so far.
    pub(crate) fn push(&mut self, element: &[u8], marks: Marks) -> Result<()> {
        let Elements { held, count, .. } = &mut self.set;
        held.extend_from_slice(&(element.len() as u16).to_le_bytes());
        held.push(marks.bits());
        held.extend_from_slice(element);
        *count += 1;
        if held.len() > self.budget { self.spill() } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<Elements> {
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

    pub(crate) fn add(&mut self, element: &[u8], marks: Marks) -> Result<()> {
        self.batch.push(element, &[], &[marks.bits()]);
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
            let mut marks = Marks::empty();
            while let Some(row) = rows.peek()?.filter(|row| row.out == element) {
                marks |= Marks::from_bits_retain(row.value.first().copied().unwrap_or_default());
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
impl Elements {
    /// A set that lies in a file.
    pub(crate) fn of_file(file: Spill) -> Elements {
        Elements { file: Some(file), ..Elements::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(set: &Elements) -> Vec<(Vec<u8>, u8)> {
        let mut walk = set.walk();
        let mut all = Vec::new();
        while let Some((element, marks)) = walk.peek().unwrap() {
            all.push((element.to_vec(), marks.bits()));
            walk.advance().unwrap();
        }
        all
    }

    #[test]
    fn a_set_that_was_damaged_or_ends_within_an_element_is_an_error() {
        let made = || {
            let mut writer = Writer::new(0);
            (0..20_000).for_each(|n| writer.push(format!("{n:05}").as_bytes(), Marks::CLAIMED_BEFORE).unwrap());
            writer.finish().unwrap()
        };
        let count = |set: &Elements| {
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
            let set = Elements::of_file(Spill::of(bytes));
            assert!(count(&set).is_err(), "{bytes:?}");
            assert!(count(&Elements { held: bytes.to_vec(), ..Elements::default() }).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_set_is_sorted_and_its_marks_joined_in_memory_and_in_a_file() {
        let made = |budget: usize| {
            let (mut sorter, mut even) = (Sorter::new(budget), Writer::new(budget));
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
