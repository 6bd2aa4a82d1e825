//! The comparison of what is published with what was compiled: the partitions and the rows of the state that differ.

use std::collections::BTreeSet;
use std::fmt;

use deltic_core::{Digest, TaskId};
use deltic_store::{Change, Tree};
use serde::Serialize;

use crate::error::difference::FirstDifference;
use crate::error::offender::MOST;
use crate::input::view::View;
use crate::key::{self, EncodedKey, InputKey, LayerIndex, OutputKey};
use crate::run::base::Base;
use crate::stage::context::StageResult;
use crate::state::listed::Listed;
use crate::state::quarantined::{self, InQuarantine};
use crate::state::read_keys::{ReadKey, ReadKind};
use crate::state::reads::Reader;
use crate::state::tables::{State, TABLES};
use crate::{Error, Result};

/// A difference between what is published and what was compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Difference {
    /// A published partition differs from the compiled one.
    Content {
        /// The task.
        task: TaskId,
        /// The partition.
        key: String,
        /// The first place: what is published, then what was compiled.
        first: FirstDifference,
    },
    /// A published partition is not made by any input.
    Surplus {
        /// The task.
        task: TaskId,
        /// The partition.
        key: String,
    },
    /// A partition should be published and is not.
    Missing {
        /// The task.
        task: TaskId,
        /// The partition.
        key: String,
    },
    /// A row of the state is wrong.
    State {
        /// The task.
        task: TaskId,
        /// The table.
        table: String,
        /// The row, as text.
        row: String,
        /// How it differs.
        how: RowDifference,
    },
    /// A partition can not be compiled.
    Failed {
        /// The task.
        task: TaskId,
        /// The failure, with the partition.
        message: String,
    },
}

/// How a row of the state differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowDifference {
    /// It has another value.
    Other,
    /// It should not exist.
    Surplus,
    /// It should exist and does not.
    Missing,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Content { task, key, first } => {
                write!(f, "{task}: {key} is not what is compiled, {first}")
            }
            Difference::Surplus { task, key } => write!(f, "{task}: {key} should not exist: no input makes it"),
            Difference::Missing { task, key } => write!(f, "{task}: {key} is missing"),
            Difference::State { task, table, row, how } => {
                let how = match how {
                    RowDifference::Other => "differs",
                    RowDifference::Surplus => "should not exist",
                    RowDifference::Missing => "is missing",
                };
                write!(f, "{task}: state: {table}: {row} {how}")
            }
            // Names the task itself.
            Difference::Failed { message, .. } => f.write_str(message),
        }
    }
}

/// The differences that were found: the first ones, and the number of others.
#[derive(Default)]
pub(crate) struct Differences {
    pub(crate) listed: Vec<Difference>,
    pub(crate) more: u64,
}

