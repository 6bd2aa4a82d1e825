//! Back-ends: compile partitions, one by one or all at once, hash them, and store those that are new.

use anyhow::Context as _;
use deltic_compiler::{
    BackEnd, CompileInputs, Context, GlobalStage, Input, Lookup as _, OutKey, Publish, RawValue, ValueSource, Whole,
};
use deltic_core::{Name, Payload, Scheme};
use deltic_store::{Entry, Place, Tree};

use super::TaskKernel;
use crate::engine::{Fetch, Kernel as _, Outcome, Reduced};
use crate::error::failure::attempt;
use crate::key::{EncodedKey, InputKey, LayerIndex, OutputKey, parts};
use crate::report::observe::Event;
use crate::sort::read_ahead::read_ahead;
use crate::sort::rows::RowStream;
use crate::{Phase, Result};

impl TaskKernel<'_> {
    /// Runs a compiler of the whole output; `take` takes the outcome of each output, in the order in which they are made.
    pub(crate) fn compile_whole(
        &self,
        stage: &dyn GlobalStage,
        take: &mut dyn FnMut(OutputKey, Outcome) -> Result<()>,
    ) -> Result<()> {
        // Its reads are not recorded: it runs whenever anything changed that it can read.
        let context = Context::new(self.view);
        let whole = Whole::new(self.view, self.task.inputs());
        self.observer.event(&Event::Whole { task: self.task.id(), phase: Phase::Back });
        self.guard(Phase::Back, &"the whole output", None, || {
            let mut publish = |layer: u16, name: Name, payload: Payload| {
                self.go_on()?;
                let out = OutputKey::new(LayerIndex(layer), name.to_bytes());
                let outcome = self.publish(&out, Some(payload))?;
                Ok(take(out, outcome)?)
            };
            let mut publish = Publish::new(self.task.outputs(), &mut publish);
            stage.compile(&whole, &mut publish, &context)?;
            publish.check()
        })
    }

    pub(super) fn reduce_groups(&self, stage: &dyn BackEnd, rows: &mut dyn RowStream) -> Result<Vec<Reduced>> {
        std::iter::from_fn(|| self.reduce_group(stage, rows).transpose()).collect()
    }

    /// Runs a back-end for the next group, which is a stream.
    fn reduce_group(&self, stage: &dyn BackEnd, rows: &mut dyn RowStream) -> Result<Option<Reduced>> {
        let Some(first) = rows.peek()? else { return Ok(None) };
        let (out, item): (OutputKey, InputKey) = (self.decode(first.out)?, self.decode(first.item)?);
        let bytes = EncodedKey::from(first.out);
        let key = self.out_key(&out)?;
        if self.is_held(&bytes) {
            pass(rows, &bytes)?;
            return Ok(Some(Reduced { out, item, outcome: Outcome::Held, reads: Vec::new() }));
        }
        self.observer.event(&Event::Back { task: self.task.id(), key: &key });
        let context = Context::new(self.view);
        let mut values = GroupValues { rows: &mut *rows, out: &bytes, used: false };
        let mut made: Vec<(OutputKey, Outcome)> = Vec::new();
        let ran = self.guard(Phase::Back, &key, None, || {
            // Stored at once: all partitions of a group need not fit into memory.
            let mut take = |layer: u16, name: Name, payload: Payload| {
                self.go_on()?;
                let out = OutputKey::new(LayerIndex(layer), name.to_bytes());
                let outcome = self.publish(&out, Some(payload))?;
                made.push((out, outcome));
                Ok(())
            };
            let mut publish = Publish::new(self.task.outputs(), &mut take);
            stage.back(&key, &mut values, self.view.layers(), &context, &mut publish)?;
            publish.check()
        });
        // A back-end need not read all its values.
        pass(rows, &bytes)?;
        let outcome = ran.and_then(|()| match stage.splits() {
            true => self.several(&key, made),
            false => Ok(made.pop().map_or(Outcome::Nothing, |(_, outcome)| outcome)),
        });
        Ok(Some(reduced(out, item, outcome, context)?))
    }

    /// Compiles the outputs of a direct task, reading the payloads of all their inputs at once.
    pub(super) fn reduce_direct(
        &self,
        stage: &dyn CompileInputs,
        one_producer: bool,
        rows: &mut dyn RowStream,
        fetch: Fetch,
    ) -> Result<Vec<Reduced>> {
        let mut items: Vec<(InputKey, Entry)> = Vec::new();
        let mut groups: Vec<(OutputKey, usize)> = Vec::new();
        let mut at = EncodedKey::default();
        while let Some(row) = rows.peek()? {
            if groups.is_empty() || *at != *row.out {
                at.assign(row.out);
                groups.push((self.decode(row.out)?, 0));
            }
            let entry = self.input_of(row.value)?;
            items.push((self.decode(row.item)?, entry));
            if let Some((_, count)) = groups.last_mut() {
                *count += 1;
            }
            rows.advance()?;
        }
        let wanted: Vec<(LayerIndex, &Entry)> = items.iter().map(|(item, entry)| (item.layer, entry)).collect();
        let payloads = self.payloads(&wanted, fetch)?;
        let (mut producers, mut inputs) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for ((item, entry), payload) in items.into_iter().zip(payloads) {
            inputs.push(Input { key: self.key(&item, Phase::Back)?, meta: entry.meta, payload });
            producers.push(item);
        }
        self.read_ahead(|context| stage.read_ahead(&inputs, context))?;
        let (mut inputs, mut producers) = (inputs.into_iter(), producers.into_iter());
        let mut all = Vec::with_capacity(groups.len());
        for (out, count) in groups {
            let key = self.out_key(&out)?;
            // Taken out, so that they are freed when their output is made.
            let group: Vec<Input> = inputs.by_ref().take(count).collect();
            let mut producers = producers.by_ref().take(count).collect::<Vec<InputKey>>().into_iter();
            let Some(item) = producers.next() else { continue };
            if let (true, Some(second)) = (one_producer, producers.next()) {
                return Err(self.two_producers(&key, &item, &second));
            }
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

    /// Reads together what is published of a batch's outputs.
    pub(super) fn read_published(&self, rows: &dyn RowStream) -> Result<()> {
        let Some(rows) = rows.in_memory() else { return Ok(()) };
        if self.published.iter().all(Tree::is_empty) {
            return Ok(());
        }
        let mut outs = rows.iter().map(|row| self.decode(row.out)).collect::<Result<Vec<OutputKey>>>()?;
        outs.dedup();
        for of_layer in outs.chunk_by(|a, b| a.layer == b.layer) {
            let layer = of_layer.first().map(|out| out.layer.place());
            if let Some(published) = layer.and_then(|layer| self.published.get(layer)) {
                read_ahead(published, &of_layer.iter().map(|out| &*out.name).collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// Hashes a payload and stores it, unless the same one is published already.
    fn publish(&self, out: &OutputKey, payload: Option<Payload>) -> Result<Outcome> {
        let Some(payload) = payload else { return Ok(Outcome::Nothing) };
        self.check_put(out)?;
        let meta = payload.meta();
        if let Some(published) = self.published.get(out.layer.place())
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

    /// Checks that a layer may have a partition. Only puts are checked, so that partitions of older programs can be deleted.
    fn check_put(&self, out: &OutputKey) -> Result<()> {
        let Some(layer) = self.task.outputs().get(out.layer.place()) else { return Ok(()) };
        // A private layer has no grid and may have tiles of any.
        let has_any_tile = !matches!(layer.scheme, Scheme::Tile(grid, _) if !grid.is_all_on_earth());
        if has_any_tile || self.task.is_private(&layer.id) {
            return Ok(());
        }
        layer.name_from_bytes(&out.name).and_then(|name| layer.check_put(&name)).map_err(|error| {
            match self.out_key(out) {
                Ok(key) => self.failed(Phase::Back, key.to_string(), None, &error.into()),
                Err(broken) => broken,
            }
        })
    }

    /// The outcome of a group, from those of its partitions.
    fn several(&self, group: &OutKey, mut made: Vec<(OutputKey, Outcome)>) -> Result<Outcome> {
        made.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = made.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let problem = anyhow::anyhow!("it publishes {} twice", self.out_key(&pair[0].0)?);
            return Err(self.failed(Phase::Back, group.to_string(), None, &problem));
        }
        let entry = |outcome| if let Outcome::New(entry) = outcome { Some(entry) } else { None };
        Ok(Outcome::Several(made.into_iter().map(|(out, outcome)| (out, entry(outcome))).collect()))
    }
}

/// The result of an output, from the outcome of its back-end.
fn reduced(out: OutputKey, item: InputKey, outcome: Result<Outcome>, context: Context<'_>) -> Result<Reduced> {
    Ok(match attempt(outcome)? {
        Ok(outcome) => Reduced { out, item, outcome, reads: context.into_seen() },
        Err(failure) => Reduced { out, item, outcome: Outcome::Failed(failure), reads: Vec::new() },
    })
}

/// Advances behind a group.
fn pass(rows: &mut dyn RowStream, out: &[u8]) -> Result<()> {
    while rows.peek()?.is_some_and(|row| row.out == out) {
        rows.advance()?;
    }
    Ok(())
}

/// The values of one group.
struct GroupValues<'a, 'b> {
    rows: &'a mut (dyn RowStream + 'b),
    out: &'a [u8],
    /// Whether the current row was returned already.
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
        let (layer, name) = parts(row.item).context("a row whose input is cut short")?;
        Ok(Some(RawValue { layer: layer.0, name, bytes: row.value }))
    }
}
