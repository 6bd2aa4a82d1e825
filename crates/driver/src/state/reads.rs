//! What front- and back-ends read through their contexts: the tables `reads`, by reader, and `readers`, by what was read.
//!
//! `reads` gives the old reads of a reader that ran again, so that rows which are no longer true can be removed.
//! `readers` gives the readers that a change affects. Both have the same rows, so they are written together: a row of one
//! table without that of the other would be a change that nobody notices, or a reader that is affected for ever.

use std::ops::Bound;

use deltic_compiler::Seen;
use deltic_core::{Digest, NameBytes};
use deltic_store::{Entry, KeyRange, Tree};

use crate::key::{InputKey, LayerIndex, OutputKey, TaskKey};
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::merge_join::{Side, merge_join};
use crate::sort::read_ahead::read_ahead_within;
use crate::sort::rows::{RowStream, Rows};
use crate::state::read_keys::{ReadKind, RecordedRead, part_prefix, split_field, within_length};
use crate::state::tables::{State, TableWriter};
use crate::state::tree_writer::Writers;
use crate::{Error, Result};

/// Code that reads: the front-end of an input or the back-end of an output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reader {
    Front(InputKey),
    Back(OutputKey),
}

const FRONT: u8 = 0;
const BACK: u8 = 1;

/// The kinds of reads that any reader made of a layer.
///
/// They decide which look-ups a changed partition needs: a layer that is only listed by one length of prefix needs one,
/// and not one for each kind and each length.
pub(crate) struct Watch {
    layer: LayerIndex,
    partition: bool,
    presence: bool,
    part: bool,
    within: Vec<u16>,
}

impl Watch {
    pub(crate) fn is_idle(&self) -> bool {
        !self.partition && !self.presence && !self.part && self.within.is_empty()
    }

    /// The read keys that a change of one partition can affect, each as rows of `readers` begin with it.
    fn prefixes(&self, name: &NameBytes, came_or_went: bool, out: &mut Vec<Vec<u8>>) {
        let mut add = |seen: &Seen| {
            let mut prefix = RecordedRead::of(seen).key;
            // Ends the read key: without it, rows of longer names would match too.
            prefix.push(0);
            out.push(prefix);
        };
        if self.partition {
            add(&Seen::Partition(self.layer.0, name.clone()));
        }
        // Whether a partition exists does not change with its content.
        if self.presence && came_or_went {
            add(&Seen::Presence(self.layer.0, name.clone()));
        }
        for length in self.within.iter().map(|length| usize::from(*length)).filter(|length| *length <= name.len()) {
            add(&Seen::Within(self.layer.0, name[..length].into()));
        }
    }
}

/// The current parts of a partition, by layer, name and projection.
pub(crate) type PartsNow<'a> = dyn Fn(LayerIndex, &NameBytes, &str) -> Result<PartNow<'a>> + 'a;

/// The digest of a current part, by its argument; none if the projection fails.
pub(crate) type PartNow<'a> = Box<dyn Fn(&str) -> Result<Option<Digest>> + 'a>;

impl State {
    /// What a reader read in the base, in order.
    pub(crate) fn reads_of(&self, reader: &Reader) -> Result<Vec<RecordedRead>> {
        if self.reads.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = reader.bytes();
        let read = |found: deltic_store::Result<(NameBytes, Entry)>| {
            let (key, entry) = found?;
            Ok(RecordedRead { key: key[prefix.len()..].to_vec(), part: self.digest(&self.reads, &entry)? })
        };
        self.reads.scan(KeyRange::prefix(&prefix)).map(read).collect()
    }

    /// The readers that some changes of a layer affect. Changes are names in order, each with whether the partition was
    /// added or removed.
    ///
    /// Cost: for each change a look-up in `readers` for each kind of read that `watch` has, and for listings one for each
    /// length of prefix; the leaves of all of them are read together. A partition of which parts were read is decoded once
    /// for each projection, and each part is taken once.
    pub(crate) fn readers_of(
        &self,
        watch: &Watch,
        changes: &[(NameBytes, bool)],
        parts_now: &PartsNow<'_>,
        mut take: impl FnMut(Reader) -> Result<()>,
    ) -> Result<()> {
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
        for (name, came_or_went) in changes {
            watch.prefixes(name, *came_or_went, &mut prefixes);
        }
        // Many changes lie within one listed prefix: each is looked up once, in the order of the table.
        prefixes.sort_unstable();
        prefixes.dedup();
        read_ahead_within(&self.readers, &prefixes)?;
        for prefix in prefixes {
            for found in self.readers.scan(KeyRange::prefix(&prefix)) {
                let (key, _) = found?;
                take(self.reader(&key[prefix.len()..])?)?;
            }
        }
        if watch.part {
            for (name, _) in changes {
                self.readers_of_parts(watch.layer, name, parts_now, &mut take)?;
            }
        }
        Ok(())
    }

