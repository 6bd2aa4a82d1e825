//! No read is lost: not a read that fails, not a read of code over the whole input, and not a read of user fields.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltic::driver::{Error, ErrorKind, Mode};
use deltic::prelude::*;
use deltic_testkit::Lab;

/// Translates words by a table: `one` asks for a row, `*one` for the whole table, `#one` for a row as what it is not.
#[derive(Clone, Default)]
struct Words {
    /// Makes `?` of a look that fails.
    catches: bool,
    /// How often the table was decoded, or tried.
    decoded: Arc<AtomicU64>,
}

type Table = BTreeMap<String, String>;

impl HasLayers for Words {
    fn layers(&self) -> Result<Layers> {
        let decoded = Arc::clone(&self.decoded);
        let decode = move |payload: &Payload| {
            decoded.fetch_add(1, Ordering::SeqCst);
            assert!(!payload.bytes().starts_with(b"panic"), "a panic in a projection");
            Ok(payload.json::<Table>()?)
        };
        let row = |table: &Table, word: &str| {
            let found = table.get(word).cloned();
            ensure!(found.as_deref() != Some("!"), "`{word}` has no translation yet");
            Ok(found)
        };
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .reference_layers(["in/tables"])
            .projections([Projection::new("row", decode, row)])
            .output_layers([Layer::generic("translated")?]))
    }
}

impl Words {
    fn look(word: &str, context: &Context<'_>) -> Result<String> {
        let (layer, name) = ("in/tables", "words");
        if let Some(word) = word.strip_prefix('*') {
            let table = context.decoded::<Table>(layer, name, "row")?;
            return Ok(table.and_then(|table| table.get(word).cloned()).unwrap_or_default());
        }
        if let Some(word) = word.strip_prefix('#') {
            return Ok(format!("{:?}", context.project::<bool>(layer, name, "row", word)?));
        }
        Ok(context.project::<String>(layer, name, "row", word)?.unwrap_or_default())
    }

    fn translate(&self, text: &str, context: &Context<'_>) -> Result<String> {
        if !self.catches {
            return Words::look(text, context);
        }
        let looked = catch_unwind(AssertUnwindSafe(|| Words::look(text, context)));
        Ok(looked.ok().and_then(Result::ok).unwrap_or_else(|| "?".to_owned()))
    }
}

impl DirectCompiler for Words {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("translated", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(self.translate(inputs[0].text()?, context)?.into()))
    }
}

impl MapGroupCompiler for Words {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
        out.emit("translated", input.name(), self.translate(input.text()?, context)?);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(words.collect::<Vec<_>>().join(" ").into()))
    }
}

fn one(pattern: impl Into<deltic::compiler::Pattern>) -> Task {
    Task::new("words", pattern).unwrap().version("1")
}

fn lab_of(task: Task, table: &str, texts: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new(vec![task]);
    lab.put("in/tables", "words", table);
    for (name, text) in texts {
        lab.put("in/texts", *name, *text);
    }
    lab
}

/// Changes the table, and returns which back-ends ran.
fn ran(lab: &mut Lab, table: &str) -> String {
    lab.put("in/tables", "words", table);
    let run = lab.run();
    assert!(matches!(run.report.tasks[0].mode, Mode::Incremental { .. }), "{:?}", run.report.tasks[0].mode);
    lab.assert_equals_scratch();
    run.log().split_whitespace().filter_map(|word| word.strip_prefix("translated/")).collect::<Vec<_>>().join(" ")
}

fn made(lab: &Lab) -> String {
    lab.names("translated").iter().map(|name| lab.text("translated", name).unwrap()).collect::<Vec<_>>().join(" ")
}

const GOOD: &str = r#"{"one": "un", "two": "deux"}"#;

