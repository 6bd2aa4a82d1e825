//! The check of determinism: user code runs twice, to find results that are not functions of its input.
//!
//! The second time runs on a thread of its own, so that hash maps have other seeds and thread-locals are empty, in another
//! order of work, and with empty caches of projections. Its results are compared and dropped. Results that follow from the
//! input alone are equal. What the process kept from before the first time is the same both times and can not show; a
//! verification by another process finds it.
//!
//! `whole_input` checks code that runs over everything; `reordered` runs a kernel in another order and on another thread.

mod reordered;
mod whole_input;

use std::collections::BTreeMap;

use deltic_compiler::{Pattern, Seen};
use deltic_core::{Digest, Meta, Payload};

use crate::engine::kernel::TaskKernel;
use crate::engine::{Fetch, Item, Kernel, MapBatch, Mapped, Outcome, Reduced};
use crate::error::difference::FirstDifference;
use crate::error::findings::findings;
use crate::error::offender::{Offender, Offenders};
use crate::key::{EncodedKey, InputKey, LayerIndex, OutputKey};
use crate::sort::rows::{Row, RowStream, Rows};
use crate::{Error, Phase, Result};

use reordered::{Tee, apart, map_shuffled, map_some_shuffled, reduce_shuffled};
pub(crate) use whole_input::TakeEdges;

/// A kernel that runs everything twice, compares, and returns the first result.
pub(crate) struct DeterminismCheck<'a> {
    pub(crate) first: &'a TaskKernel<'a>,
    pub(crate) second: &'a TaskKernel<'a>,
    pub(crate) offenders: &'a Offenders,
    /// Whether the first time is shuffled too.
    pub(crate) shuffled: bool,
}

/// The salts of the two shuffled orders.
const FIRST: &str = "first";
const SECOND: &str = "second";

impl Kernel for DeterminismCheck<'_> {
    fn is_remote(&self) -> bool {
        self.first.is_remote()
    }

    fn go_on(&self) -> Result<()> {
        self.first.go_on()
    }

    fn give_up(&self) {
        self.first.give_up();
    }

    fn begin_map(&self, items: &[Item]) -> Result<Fetch> {
        if self.shuffled { Ok(Fetch::default()) } else { self.first.begin_map(items) }
    }

    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch> {
        if self.shuffled { Ok(Fetch::default()) } else { self.first.begin_reduce(rows) }
    }

    fn weight(&self, row: Row<'_>) -> u64 {
        self.first.weight(row)
    }

    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        let mut again = items.clone();
        let one = match self.shuffled {
            true => map_some_shuffled(self.first, items, FIRST)?,
            false => self.first.map(items, fetch)?,
        };
        again.truncate(one.mapped.len());
        match apart(|| map_shuffled(self.second, again.clone(), SECOND))? {
            Ok(two) => self.compare_batches(&one, &two)?,
            // The key of one of them can not be mapped. One by one, to find which.
            Err(_) => {
                for item in again {
                    let key = item.key.clone();
                    if let Err(error) = apart(|| self.second.map(vec![item], Fetch::default()))? {
                        self.failed_again(self.front(), self.first.view.show(&key), error)?;
                    }
                }
            }
        }
        Ok(one)
    }

    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>> {
        let Some(all) = rows.in_memory().cloned() else { return self.reduce_stream(rows, fetch) };
        let one = match self.shuffled {
            true => {
                reduce_shuffled(self.first, &all, FIRST).into_iter().try_fold(Vec::new(), |mut all, (_, one)| {
                    all.extend(one?);
                    Ok::<_, Error>(all)
                })?
            }
            false => self.first.reduce(rows, fetch)?,
        };
        let mut first: BTreeMap<EncodedKey, &Reduced> = one.iter().map(|one| (one.out.to_bytes(), one)).collect();
        for (out, two) in apart(|| reduce_shuffled(self.second, &all, SECOND))? {
            let Some(one) = first.remove(&out) else { continue };
            self.compare_outputs(one, two)?;
        }
        Ok(one)
    }
}

