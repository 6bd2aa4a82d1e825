//! Rows that front-ends emit and back-ends read, as flat bytes: many rows in one buffer, no allocation for each.

use crate::Result;

/// A row: an output, an input, and a value that the input emits to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The output, encoded.
    pub out: &'a [u8],
    /// The input, encoded.
    pub item: &'a [u8],
    /// The encoded value.
    pub value: &'a [u8],
}

/// A sequence of rows in one buffer.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    index: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    out: u16,
    item: u16,
    value: u32,
}

impl Rows {
    /// Appends a row. Keys are at most 2,003 bytes long, as names are; a value may have up to 4 GiB.
    pub fn push(&mut self, out: &[u8], item: &[u8], value: &[u8]) {
        let place = Place {
            start: self.bytes.len(),
            out: out.len() as u16,
            item: item.len() as u16,
            value: value.len() as u32,
        };
        self.index.push(place);
        self.bytes.extend_from_slice(out);
        self.bytes.extend_from_slice(item);
        self.bytes.extend_from_slice(value);
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// A row by number.
    pub fn get(&self, number: usize) -> Row<'_> {
        let Place { start, out, item, value } = self.index[number];
        let (item_at, value_at) = (start + out as usize, start + out as usize + item as usize);
        Row {
            out: &self.bytes[start..item_at],
            item: &self.bytes[item_at..value_at],
            value: &self.bytes[value_at..value_at + value as usize],
        }
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|number| self.get(number))
    }

    /// Bytes in memory, including unused capacity.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.index.capacity() * size_of::<Place>()
    }

    /// Bytes of rows.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.index.len() * size_of::<Place>()
    }

    /// Frees unused capacity, if it is more than an eighth.
    pub(crate) fn trim(&mut self) {
        if self.memory() > self.bytes() + self.bytes() / 8 {
            self.bytes.shrink_to_fit();
            self.index.shrink_to_fit();
        }
    }

    /// The bytes by which rows sort: the output, then the input.
    pub(crate) fn key(&self, number: usize) -> &[u8] {
        let Place { start, out, item, .. } = self.index[number];
        &self.bytes[start..start + out as usize + item as usize]
    }

    /// Takes the rows from `number` on out of this sequence.
    pub(crate) fn split_off(&mut self, number: usize) -> Rows {
        let start = self.index.get(number).map_or(self.bytes.len(), |place| place.start);
        let mut index = self.index.split_off(number);
        index.iter_mut().for_each(|place| place.start -= start);
        Rows { bytes: self.bytes.split_off(start), index }
    }
}

/// Rows one after another, sorted by output, then input, then emission. May be larger than memory.
pub trait RowStream {
    /// The current row; `None` at the end.
    fn peek(&mut self) -> Result<Option<Row<'_>>>;

    /// Goes on to the next row.
    fn advance(&mut self) -> Result<()>;

    /// All rows of the stream, if all of them are in memory.
    fn in_memory(&self) -> Option<&Rows> {
        None
    }
}

/// A stream over rows in memory that are sorted already.
#[derive(Debug)]
pub(crate) struct SortedRows<'a> {
    rows: &'a Rows,
    next: usize,
}

impl<'a> SortedRows<'a> {
    /// From the first row on.
    pub(crate) fn new(rows: &'a Rows) -> SortedRows<'a> {
        SortedRows { rows, next: 0 }
    }
}

impl RowStream for SortedRows<'_> {
    fn peek(&mut self) -> Result<Option<Row<'_>>> {
        Ok((self.next < self.rows.len()).then(|| self.rows.get(self.next)))
    }

    fn advance(&mut self) -> Result<()> {
        self.next += 1;
        Ok(())
    }

    fn in_memory(&self) -> Option<&Rows> {
        Some(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut rows = Rows::default();
        rows.push(b"out", b"item", b"value");
        rows.push(b"", b"", b"");
        rows.push(b"o", b"i", b"");
        let tail = rows.split_off(1);
        assert_eq!((rows.len(), tail.len()), (1, 2));
        assert_eq!(rows.get(0), Row { out: b"out", item: b"item", value: b"value" });
        assert_eq!(tail.get(1), Row { out: b"o", item: b"i", value: b"" });
        assert_eq!(tail.key(1), b"oi");
    }
}
