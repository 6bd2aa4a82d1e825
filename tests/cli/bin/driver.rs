//! A driver binary as users write them: it counts the words of notes. Some words make it fail.

use std::sync::atomic::{AtomicU64, Ordering};

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

/// `[compiler.word-list]`.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Config {
    min_length: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { min_length: 1 }
    }
}

/// For each word, the notes that contain it.
struct WordList(Config);

impl HasLayers for WordList {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/notes"])
            .output_layers([Layer::generic("words")?.with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for WordList {
    type Value = String;

    fn compile_in(&self, note: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in note.text()?.split_whitespace().filter(|word| word.chars().count() >= self.0.min_length) {
            ensure!(word != "bad", "a bad word");
            assert!(word != "panic", "at the word panic");
            out.emit("words", word, note.name().to_string());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, notes: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        let mut notes: Vec<String> = notes.collect();
        notes.dedup();
        Ok(Some(Payload::from_json(&notes)?))
    }
}

/// How often notes with the word `often` were copied: a compiler must not use such a counter.
static TIMES: AtomicU64 = AtomicU64::new(0);

/// Copies each note in capitals, below the notes it mentions with `@`.
struct Loud;

impl HasLayers for Loud {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("loud")?]))
    }
}

impl DirectCompiler for Loud {
    fn map_key(&self, note: &Key, out: &mut Outputs<'_>) {
        out.add("loud", &note.name);
    }

    fn compile(&self, _: &OutKey, notes: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let mut text = String::new();
        for word in notes[0].text()?.split_whitespace() {
            let Some(name) = word.strip_prefix('@') else { continue };
            if let Some(mentioned) = context.read("in/notes", name)? {
                text.push_str(mentioned.text()?);
            }
        }
        text.push_str(notes[0].text()?);
        ensure!(!text.contains("worse"), "worse than bad");
        if text.contains("often") {
            text.push_str(&format!("{} times\n", TIMES.fetch_add(1, Ordering::Relaxed)));
        }
        Ok(Some(text.to_uppercase().into()))
    }
}

/// `[compiler.diary]`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct DiaryConfig {
    on: bool,
}

/// All contents that a note ever had, a line for each run in which it changed.
struct Diary;

impl HasLayers for Diary {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/notes"])
            .reference_layers(["self/diary"])
            .output_layers([Layer::generic("diary")?]))
    }
}

impl DirectCompiler for Diary {
    fn map_key(&self, note: &Key, out: &mut Outputs<'_>) {
        out.add("diary", &note.name);
    }

    fn compile(&self, out: &OutKey, notes: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let before = context.read("self/diary", &out.name)?;
        let before = before.as_ref().map_or(Ok(""), |before| before.text())?;
        let now = notes[0].text()?;
        Ok(Some(if before.ends_with(now) { before.to_owned() } else { format!("{before}{now}") }.into()))
    }
}

/// `[compiler.slow]`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct SlowConfig {
    on: bool,
    /// The work for an output, in rounds of arithmetic.
    rounds: u64,
}

/// Makes N outputs from `outputs N`, with some work each; and from `pipe PATH` the text that comes through that pipe.
struct Slow(SlowConfig);

impl HasLayers for Slow {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("slow")?]))
    }
}

impl MapGroupCompiler for Slow {
    type Value = String;

    fn compile_in(&self, note: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        match note.text()?.trim().split_once(' ') {
            Some(("outputs", count)) => {
                for number in 0..count.parse::<u32>()? {
                    out.emit("slow", format!("{}-{number:06}", note.name()), String::new());
                }
            }
            Some(("pipe", path)) => out.emit("slow", note.name().to_string(), path.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn compile_out(&self, out: &OutKey, mut paths: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        if let Some(path) = paths.next().filter(|path| !path.is_empty()) {
            return Ok(Some(std::fs::read(path)?.into()));
        }
        let mut number = out.name.to_string().bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        for _ in 0..self.0.rounds {
            number = (number ^ (number >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        // Too long for a leaf.
        Ok(Some(format!("{number:>200}").into()))
    }
}

/// `[compiler.noise]`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct NoiseConfig {
    on: bool,
    /// The noise during the set-up of the tasks.
    setup: String,
}

/// Copies notes, and does what each note demands.
struct Noise;

impl HasLayers for Noise {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("noise")?]))
    }
}

impl DirectCompiler for Noise {
    fn map_key(&self, note: &Key, out: &mut Outputs<'_>) {
        out.add("noise", &note.name);
    }