impl Differences {
    /// Adds a difference. `make` is only called if it is listed.
    pub(crate) fn add(&mut self, make: impl FnOnce() -> Result<Difference>) -> Result<()> {
        if self.listed.len() < MOST {
            self.listed.push(make()?);
        } else {
            self.more += 1;
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> u64 {
        self.listed.len() as u64 + self.more
    }
}

/// Keys that are not compared: they may differ because of partitions in quarantine, or that failed and are reported.
#[derive(Default)]
pub(crate) struct Excluded {
    inputs: BTreeSet<EncodedKey>,
    /// Outputs, or groups.
    outs: BTreeSet<EncodedKey>,
    /// The partitions of groups.
    partitions: BTreeSet<EncodedKey>,
}

impl Excluded {
    /// Adds partitions in quarantine, and what may differ because of them: outputs to which an input emits other values now,
    /// as it need not fail again, and the partitions that groups make in the base, or make now.
    pub(crate) fn add(&mut self, quarantine: &[InQuarantine], in_base: &State, now: &State) -> Result<()> {
        let mut outs = BTreeSet::new();
        for InQuarantine { reader, .. } in quarantine {
            match reader {
                Reader::Front(input) => {
                    self.inputs.insert(input.to_bytes());
                    let before = in_base.edges_of(input).collect::<Result<Vec<_>>>()?;
                    let after = now.edges_of(input).collect::<Result<Vec<_>>>()?;
                    let all = before.iter().chain(&after).map(|(out, _)| out);
                    outs.extend(all.filter(|out| find(&before, out) != find(&after, out)).map(OutputKey::to_bytes));
                }
                Reader::Back(out) => drop(outs.insert(out.to_bytes())),
            }
        }
        for out in &outs {
            for table in [&in_base.published, &now.published] {
                for partition in Listed::new(table, out) {
                    self.partitions.insert(partition?.0);
                }
            }
        }
        self.outs.append(&mut outs);
        Ok(())
    }
}

/// A task whose results are compared with its layers and state in the base.
pub(crate) struct Compared<'a> {
    pub(crate) task: &'a deltic_compiler::Task,
    pub(crate) view: &'a View,
    pub(crate) published: &'a [Tree],
    pub(crate) in_base: &'a State,
    pub(crate) excluded: &'a Excluded,
}

impl Compared<'_> {
    /// Adds the partitions that differ.
    pub(crate) fn outputs(&self, result: &StageResult, differences: &mut Differences) -> Result<()> {
        for (number, (published, compiled)) in LayerIndex::all().zip(self.published.iter().zip(&result.outputs)) {
            if published.digest() == compiled.digest() {
                continue;
            }
            for change in published.diff(compiled) {
                let Change { key, before, after } = change?;
                let out = OutputKey::new(number, key);
                let bytes = out.to_bytes();
                if self.excluded.outs.contains(&bytes) || self.excluded.partitions.contains(&bytes) {
                    continue;
                }
                let task = self.task.id().clone();
                differences.add(|| {
                    let key = self.out_text(&out);
                    Ok(match (before, after) {
                        (Some(before), Some(after)) => {
                            let (before, after) = (published.read(&before)?, compiled.read(&after)?);
                            match FirstDifference::of(&before, &after) {
                                Some(first) => Difference::Content { task, key, first },
                                None => return Err(Error::internal(format!("{key} differs from itself"))),
                            }
                        }
                        (Some(_), None) => Difference::Surplus { task, key },
                        (None, _) => Difference::Missing { task, key },
                    })
                })?;
            }
        }
        Ok(())
    }

    /// Adds the rows of the state that differ. A table that is the reverse of another one, or follows from it, is compared only
    /// if that one does not differ: otherwise each difference would be reported twice.
    pub(crate) fn state(&self, result: &StageResult, differences: &mut Differences) -> Result<()> {
        let mut differ: BTreeSet<&str> = BTreeSet::new();
        for (table, (in_base, now)) in
            TABLES.into_iter().zip(self.in_base.tables().into_iter().zip(result.state.tables()))
        {
            let is_reported = match table {
                "readers" => differ.contains("reads"),
                "owners" => differ.contains("published"),
                "values" => differ.contains("edges"),
                // Failures are reported as such.
                quarantined::TABLE => true,
                _ => false,
            };
            if is_reported || in_base.digest() == now.digest() {
                continue;
            }
            for change in in_base.diff(now) {
                let Change { key, before, after } = change?;
                if self.is_excluded(table, &key) {
                    continue;
                }
                differ.insert(table);
                let how = match (before, after) {
                    (Some(_), Some(_)) => RowDifference::Other,
                    (Some(_), None) => RowDifference::Surplus,
                    (None, _) => RowDifference::Missing,
                };
                let (task, table_name) = (self.task.id().clone(), table.to_owned());
                differences
                    .add(|| Ok(Difference::State { task, table: table_name, row: self.row_text(table, &key), how }))?;
            }
        }
        Ok(())
    }