#[test]
fn an_error_that_a_compiler_catches_is_followed() {
    let texts = [("a", "one"), ("b", "*two"), ("c", "#one"), ("d", "two")];
    let words = Words { catches: true, ..Words::default() };
    let mut lab = lab_of(one(Direct(words)), "no table", &texts);
    lab.run();
    assert_eq!(made(&lab), "? ? ? ?");
    assert_eq!(ran(&mut lab, GOOD), "a b c d");
    assert_eq!(made(&lab), "un deux ? deux", "a row is no truth value");
    // A part that is there, but not of the type asked for, is a part.
    assert_eq!(ran(&mut lab, r#"{"one": "", "two": "deux"}"#), "a b c");
    assert_eq!(made(&lab), " deux Some(false) deux");
    // From good to bad, from bad to worse, and back.
    assert_eq!(ran(&mut lab, "no table"), "a b c d");
    assert_eq!(ran(&mut lab, "panic"), "a b c d");
    assert_eq!(made(&lab), "? ? ? ?");
    assert_eq!(ran(&mut lab, GOOD), "a b c d");
    assert_eq!(made(&lab), "un deux ? deux");
    // A row that can not be read concerns who asked for it, until anything of the table changes.
    assert_eq!(ran(&mut lab, r#"{"one": "!", "two": "deux"}"#), "a b c");
    assert_eq!(ran(&mut lab, r#"{"one": "!", "two": "deux", "three": "trois"}"#), "a b c");
    assert_eq!(ran(&mut lab, GOOD), "a b c");
    assert_eq!(made(&lab), "un deux ? deux");
}

#[test]
fn a_projection_that_breaks_is_the_failure_of_those_who_look() {
    for broken in ["no table", "panic"] {
        let words = Words::default();
        let texts = [("a", "one"), ("b", "two"), ("c", "two"), ("d", "three")];
        let mut lab = lab_of(one(Direct(words.clone())), GOOD, &texts);
        lab.run();
        lab.put("in/tables", "words", broken);
        words.decoded.store(0, Ordering::SeqCst);
        let Err(ErrorKind::Compiler(failures)) = lab.try_run().map_err(Error::into_kind) else {
            panic!("nothing failed")
        };
        let told: Vec<String> = failures.all.iter().map(|one| format!("{} {}", one.phase, one.key)).collect();
        assert_eq!(told, ["a", "b", "c", "d"].map(|out| format!("back-end of translated/{out}")));
        assert_eq!(words.decoded.load(Ordering::SeqCst), 1 + 4, "once to see who is affected, then by each");
        // Nothing was published, and nothing is to be done once the table is as it was.
        lab.put("in/tables", "words", GOOD);
        assert_eq!((lab.run().log().as_str(), made(&lab).as_str()), ("", "un deux deux "));
    }
}

#[test]
fn with_quarantine_the_rest_is_published() {
    for front in [false, true] {
        let task = if front { one(MapGroup(Words::default())) } else { one(Direct(Words::default())) };
        let texts = [("a", "one"), ("b", "two"), ("c", "*")];
        let mut lab = lab_of(task.on_error(OnError::Quarantine { most: 9 }), GOOD, &texts);
        lab.run();
        // One row, then all of the table; what does not fail goes on.
        for (table, failed) in [(r#"{"one": "!", "two": "zwei"}"#, vec!["a"]), ("no table", vec!["a", "b", "c"])] {
            lab.put("in/tables", "words", table);
            let run = lab.run();
            let mode = &run.report.tasks[0].mode;
            assert!(matches!(mode, Mode::Incremental { .. }), "{mode:?}");
            let held = &run.report.tasks[0].in_quarantine;
            let of = |key: &str| held.iter().filter(|one| one.key == key).map(|one| one.message.clone()).next();
            for name in &failed {
                let key = if front { format!("in/texts/{name}") } else { format!("translated/{name}") };
                let message = of(&key).unwrap_or_else(|| panic!("{key} is not among {held:?}"));
                assert!(message.contains("in/tables/words"), "{message}");
            }
            // With front-ends, outputs are held back besides.
            assert_eq!(held.len(), failed.len() * if front { 2 } else { 1 });
        }
        assert_eq!(made(&lab), "un zwei ", "as they were made last");
        lab.put("in/tables", "words", r#"{"one": "eins", "two": "zwei"}"#);
        lab.run();
        assert_eq!(made(&lab), "eins zwei ");
        lab.assert_equals_scratch();
    }
}

/// Says in which language a text is: that is a user field of a table that the text names.
struct Languages;

impl HasLayers for Languages {
    fn layers(&self) -> Result<Layers> {
        let decode = |payload: &Payload| Ok(payload.fields().get("language").unwrap_or("none").to_owned());
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .reference_layers(["in/tables"])
            .projections([Projection::new("language", decode, |language: &String, _: &str| Ok(Some(language.clone())))])
            .output_layers([Layer::generic("languages")?]))
    }
}

impl DirectCompiler for Languages {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("languages", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let table = inputs[0].text()?;
        let projected = context.project::<String>("in/tables", table, "language", "")?.unwrap_or_default();
        let decoded = context.decoded::<String>("in/tables", table, "language")?.unwrap_or_default();
        Ok(Some(format!("{projected} {decoded}").into()))
    }
}

fn table_in(language: &str) -> Payload {
    Payload::from("{}").with_field("language", language).unwrap()
}

#[test]
fn equal_bytes_with_other_fields_are_decoded_apart() {
    let mut lab = Lab::new(vec![Task::new("languages", Direct(Languages)).unwrap().version("1")]);
    for (name, table) in [("fr", table_in("french")), ("de", table_in("german")), ("xx", "{}".into())] {
        lab.put("in/tables", name, table);
        lab.put("in/texts", name, name);
    }
    lab.run();
    let made = |lab: &Lab| ["de", "fr", "xx"].map(|name| lab.text("languages", name).unwrap()).join(", ");
    assert_eq!(made(&lab), "german german, french french, none none");
    lab.put("in/tables", "fr", table_in("old french"));
    lab.run().assert_ran(&["back languages languages/fr"]);
    assert_eq!(made(&lab), "german german, old french old french, none none");
    lab.assert_equals_scratch();
}

/// Puts texts on the shelves that a table names, and lists them there with their user field.
struct Shelves;

impl HasLayers for Shelves {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/tables", "in/texts"]).output_layers([Layer::generic("shelves")?]))
    }
}

impl Shelves {
    fn of(input: &Whole<'_>, text: &Key) -> Result<Option<String>> {
        ensure!(input.read("in/texts", &text.name)?.is_some(), "{text} does not exist");
        let table = input.read("in/tables", "shelves")?;
        let table = table.map(|table| table.json::<Table>()).transpose()?.unwrap_or_default();
        Ok(table.get(&text.name.to_string()).cloned())
    }

    fn set(input: &Whole<'_>, text: &Key, out: &mut Edges<'_>) -> Result<()> {
        let shelf = Shelves::of(input, text)?;
        out.set(text, |to| shelf.iter().for_each(|shelf| to.add("shelves", shelf)))
    }
}

impl IncrementalDepCompiler for Shelves {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        for text in input.list("in/texts")? {
            let key = Key { layer: LayerRef::parse("in/texts")?, name: text?.name };
            Shelves::set(input, &key, out)?;
        }
        Ok(())
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        _: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        for change in changes {
            let InputChange { key, exists, .. } = change?;
            // The layer of tables comes first.
            if key.layer.layer.as_str() == "tables" {
                return self.graph(input, out);
            }
            if exists {
                Shelves::set(input, &key, out)?;
            }
        }
        Ok(())
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let language = |input: &Input| input.payload.fields().get("language").unwrap_or("none").to_owned();
        Ok(Some(inputs.iter().map(language).collect::<Vec<_>>().join(" ").into()))
    }
}

fn shelves() -> Lab {
    let mut lab = Lab::new(vec![Task::new("shelves", IncrementalDep(Shelves)).unwrap().version("1")]);
    lab.put("in/tables", "shelves", r#"{"a": "low", "b": "low", "c": "high"}"#);
    for (name, language) in [("a", "one"), ("b", "two"), ("c", "two")] {
        lab.put("in/texts", name, table_in(language));
    }
    lab.run();
    lab
}

#[test]
fn a_graph_follows_a_change_of_user_fields_alone() {
    let mut lab = shelves();
    assert_eq!(lab.text("shelves", "low").as_deref(), Some("one two"));
    lab.put("in/texts", "a", table_in("three"));
    lab.run().assert_ran(&["back shelves shelves/low"]);
    assert_eq!(lab.text("shelves", "low").as_deref(), Some("three two"));
    lab.assert_equals_scratch();
    lab.assert_verified();
}

#[test]
fn a_graph_reads_its_input_and_gets_what_changed_there() {
    let mut lab = shelves();
    lab.put("in/tables", "shelves", r#"{"a": "low", "b": "high", "c": "high"}"#);
    lab.run().assert_ran(&["back shelves shelves/high", "back shelves shelves/low"]);
    assert_eq!(lab.text("shelves", "low").as_deref(), Some("one"));
    lab.assert_equals_scratch();
    lab.delete("in/tables", "shelves");
    lab.run();
    assert_eq!(lab.names("shelves"), [""; 0]);
    lab.assert_equals_scratch();
}

/// Lists what begins with a text: how many there are.
struct Begins;

impl HasLayers for Begins {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("counts")?]))
    }
}

impl DirectCompiler for Begins {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("counts", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let found = context.list("in/texts", Within::Prefix(inputs[0].text()?))?;
        Ok(Some(found.len().to_string().into()))
    }
}

/// Reads are keys of tables, and these have a limit: a read that is longer is the partition's failure, and never the run's.
#[test]
fn reads_that_are_too_long_to_be_recorded() {
    let words = Task::new("words", Direct(Words::default())).unwrap().version("1").on_error(OnError::QUARANTINE);
    let begins = Task::new("begins", Direct(Begins)).unwrap().version("1");
    let mut lab = Lab::new(vec![words, begins]);
    lab.put("in/tables", "words", r#"{"one":"eins"}"#);
    let limit = (8 << 10) - "row".len();
    for (name, len) in [("a", 500), ("b", 2000), ("c", 2001), ("d", limit), ("e", limit + 1), ("f", 70_000)] {
        lab.put("in/texts", name, "x".repeat(len));
    }
    let run = lab.run();
    let failed: Vec<&str> = run.report.tasks.iter().flat_map(|task| &task.in_quarantine).map(|one| &*one.key).collect();
    assert_eq!(failed, ["translated/e", "translated/f"]);
    assert!(run.report.tasks[1].in_quarantine.is_empty() || run.report.tasks[0].in_quarantine.is_empty());
    assert_eq!(lab.text("counts", "f").as_deref(), Some("0"));
    // The longest name has 500 characters of at most four bytes.
    lab.put("in/texts", "x".repeat(500), "x");
    lab.run();
    assert_eq!(lab.text("counts", "a").as_deref(), Some("1"));
    lab.put("in/tables", "words", r#"{"one":"uno"}"#);
    lab.run();
    lab.assert_verified();
}
