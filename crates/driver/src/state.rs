//! What a task remembers between runs: four tables in the output catalog's reserved layer.
//!
//! | table | key | value | kept for |
//! |---|---|---|---|
//! | `edges` | input, output | digest of what the front-end said | map-groups |
//! | `contributors` | output, input | – | all, see below |
//! | `reads` | reader, what it saw | – | whoever read through its context |
//! | `readers` | what was seen, reader | – | the same, turned round |
//!
//! A direct task with one producer per output keeps a contributor only where the published key alone does not tell
//! everything: the output was not published although claimed, or its back-end read something.
//!
//! All four are functions of inputs and tasks alone, like outputs: a chain of runs ends in the tables of a scratch run.

use std::ops::Bound;

use deltic_compiler::Seen;
use deltic_core::{Digest, NameBytes, Payload, TaskId};
use deltic_store::{Draft, KeyRange, Snapshot, Tree, TreeEditor};

use crate::elements::read_ahead;
use crate::rows::{RowStream, Rows};
use crate::shuffle::Shuffle;
use crate::{Element, Error, Result};

/// The tables of one task.
#[derive(Clone)]
pub(crate) struct State {
    task: TaskId,
    pub(crate) edges: Tree,
    pub(crate) contributors: Tree,
    pub(crate) reads: Tree,
    pub(crate) readers: Tree,
}

/// Who read something: a front-end of an input or a back-end of an output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reader {
    Front(Element),
    Back(Element),
}

pub(crate) const TABLES: [&str; 4] = ["edges", "contributors", "reads", "readers"];

const FRONT: u8 = 0;
const BACK: u8 = 1;
const PARTITION: u8 = 0;
const PRESENCE: u8 = 1;
const WITHIN: u8 = 2;

impl State {
    /// The tables of a task that has never run.
    pub(crate) fn empty(task: &TaskId, draft: &Draft) -> State {
        let tree = draft.empty_tree();
        State {
            task: task.clone(),
            edges: tree.clone(),
            contributors: tree.clone(),
            reads: tree.clone(),
            readers: tree,
        }
    }

    /// The tables as the base left them.
    pub(crate) fn load(task: &TaskId, base: &Snapshot, draft: &Draft) -> State {
        let table = |table: &str| match base.state_table(&table_name(task, table)) {
            Some(tree) => draft.adopt(&tree),
            None => draft.empty_tree(),
        };
        State {
            task: task.clone(),
            edges: table("edges"),
            contributors: table("contributors"),
            reads: table("reads"),
            readers: table("readers"),
        }
    }

    /// The tables that hold something, under the names they have in a version record.
    pub(crate) fn into_tables(self) -> impl Iterator<Item = (String, Tree)> {
        let State { task, edges, contributors, reads, readers } = self;
        let trees = TABLES.into_iter().zip([edges, contributors, reads, readers]);
        trees.filter(|(_, tree)| !tree.is_empty()).map(move |(table, tree)| (table_name(&task, table), tree))
    }

    /// What an input's front-end said last time: outputs in order, each with its digest.
    pub(crate) fn edges_of(&self, input: &Element) -> Result<Vec<(Element, Digest)>> {
        let mut prefix = Vec::new();
        input.write(&mut prefix);
        let mut edges = Vec::new();
        for found in self.edges.scan(KeyRange::prefix(&prefix)) {
            let (key, entry) = found?;
            let digest = match self.edges.read(&entry)?.bytes().as_ref().try_into() {
                Ok(bytes) => Digest::from_bytes(bytes),
                Err(_) => return Err(self.broken("an edge without a digest")),
            };
            edges.push((self.element(&mut &key[prefix.len()..])?, digest));
        }
        Ok(edges)
    }

    /// The inputs that an output is known to be made from, in order: elements in bytes, as the output is.
    pub(crate) fn contributors_of(&self, output: &[u8]) -> Result<Vec<Vec<u8>>> {
        if self.contributors.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.contributors.scan(KeyRange::prefix(output));
        found.map(|found| Ok(found?.0[output.len()..].to_vec())).collect()
    }

    /// What a reader looked at last time.
    pub(crate) fn reads_of(&self, reader: &Reader) -> Result<Vec<NameBytes>> {
        let prefix = reader.bytes();
        let found = self.reads.scan(KeyRange::prefix(&prefix));
        found.map(|found| Ok(found?.0[prefix.len()..].into())).collect()
    }

