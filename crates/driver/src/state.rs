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

use std::collections::BTreeMap;
use std::ops::Bound;

use deltic_compiler::Seen;
use deltic_core::{Digest, NameBytes, Payload, TaskId};
use deltic_store::{Draft, Entry, KeyRange, Snapshot, Tree};

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

/// Changes of one table, in key order.
pub(crate) type TableOps = BTreeMap<NameBytes, Option<Payload>>;

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

    /// The inputs that an output is known to be made from, in order.
    pub(crate) fn contributors_of(&self, output: &Element) -> Result<Vec<Element>> {
        let mut prefix = Vec::new();
        output.write(&mut prefix);
        let found = self.contributors.scan(KeyRange::prefix(&prefix));
        found.map(|found| self.element(&mut &found?.0[prefix.len()..])).collect()
    }

    /// What a reader looked at last time.
    pub(crate) fn reads_of(&self, reader: &Reader) -> Result<Vec<NameBytes>> {
        let prefix = reader.bytes();
        let found = self.reads.scan(KeyRange::prefix(&prefix));
        found.map(|found| Ok(found?.0[prefix.len()..].into())).collect()
    }

    /// Everybody whose look at `layer` can have had another answer because of one change.
    ///
    /// Cost: one look-up in `readers` for each kind of look that anybody made at the layer, and for listings one for
    /// each length of prefix that anybody used.
    pub(crate) fn readers_of(
        &self,
        watch: &Watch,
        name: &[u8],
        came_or_went: bool,
        mut take: impl FnMut(Reader),
    ) -> Result<()> {
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
        if watch.partition {
            prefixes.push(seen_bytes(&Seen::Partition(watch.layer, name.into())));
        }
        if watch.presence && came_or_went {
            prefixes.push(seen_bytes(&Seen::Presence(watch.layer, name.into())));
        }
        for length in watch.within.iter().map(|length| usize::from(*length)).filter(|length| *length <= name.len()) {
            prefixes.push(seen_bytes(&Seen::Within(watch.layer, name[..length].into())));
        }
        for mut prefix in prefixes {
            prefix.push(0);
            for found in self.readers.scan(KeyRange::prefix(&prefix)) {
                let (key, _) = found?;
                take(self.reader(&key[prefix.len()..])?);
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
    fn bytes(&self) -> Vec<u8> {
        let (kind, element) = match self {
            Reader::Front(element) => (FRONT, element),
            Reader::Back(element) => (BACK, element),
        };
        let mut out = vec![kind];
        element.write(&mut out);
        out
    }
}

/// Notes in both read tables what a reader saw, given what it saw last time.
pub(crate) fn update_reads(
    reader: &Reader,
    before: &[NameBytes],
    now: &[Seen],
    reads: &mut TableOps,
    readers: &mut TableOps,
) {
    if before.is_empty() && now.is_empty() {
        return;
    }
    let who = reader.bytes();
    let mut set = |seen: &[u8], value: Option<Payload>| {
        reads.insert([&who[..], seen].concat().into(), value.clone());
        readers.insert([seen, &[0], &who[..]].concat().into(), value);
    };
    let mut now: Vec<Vec<u8>> = now.iter().map(seen_bytes).collect();
    now.sort_unstable();
    for gone in before.iter().filter(|seen| now.binary_search_by(|known| known[..].cmp(seen)).is_err()) {
        set(gone, None);
    }
    for seen in now.iter().filter(|seen| before.binary_search_by(|known| known[..].cmp(seen)).is_err()) {
        set(seen, Some(Payload::default()));
    }
}

/// The key of an edge.
pub(crate) fn edge_key(input: &Element, output: &Element) -> NameBytes {
    let mut key = Vec::new();
    input.write(&mut key);
    output.write(&mut key);
    key.into()
}

/// Applies changes to a table. Values lie inline or in packs, as any payload does.
pub(crate) fn apply(draft: &Draft, table: &Tree, ops: TableOps) -> Result<Tree> {
    if ops.is_empty() {
        return Ok(table.clone());
    }
    let ops = ops.into_iter().map(|(key, value)| {
        let entry: Option<Entry> = value.map(|payload| draft.put(&payload)).transpose()?;
        Ok::<_, Error>((key, entry))
    });
    draft.edit(table, ops)
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
