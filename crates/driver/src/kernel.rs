//! A task's stage as a worker runs it: reads payloads, calls user code, hashes and stores what comes back.
//!
//! User code may fail or panic; both end as an error that names task, part and partition.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use deltic_compiler::{Context, DirectStage, GroupStage, Input, Lookup, OutKey, Outputs, Pattern, Task, ValueSource};
use deltic_core::{Digest, Hasher, Key, Layer, Payload};
use deltic_store::{Draft, Entry, Tree};

use crate::engine::{Group, Item, Kernel, Mapped, Outcome, Reduced, Row, RowValue};
use crate::error::Phase;
use crate::observe::{Event, Observer};
use crate::view::View;
use crate::{Element, Error, Result};

/// The kernel of one task in one run.
pub(crate) struct TaskKernel<'a> {
    pub(crate) task: &'a Task,
    pub(crate) view: &'a View,
    /// What is published now, by number of output layer.
    pub(crate) published: &'a [Tree],
    pub(crate) draft: &'a Draft,
    pub(crate) observer: &'a dyn Observer,
}

impl TaskKernel<'_> {
    /// The outputs that a direct task maps an input to, whether or not the input exists.
    pub(crate) fn outputs_of(&self, stage: &dyn DirectStage, input: &Element) -> Result<Vec<Element>> {
        let key = self.key(input, Phase::MapKey)?;
        let named = self.guard(Phase::MapKey, &key, || {
            let mut out = Outputs::new(self.task.outputs());
            stage.map_key(&key, &mut out);
            out.into_keys()
        })?;
        Ok(named.into_iter().map(|(layer, name)| Element::new(layer, name.to_bytes())).collect())
    }

    /// The key of an output.
    pub(crate) fn out_key(&self, out: &Element) -> Result<OutKey> {
        let layers: &[Layer] = self.task.outputs();
        let broken = |message: String| Error::State { task: self.task.id().clone(), message };
        let layer = layers
            .get(usize::from(out.layer))
            .ok_or_else(|| broken(format!("an output of layer number {}, which the task does not have", out.layer)))?;
        let name = layer.name_from_bytes(&out.name).map_err(|error| broken(error.to_string()))?;
        Ok(OutKey { layer: layer.id.clone(), name })
    }

    fn key(&self, input: &Element, phase: Phase) -> Result<Key> {
        self.view.key(input).map_err(|error| self.failed(phase, &format!("{:?}", input.name), error.into()))
    }

    fn failed(&self, phase: Phase, key: &str, source: anyhow::Error) -> Error {
        Error::Compiler { task: self.task.id().clone(), phase, key: key.to_owned(), source }
    }

    /// Runs user code; an error or a panic in it becomes an error that says where.
    fn guard<T>(&self, phase: Phase, key: &dyn ToString, code: impl FnOnce() -> anyhow::Result<T>) -> Result<T> {
        // What the code leaves half done after a panic is never looked at: the run ends.
        let result = catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "without a message".to_owned());
            Err(anyhow::anyhow!("panicked: {message}"))
        });
        result.map_err(|source| self.failed(phase, &key.to_string(), source))
    }

    /// Reads the payloads of entries that lie in different layers, few requests for each layer.
    fn payloads(&self, wanted: &[(u16, &Entry)]) -> Result<Vec<Payload>> {
        let mut payloads = vec![Payload::default(); wanted.len()];
        let mut layers: Vec<u16> = wanted.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        for layer in layers {
            let places: Vec<usize> = (0..wanted.len()).filter(|index| wanted[*index].0 == layer).collect();
            let entries: Vec<Entry> = places.iter().map(|index| wanted[*index].1.clone()).collect();
            let tree = self.view.now(layer).ok_or_else(|| Error::State {
                task: self.task.id().clone(),
                message: format!("an input of layer number {layer}, which the task does not have"),
            })?;
            for (index, payload) in places.into_iter().zip(tree.read_all(&entries)?) {
                payloads[index] = payload;
            }
        }
        Ok(payloads)
    }

    fn map_direct(&self, stage: &dyn DirectStage, items: Vec<Item>) -> Result<Vec<Mapped>> {
        let map = |item: Item| {
            let outs = self.outputs_of(stage, &item.element)?;
            let row = |out: &Element| Row {
                out: out.clone(),
                item: item.element.clone(),
                value: RowValue::Input(item.entry.clone()),
            };
            let rows = outs.iter().map(row).collect();
            let edges = outs.into_iter().map(|out| (out, item.entry.meta.digest)).collect();
            Ok(Mapped { item: item.element, edges, reads: Vec::new(), rows })
        };
        items.into_iter().map(map).collect()
    }

    fn map_group(&self, stage: &dyn GroupStage, items: Vec<Item>) -> Result<Vec<Mapped>> {
        let wanted: Vec<(u16, &Entry)> = items.iter().map(|item| (item.element.layer, &item.entry)).collect();
        let payloads = self.payloads(&wanted)?;
        let mut mapped = Vec::with_capacity(items.len());
        for (item, payload) in items.into_iter().zip(payloads) {
            let key = self.key(&item.element, Phase::Front)?;
            self.observer.event(&Event::Front { task: self.task.id(), key: &key });
            let input = Input { key, meta: item.entry.meta, payload };
            let context = Context::new(self.view);
            let emitted =
                self.guard(Phase::Front, &input.key, || stage.front(&input, self.task.outputs(), &context))?;
            let mut rows: Vec<Row> = Vec::with_capacity(emitted.rows.len());
            for row in &emitted.rows {
                let out = Element::new(row.layer, row.name.to_bytes());
                let value = RowValue::Bytes(Bytes::copy_from_slice(emitted.value(row)));
                rows.push(Row { out, item: item.element.clone(), value });
            }
            mapped.push(Mapped { edges: edges_of(&rows), item: item.element, reads: context.into_seen(), rows });
        }
        Ok(mapped)
    }

    fn reduce_group(&self, group: Group, payloads: Vec<Payload>) -> Result<Reduced> {
        let key = self.out_key(&group.out)?;
        self.observer.event(&Event::Back { task: self.task.id(), key: &key });
        let mut items: Vec<Element> = group.rows.iter().map(|row| row.item.clone()).collect();
        items.dedup();
        let context = Context::new(self.view);
        let payload = match self.task.pattern() {
            Pattern::Group(stage) => {
                let mut values = RowValues { rows: group.rows.iter() };
                self.guard(Phase::Back, &key, || stage.back(&key, &mut values, self.view.layers(), &context))?
            }
            Pattern::Direct { stage, one_producer } => {
                if let ([first, second, ..], true) = (&items[..], *one_producer) {
                    return Err(self.two_producers(&key, first, second));
                }
                let inputs = self.inputs(&group, payloads)?;
                self.guard(Phase::Back, &key, || stage.compile(&key, &inputs, &context))?
            }
        };
        let outcome = match payload {
            None => Outcome::Nothing,
            Some(payload) => self.publish(&group.out, &payload)?,
        };
        Ok(Reduced { out: group.out, items, outcome, reads: context.into_seen() })
    }

    pub(crate) fn two_producers(&self, output: &OutKey, one: &Element, other: &Element) -> Error {
        let (first, second) = if one < other { (one, other) } else { (other, one) };
        Error::TwoProducers {
            task: self.task.id().clone(),
            output: output.to_string(),
            first: self.view.show(first),
            second: self.view.show(second),
        }
    }

    fn inputs(&self, group: &Group, payloads: Vec<Payload>) -> Result<Vec<Input>> {
        let input = |(row, payload): (&Row, Payload)| {
            let key = self.key(&row.item, Phase::Back)?;
            let meta = match &row.value {
                RowValue::Input(entry) => entry.meta.clone(),
                RowValue::Bytes(_) => payload.meta(),
            };
            Ok(Input { key, meta, payload })
        };
        group.rows.iter().zip(payloads).map(input).collect()
    }

    /// Hashes a payload and stores it, unless just this is published already.
    fn publish(&self, out: &Element, payload: &Payload) -> Result<Outcome> {
        let meta = payload.meta();
        if let Some(published) = self.published.get(usize::from(out.layer))
            && let Some(entry) = published.get(&out.name)?
            && entry.meta == meta
        {
            return Ok(Outcome::Same(entry));
        }
        Ok(Outcome::New(self.draft.put_known(meta, payload)?))
    }
}