    fn compile(&self, _: &OutKey, notes: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let note = &notes[0];
        make_noise(note.text()?, &note.name().to_string())?;
        Ok(Some(note.payload.clone()))
    }
}

/// Actions of user code on the process: `print`, `eprint`, `child`, `exit CODE`, `exit-thread CODE`, and `panic` or `fail` with the rest.
#[expect(clippy::panic, reason = "what it is there for")]
fn make_noise(what: &str, name: &str) -> Result<()> {
    let (what, rest) = what.split_once(' ').unwrap_or((what, ""));
    match what.trim() {
        "print" => {
            println!("printed for {name}");
            print!("[printed without a line break for {name}]");
        }
        "eprint" => eprintln!("told for {name}"),
        "child" => {
            let said = format!("echo printed by a child for {name}; echo told by a child for {name} >&2");
            std::process::Command::new("sh").args(["-c", &said]).status()?;
        }
        "exit" => std::process::exit(rest.trim().parse()?),
        "exit-thread" => {
            let code = rest.trim().parse()?;
            // It never returns.
            drop(std::thread::spawn(move || std::process::exit(code)).join());
        }
        "panic" => panic!("{rest}"),
        "fail" => bail!("{rest}"),
        _ => {}
    }
    Ok(())
}

/// A number that is never 1, which its `Deserialize` requires.
#[derive(Serialize)]
struct NotOne(u32);

impl<'de> Deserialize<'de> for NotOne {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<NotOne, D::Error> {
        let number = u32::deserialize(deserializer)?;
        assert_ne!(number, 1, "this number is never 1");
        Ok(NotOne(number))
    }
}

/// The length of each note and 2, as a [`NotOne`].
struct Insistent;

impl HasLayers for Insistent {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("insistent")?]))
    }
}

impl MapGroupCompiler for Insistent {
    type Value = NotOne;

    fn compile_in(&self, note: &Input, out: &mut Emit<'_, NotOne>, _: &Context<'_>) -> Result<()> {
        out.emit("insistent", note.name(), NotOne(u32::try_from(note.text()?.len())? + 2));
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, numbers: Values<'_, NotOne>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(numbers.map(|number| number.0).sum::<u32>().to_string().into()))
    }
}

/// Tasks that are set up on request: `insistent`, or `long`, a plan whose task gets an id that is too long.
fn add_odd_tasks(what: &str, setup: &mut Setup) -> Result<()> {
    match what {
        "insistent" => setup.add(Task::new("insistent", MapGroup(Insistent))?.version("1")),
        "long" => {
            let plan = DataPlan::new("too-long");
            let notes = plan.layer::<String>("in/notes");
            notes.publish_with(Layer::generic(&"x".repeat(50))?, |_, note| Ok(Some(note.payload.clone())));
            plan.register(setup)
        }
        _ => Ok(()),
    }
}

/// `[compiler.lengths]`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct LengthsConfig {
    on: bool,
    /// The longest note that is counted; all are without it.
    most: Option<usize>,
}

/// How many notes there are of each length: a plan of data sets.
fn lengths(setup: &mut Setup) -> Result<()> {
    let (plan, config): (_, LengthsConfig) = DataPlan::with_config(setup, "lengths")?;
    if !config.on {
        return Ok(());
    }
    let plan = plan.version("1");
    let lengths = plan.layer::<String>("in/notes").map_values(|note| Ok(note.text()?.trim().len()));
    lengths
        .filter(move |_, length| Ok(config.most.is_none_or(|most| *length <= most)))
        .group_by(|note, length| Ok([(length.to_string(), note.clone())]))
        .publish_with(Layer::generic("lengths")?, |_, notes| Ok(Some(notes.len().to_string().into())));
    plan.register(setup)
}

fn main() -> ExitCode {
    if let Ok(text) = std::env::var("PRINTED_BEFORE") {
        print!("{text}");
    }
    let code = run();
    if let Ok(text) = std::env::var("PRINTED_AFTER") {
        println!("{text}");
    }
    code
}

fn run() -> ExitCode {
    // The version of a user's driver, which is not that of Deltic.
    deltic::main_with_version("7.1", |setup| {
        setup.filter("short", |key| key.name.to_string().len() < 3);
        let words = WordList(setup.config("word-list")?);
        setup.task("word-list", MapGroup(words))?;
        setup.add(Task::new("loud", Direct(Loud))?.version("1"))?;
        if setup.config::<DiaryConfig>("diary")?.on {
            setup.add(Task::new("diary", Direct(Diary))?.version("1"))?;
        }
        let noise = setup.config::<NoiseConfig>("noise")?;
        if noise.on {
            add_odd_tasks(&noise.setup, setup)?;
            make_noise(&noise.setup, "setup")?;
            setup.add(Task::new("noise", Direct(Noise))?.version("1"))?;
        }
        let slow = setup.config::<SlowConfig>("slow")?;
        if slow.on {
            setup.add(Task::new("slow", MapGroup(Slow(slow)))?.version("1"))?;
        }
        lengths(setup)?;
        Ok(())
    })
}