    /// Everybody whose look at a layer can have had another answer because of some changes: names in order, each with
    /// whether it came or went.
    ///
    /// Cost: for each change a look-up in `readers` for each kind of look that anybody made at the layer, and for
    /// listings one for each length of prefix that anybody used; the leaves of all of them are read together.
    pub(crate) fn readers_of(
        &self,
        watch: &Watch,
        changes: &[(NameBytes, bool)],
        mut take: impl FnMut(Reader) -> Result<()>,
    ) -> Result<()> {
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
        let mut look = |seen: &Seen| {
            let mut prefix = seen_bytes(seen);
            prefix.push(0);
            prefixes.push(prefix);
        };
        for (name, came_or_went) in changes {
            if watch.partition {
                look(&Seen::Partition(watch.layer, name.clone()));
            }
            if watch.presence && *came_or_went {
                look(&Seen::Presence(watch.layer, name.clone()));
            }
            for length in watch.within.iter().map(|length| usize::from(*length)).filter(|length| *length <= name.len())
            {
                look(&Seen::Within(watch.layer, name[..length].into()));
            }
        }
        prefixes.sort_unstable();
        prefixes.dedup();
        read_ahead(&self.readers, &prefixes)?;
        for prefix in prefixes {
            for found in self.readers.scan(KeyRange::prefix(&prefix)) {
                let (key, _) = found?;
                take(self.reader(&key[prefix.len()..])?)?;
            }
        }
        Ok(())
    }

    /// Which kinds of looks were made at a layer at all.
    pub(crate) fn watch(&self, layer: u16) -> Result<Watch> {
        let mut watch = Watch { layer, partition: false, presence: false, within: Vec::new() };
        if self.readers.is_empty() {
            return Ok(watch);
        }
        let kind = |kind: u8| [&[kind], &layer.to_be_bytes()[..]].concat();
        let any = |prefix: &[u8]| {
            Ok::<bool, Error>(self.readers.scan(KeyRange::prefix(prefix)).next().transpose()?.is_some())
        };
        watch.partition = any(&kind(PARTITION))?;
        watch.presence = any(&kind(PRESENCE))?;
        // The prefix lengths in use: jump from the first key of one length to the first of the next.
        let start = kind(WITHIN);
        let mut next = Some(0u16);
        while let Some(length) = next {
            let from = [&start[..], &length.to_be_bytes()].concat();
            let range = KeyRange::new(Bound::Included(&from), Bound::Unbounded);
            let found = self.readers.scan(range).next().transpose()?;
            next = None;
            if let Some((key, _)) = found.filter(|(key, _)| key.starts_with(&start)) {
                let Some(length) = key[start.len()..].first_chunk::<2>() else {
                    return Err(self.broken("a listing without a length"));
                };
                let length = u16::from_be_bytes(*length);
                watch.within.push(length);
                next = length.checked_add(1);
            }
        }
        Ok(watch)
    }

    fn element(&self, bytes: &mut &[u8]) -> Result<Element> {
        Element::read(bytes).ok_or_else(|| self.broken("a key that is cut short"))
    }

    fn reader(&self, bytes: &[u8]) -> Result<Reader> {
        let (kind, mut rest) = bytes.split_first().ok_or_else(|| self.broken("a reader that is cut short"))?;
        let element = self.element(&mut rest)?;
        match *kind {
            FRONT => Ok(Reader::Front(element)),
            BACK => Ok(Reader::Back(element)),
            _ => Err(self.broken("a reader of unknown kind")),
        }
    }

    fn broken(&self, message: &str) -> Error {
        Error::State { task: self.task.clone(), message: message.to_owned() }
    }
}

/// The kinds of looks that somebody made at a layer.
pub(crate) struct Watch {
    layer: u16,
    partition: bool,
    presence: bool,
    within: Vec<u16>,
}

impl Watch {
    pub(crate) fn is_idle(&self) -> bool {
        !self.partition && !self.presence && self.within.is_empty()
    }
}

impl Reader {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (kind, element) = match self {
            Reader::Front(element) => (FRONT, element),
            Reader::Back(element) => (BACK, element),
        };
        let mut out = vec![kind];
        element.write(&mut out);
        out
    }
}

/// A table in the making: takes changes in key order.
pub(crate) struct TableWriter<'a> {
    draft: &'a Draft,
    table: Tree,
    /// Made at the first change: most tables of most runs have none.
    editor: Option<TreeEditor>,
}

