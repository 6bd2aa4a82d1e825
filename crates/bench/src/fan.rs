//! Fan-out: one changed input that emits to k outputs, which it finds in its content.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use deltic_bench::{INPUT, Session, import_generated, key, open_input, tile};
use deltic_compiler::{Context, Emit, HasLayers, Input, Layers, MapGroup, MapGroupCompiler, OutKey, Task, Values};
use deltic_core::{Layer, LayerId, Name, Payload};
use deltic_driver::Import;
use deltic_store::Stores;

use crate::compare::rows::median;
use crate::measure::own_ms;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of partitions.
    #[arg(long, default_value = "100k", value_parser = crate::count)]
    size: u64,
    /// Outputs of the input that changes.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000")]
    outputs: Vec<u64>,
    /// Measured runs of each.
    #[arg(long, default_value_t = 30)]
    runs: usize,
}

/// Emits an input's word to the number of outputs that its content states, or to one output of its own.
struct Fan;

impl HasLayers for Fan {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers([format!("in/{INPUT}")]).output_layers([Layer::generic("fan")?]))
    }
}

impl MapGroupCompiler for Fan {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, _: &Context<'_>) -> Result<()> {
        match input.text()?.strip_prefix("hub ").and_then(|hub| hub.split_once(' ')) {
            Some((outputs, version)) => {
                let version: u64 = version.parse()?;
                for output in 0..outputs.parse()? {
                    out.emit("fan", format!("hub-{output:06}"), output * 1000 + version);
                }
            }
            None => out.emit("fan", input.name().to_string(), input.payload.len()),
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, mut values: Values<'_, u64>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(values.next().map(made))
    }
}

/// An output of some kilobytes.
fn made(value: u64) -> Payload {
    let mut text = String::new();
    for line in 0..200 {
        let _ = writeln!(text, "{{\"line\":{line},\"value\":{}}}", value.wrapping_mul(line + 1));
    }
    text.into()
}

/// Measures, and prints a table in Markdown.
pub(crate) fn fan(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.runs > 0, "--runs must be 1 or more");
    let stores = Stores::new();
    let base = open_input(&stores, "memory:in")?;
    import_generated(&base, arguments.size, deltic_bench::Kind::Base, 0)?;
    let task = Task::new("fan", MapGroup(Fan))?.version("1");
    let mut session = Session::with_task(&stores, task, "memory:in", "memory:out", 1)?;
    session.run()?;
    println!("| outputs | run, CPU | wall | an output alone, CPU | 1 ms + 2k × that | |\n|--:|--:|--:|--:|--:|---|");
    for outputs in &arguments.outputs {
        let (mut cpu, mut wall, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for version in 0..=arguments.runs as u64 {
            put_hub(&session, arguments.size / 2, *outputs, version)?;
            let (before, started) = (own_ms()?, Instant::now());
            let report = session.run()?;
            let (took, waited) = (own_ms()? - before, started.elapsed());
            ensure!(report.tasks.iter().all(|task| task.counts.compiled >= *outputs), "too few outputs: {report:?}");
            let before = own_ms()?;
            for output in 0..*outputs {
                std::hint::black_box(made(output * 1000 + version).meta());
            }
            // The first run makes the outputs; later runs change them.
            if version > 0 {
                cpu.push(took);
                wall.push(waited.as_secs_f64() * 1000.0);
                alone.push((own_ms()? - before) / *outputs as f64);
            }
        }
        let of = |numbers: Vec<f64>| median(numbers).unwrap_or_default();
        let (cpu, wall, alone) = (of(cpu), of(wall), of(alone));
        let limit = 1.0 + 2.0 * *outputs as f64 * alone;
        let verdict = if cpu <= limit { "met" } else { "**missed**" };
        println!(
            "| {outputs} | **{cpu:.3} ms** | {wall:.3} ms | {:.1} µs | {limit:.3} ms | {verdict} |",
            alone * 1000.0
        );
    }
    Ok(())
}

/// Makes one input contribute to a number of outputs.
fn put_hub(session: &Session, number: u64, outputs: u64, version: u64) -> Result<()> {
    let import = Import::begin(&session.input().latest()?, deltic_bench::new_run_id()?)?;
    let name = Name::Tile(tile(&key(number))?);
    import.put(&LayerId::new(INPUT)?, &name, &format!("hub {outputs} {version}").into())?;
    import.commit(deltic_bench::now(), "")?;
    Ok(())
}