    /// Whether a row is one of an excluded key.
    fn is_excluded(&self, table: &str, key: &[u8]) -> bool {
        let Excluded { inputs, outs, partitions } = self.excluded;
        let is_in = |set: &BTreeSet<EncodedKey>, bytes: &[u8]| key::first(bytes).is_some_and(|key| set.contains(key));
        let is_reader = |mut bytes: &[u8]| match Reader::read(&mut bytes) {
            Some(Reader::Front(input)) => inputs.contains(&input.to_bytes()),
            Some(Reader::Back(out)) => outs.contains(&out.to_bytes()),
            None => false,
        };
        match table {
            "edges" => is_in(inputs, key),
            "contributors" | "values" | "published" => is_in(outs, key),
            "owners" => is_in(partitions, key),
            "reads" => is_reader(key),
            // The reader is behind the read key, in which any byte may be 0.
            _ => (0..key.len()).any(|at| key[at] == 0 && is_reader(&key[at + 1..])),
        }
    }

    fn out_text(&self, out: &OutputKey) -> String {
        let layer = self.task.outputs().get(out.layer.place());
        let name = layer.and_then(|layer| Some(format!("{}/{}", layer.id, layer.name_from_bytes(&out.name).ok()?)));
        name.unwrap_or_else(|| format!("output {:?}", String::from_utf8_lossy(&out.name)))
    }

    fn in_text(&self, input: &InputKey) -> String {
        if input.is_whole() { "the whole input".to_owned() } else { self.view.show(input) }
    }

    fn row_text(&self, table: &str, key: &[u8]) -> String {
        let unreadable = || String::from_utf8_lossy(key).escape_debug().to_string();
        self.statement(table, key).unwrap_or_else(unreadable)
    }

    /// What a row states; `None` where its key can not be read.
    fn statement(&self, table: &str, mut key: &[u8]) -> Option<String> {
        let rest = &mut key;
        let input = |rest: &mut &[u8]| Some(self.in_text(&InputKey::read(rest)?));
        let out = |rest: &mut &[u8]| Some(self.out_text(&OutputKey::read(rest)?));
        Some(match table {
            "edges" => format!("the edge from {} to {}", input(rest)?, out(rest)?),
            "contributors" => {
                let out = out(rest)?;
                format!("the contribution of {} to {out}", input(rest)?)
            }
            "values" => {
                let out = out(rest)?;
                format!("the memo of {} for {out}", input(rest)?)
            }
            "published" => format!("the output of group {}, {},", out(rest)?, out(rest)?),
            "owners" => format!("the owner of {}, group {},", out(rest)?, out(rest)?),
            "reads" => {
                let reader = match Reader::read(rest)? {
                    Reader::Front(input) => format!("front-end of {}", self.in_text(&input)),
                    Reader::Back(out) => format!("back-end of {}", self.out_text(&out)),
                };
                format!("the read of {} by the {reader}", self.read_text(rest)?)
            }
            _ => return None,
        })
    }

    fn read_text(&self, read_key: &[u8]) -> Option<String> {
        let ReadKey { kind, layer, name, part } = ReadKey::parse(read_key)?;
        let partition = || self.view.show(&InputKey::new(layer, name));
        Some(match kind {
            ReadKind::Partition | ReadKind::Presence => partition(),
            ReadKind::Within => {
                let (layer, _) = deltic_compiler::Lookup::layers(self.view).get(layer.place())?;
                format!("what begins with `{}` in {layer}", String::from_utf8_lossy(name))
            }
            ReadKind::Part => {
                let (projection, argument) = part?;
                let [projection, argument] = [projection, argument].map(String::from_utf8_lossy);
                format!("`{projection}` of {} for `{argument}`", partition())
            }
        })
    }
}

/// The layers of a version that no task writes.
pub(crate) fn foreign(base: Base<'_>, tasks: &[deltic_compiler::Task]) -> Vec<deltic_core::LayerId> {
    let orphans = base.orphans(tasks).into_iter();
    orphans
        .filter_map(|orphan| match orphan {
            crate::Orphan::Layer(layer) => Some(layer),
            crate::Orphan::State(_) => None,
        })
        .collect()
}

/// The digest of an edge, if there is one to this output.
fn find<'a>(edges: &'a [(OutputKey, Digest)], out: &OutputKey) -> Option<&'a Digest> {
    edges.binary_search_by(|(of, _)| of.cmp(out)).ok().map(|index| &edges[index].1)
}
