//! Reference trees: which subjects a change at each depth runs, and that incremental equals scratch.

use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory, check_incremental};
use expect_test::{Expect, expect};
use proptest::prelude::*;

/// Spells routes out: a route names stops, a stop names its town and, after a slash, a route that ends there; a route
/// names the stop that it belongs to with `*`.
struct Routes;

impl HasLayers for Routes {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/routes"])
            .reference_layers(["in/stops", "in/towns", "in/notices"])
            .output_layers([Layer::generic("by-town")?]))
    }
}

impl RefTreeCompiler for Routes {
    type Value = String;

    fn structure(&self) -> RefStructure {
        RefStructure::new().reference("stops", "in/stops").below("stops", "towns", "in/towns").below(
            "stops",
            "ends",
            "in/routes",
        )
    }

    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()> {
        let words = partition.text()?.split_whitespace();
        match reference {
            "stops" => words.for_each(|stop| to.add(stop)),
            "towns" => words.filter(|word| !word.starts_with('/')).for_each(|town| to.add(town)),
            _ => words.filter_map(|word| word.strip_prefix('/')).for_each(|route| to.add(route)),
        }
        Ok(())
    }

    fn compile_in(
        &self,
        route: &Input,
        found: &References,
        out: &mut Emit<'_, String>,
        context: &Context<'_>,
    ) -> Result<()> {
        let mut text = Vec::new();
        let mut towns = vec!["nowhere".to_owned()];
        for (key, stop) in found.of(route, "stops")? {
            let Some(stop) = stop else {
                text.push(format!("{}?", key.name));
                continue;
            };
            for (key, town) in found.of(stop, "towns")? {
                let town = town.map(Partition::text).transpose()?;
                text.push(format!("{}={}", key.name, town.unwrap_or("?")));
                towns.push(key.name.to_string());
                assert_eq!(found.get("in/towns", &key.name)?.map(Partition::text).transpose()?, town);
            }
            for (key, end) in found.of(stop, "ends")? {
                text.push(format!("/{}:{}", key.name, end.map_or(Ok("?"), Partition::text)?));
            }
        }
        // Not in the structure: known only once the towns are.
        if found.named("towns")?.count() > 1 && context.exists("in/notices", route.name())? {
            text.push("!".to_owned());
        }
        if towns.len() > 1 {
            towns.remove(0);
        }
        towns.sort();
        towns.dedup();
        towns.into_iter().for_each(|town| out.emit("by-town", town, format!("{}: {}", route.name(), text.join(" "))));
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, routes: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(routes.collect::<Vec<_>>().join("; ").into()))
    }
}

fn tasks() -> Vec<Task> {
    vec![Task::new("routes", RefTree(Routes)).unwrap().version("1")]
}

fn lab() -> Lab {
    let mut lab = Lab::new(tasks());
    lab.put("in/routes", "r1", "s1 s2");
    lab.put("in/routes", "r2", "s3");
    lab.put("in/routes", "r3", "s9");
    lab.put("in/stops", "s1", "bern");
    lab.put("in/stops", "s2", "thun");
    lab.put("in/stops", "s3", "oslo /r3");
    lab.put("in/towns", "bern", "140");
    lab.put("in/towns", "thun", "43");
    lab.put("in/towns", "oslo", "700");
    lab.run();
    assert_eq!(lab.text("by-town", "bern").as_deref(), Some("r1: bern=140 thun=43"));
    assert_eq!(lab.text("by-town", "oslo").as_deref(), Some("r2: oslo=700 /r3:s9"));
    assert_eq!(lab.text("by-town", "nowhere").as_deref(), Some("r3: s9?"));
    lab
}