impl<'a> TableWriter<'a> {
    pub(crate) fn new(draft: &'a Draft, table: &Tree) -> TableWriter<'a> {
        TableWriter { draft, table: table.clone(), editor: None }
    }

    /// Sets or removes a key. Values are small and lie inline.
    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let editor = match &mut self.editor {
            Some(editor) => editor,
            none => none.insert(self.draft.editor(&self.table)?),
        };
        let entry = value.map(|value| self.draft.put(&Payload::new(value.to_vec()))).transpose()?;
        Ok(editor.apply(key, entry.as_ref())?)
    }

    pub(crate) fn finish(self) -> Result<Tree> {
        Ok(match self.editor {
            Some(editor) => editor.finish()?,
            None => self.table,
        })
    }
}

/// Both read tables in the making. Readers come in order; what they saw is turned round by a shuffle.
pub(crate) struct ReadsWriter<'a> {
    reads: TableWriter<'a>,
    readers: TableWriter<'a>,
    turned: Shuffle,
    batch: Rows,
}

/// Rows that are turned round at a time.
const TURN: usize = 4096;

impl<'a> ReadsWriter<'a> {
    pub(crate) fn new(draft: &'a Draft, state: &State, memory: usize) -> ReadsWriter<'a> {
        ReadsWriter {
            reads: TableWriter::new(draft, &state.reads),
            readers: TableWriter::new(draft, &state.readers),
            turned: Shuffle::new(memory),
            batch: Rows::default(),
        }
    }

    /// Notes what a reader saw, given what it saw last time.
    pub(crate) fn note(&mut self, reader: &Reader, before: &[NameBytes], now: &[Seen]) -> Result<()> {
        if before.is_empty() && now.is_empty() {
            return Ok(());
        }
        let who = reader.bytes();
        let mut now: Vec<Vec<u8>> = now.iter().map(seen_bytes).collect();
        now.sort_unstable();
        differences(before, &now, |seen, is_new| {
            self.reads.set(&[&who[..], seen].concat(), is_new.then_some(&[]))?;
            self.batch.push(&[seen, &[0], &who[..]].concat(), &[], &[u8::from(is_new)]);
            if self.batch.len() >= TURN { self.turned.push(std::mem::take(&mut self.batch)) } else { Ok(()) }
        })
    }

    /// The tables of reads and of readers.
    pub(crate) fn finish(mut self) -> Result<(Tree, Tree)> {
        self.turned.push(self.batch)?;
        let mut turned = self.turned.finish()?;
        while let Some(row) = turned.peek()? {
            self.readers.set(row.out, (row.value == [1]).then_some(&[]))?;
            turned.advance()?;
        }
        Ok((self.reads.finish()?, self.readers.finish()?))
    }
}

/// Walks two sorted lists and hands over what only one has, in order; `true` for what only the second has.
pub(crate) fn differences<A: AsRef<[u8]>, B: AsRef<[u8]>>(
    before: &[A],
    now: &[B],
    mut take: impl FnMut(&[u8], bool) -> Result<()>,
) -> Result<()> {
    let (mut before, mut now) = (before.iter().map(AsRef::as_ref).peekable(), now.iter().map(AsRef::as_ref).peekable());
    loop {
        match (before.peek(), now.peek()) {
            (Some(old), Some(new)) if old == new => {
                before.next();
                now.next();
            }
            (Some(old), new) if new.is_none_or(|new| old < new) => {
                take(old, false)?;
                before.next();
            }
            (_, Some(new)) => {
                take(new, true)?;
                now.next();
            }
            _ => return Ok(()),
        }
    }
}

/// The key of an edge, or turned round of a contributor.
pub(crate) fn edge_key(one: &Element, other: &Element) -> Vec<u8> {
    let mut key = Vec::with_capacity(one.name.len() + other.name.len() + 6);
    one.write(&mut key);
    other.write(&mut key);
    key
}

/// The name of a table in a version record.
pub(crate) fn table_name(task: &TaskId, table: &str) -> String {
    format!("{task}/{table}")
}

/// What was seen, so that everything seen of one partition, and every prefix of one length, lies together.
fn seen_bytes(seen: &Seen) -> Vec<u8> {
    let mut out = Vec::new();
    let (kind, layer, name) = match seen {
        Seen::Partition(layer, name) => (PARTITION, layer, name),
        Seen::Presence(layer, name) => (PRESENCE, layer, name),
        Seen::Within(layer, name) => (WITHIN, layer, name),
    };
    out.push(kind);
    out.extend_from_slice(&layer.to_be_bytes());
    if kind == WITHIN {
        // No name and so no useful prefix is longer than 2,000 bytes; one that is matches nothing.
        out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    out.extend_from_slice(name);
    out
}