impl DeterminismCheck<'_> {
    /// The phase of a front-end.
    fn front(&self) -> Phase {
        match self.first.task.pattern() {
            Pattern::Direct { .. } => Phase::MapKey,
            _ => Phase::Front,
        }
    }

    fn record(&self, phase: Phase, key: String, what: String, first: Option<FirstDifference>) {
        self.offenders.record(Offender { task: self.first.task.id().clone(), phase, key, what, first });
    }

    /// Records that code failed the second time only; returns errors that are not of user code.
    fn failed_again(&self, phase: Phase, key: String, error: Error) -> Result<()> {
        let finding = findings(error)?.into_iter().next().unwrap_or_default();
        self.fails_once(phase, key, None, Some(&finding));
        Ok(())
    }

    /// Records that code failed one time only.
    fn fails_once(&self, phase: Phase, key: String, first: Option<&str>, second: Option<&str>) {
        let what = match (first, second) {
            (None, Some(failure)) => format!("succeeds the first time and fails the second: {failure}"),
            (Some(failure), None) => format!("succeeds the second time and fails the first: {failure}"),
            _ => return,
        };
        self.record(phase, key, what, None);
    }

    fn compare_batches(&self, one: &MapBatch, two: &MapBatch) -> Result<()> {
        for (first, second) in one.mapped.iter().zip(&two.mapped) {
            if first.edges == second.edges && first.reads == second.reads && first.failed == second.failed {
                continue;
            }
            let key = self.first.view.show(&first.item);
            if first.failed.is_some() || second.failed.is_some() {
                let [first, second] = [first, second].map(|one| one.failed.as_ref().map(|one| one.message.as_str()));
                self.fails_once(self.front(), key, first, second);
                continue;
            }
            match other_edge(first, second) {
                Some(out) => {
                    let emitted = [one, two].map(|batch| emitted(batch, &first.item, &out));
                    let what = format!("emits something else to {} the second time:", self.first.out_key(&out)?);
                    self.record(self.front(), key, what, FirstDifference::of(&emitted[0], &emitted[1]));
                }
                None => {
                    let what = self.other_reads(&first.reads, &second.reads);
                    self.record(self.front(), key, what, None);
                }
            }
        }
        Ok(())
    }

    fn compare_outputs(&self, one: &Reduced, two: Result<Vec<Reduced>>) -> Result<()> {
        let key = self.first.out_key(&one.out)?.to_string();
        let two = match two {
            Ok(two) => two,
            Err(error) => return self.failed_again(Phase::Back, key, error),
        };
        let Some(two) = two.into_iter().next() else { return Ok(()) };
        match (&one.outcome, &two.outcome) {
            // Not run, because an input that contributes to it failed.
            (Outcome::Held, _) | (Outcome::Failed(_), Outcome::Failed(_)) => return Ok(()),
            (Outcome::Failed(first), _) => {
                self.fails_once(Phase::Back, key, Some(&first.message), None);
                return Ok(());
            }
            (_, Outcome::Failed(second)) => {
                self.fails_once(Phase::Back, key, None, Some(&second.message));
                return Ok(());
            }
            _ => {}
        }
        let (made, again) = (self.partitions(&one.out, &one.outcome)?, self.partitions(&two.out, &two.outcome)?);
        let mut outs: Vec<&OutputKey> = made.keys().chain(again.keys()).collect();
        outs.sort_unstable();
        for out in outs {
            let (first, second) = (made.get(out), again.get(out));
            if first.map(Compiled::meta) == second.map(Compiled::meta) {
                continue;
            }
            let which = if *out == one.out { "it".to_owned() } else { self.first.out_key(out)?.to_string() };
            let (what, first) = match (first, second) {
                (Some(first), Some(second)) => {
                    let first = FirstDifference::of(&self.payload(out, first)?, &self.payload(out, second)?);
                    (format!("{which} has another content the second time:"), first)
                }
                (Some(_), None) => (format!("{which} is made only the first time"), None),
                (None, _) => (format!("{which} is made only the second time"), None),
            };
            self.record(Phase::Back, key, what, first);
            return Ok(());
        }
        if one.reads != two.reads {
            self.record(Phase::Back, key, self.other_reads(&one.reads, &two.reads), None);
        }
        Ok(())
    }

    /// The partitions of an outcome, of an output or a group.
    fn partitions(&self, out: &OutputKey, outcome: &Outcome) -> Result<BTreeMap<OutputKey, Compiled>> {
        let one = |out: &OutputKey, entry: Option<&deltic_store::Entry>| {
            let entry = match entry {
                Some(entry) => entry.clone(),
                None => match self.first.published.get(out.layer.place()).map(|tree| tree.get(&out.name)) {
                    Some(found) => match found? {
                        Some(entry) => entry,
                        None => return Ok(None),
                    },
                    None => return Ok(None),
                },
            };
            Ok::<_, Error>(Some((out.clone(), Compiled(entry))))
        };
        Ok(match outcome {
            Outcome::Nothing | Outcome::Failed(_) | Outcome::Held => BTreeMap::new(),
            Outcome::Same => one(out, None)?.into_iter().collect(),
            Outcome::New(entry) => one(out, Some(entry))?.into_iter().collect(),
            Outcome::Several(made) => {
                let made = made.iter().map(|(out, entry)| one(out, entry.as_ref()));
                made.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
            }
        })
    }

    /// The payload of a compiled partition. The second time its entry contains it; the first time it is in the published layer
    /// or in the draft.
    fn payload(&self, out: &OutputKey, made: &Compiled) -> Result<Payload> {
        let entry = &made.0;
        if let deltic_store::Place::Inline(bytes) = &entry.place {
            return Ok(Payload::new(bytes.clone()).with_fields(entry.meta.fields.clone()));
        }
        let published = self.first.published.get(out.layer.place());
        if let Some(published) = published
            && published.get(&out.name)?.as_ref() == Some(entry)
        {
            return Ok(published.read(entry)?);
        }
        Ok(self.first.draft.empty_tree().read(entry)?)
    }

    fn other_reads(&self, one: &[Seen], two: &[Seen]) -> String {
        let only = |one: &[Seen], two: &[Seen]| one.iter().find(|seen| !two.contains(seen)).cloned();
        match (only(one, two), only(two, one)) {
            (Some(seen), _) => format!("reads {} the first time only", self.show(&seen)),
            (None, Some(seen)) => format!("reads {} the second time only", self.show(&seen)),
            (None, None) => "reads something else the second time".to_owned(),
        }
    }

    fn show(&self, seen: &Seen) -> String {
        let show = |layer: u16, name: &[u8]| self.first.view.show(&InputKey::new(LayerIndex(layer), name));
        match seen {
            Seen::Partition(layer, name) | Seen::Presence(layer, name) => show(*layer, name),
            Seen::Within(layer, prefix) => {
                let prefix = String::from_utf8_lossy(prefix);
                format!("what begins with `{prefix}` in layer number {layer}")
            }
            Seen::Part(layer, name, part, _) => {
                format!("`{}` of {} for `{}`", part.projection, show(*layer, name), part.argument)
            }
        }
    }

    /// Reduces one group that is a stream. Its rows are kept for the second time.
    fn reduce_stream(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>> {
        let mut tee = Tee::new(rows);
        let one = self.first.reduce(&mut tee, fetch)?;
        let mut kept = tee.finish()?;
        let two = apart(|| self.second.reduce(&mut kept, Fetch::default()))?;
        match one.first() {
            Some(one) => self.compare_outputs(one, two)?,
            None => drop(two?),
        }
        Ok(one)
    }
}

/// A compiled partition.
struct Compiled(deltic_store::Entry);

impl Compiled {
    fn meta(&self) -> &Meta {
        &self.0.meta
    }
}

/// The first output to which an input emits other values, if there is one.
fn other_edge(one: &Mapped, two: &Mapped) -> Option<OutputKey> {
    let by_output = |edges: &[(OutputKey, Digest)]| edges.iter().cloned().collect::<BTreeMap<_, _>>();
    let (one, two) = (by_output(&one.edges), by_output(&two.edges));
    let mut outs: Vec<&OutputKey> = one.keys().chain(two.keys()).collect();
    outs.sort_unstable();
    outs.into_iter().find(|out| one.get(*out) != two.get(*out)).cloned()
}

/// All values that an input emits to an output.
fn emitted(batch: &MapBatch, item: &InputKey, out: &OutputKey) -> Payload {
    let (item, out) = (item.to_bytes(), out.to_bytes());
    let rows = batch.rows.iter().filter(|row| *row.item == *item && *row.out == *out);
    Payload::new(rows.fold(Vec::new(), |mut all, row| {
        all.extend_from_slice(row.value);
        all
    }))
}