fn ran(lab: &mut Lab, expected: &Expect) {
    expected.assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

#[test]
fn a_change_at_each_depth_runs_the_subjects_above_it() {
    let mut lab = lab();
    // A subject, which is also what a stop of another one refers to.
    lab.put("in/routes", "r3", "s8");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r2
            front  routes  in/routes/r3
            back   routes  by-town/nowhere
            back   routes  by-town/oslo
        "#]],
    );
    // One level down, then two.
    lab.put("in/stops", "s2", "thun ");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r1
        "#]],
    );
    lab.put("in/towns", "oslo", "710");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r2
            back   routes  by-town/oslo
        "#]],
    );
    assert_eq!(lab.text("by-town", "oslo").as_deref(), Some("r2: oslo=710 /r3:s8"));
    // What no subject leads to runs nothing.
    lab.put("in/towns", "rome", "2800");
    lab.put("in/stops", "s7", "rome");
    ran(&mut lab, &expect![""]);
}

#[test]
fn a_reference_that_is_absent_appears_and_goes() {
    let mut lab = lab();
    lab.put("in/stops", "s9", "rome");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r3
            back   routes  by-town/rome
            gone   routes  by-town/nowhere
        "#]],
    );
    assert_eq!(lab.text("by-town", "rome").as_deref(), Some("r3: rome=?"));
    lab.put("in/towns", "rome", "2800");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r3
            back   routes  by-town/rome
        "#]],
    );
    lab.delete("in/stops", "s9");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r3
            back   routes  by-town/nowhere
            gone   routes  by-town/rome
        "#]],
    );
    // The town was forgotten with the stop.
    lab.put("in/towns", "rome", "2900");
    ran(&mut lab, &expect![""]);
}

#[test]
fn a_reference_that_moves() {
    let mut lab = lab();
    lab.put("in/stops", "s2", "oslo");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r1
            front  routes  in/routes/r2
            back   routes  by-town/bern
            back   routes  by-town/oslo
            gone   routes  by-town/thun
        "#]],
    );
    lab.put("in/towns", "thun", "44");
    ran(&mut lab, &expect![""]);
    lab.put("in/towns", "oslo", "1000");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r1
            front  routes  in/routes/r2
            back   routes  by-town/bern
            back   routes  by-town/oslo
        "#]],
    );
}

#[test]
fn what_the_front_end_reads_besides_is_a_reference_as_well() {
    let mut lab = lab();
    // `r2` passes one town and does not ask.
    lab.put("in/notices", "r1", "late");
    lab.put("in/notices", "r2", "late");
    ran(
        &mut lab,
        &expect![[r#"
            front  routes  in/routes/r1
            back   routes  by-town/bern
            back   routes  by-town/thun
        "#]],
    );
    assert_eq!(lab.text("by-town", "bern").as_deref(), Some("r1: bern=140 thun=43 !"));
}

/// Has the references that its test sets.
struct Refers(fn() -> RefStructure, &'static str);

impl HasLayers for Refers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).reference_layers(["in/t"]).output_layers([Layer::generic("out")?]))
    }
}

impl RefTreeCompiler for Refers {
    type Value = ();

    fn structure(&self) -> RefStructure {
        self.0()
    }

    fn resolve(&self, _: &Partition, _: &str, to: &mut Targets) -> Result<()> {
        match self.1.parse::<deltic::core::Tile>() {
            Ok(tile) => to.add(tile),
            Err(_) => to.add(self.1),
        }
        Ok(())
    }

    fn compile_in(&self, _: &Input, found: &References, _: &mut Emit<'_, ()>, _: &Context<'_>) -> Result<()> {
        found.get("in/t", "3".parse::<deltic::core::Tile>()?).map(drop)
    }

    fn compile_out(&self, _: &OutKey, _: Values<'_, ()>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(None)
    }
}