    /// The readers of those parts of a partition that changed. A part that can not be taken any more counts as changed: its
    /// readers run again, and fail or not.
    fn readers_of_parts(
        &self,
        layer: LayerIndex,
        name: &NameBytes,
        parts_now: &PartsNow<'_>,
        take: &mut dyn FnMut(Reader) -> Result<()>,
    ) -> Result<()> {
        let prefix = part_prefix(layer, name);
        // Rows are sorted by projection, then argument, so only the last of each has to be remembered.
        let mut parts: Option<(String, PartNow<'_>)> = None;
        let mut last: Option<(String, Option<Digest>)> = None;
        for found in self.readers.scan(KeyRange::prefix(&prefix)) {
            let (key, entry) = found?;
            let cut_short = || self.broken("a read of a part that is cut short");
            let text = |field| std::str::from_utf8(field).map_err(|_| cut_short());
            let (projection, rest) = split_field(&key[prefix.len()..]).ok_or_else(cut_short)?;
            let (argument, reader) = split_field(rest).ok_or_else(cut_short)?;
            let (projection, argument, reader) = (text(projection)?, text(argument)?, self.reader(reader)?);
            let part_now = match &parts {
                Some((known, part_now)) if *known == projection => part_now,
                _ => {
                    last = None;
                    let part_now = parts_now(layer, name, projection)?;
                    &parts.insert((projection.to_owned(), part_now)).1
                }
            };
            let now = match &last {
                Some((known, now)) if *known == argument => *now,
                _ => {
                    let now = part_now(argument)?;
                    last = Some((argument.to_owned(), now));
                    now
                }
            };
            if now.is_none() || self.digest(&self.readers, &entry)? != now {
                take(reader)?;
            }
        }
        Ok(())
    }

    /// The kinds of reads that any reader made of a layer. Cost: a look-up for each kind and each length of prefix.
    pub(crate) fn watch(&self, layer: LayerIndex) -> Result<Watch> {
        let mut watch = Watch { layer, partition: false, presence: false, part: false, within: Vec::new() };
        if self.readers.is_empty() {
            return Ok(watch);
        }
        let any = |kind: ReadKind| {
            let found = self.readers.scan(KeyRange::prefix(&kind.prefix(layer))).next();
            Ok::<bool, Error>(found.transpose()?.is_some())
        };
        watch.partition = any(ReadKind::Partition)?;
        watch.presence = any(ReadKind::Presence)?;
        watch.part = any(ReadKind::Part)?;
        // The lengths are few and the listings may be many, so this jumps from the first key of one length to that of
        // the next greater one.
        let start = ReadKind::Within.prefix(layer);
        let mut next = Some(0u16);
        while let Some(length) = next {
            let from = [&start[..], &length.to_be_bytes()].concat();
            let range = KeyRange::new(Bound::Included(&from), Bound::Unbounded);
            let found = self.readers.scan(range).next().transpose()?;
            next = None;
            if let Some((key, _)) = found.filter(|(key, _)| key.starts_with(&start)) {
                let length = within_length(&key[start.len()..]).map(|(length, _)| length);
                let length = length.ok_or_else(|| self.broken("a listing without a length"))?;
                watch.within.push(length);
                next = length.checked_add(1);
            }
        }
        Ok(watch)
    }

    fn reader(&self, bytes: &[u8]) -> Result<Reader> {
        Reader::read(&mut &*bytes).ok_or_else(|| self.broken("a reader that is cut short, or of unknown kind"))
    }

    fn digest(&self, table: &Tree, entry: &Entry) -> Result<Option<Digest>> {
        if entry.meta.len == 0 {
            return Ok(None);
        }
        let bytes = table.read(entry)?;
        let digest = bytes.bytes().as_ref().try_into().map(Digest::from_bytes);
        digest.map(Some).map_err(|_| self.broken("a read of a part without a digest"))
    }
}

impl Reader {
    /// Reads what [`Reader::bytes`] writes from the front of `bytes`, and moves past it; `None` for anything else.
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Reader> {
        match *bytes.split_off_first()? {
            FRONT => TaskKey::read(bytes).map(Reader::Front),
            BACK => TaskKey::read(bytes).map(Reader::Back),
            _ => None,
        }
    }

