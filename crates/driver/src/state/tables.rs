//! The state of a task between runs: tables in the output catalog's reserved layer.
//!
//! | table | key | value | of |
//! |---|---|---|---|
//! | `edges` | input, output | digest of the emitted values | patterns with intermediate values |
//! | `contributors` | output, input | – | all but dep and global, see below |
//! | `values` | output, input | the emitted values | tasks with a memo |
//! | `reads` | reader, [read key](crate::state::read_keys) | digest of the part, if it read one | front- and back-ends that read through their context |
//! | `readers` | read key, reader | the same | `reads`, reversed |
//! | `published` | group, output | – | groups that become several partitions |
//! | `owners` | output, group | – | `published`, reversed |
//! | `errors` | reader | the failure | partitions in [quarantine](crate::state::quarantined) |
//!
//! A direct task with one producer per output has a contributor only where the published key does not imply one: an input
//! maps to the output but it is not published, or its back-end read something.
//!
//! All are functions of inputs and tasks alone, like outputs: a chain of runs ends in the tables of a scratch run.

use deltic_core::{Digest, TaskId};
use deltic_store::{Draft, Entry, Snapshot, Tree};

use crate::key::{InputKey, OutputKey, TaskKey};
use crate::state::listed::Listed;
use crate::state::quarantined;
use crate::state::tree_writer::{TreeWriter, Writers};
use crate::{Error, Result};

/// The tables of one task.
#[derive(Clone)]
pub(crate) struct State {
    task: TaskId,
    pub(crate) edges: Tree,
    pub(crate) contributors: Tree,
    pub(crate) values: Tree,
    pub(crate) reads: Tree,
    pub(crate) readers: Tree,
    pub(crate) published: Tree,
    pub(crate) owners: Tree,
    pub(crate) errors: Tree,
}

/// The names of the tables.
pub(crate) const TABLES: [&str; 8] =
    ["edges", "contributors", "values", "reads", "readers", "published", "owners", quarantined::TABLE];

impl State {
    /// The tables of a task that has never run.
    pub(crate) fn empty(task: &TaskId, draft: &Draft) -> State {
        State::new(task, |_| draft.empty_tree())
    }

    /// The tables of the base.
    pub(crate) fn load(task: &TaskId, base: &Snapshot, draft: &Draft) -> State {
        State::new(task, |table| match base.state_table(&table_name(task, table)) {
            Some(tree) => draft.adopt(&tree),
            None => draft.empty_tree(),
        })
    }

    fn new(task: &TaskId, table: impl Fn(&str) -> Tree) -> State {
        let [edges, contributors, values, reads, readers, published, owners, errors] = TABLES.map(table);
        State { task: task.clone(), edges, contributors, values, reads, readers, published, owners, errors }
    }

    /// The same tables, as the state of another task.
    pub(crate) fn renamed(self, task: &TaskId) -> State {
        State { task: task.clone(), ..self }
    }

    /// The tables, in the order of [`TABLES`].
    pub(crate) fn tables(&self) -> [&Tree; 8] {
        let State { edges, contributors, values, reads, readers, published, owners, errors, .. } = self;
        [edges, contributors, values, reads, readers, published, owners, errors]
    }

    /// The tables that are not empty, under their names in a version record.
    pub(crate) fn into_tables(self) -> impl Iterator<Item = (String, Tree)> {
        let State { task, edges, contributors, values, reads, readers, published, owners, errors } = self;
        let trees = TABLES.into_iter().zip([edges, contributors, values, reads, readers, published, owners, errors]);
        trees.filter(|(_, tree)| !tree.is_empty()).map(move |(table, tree)| (table_name(&task, table), tree))
    }

    pub(crate) fn task(&self) -> &TaskId {
        &self.task
    }

    /// The edges of an input in the base, as a stream: outputs in order, each with its digest.
    pub(crate) fn edges_of(&self, input: &InputKey) -> impl Iterator<Item = Result<(OutputKey, Digest)>> + use<'_> {
        let found = Listed::new(&self.edges, &input.to_bytes());
        found.map(|found| {
            let (out, entry) = found?;
            Ok((self.decode(&out)?, self.edge_digest(&entry)?))
        })
    }

    /// The digest of an edge.
    pub(crate) fn edge_digest(&self, entry: &Entry) -> Result<Digest> {
        let digest = self.edges.read(entry)?.bytes().as_ref().try_into().map(Digest::from_bytes);
        digest.map_err(|_| self.broken("an edge without a digest"))
    }

    /// The contributors of an output, as a stream in order. Keys are encoded.
    pub(crate) fn contributors_of(&self, output: &[u8]) -> Listed {
        Listed::new(&self.contributors, output)
    }

    /// The memo of an output: its rows by input, as [`State::contributors_of`] returns contributors.
    pub(crate) fn values_of(&self, output: &[u8]) -> Listed {
        Listed::new(&self.values, output)
    }

    /// The first key in the key of a row.
    pub(crate) fn decode<S>(&self, encoded: &[u8]) -> Result<TaskKey<S>> {
        TaskKey::decode(&self.task, encoded)
    }

    pub(crate) fn broken(&self, message: &str) -> Error {
        Error::state(&self.task, message)
    }
}

/// A table that is being written, in the order of its keys.
pub(crate) struct TableWriter<'a> {
    tree: TreeWriter<'a>,
    /// The key of the current row; here to reuse its memory.
    key: Vec<u8>,
}

impl<'a> TableWriter<'a> {
    pub(crate) fn new(writers: Writers<'a>, table: &Tree) -> TableWriter<'a> {
        TableWriter { tree: writers.tree(table), key: Vec::new() }
    }

    /// Sets or removes a key. Values are small and lie inline.
    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.tree.set_value(key, value)
    }

    /// Sets or removes a row whose key is one encoded key behind another.
    pub(crate) fn set_row(&mut self, first: &[u8], second: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.key.clear();
        self.key.extend_from_slice(first);
        self.key.extend_from_slice(second);
        self.tree.set_value(&self.key, value)
    }

    /// Ends a range of keys.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        self.tree.end_range()
    }

    pub(crate) fn finish(self) -> Result<Tree> {
        self.tree.finish()
    }
}

/// The key of a row: input and output of an edge, output and input of a contributor or a value.
pub(crate) fn row_key<A, B>(first: &TaskKey<A>, second: &TaskKey<B>) -> Vec<u8> {
    let mut key = Vec::with_capacity(first.name.len() + second.name.len() + 6);
    first.write(&mut key);
    second.write(&mut key);
    key
}

/// The name of a table in a version record.
pub(crate) fn table_name(task: &TaskId, table: &str) -> String {
    format!("{task}/{table}")
}

#[cfg(test)]
impl State {
    /// A state whose tables are all the same one.
    pub(crate) fn of_one_table(task: &TaskId, table: &Tree) -> State {
        State::new(task, |_| table.clone())
    }
}
