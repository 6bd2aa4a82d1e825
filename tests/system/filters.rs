//! Filters: tasks that compile a part of their inputs.

use deltic::compiler::{Filter, InBox};
use deltic::core::BoundingBox;
use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory, check_incremental};
use expect_test::{Expect, expect};

use crate::patterns::{TILES, random_tasks};

/// Copies texts; `@name` in one is replaced by the content of that text.
struct Quotes;

impl HasLayers for Quotes {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("quoted")?]))
    }
}

impl DirectCompiler for Quotes {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        // Collides for names that differ in case alone.
        out.add("quoted", key.name.to_string().to_lowercase());
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let text = inputs[0].text()?;
        let quoted = text.strip_prefix('@').map(|name| context.read("in/texts", name)).transpose()?.flatten();
        Ok(Some(quoted.map_or(inputs[0].payload.clone(), |quoted| quoted.payload)))
    }
}

/// Counts quoted texts.
struct Count;

impl HasLayers for Count {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["quoted"]).output_layers([Layer::generic("count")?]))
    }
}

impl DirectCompiler for Count {
    fn map_key(&self, _: &Key, out: &mut Outputs<'_>) {
        out.add("count", "all");
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(inputs.len().to_string().into()))
    }
}

fn starts(prefix: &'static str) -> Filter {
    Filter::custom(prefix, move |key| key.name.to_string().starts_with(prefix))
}

fn tasks(filter: Option<Filter>) -> Vec<Task> {
    let quotes = Task::new("quotes", Direct(Quotes)).unwrap().version("1");
    let quotes = filter.map_or(quotes.clone(), |filter| quotes.filtered(filter).unwrap());
    vec![quotes, Task::new("count", DirectMany(Count)).unwrap().version("1")]
}

fn lab(filter: Option<Filter>) -> Lab {
    let mut lab = Lab::new(tasks(filter));
    lab.put("in/texts", "a1", "@b1");
    lab.put("in/texts", "a2", "two");
    lab.put("in/texts", "b1", "one");
    lab.run();
    lab
}

fn ran(lab: &mut Lab, expected: &Expect) {
    expected.assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

#[test]
fn only_subjects_are_filtered_and_references_stay_readable() {
    let mut lab = lab(Some(starts("a")));
    assert_eq!(lab.text("quoted", "a1").as_deref(), Some("one"));
    assert_eq!((lab.text("quoted", "b1"), lab.text("count", "all").as_deref()), (None, Some("2")));
    lab.assert_equals_scratch();
    // What is filtered is no input, and may have been read.
    let both = expect![[r#"
        back   count   count/all
        back   quotes  quoted/a1
    "#]];
    lab.put("in/texts", "b1", "eins");
    ran(&mut lab, &both);
    lab.put("in/texts", "b2", "zwei");
    ran(&mut lab, &expect![""]);
    lab.delete("in/texts", "b1");
    ran(&mut lab, &both);
    // Two inputs for one output, one of which is filtered; in both kinds of run.
    lab.put("in/texts", "A2", "other");
    ran(&mut lab, &expect![""]);
    lab.put("in/texts", "a3", "three");
    ran(
        &mut lab,
        &expect![[r#"
            back   count   count/all
            back   quotes  quoted/a3
        "#]],
    );
}

#[test]
fn a_filter_switched_on_and_off_compiles_its_task_and_what_it_changes() {
    let mut lab = lab(None);
    for (filter, expected) in [
        (Some(starts("a")), "its filter changed"),
        (Some(starts("b")), "its filter changed"),
        (None, "its filter changed"),
    ] {
        lab.set_tasks(tasks(filter));
        let run = lab.run();
        let modes: Vec<String> = run.report.tasks.iter().map(|task| format!("{:?}", task.mode)).collect();
        assert_eq!(modes[0], format!("Full {{ reason: {expected:?} }}"));
        assert_eq!(modes[1], r#"Incremental { changed: ["quoted"] }"#);
        lab.assert_equals_scratch();
        assert_eq!(lab.run().report.version, None);
    }
    assert_eq!(lab.text("count", "all").as_deref(), Some("3"));
}

#[test]
fn a_filter_that_panics_is_an_error_that_says_where() {
    let mut lab = lab(None);
    lab.set_tasks(tasks(Some(Filter::custom("picky", |key| {
        assert!(key.name.to_string() != "a2", "not this one");
        true
    }))));
    assert_eq!(lab.try_run().unwrap_err().to_string(), "quotes: filter of in/texts/a2: panicked: not this one");
}

/// Filters of all kinds on tasks of all patterns.
#[test]
fn random_filtered_chains_equal_scratch() {
    let area = BoundingBox::new(-60.0, -100.0, 10.0, 20.0).unwrap();
    let filters = [
        Filter::Box(InBox::new(area).and_generic()),
        Filter::custom("odd", |key| key.name.to_string().bytes().map(u32::from).sum::<u32>() % 2 == 1),
        Filter::Any(vec![Filter::Not(Box::new(Filter::Box(InBox::new(area).and_generic()))), starts("1")]),
        Filter::All(vec![Filter::Not(Box::new(starts("0")))]),
    ];
    for seed in 0..8_usize {
        let filtered = |(index, task): (usize, Task)| match (index + seed) % 5 {
            4 => task,
            // Those that compile their input as a whole take no filter.
            which => task.clone().filtered(filters[which].clone()).unwrap_or(task),
        };
        let tasks: Vec<Task> = random_tasks(seed as u64).into_iter().enumerate().map(filtered).collect();
        let layers = vec![
            ("in/a".to_owned(), RandomHistory::generic_names(4)),
            (TILES.to_owned(), RandomHistory::tile_names(3)),
        ];
        check_incremental(&tasks, &RandomHistory { layers, steps: 6, contents: 5 }.make(seed as u64));
    }
}
