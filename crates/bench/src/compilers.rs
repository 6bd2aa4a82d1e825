//! The three jobs as compilers.
//!
//! They process the records in the same way as the reference programs: serde borrows from the input, names are upper-cased into
//! strings, serde writes. So the two differ only in the code around the processing.

use std::fmt;
use std::str::FromStr;

use deltic_compiler::prelude::*;
use deltic_core::{CatalogId, LayerId};
use serde::{Deserialize, Serialize};

use crate::workload::{GROUP_DIGITS, KEY_DIGITS};

/// The input layer: id in its catalog.
pub const INPUT: &str = "parts";
/// The output layer.
pub const OUTPUT: &str = "out";

/// The symbolic id of the input catalog.
pub(crate) const CATALOG: &str = "in";

/// One of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// One to one.
    A,
    /// Sixteen to one, keys from keys.
    B,
    /// Sixteen to one, keys from content, typed values between.
    M,
}

impl Workload {
    /// The task, with a version stated for its code so that the executable is not hashed.
    pub fn task(self) -> Result<Task> {
        let task = match self {
            Workload::A => Task::new("a", Direct(Transform))?,
            Workload::B => Task::new("b", DirectMany(Aggregate))?,
            Workload::M => Task::new("m", MapGroup(Aggregate))?,
        };
        Ok(task.version("1"))
    }

    /// The job of the reference programs that makes the same outputs.
    pub fn reference(self) -> &'static str {
        match self {
            Workload::A => "a",
            Workload::B | Workload::M => "b",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Workload::A => "a",
            Workload::B => "b",
            Workload::M => "m",
        })
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Workload, String> {
        match text {
            "a" => Ok(Workload::A),
            "b" => Ok(Workload::B),
            "m" => Ok(Workload::M),
            _ => Err(format!("`{text}` is no job: expected `a`, `b` or `m`")),
        }
    }
}

/// The settings of the input layer.
pub(crate) fn input_layer() -> Result<Layer> {
    Ok(Layer::tiles(INPUT, Grid::Mercator, [KEY_DIGITS as u8])?.with_content_type("application/json"))
}

fn output_layer(digits: usize) -> Result<Vec<Layer>> {
    Ok(vec![Layer::tiles(OUTPUT, Grid::Mercator, [digits as u8])?.with_content_type("application/json")])
}

fn input_layers() -> Result<Vec<LayerRef>> {
    Ok(vec![LayerRef { catalog: Some(CatalogId::new(CATALOG)?), layer: LayerId::new(INPUT)? }])
}

#[derive(Deserialize)]
struct Partition<'a> {
    #[serde(borrow)]
    key: &'a str,
    #[serde(borrow)]
    group: &'a str,
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    id: u64,
    v: i64,
    w: i64,
    cls: u8,
    #[serde(borrow)]
    name: &'a str,
}

fn parse(input: &Input) -> Result<Partition<'_>> {
    Ok(serde_json::from_slice(input.bytes())?)
}

fn score(v: i64, w: i64) -> i64 {
    (v * 31 + w * 17) % 1_000_003
}

/// Job `a`: drops records with `v` divisible by five, scores the others and upper-cases their names.
#[derive(Debug, Clone, Copy)]
struct Transform;

#[derive(Serialize)]
struct TransformedRecord {
    id: u64,
    s: i64,
    name: String,
}

#[derive(Serialize)]
struct Transformed<'a> {
    key: &'a str,
    n: u64,
    sum: i64,
    records: Vec<TransformedRecord>,
}

impl HasLayers for Transform {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(input_layers()?).output_layers(output_layer(KEY_DIGITS)?))
    }
}

impl DirectCompiler for Transform {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add(OUTPUT, &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let [input] = inputs else { bail!("{} inputs instead of one", inputs.len()) };
        let partition = parse(input)?;
        let records = Vec::with_capacity(partition.records.len());
        let mut made = Transformed { key: partition.key, n: 0, sum: 0, records };
        for record in partition.records.iter().filter(|record| record.v % 5 != 0) {
            let s = score(record.v, record.w);
            made.n += 1;
            made.sum += s;
            made.records.push(TransformedRecord { id: record.id, s, name: record.name.to_ascii_uppercase() });
        }
        let mut bytes = Vec::with_capacity(input.bytes().len());
        serde_json::to_writer(&mut bytes, &made)?;
        Ok(Some(bytes.into()))
    }
}

/// Jobs `b` and `m`: all records of sixteen inputs, summed up by class and sorted by score.
#[derive(Debug, Clone, Copy)]
struct Aggregate;

#[derive(Serialize)]
struct Class {
    c: u8,
    n: u64,
    sum: i64,
    max: i64,
}

#[derive(Serialize)]
struct Scored {
    id: u64,
    s: i64,
}

#[derive(Serialize)]
struct Aggregated<'a> {
    group: &'a str,
    n: u64,
    cls: Vec<Class>,
    records: Vec<Scored>,
}

/// The part of a record that job `m` emits: id, score, class.
type Value = Vec<(u64, i64, u8)>;

/// Collects the records of one output.
struct Gathering {
    classes: Vec<Class>,
    records: Vec<Scored>,
}

impl Gathering {
    fn new() -> Gathering {
        let classes = (0..8).map(|c| Class { c, n: 0, sum: 0, max: 0 }).collect();
        Gathering { classes, records: Vec::with_capacity(1024) }
    }

    fn add(&mut self, id: u64, s: i64, class: u8) -> Result<()> {
        let class =
            self.classes.get_mut(usize::from(class)).with_context(|| format!("record {id} has class {class}"))?;
        class.n += 1;
        class.sum += s;
        class.max = class.max.max(s);
        self.records.push(Scored { id, s });
        Ok(())
    }

    fn write(mut self, group: &str) -> Result<Option<Payload>> {
        self.records.sort_unstable_by(|a, b| b.s.cmp(&a.s).then(a.id.cmp(&b.id)));
        let n = self.records.len() as u64;
        let made = Aggregated { group, n, cls: self.classes, records: self.records };
        let mut bytes = Vec::with_capacity(512 + 32 * made.records.len());
        serde_json::to_writer(&mut bytes, &made)?;
        Ok(Some(bytes.into()))
    }
}

impl HasLayers for Aggregate {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(input_layers()?).output_layers(output_layer(GROUP_DIGITS)?))
    }
}

impl DirectCompiler for Aggregate {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        match key.name.tile().and_then(|tile| tile.ancestor(GROUP_DIGITS as u8)) {
            Some(group) => out.add(OUTPUT, group),
            // Not legal there: the run ends with an error.
            None => out.add(OUTPUT, &key.name),
        }
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let mut gathering = Gathering::new();
        for input in inputs {
            for record in &parse(input)?.records {
                gathering.add(record.id, score(record.v, record.w), record.cls)?;
            }
        }
        gathering.write(&output.name.to_string())
    }
}

impl MapGroupCompiler for Aggregate {
    type Value = Value;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, Value>, _: &Context<'_>) -> Result<()> {
        let partition = parse(input)?;
        let group: Tile = partition.group.parse()?;
        let value = |record: &Record<'_>| (record.id, score(record.v, record.w), record.cls);
        out.emit(OUTPUT, group, partition.records.iter().map(value).collect());
        Ok(())
    }

    fn compile_out(&self, output: &OutKey, values: Values<'_, Value>, _: &Context<'_>) -> Result<Option<Payload>> {
        let mut gathering = Gathering::new();
        for (id, s, class) in values.flatten() {
            gathering.add(id, s, class)?;
        }
        gathering.write(&output.name.to_string())
    }
}
