//! Who looked at what: the tables `reads` and `readers`, one the other turned round.
//!
//! A look is kept as its kind, its layer and the name asked for, so that all looks at one partition lie together; a
//! listing by its length first, so that all prefixes of one length do. A look at a part of a partition also keeps which
//! part it was, and the digest of what was found.

use std::ops::Bound;

use deltic_compiler::Seen;
use deltic_core::{Digest, NameBytes};
use deltic_store::{Entry, KeyRange, Tree};

use crate::key::{InputKey, LayerIndex, OutputKey, TaskKey};
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::key_set::read_ahead_within;
use crate::sort::merge_join::{Side, merge_join};
use crate::sort::rows::{RowStream, Rows};
use crate::state::looks::{Look, LookKind, part_prefix, split_field, within_length};
use crate::state::tables::{State, TableWriter};
use crate::state::tree_writer::Writers;
use crate::{Error, Result};

/// Who read something: a front-end of an input or a back-end of an output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reader {
    Front(InputKey),
    Back(OutputKey),
}

const FRONT: u8 = 0;
const BACK: u8 = 1;

/// The kinds of looks that somebody made at a layer.
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

    /// What is kept of looks at one partition, or at what it lies in, before the reader.
    fn prefixes(&self, name: &NameBytes, came_or_went: bool, out: &mut Vec<Vec<u8>>) {
        let mut look = |seen: &Seen| {
            let mut prefix = Look::of(seen).bytes;
            prefix.push(0);
            out.push(prefix);
        };
        if self.partition {
            look(&Seen::Partition(self.layer.0, name.clone()));
        }
        if self.presence && came_or_went {
            look(&Seen::Presence(self.layer.0, name.clone()));
        }
        for length in self.within.iter().map(|length| usize::from(*length)).filter(|length| *length <= name.len()) {
            look(&Seen::Within(self.layer.0, name[..length].into()));
        }
    }
}

/// The parts of a partition as they are now: the layer, the name, the projection.
pub(crate) type PartsNow<'a> = dyn Fn(LayerIndex, &NameBytes, &str) -> Result<PartNow<'a>> + 'a;

/// What a part is now, by the argument that it is asked for with; none where the projection fails on it.
pub(crate) type PartNow<'a> = Box<dyn Fn(&str) -> Result<Option<Digest>> + 'a>;

impl State {
    /// What a reader looked at last time, in order.
    pub(crate) fn reads_of(&self, reader: &Reader) -> Result<Vec<Look>> {
        if self.reads.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = reader.bytes();
        let look = |found: deltic_store::Result<(NameBytes, Entry)>| {
            let (key, entry) = found?;
            Ok(Look { bytes: key[prefix.len()..].to_vec(), found: self.digest(&self.reads, &entry)? })
        };
        self.reads.scan(KeyRange::prefix(&prefix)).map(look).collect()
    }

    /// Everybody whose look at a layer can have had another answer because of some changes: names in order, each with
    /// whether it came or went.
    ///
    /// Cost: for each change a look-up in `readers` for each kind of look that anybody made at the layer, and for
    /// listings one for each length of prefix that anybody used; the leaves of all of them are read together. A partition
    /// that somebody looked at a part of is decoded once for each projection, and the part is taken once.
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

