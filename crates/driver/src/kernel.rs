//! A task's stage as a worker runs it: reads payloads, calls user code, hashes and stores what comes back.
//!
//! User code may fail or panic; both become a failure that names task, part and partition. One of a front- or back-end
//! is a result like any other, so that its stage goes on.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use anyhow::Context as _;
use deltic_compiler::{
    BackEnd, CompileInputs, Context, DepStage, DirectStage, Edges, Emitted, GlobalStage, Graph, GraphStage, GroupStage,
    Input, InputChange, Lookup, OutKey, Outputs, Pattern, Publish, RawValue, Task, ValueSource, Whole,
};
use deltic_core::{Digest, Hasher, Key, Layer, Name, Payload};
use deltic_store::{Draft, Entry, Place, Tree};

use crate::elements::read_ahead;
use crate::engine::{Fetch, Item, Kernel, MapBatch, Mapped, Outcome, Reduced};
use crate::error::Phase;
use crate::failure::attempt;
use crate::observe::{Event, Observer, Silent};
use crate::rows::{Row, RowStream, Rows};
use crate::stop::Stop;
use crate::view::View;
use crate::wire::{entry_len, read_entry, write_entry};
use crate::{Element, Error, Failure, Result};

/// The kernel of one task in one run.
pub(crate) struct TaskKernel<'a> {
    pub(crate) task: &'a Task,
    pub(crate) view: &'a View,
    /// What is published now, by number of output layer.
    pub(crate) published: &'a [Tree],
    pub(crate) draft: &'a Draft,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    pub(crate) held: Held,
    /// Whether what is made goes into the draft. Else an entry holds it itself, and is good for comparison only.
    pub(crate) keeps: bool,
}

/// Outputs whose back-end is not to run.
#[derive(Default)]
pub(crate) struct Held {
    /// Hardly ever true, and asked for each group.
    any: AtomicBool,
    outs: RwLock<BTreeSet<Vec<u8>>>,
}

impl<'a> TaskKernel<'a> {
    /// The same, to compare with what it makes: nothing is kept, nobody watches, and nothing counts as published.
    pub(crate) fn to_compare(&self, view: &'a View) -> TaskKernel<'a> {
        let (task, draft, stop) = (self.task, self.draft, self.stop);
        TaskKernel { task, view, published: &[], draft, observer: &Silent, stop, held: Held::default(), keeps: false }
    }
}

impl TaskKernel<'_> {
    /// Does not run the back-ends of these outputs from now on.
    pub(crate) fn hold(&self, outs: impl IntoIterator<Item = Vec<u8>>) {
        let mut held = self.held.outs.write().unwrap_or_else(PoisonError::into_inner);
        held.extend(outs);
        self.held.any.store(!held.is_empty(), Ordering::Release);
    }

    /// Whether there is any back-end that is not to run.
    pub(crate) fn holds_any(&self) -> bool {
        self.held.any.load(Ordering::Acquire)
    }

    /// Whether the back-end of an output is not to run.
    pub(crate) fn is_held(&self, out: &[u8]) -> bool {
        let Held { any, outs } = &self.held;
        any.load(Ordering::Acquire) && outs.read().unwrap_or_else(PoisonError::into_inner).contains(out)
    }

    /// The outputs that a direct task maps an input to, whether or not the input exists.
    pub(crate) fn outputs_of(&self, stage: &dyn DirectStage, input: &Element) -> Result<Vec<Element>> {
        let key = self.key(input, Phase::MapKey)?;
        let named = self.guard(Phase::MapKey, &key, Some(&key), || {
            let mut out = Outputs::new(self.task.outputs());
            stage.map_key(&key, &mut out);
            out.into_keys()
        })?;
        Ok(named.into_iter().map(|(layer, name)| Element::new(layer, name.to_bytes())).collect())
    }

    /// The key of an output.
    pub(crate) fn out_key(&self, out: &Element) -> Result<OutKey> {
        let layers: &[Layer] = self.task.outputs();
        let layer = layers.get(usize::from(out.layer));
        let layer = layer.ok_or_else(|| {
            self.broken(&format!("an output of layer number {}, which the task does not have", out.layer))
        })?;
        let name = layer.name_from_bytes(&out.name).map_err(|error| self.broken(&error.to_string()))?;
        Ok(OutKey { layer: layer.id.clone(), name })
    }