#[test]
fn a_structure_is_checked_before_anything_runs() {
    let error = |structure| Task::new("refers", RefTree(Refers(structure, ""))).unwrap_err().to_string();
    expect!["task `refers`: reference layers: two references are called `a`"]
        .assert_eq(&error(|| RefStructure::new().reference("a", "in/t").below("a", "a", "in/texts")));
    expect!["task `refers`: reference layers: reference `b` is below `c`, which is not one of the references before it (`a`)"]
        .assert_eq(&error(|| {
            RefStructure::new().reference("a", "in/t").below("c", "b", "in/t").reference("c", "in/t")
        }));
    expect!["task `refers`: reference layers: reference `a` leads to layer `in/towns`, which is not among this task's layers: add it to `reference_layers`"]
        .assert_eq(&error(|| RefStructure::new().reference("a", "in/towns")));
}

#[test]
fn a_name_that_is_not_legal_is_an_error_that_says_where() {
    let error = |target| {
        let refers = Refers(|| RefStructure::new().reference("tile", "in/t"), target);
        let mut lab =
            Lab::new(vec![Task::new("refers", RefTree(refers)).unwrap().version("1")]).tiles("in/t", Grid::Here);
        lab.put("in/texts", "x", "");
        lab.try_run().unwrap_err().to_string()
    };
    expect!["refers: front-end of in/texts/x: reference `tile` of in/texts/x: layer `t` holds tiles: `berne` can not be a name in it"].assert_eq(&error("berne"));
    expect![[r"refers: front-end of in/texts/x: reference `tile` of in/texts/x: partition name `a\nb` has a control character"]].assert_eq(&error("a\nb"));
    // What was not resolved can not be had in passing.
    expect!["refers: front-end of in/texts/x: no reference led to in/t/3: let `resolve` name it, or read it through the context"].assert_eq(&error("2"));
}

/// A tree of three levels within one layer and across two, driven by what it sees; it looks elsewhere besides.
struct Random;

impl HasLayers for Random {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/a", "in/b"])
            .reference_layers(["in/c"])
            .output_layers([Layer::generic("out")?]))
    }
}

fn random_name(of: &Partition, reference: &str, number: u64) -> String {
    let at = |digit: &str| crate::patterns::number(&[&of.key, &of.payload, &reference, &number, &digit]);
    format!("{}{}", at("first") % 3, at("second") % 3)
}

impl RefTreeCompiler for Random {
    type Value = String;

    fn structure(&self) -> RefStructure {
        RefStructure::new()
            .reference("own", "in/a")
            .reference("one", "in/c")
            .below("one", "two", "in/b")
            .below("two", "three", "in/c")
    }

    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()> {
        let count = crate::patterns::number(&[&partition.payload, &reference]) % 3;
        (0..count).for_each(|number| to.add(random_name(partition, reference, number)));
        Ok(())
    }

    fn compile_in(
        &self,
        subject: &Input,
        found: &References,
        out: &mut Emit<'_, String>,
        context: &Context<'_>,
    ) -> Result<()> {
        let mut seen = String::new();
        for reference in ["own", "one", "two", "three"] {
            for (key, partition) in found.named(reference)? {
                seen += &format!("{key}{:?}", partition.map(|partition| &partition.payload));
            }
        }
        if seen.len().is_multiple_of(3) {
            seen += &format!("{}", context.exists("in/c", random_name(subject, "more", seen.len() as u64))?);
        }
        for number in 0..2 {
            out.emit("out", &random_name(subject, &seen, number)[..1], seen.clone());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(values.collect::<Vec<_>>().join(" ").into()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn random_trees_over_random_histories_equal_scratch(seed: u64) {
        let names = || RandomHistory::generic_names(3);
        let layers = ["in/a", "in/b", "in/c"].map(|layer| (layer.to_owned(), names())).to_vec();
        let mut history = RandomHistory { layers, steps: 6, contents: 5 };
        let mut steps = history.make(seed);
        history.steps = 12;
        steps.insert(0, history.make(seed ^ 1).concat());
        check_incremental(&[Task::new("random", RefTree(Random)).unwrap().version("1")], &steps);
    }
}
