//! Keys, as stages, state and engines know partitions: the number of a layer, and the bytes of a name.
//!
//! [`InputKey`] and [`OutputKey`] have one form and are two types, because their numbers count two lists: inputs are
//! numbered as the task's readable layers are sorted, outputs as its output layers are. Both lists are part of the
//! fingerprint, so a number in the state means the same layer as long as a run goes on from that state; what else reads
//! the state translates numbers ([`base_tables`](crate::state::base_tables)). What one task writes and another reads has
//! a number in each of them: it travels between tasks by the layer's name, never as a key.
//!
//! A group that becomes several partitions has an [`OutputKey`] too. It names no partition, but it takes the place of
//! one everywhere before the back-end: it has contributors, edges and a row to be compiled from.
//!
//! Encoded, a key is the layer's number in two big-endian bytes, the name, and a zero byte, which no name contains. So
//! encoded keys sort as keys do, and a sequence of keys sorts by the first, then by the second.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use deltic_core::{NameBytes, TaskId};

use crate::{Error, Result};

/// The number of a layer in the list that the context calls for: the task's readable layers, or its output layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerIndex(pub u16);

impl LayerIndex {
    /// The numbers of a list's layers, to be zipped with them.
    pub(crate) fn all() -> impl Iterator<Item = LayerIndex> + Clone {
        (0..).map(LayerIndex)
    }

    /// The layer's place in a slice of them.
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }

    /// The number as it is encoded.
    pub(crate) fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The number at the front of `bytes`, and what is behind it.
    pub(crate) fn split(bytes: &[u8]) -> Option<(LayerIndex, &[u8])> {
        let (number, rest) = bytes.split_first_chunk()?;
        Some((LayerIndex(u16::from_be_bytes(*number)), rest))
    }
}

impl fmt::Display for LayerIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Marks the keys of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputSide {}

/// Marks the keys of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputSide {}

/// An input of a task: a partition of one of its readable layers.
pub(crate) type InputKey = TaskKey<InputSide>;

/// An output of a task: a partition of one of its output layers, or a group.
pub(crate) type OutputKey = TaskKey<OutputSide>;

/// A partition of one of a task's layers; of which list of layers, the type tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey<S> {
    /// The layer.
    pub layer: LayerIndex,
    /// The bytes of the name.
    pub name: NameBytes,
    side: PhantomData<S>,
}

const END: u8 = 0;

impl<S> TaskKey<S> {
    /// The key of a partition.
    pub fn new(layer: LayerIndex, name: impl Into<NameBytes>) -> TaskKey<S> {
        TaskKey { layer, name: name.into(), side: PhantomData }
    }

    /// Appends the encoded key.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.layer.to_bytes());
        out.extend_from_slice(&self.name);
        out.push(END);
    }

    /// The encoded key.
    pub fn to_bytes(&self) -> EncodedKey {
        let mut out = Vec::with_capacity(self.name.len() + 3);
        self.write(&mut out);
        EncodedKey(out)
    }

    /// Reads a key from the front of `bytes`, and moves past it.
    pub fn read(bytes: &mut &[u8]) -> Option<TaskKey<S>> {
        let (layer, name) = LayerIndex::split(bytes.split_off(..first(bytes)?.len())?)?;
        Some(TaskKey::new(layer, &name[..name.len() - 1]))
    }

    /// The key at the front of bytes that a stage or the state of `task` holds.
    pub(crate) fn decode(task: &TaskId, mut bytes: &[u8]) -> Result<TaskKey<S>> {
        TaskKey::read(&mut bytes).ok_or_else(|| Error::state(task, "a key that is cut short"))
    }
}

impl InputKey {
    /// The one input of a front-end that runs over all inputs at once. No layer has its number.
    pub(crate) fn whole() -> InputKey {
        TaskKey::new(LayerIndex(u16::MAX), [])
    }

    /// Whether it is [`InputKey::whole`].
    pub(crate) fn is_whole(&self) -> bool {
        self.layer.0 == u16::MAX
    }
}

/// The encoded key that `bytes` begin with.
pub(crate) fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (_, name) = LayerIndex::split(bytes)?;
    let end = name.iter().position(|byte| *byte == END)?;
    bytes.get(..2 + end + 1)
}

/// The layer and the name of bytes that are one encoded key. Copies nothing, and does not look for another end.
pub(crate) fn parts(encoded: &[u8]) -> Option<(LayerIndex, &[u8])> {
    let (layer, name) = LayerIndex::split(encoded)?;
    Some((layer, name.strip_suffix(&[END])?))
}

/// An encoded key that is owned. A borrowed one is a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodedKey(Vec<u8>);

impl EncodedKey {
    /// Replaces the key, in the same memory.
    pub(crate) fn assign(&mut self, encoded: &[u8]) {
        self.0.clear();
        self.0.extend_from_slice(encoded);
    }

    /// Makes it empty, which no key is, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Deref for EncodedKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for EncodedKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for EncodedKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for EncodedKey {
    /// Copies an encoded key.
    fn from(encoded: &[u8]) -> EncodedKey {
        EncodedKey(encoded.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_keys_do() {
        let mut all: Vec<InputKey> = [(0u16, "b"), (0, "ab"), (0, "a"), (0, ""), (300, "a"), (2, "a"), (0, "a b")]
            .map(|(layer, name)| TaskKey::new(LayerIndex(layer), name.as_bytes()))
            .to_vec();
        let bytes = |key: &InputKey| {
            let mut out = Vec::new();
            key.write(&mut out);
            out
        };
        let mut by_bytes = all.clone();
        all.sort();
        by_bytes.sort_by_key(bytes);
        assert_eq!(all, by_bytes);
        for key in &all {
            let encoded = bytes(key);
            assert_eq!(*key.to_bytes(), *encoded);
            assert_eq!(parts(&encoded), Some((key.layer, &*key.name)));
            let mut rest = &encoded[..];
            assert_eq!(TaskKey::read(&mut rest).as_ref(), Some(key));
            assert!(rest.is_empty());
            let followed = [&encoded[..], b"more"].concat();
            assert_eq!(first(&followed), Some(&encoded[..]));
        }
    }
}