    fn key(&self, input: &Element, phase: Phase) -> Result<Key> {
        self.view.key(input).map_err(|error| self.failed(phase, format!("{:?}", input.name), None, &error.into()))
    }

    fn failed(&self, phase: Phase, key: String, input: Option<&Key>, source: &anyhow::Error) -> Error {
        let failure = Failure::new(self.task.id(), phase, key, input, source);
        self.observer.event(&Event::Failed { failure: &failure });
        failure.into()
    }

    /// Runs user code, unless the run is to end; an error or a panic in it becomes an error that says where. What a store
    /// failed on meanwhile is the store's failure, whatever the code made of it.
    fn guard<T>(
        &self,
        phase: Phase,
        key: &dyn ToString,
        input: Option<&Key>,
        code: impl FnOnce() -> anyhow::Result<T>,
    ) -> Result<T> {
        let code = || self.go_on().map_err(anyhow::Error::from).and_then(|()| code());
        // What the code leaves half done after a panic is its own: nothing of it is looked at here.
        let result = catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "without a message".to_owned());
            Err(anyhow::anyhow!("panicked: {message}"))
        });
        if phase != Phase::MapKey {
            self.observer.event(&Event::Returned { task: self.task.id() });
        }
        self.view.check()?;
        // What went wrong in the driver on behalf of user code is not user code's fault.
        result.map_err(|source| match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => self.failed(phase, key.to_string(), input, &source),
        })
    }

    /// Begins to read the payloads of entries that lie in different layers, few requests for each layer.
    fn begin(&self, wanted: &[(u16, &Entry)]) -> Result<Fetch> {
        let mut layers: Vec<u16> = wanted.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let begin = |layer| {
            let places: Vec<usize> = (0..wanted.len()).filter(|index| wanted[*index].0 == layer).collect();
            let entries: Vec<Entry> = places.iter().map(|index| wanted[*index].1.clone()).collect();
            let tree = self.view.now(layer).ok_or_else(|| Error::State {
                task: self.task.id().clone(),
                message: format!("an input of layer number {layer}, which the task does not have"),
            })?;
            Ok((places, tree.begin_read_all(entries)?))
        };
        let begun = layers.into_iter().map(begin).collect::<Result<_>>()?;
        Ok(Fetch { begun: Some(begun), bytes: wanted.iter().map(|(_, entry)| entry.meta.len).sum() })
    }

    /// The payloads of entries: those that were begun, else they are read now.
    fn payloads(&self, wanted: &[(u16, &Entry)], fetch: Fetch) -> Result<Vec<Payload>> {
        match fetch.wait()? {
            Some(payloads) => Ok(payloads),
            None => Ok(self.begin(wanted)?.wait()?.unwrap_or_default()),
        }
    }

    fn map_direct(&self, stage: &dyn DirectStage, items: Vec<Item>) -> Result<MapBatch> {
        let mut batch = MapBatch::default();
        let (mut from, mut to, mut value) = (Vec::new(), Vec::new(), Vec::new());
        for Item { element, entry } in items {
            let outs = self.outputs_of(stage, &element)?;
            from.clear();
            element.write(&mut from);
            value.clear();
            write_entry(&entry, &mut value);
            for out in &outs {
                to.clear();
                out.write(&mut to);
                batch.rows.push(&to, &from, &value);
            }
            let edges = outs.into_iter().map(|out| (out, entry.meta.digest)).collect();
            batch.mapped.push(Mapped { item: element, edges, reads: Vec::new(), failed: None });
        }
        Ok(batch)
    }

    fn map_group(&self, stage: &dyn GroupStage, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        let payloads = self.payloads(&wanted_of(&items), fetch)?;
        let mut batch = MapBatch::default();
        let mut from = Vec::new();
        for (item, payload) in items.into_iter().zip(payloads) {
            let key = self.key(&item.element, Phase::Front)?;
            self.observer.event(&Event::Front { task: self.task.id(), key: &key });
            let input = Input { key, meta: item.entry.meta, payload };
            let context = Context::new(self.view);
            let emitted = self.guard(Phase::Front, &input.key, Some(&input.key), || {
                stage.front(&input, self.task.outputs(), &context)
            });
            let (edges, reads, failed) = match attempt(emitted)? {
                Ok(emitted) => {
                    from.clear();
                    item.element.write(&mut from);
                    (push_rows(&emitted, &from, &mut batch.rows), context.into_seen(), None)
                }
                Err(failure) => (Vec::new(), Vec::new(), Some(failure)),
            };
            batch.mapped.push(Mapped { item: item.element, edges, reads, failed });
        }
        Ok(batch)
    }

    /// Runs a front-end over the whole input; `rows` takes what it says, as said by `item`.
    pub(crate) fn map_whole(
        &self,
        stage: &dyn DepStage,
        item: &Element,
        rows: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<()> {
        let from = item.to_bytes();
        let context = Context::new(self.view);
        let whole = Whole::new(self.view, self.task.inputs());
        self.observer.event(&Event::Whole { task: self.task.id(), phase: Phase::Front });
        self.guard(Phase::Front, &"the whole input", None, || {
            stage.front(&whole, self.task.outputs(), &context, &mut |emitted| {
                self.go_on()?;
                let mut batch = Rows::default();
                push_rows(&emitted, &from, &mut batch);
                Ok(rows(batch)?)
            })
        })
    }

    /// Asks for the dependency graph, or for what is new in it: `changes` and the graph of the base say what that is.
    /// `take` takes the outputs of each input that was mentioned.
    pub(crate) fn edges_of_user(
        &self,
        stage: &dyn GraphStage,
        before: Option<(&mut dyn Iterator<Item = deltic_compiler::Result<InputChange>>, &dyn Graph)>,
        take: &mut dyn FnMut(Element, Vec<Element>) -> Result<()>,
    ) -> Result<()> {
        let context = Context::new(self.view);
        let whole = Whole::new(self.view, self.task.inputs());
        self.observer.event(&Event::Whole { task: self.task.id(), phase: Phase::Graph });
        self.guard(Phase::Graph, &"the input", None, || {
            let mut take = |input: &Key, outs: Vec<(u16, Name)>| {
                self.go_on()?;
                let number = self.view.number(&input.layer).filter(|_| self.task.inputs().contains(&input.layer));
                let element = Element::new(number.context("it is in no input layer")?, input.name.to_bytes());
                anyhow::ensure!(
                    self.view.meta(element.layer, &element.name)?.is_some(),
                    "outputs are set for {input}, which does not exist"
                );
                let outs = outs.into_iter().map(|(layer, name)| Element::new(layer, name.to_bytes()));
                Ok(take(element, outs.collect())?)
            };
            let mut edges = Edges::new(self.task.outputs(), &mut take);
            match before {
                Some((changes, graph)) => stage.update(&whole, changes, graph, &mut edges, &context),
                None => stage.graph(&whole, &mut edges, &context),
            }
        })
    }

    /// Runs a compiler of everything; `take` takes what became of each output, in its order.
    pub(crate) fn compile_whole(
        &self,
        stage: &dyn GlobalStage,
        take: &mut dyn FnMut(Element, Outcome) -> Result<()>,
    ) -> Result<()> {
        let context = Context::new(self.view);
        let whole = Whole::new(self.view, self.task.inputs());
        self.observer.event(&Event::Whole { task: self.task.id(), phase: Phase::Back });
        self.guard(Phase::Back, &"the whole output", None, || {
            let mut publish = |layer: u16, name: Name, payload: Payload| {
                self.go_on()?;
                let out = Element::new(layer, name.to_bytes());
                let outcome = self.publish(&out, Some(payload))?;
                Ok(take(out, outcome)?)
            };
            let mut publish = Publish::new(self.task.outputs(), &mut publish);
            stage.compile(&whole, &mut publish, &context)?;
            publish.check()
        })
    }

    fn reduce_groups(&self, stage: &dyn BackEnd, rows: &mut dyn RowStream) -> Result<Vec<Reduced>> {
        std::iter::from_fn(|| self.reduce_group(stage, rows).transpose()).collect()
    }

    /// Runs a back-end for the group at hand, which is a stream.
    fn reduce_group(&self, stage: &dyn BackEnd, rows: &mut dyn RowStream) -> Result<Option<Reduced>> {
        let Some(first) = rows.peek()? else { return Ok(None) };
        let (out, item) = (self.element(first.out)?, self.element(first.item)?);
        let bytes = first.out.to_vec();
        let key = self.out_key(&out)?;
        if self.is_held(&bytes) {
            pass(rows, &bytes)?;
            return Ok(Some(Reduced { out, item, outcome: Outcome::Held, reads: Vec::new() }));
        }
        self.observer.event(&Event::Back { task: self.task.id(), key: &key });
        let context = Context::new(self.view);
        let mut values = GroupValues { rows: &mut *rows, out: &bytes, used: false };
        let mut made: Vec<(Element, Payload)> = Vec::new();
        let ran = self.guard(Phase::Back, &key, None, || {
            let mut take = |layer: u16, name: Name, payload: Payload| {
                made.push((Element::new(layer, name.to_bytes()), payload));
                Ok(())
            };
            let mut publish = Publish::new(self.task.outputs(), &mut take);
            stage.back(&key, &mut values, self.view.layers(), &context, &mut publish)?;
            publish.check()
        });
        // A back-end need not look at all its values.
        pass(rows, &bytes)?;
        let outcome = ran.and_then(|()| match stage.splits() {
            true => self.publish_several(&key, made),
            false => self.publish(&out, made.pop().map(|(_, payload)| payload)),
        });
        Ok(Some(reduced(out, item, outcome, context)?))
    }

    /// Compiles the outputs of a direct task, reading the payloads of all their inputs at once.
    fn reduce_direct(
        &self,
        stage: &dyn CompileInputs,
        one_producer: bool,
        rows: &mut dyn RowStream,
        fetch: Fetch,
    ) -> Result<Vec<Reduced>> {
        let mut items: Vec<(Element, Entry)> = Vec::new();
        let mut groups: Vec<(Element, usize)> = Vec::new();
        let mut at = Vec::new();
        while let Some(row) = rows.peek()? {
            if groups.is_empty() || at != row.out {
                at.clear();
                at.extend_from_slice(row.out);
                groups.push((self.element(row.out)?, 0));
            }
            let entry = self.input_of(row.value)?;
            items.push((self.element(row.item)?, entry));
            if let Some((_, count)) = groups.last_mut() {
                *count += 1;
            }
            rows.advance()?;
        }
        let wanted: Vec<(u16, &Entry)> = items.iter().map(|(item, entry)| (item.layer, entry)).collect();
        let payloads = self.payloads(&wanted, fetch)?;
        let mut inputs = items.into_iter().zip(payloads);
        let mut all = Vec::with_capacity(groups.len());
        for (out, count) in groups {
            let key = self.out_key(&out)?;
            let mut first = None;
            let mut group = Vec::with_capacity(count);
            for ((item, entry), payload) in inputs.by_ref().take(count) {
                if let (Some(first), true) = (&first, one_producer) {
                    return Err(self.two_producers(&key, first, &item));
                }
                group.push(Input { key: self.key(&item, Phase::Back)?, meta: entry.meta, payload });
                first.get_or_insert(item);
            }
            let Some(item) = first else { continue };
            self.observer.event(&Event::Back { task: self.task.id(), key: &key });
            let context = Context::new(self.view);
            let payload = self.guard(Phase::Back, &key, group.first().map(|input| &input.key), || {
                stage.compile(&key, &group, &context)
            });
            let outcome = payload.and_then(|payload| self.publish(&out, payload));
            all.push(reduced(out, item, outcome, context)?);
        }
        Ok(all)
    }

    fn element(&self, mut bytes: &[u8]) -> Result<Element> {
        Element::read(&mut bytes).ok_or_else(|| self.broken("a row whose key is cut short"))
    }

    /// Reads together what is published of a batch's outputs.
    fn read_published(&self, rows: &dyn RowStream) -> Result<()> {
        let Some(rows) = rows.in_memory() else { return Ok(()) };
        if self.published.iter().all(Tree::is_empty) {
            return Ok(());
        }
        let mut outs = rows.iter().map(|row| self.element(row.out)).collect::<Result<Vec<_>>>()?;
        outs.dedup();
        for of_layer in outs.chunk_by(|a, b| a.layer == b.layer) {
            let layer = of_layer.first().map(|out| usize::from(out.layer));
            if let Some(published) = layer.and_then(|layer| self.published.get(layer)) {
                read_ahead(published, &of_layer.iter().map(|out| &*out.name).collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// The input that a row of a direct task carries.
    fn input_of(&self, value: &[u8]) -> Result<Entry> {
        read_entry(value).ok_or_else(|| self.broken("a row without its input"))
    }

    fn broken(&self, message: &str) -> Error {
        Error::State { task: self.task.id().clone(), message: message.to_owned() }
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

    /// Hashes a payload and stores it, unless just this is published already.
    fn publish(&self, out: &Element, payload: Option<Payload>) -> Result<Outcome> {
        let Some(payload) = payload else { return Ok(Outcome::Nothing) };
        let meta = payload.meta();
        if let Some(published) = self.published.get(usize::from(out.layer))
            && !published.is_empty()
            && published.get(&out.name)?.is_some_and(|entry| entry.meta == meta)
        {
            return Ok(Outcome::Same);
        }
        if !self.keeps {
            let place = Place::Inline(payload.bytes().clone());
            return Ok(Outcome::New(Entry { meta, place }));
        }
        Ok(Outcome::New(self.draft.put_known(meta, &payload)?))
    }
}

impl TaskKernel<'_> {
    /// The same for all partitions of a group.
    fn publish_several(&self, group: &OutKey, mut made: Vec<(Element, Payload)>) -> Result<Outcome> {
        made.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(twice) = made.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let problem = anyhow::anyhow!("it publishes {} twice", self.out_key(&twice[0].0)?);
            return Err(self.failed(Phase::Back, group.to_string(), None, &problem));
        }
        let publish = |(out, payload)| match self.publish(&out, Some(payload))? {
            Outcome::New(entry) => Ok((out, Some(entry))),
            _ => Ok((out, None)),
        };
        Ok(Outcome::Several(made.into_iter().map(publish).collect::<Result<_>>()?))
    }
}

impl Kernel for TaskKernel<'_> {
    fn is_remote(&self) -> bool {
        self.view.iter().any(|(_, _, layer)| layer.now().is_remote())
    }

    fn go_on(&self) -> Result<()> {
        match self.stop.is_asked() {
            true => Err(Error::Stopped { stands: self.draft.base().version() }),
            false => Ok(()),
        }
    }

    fn begin_map(&self, items: &[Item]) -> Result<Fetch> {
        match self.task.pattern() {
            // Looks at keys alone.
            Pattern::Direct { .. } | Pattern::Dep(_) | Pattern::Global(_) | Pattern::Graph(_) => Ok(Fetch::default()),
            Pattern::Group(_) => self.begin(&wanted_of(items)),
        }
    }

    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch> {
        match self.task.pattern() {
            Pattern::Direct { .. } | Pattern::Graph(_) => {
                let items = rows.iter().map(|row| Ok((self.element(row.item)?.layer, self.input_of(row.value)?)));
                let items = items.collect::<Result<Vec<_>>>()?;
                self.begin(&items.iter().map(|(layer, entry)| (*layer, entry)).collect::<Vec<_>>())
            }
            // The values are in the rows.
            Pattern::Group(_) | Pattern::Dep(_) | Pattern::Global(_) => Ok(Fetch::default()),
        }
    }

    fn weight(&self, row: Row<'_>) -> u64 {
        match self.task.pattern() {
            Pattern::Direct { .. } | Pattern::Graph(_) => entry_len(row.value),
            Pattern::Group(_) | Pattern::Dep(_) | Pattern::Global(_) => 0,
        }
    }

    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        match self.task.pattern() {
            Pattern::Direct { stage, .. } => self.map_direct(stage.as_ref(), items),
            Pattern::Group(stage) => self.map_group(stage.as_ref(), items, fetch),
            // Their front-end is run over the whole input instead.
            Pattern::Dep(_) | Pattern::Global(_) | Pattern::Graph(_) => Ok(MapBatch::default()),
        }
    }

    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>> {
        self.read_published(rows)?;
        match self.task.pattern() {
            Pattern::Direct { stage, one_producer } => self.reduce_direct(stage.as_ref(), *one_producer, rows, fetch),
            Pattern::Group(stage) => self.reduce_groups(stage.as_ref(), rows),
            Pattern::Dep(stage) => self.reduce_groups(stage.as_ref(), rows),
            Pattern::Graph(stage) => self.reduce_direct(stage.as_ref(), false, rows, fetch),
            Pattern::Global(_) => Ok(Vec::new()),
        }
    }
}

/// What became of an output, given what its back-end came to.
fn reduced(out: Element, item: Element, outcome: Result<Outcome>, context: Context<'_>) -> Result<Reduced> {
    Ok(match attempt(outcome)? {
        Ok(outcome) => Reduced { out, item, outcome, reads: context.into_seen() },
        Err(failure) => Reduced { out, item, outcome: Outcome::Failed(failure), reads: Vec::new() },
    })
}

/// Passes over the rest of a group.
fn pass(rows: &mut dyn RowStream, out: &[u8]) -> Result<()> {
    while rows.peek()?.is_some_and(|row| row.out == out) {
        rows.advance()?;
    }
    Ok(())
}

fn wanted_of(items: &[Item]) -> Vec<(u16, &Entry)> {
    items.iter().map(|item| (item.element.layer, &item.entry)).collect()
}

/// Makes rows of what a front-end emitted; returns its edges.
fn push_rows(emitted: &Emitted, from: &[u8], rows: &mut Rows) -> Vec<(Element, Digest)> {
    let mut to = Vec::new();
    let mut outs: Vec<(Element, &[u8])> = Vec::with_capacity(emitted.rows.len());
    for row in &emitted.rows {
        let out = Element::new(row.layer, row.name.to_bytes());
        to.clear();
        out.write(&mut to);
        rows.push(&to, from, emitted.value(row));
        outs.push((out, emitted.value(row)));
    }
    edges_of(outs)
}

/// The outputs that values go to, in order, each with the digest of all values for it in order of emission.
fn edges_of(mut outs: Vec<(Element, &[u8])>) -> Vec<(Element, Digest)> {
    outs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut edges: Vec<(Element, Digest)> = Vec::with_capacity(outs.len());
    let mut outs = outs.into_iter().peekable();
    while let Some((out, first)) = outs.next() {
        let mut hasher = Hasher::new("deltic edge 1");
        hasher.bytes(first);
        while let Some((_, value)) = outs.next_if(|(next, _)| *next == out) {
            hasher.bytes(value);
        }
        edges.push((out, hasher.finish()));
    }
    edges
}

/// The values of one group.
struct GroupValues<'a, 'b> {
    rows: &'a mut (dyn RowStream + 'b),
    out: &'a [u8],
    /// Whether the row at hand was given out already.
    used: bool,
}

impl ValueSource for GroupValues<'_, '_> {
    fn next_value(&mut self) -> anyhow::Result<Option<RawValue<'_>>> {
        if self.used {
            self.rows.advance()?;
        }
        self.used = true;
        let Some(row) = self.rows.peek()?.filter(|row| row.out == self.out) else {
            self.used = false;
            return Ok(None);
        };
        match row.item {
            [high, low, name @ .., 0] => {
                Ok(Some(RawValue { layer: u16::from_be_bytes([*high, *low]), name, bytes: row.value }))
            }
            _ => anyhow::bail!("a row whose input is cut short"),
        }
    }
}