impl Kernel for TaskKernel<'_> {
    fn map(&self, items: Vec<Item>) -> Result<Vec<Mapped>> {
        match self.task.pattern() {
            Pattern::Direct { stage, .. } => self.map_direct(stage.as_ref(), items),
            Pattern::Group(stage) => self.map_group(stage.as_ref(), items),
        }
    }

    fn reduce(&self, groups: Vec<Group>) -> Result<Vec<Reduced>> {
        let mut wanted: Vec<(u16, &Entry)> = Vec::new();
        for row in groups.iter().flat_map(|group| &group.rows) {
            if let RowValue::Input(entry) = &row.value {
                wanted.push((row.item.layer, entry));
            }
        }
        let mut payloads = self.payloads(&wanted)?.into_iter();
        let mut reduced = Vec::with_capacity(groups.len());
        for group in groups {
            let carried = group.rows.iter().filter(|row| matches!(row.value, RowValue::Input(_))).count();
            let payloads = payloads.by_ref().take(carried).collect();
            reduced.push(self.reduce_group(group, payloads)?);
        }
        Ok(reduced)
    }
}

/// The outputs that rows go to, in order, each with the digest of all values for it in order of emission.
fn edges_of(rows: &[Row]) -> Vec<(Element, Digest)> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by(|a, b| a.out.cmp(&b.out));
    let digest = |rows: &[&Row]| {
        let mut hasher = Hasher::new("deltic edge 1");
        for row in rows {
            if let RowValue::Bytes(bytes) = &row.value {
                hasher.bytes(bytes);
            }
        }
        hasher.finish()
    };
    sorted.chunk_by(|a, b| a.out == b.out).map(|rows| (rows[0].out.clone(), digest(rows))).collect()
}

struct RowValues<'a> {
    rows: std::slice::Iter<'a, Row>,
}

impl ValueSource for RowValues<'_> {
    fn next_value(&mut self) -> anyhow::Result<Option<(u16, &[u8], &[u8])>> {
        match self.rows.next() {
            None => Ok(None),
            Some(Row { item, value: RowValue::Bytes(bytes), .. }) => Ok(Some((item.layer, &item.name, bytes))),
            Some(_) => anyhow::bail!("an intermediate value is missing"),
        }
    }
}