    /// Everybody who looked at a part of a partition that is not what it was, or that can not be taken any more.
    fn readers_of_parts(
        &self,
        layer: LayerIndex,
        name: &NameBytes,
        parts_now: &PartsNow<'_>,
        take: &mut dyn FnMut(Reader) -> Result<()>,
    ) -> Result<()> {
        let prefix = part_prefix(layer, name);
        // Looks come by projection, then argument.
        let mut parts: Option<(String, PartNow<'_>)> = None;
        let mut last: Option<(String, Option<Digest>)> = None;
        for found in self.readers.scan(KeyRange::prefix(&prefix)) {
            let (key, entry) = found?;
            let cut_short = || self.broken("a look at a part that is cut short");
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

    /// Which kinds of looks were made at a layer at all.
    pub(crate) fn watch(&self, layer: LayerIndex) -> Result<Watch> {
        let mut watch = Watch { layer, partition: false, presence: false, part: false, within: Vec::new() };
        if self.readers.is_empty() {
            return Ok(watch);
        }
        let any = |kind: LookKind| {
            let found = self.readers.scan(KeyRange::prefix(&kind.prefix(layer))).next();
            Ok::<bool, Error>(found.transpose()?.is_some())
        };
        watch.partition = any(LookKind::Partition)?;
        watch.presence = any(LookKind::Presence)?;
        watch.part = any(LookKind::Part)?;
        // The prefix lengths in use: jump from the first key of one length to the first of the next.
        let start = LookKind::Within.prefix(layer);
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
        digest.map(Some).map_err(|_| self.broken("a look at a part without a digest"))
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

    /// The reader as tables have it: which part of the task, and the key.
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

/// Writes the table of reads. Readers come in order; [`ReadersWriter`] sorts their looks by what was looked at.
pub(crate) struct ReadsWriter<'a> {
    reads: TableWriter<'a>,
    readers: TableWriter<'a>,
    turned: Shuffle,
    batch: Rows,
}

/// Rows that are turned round at a time.
const TURN: usize = 4096;

impl<'a> ReadsWriter<'a> {
    pub(crate) fn new(writers: Writers<'a>, state: &State, memory: usize) -> ReadsWriter<'a> {
        ReadsWriter {
            reads: TableWriter::new(writers, &state.reads),
            readers: TableWriter::new(writers, &state.readers),
            turned: Shuffle::new(memory),
            batch: Rows::default(),
        }
    }

    /// Notes what a reader saw; `base` has what it saw last time.
    pub(crate) fn note(&mut self, base: &State, reader: &Reader, now: &[Seen]) -> Result<()> {
        let before = base.reads_of(reader)?;
        if before.is_empty() && now.is_empty() {
            return Ok(());
        }
        let who = reader.bytes();
        let mut now: Vec<Look> = now.iter().map(Look::of).collect();
        now.sort_unstable();
        for side in merge_join(before.iter().map(Ok), &now, |was: &&Look, is| was.bytes.cmp(&is.bytes)) {
            match side? {
                Side::Both(was, is) if was.found == is.found => {}
                Side::Both(_, is) | Side::Right(is) => self.set(&who, &is.bytes, Some(is.found))?,
                Side::Left(gone) => self.set(&who, &gone.bytes, None)?,
            }
        }
        Ok(())
    }

    /// Sets a look with the digest of its part, or removes it.
    fn set(&mut self, who: &[u8], seen: &[u8], look: Option<Option<Digest>>) -> Result<()> {
        let part = look.flatten();
        let part = part.as_ref().map_or(&[][..], |digest| &digest.as_bytes()[..]);
        self.reads.set_row(who, seen, look.map(|_| part))?;
        let value = [&[u8::from(look.is_some())], part].concat();
        self.batch.push(&[seen, &[0], who].concat(), &[], &value);
        if self.batch.len() >= TURN { self.turned.push(std::mem::take(&mut self.batch)) } else { Ok(()) }
    }

    /// Ends a range of readers.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        self.reads.end_range()
    }

    /// The table of reads, and what makes that of readers.
    pub(crate) fn finish(mut self) -> Result<(Tree, ReadersWriter<'a>)> {
        self.turned.push(self.batch)?;
        Ok((self.reads.finish()?, ReadersWriter { rows: self.turned.finish()?, readers: self.readers }))
    }
}

/// Writes the table of readers: the looks of all readers, by what was looked at.
pub(crate) struct ReadersWriter<'a> {
    rows: Sorted,
    readers: TableWriter<'a>,
}

impl ReadersWriter<'_> {
    /// Writes what was seen before `end` and is not written yet, or all, for as long as `go_on` lets it.
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