    /// The reader as tables have it: front- or back-end, and the key.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Reader::Front(input) => {
                out.push(FRONT);
                input.write(&mut out);
            }
            Reader::Back(output) => {
                out.push(BACK);
                output.write(&mut out);
            }
        }
        out
    }
}

/// Writes the table `reads`. Readers come in order; their reads are sorted the other way for [`ReadersWriter`].
pub(crate) struct ReadsWriter<'a> {
    reads: TableWriter<'a>,
    readers: TableWriter<'a>,
    /// Changes of rows, to be sorted for the table `readers`.
    reversed: Shuffle,
    batch: Rows,
}

/// The number of reversed rows that are sorted as one batch.
const REVERSED_ROWS: usize = 4096;

impl<'a> ReadsWriter<'a> {
    pub(crate) fn new(writers: Writers<'a>, state: &State, memory: usize) -> ReadsWriter<'a> {
        ReadsWriter {
            reads: TableWriter::new(writers, &state.reads),
            readers: TableWriter::new(writers, &state.readers),
            reversed: Shuffle::new(memory),
            batch: Rows::default(),
        }
    }

    /// Records what a reader read; `base` has what it read before.
    pub(crate) fn record(&mut self, base: &State, reader: &Reader, now: &[Seen]) -> Result<()> {
        let before = base.reads_of(reader)?;
        if before.is_empty() && now.is_empty() {
            return Ok(());
        }
        let reader = reader.bytes();
        let mut now: Vec<RecordedRead> = now.iter().map(RecordedRead::of).collect();
        // Reads come in their own order. The table has them by key, which sorts listings by the length of their prefix.
        now.sort_unstable();
        for side in merge_join(before.iter().map(Ok), &now, |was: &&RecordedRead, is| was.key.cmp(&is.key)) {
            match side? {
                Side::Both(was, is) if was.part == is.part => {}
                Side::Both(_, is) | Side::Right(is) => self.set(&reader, &is.key, Some(is.part))?,
                Side::Left(gone) => self.set(&reader, &gone.key, None)?,
            }
        }
        Ok(())
    }

    /// Sets a row with the digest of its part, or removes it.
    fn set(&mut self, reader: &[u8], read: &[u8], row: Option<Option<Digest>>) -> Result<()> {
        let part = row.flatten();
        let part = part.as_ref().map_or(&[][..], |digest| &digest.as_bytes()[..]);
        self.reads.set_row(reader, read, row.map(|_| part))?;
        // The first byte tells a row that is set from one that is removed.
        let value = [&[u8::from(row.is_some())], part].concat();
        self.batch.push(&[read, &[0], reader].concat(), &[], &value);
        if self.batch.len() >= REVERSED_ROWS { self.reversed.push(std::mem::take(&mut self.batch)) } else { Ok(()) }
    }

    /// Ends a range of readers.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        self.reads.end_range()
    }

    /// The table `reads`, and the writer of `readers`.
    pub(crate) fn finish(mut self) -> Result<(Tree, ReadersWriter<'a>)> {
        self.reversed.push(self.batch)?;
        Ok((self.reads.finish()?, ReadersWriter { rows: self.reversed.finish()?, readers: self.readers }))
    }
}

/// Writes the table `readers`: the changes of `reads`, sorted by read key.
pub(crate) struct ReadersWriter<'a> {
    rows: Sorted,
    readers: TableWriter<'a>,
}

impl ReadersWriter<'_> {
    /// Writes the rows whose read key is before `end` and that are not written yet, or all that are left, for as long as `go_on`
    /// lets it.
    pub(crate) fn write_range(&mut self, end: Option<&[u8]>, go_on: impl Fn() -> Result<()>) -> Result<()> {
        while let Some(row) = self.rows.peek()?.filter(|row| end.is_none_or(|end| row.out < end)) {
            go_on()?;
            self.readers.set(row.out, row.value.strip_prefix(&[1]))?;
            self.rows.advance()?;
        }
        self.readers.end_range()
    }

    pub(crate) fn finish(self) -> Result<Tree> {
        self.readers.finish()
    }
}
