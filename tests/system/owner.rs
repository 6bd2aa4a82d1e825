//! Who may write to a catalog: what others made is not replaced, unless it is asked for.

use deltic::core::{LayerId, Name, RunId, TaskId, Timestamp};
use deltic::driver::{Error, Import, Orphan};
use deltic::prelude::*;
use deltic::store::{Owner, Snapshot};
use deltic_testkit::Lab;

/// Copies texts into a layer.
struct Copies {
    to: &'static str,
}

impl InputLayers for Copies {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/texts"])
    }
}

impl OutputLayers for Copies {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic(self.to)?])
    }
}

impl DirectCompiler for Copies {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add(self.to, key.name.clone());
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(inputs[0].payload.clone()))
    }
}

fn copies(id: &str, to: &'static str) -> Task {
    Task::new(id, Direct(Copies { to })).unwrap().version("1")
}

fn by(ids: &[&str]) -> Owner {
    Owner::tasks(ids.iter().map(|id| TaskId::new(id).unwrap()))
}

/// Who refuses to write, in the place of whom.
fn refused<T>(result: deltic::driver::Result<T>) -> (String, Owner, &'static str) {
    match result.map(|_| ()) {
        Err(Error::Owned { url, owner, by }) => (url, owner, by),
        other => panic!("{other:?}"),
    }
}

/// A lab with the output of two tasks.
fn lab() -> Lab {
    let mut lab = Lab::new(vec![copies("a", "first"), copies("b", "second")]);
    lab.put("in/texts", "x", "text");
    lab.run();
    lab
}

#[test]
fn a_run_of_other_tasks_is_refused_before_anything_is_compiled() {
    let mut lab = lab();
    let before = lab.output();
    assert_eq!(before.record().owner, Some(by(&["a", "b"])));
    lab.set_tasks(vec![copies("c", "first")]);
    lab.put("in/texts", "x", "other");
    lab.commit_inputs();
    let writes = |lab: &Lab| lab.output_catalog().unwrap().requests().puts;
    let puts = writes(&lab);

    let plan = lab.plan().unwrap();
    assert_eq!(plan.owned_by, Some(by(&["a", "b"])));
    let text = deltic::report::plan(&plan);
    assert_eq!(
        text.lines().next(),
        Some("the output is written by tasks `a`, `b`: a run of these tasks refuses to, unless with `--take-over`")
    );
    assert_eq!(refused(lab.try_run()), ("memory:out".to_owned(), by(&["a", "b"]), "a run of other tasks"));
    assert_eq!((lab.output().version(), writes(&lab)), (before.version(), puts));

    lab.take_over(true);
    let report = lab.run().report;
    assert_eq!(report.taken_over_from, Some(by(&["a", "b"])));
    let gone = ["a", "b"].map(|id| Orphan::State(TaskId::new(id).unwrap()));
    assert_eq!(report.orphans[1..], gone);
    assert_eq!(lab.output().record().owner, Some(by(&["c"])));
    assert_eq!(lab.text("first", "x").as_deref(), Some("other"));

    lab.take_over(false);
    let report = lab.run().report;
    assert_eq!((report.version, report.taken_over_from), (None, None), "it is theirs now");
}

/// One task that stays, under its id or an earlier one, is enough to be the owner.
#[test]
fn tasks_come_and_go_in_a_catalog_of_their_own() {
    let mut lab = lab();
    for tasks in [
        vec![copies("a", "first"), copies("c", "third")],
        vec![copies("c", "third")],
        vec![copies("d", "third").previously("c").unwrap()],
    ] {
        lab.set_tasks(tasks);
        assert_eq!(lab.plan().unwrap().owned_by, None);
        assert_eq!(lab.run().report.taken_over_from, None);
    }
    assert_eq!(lab.output().record().owner, Some(by(&["d"])));
    // What was there before is of the past.
    lab.set_tasks(vec![copies("a", "first")]);
    assert_eq!(refused(lab.try_run()).1, by(&["d"]));
    // A version that says nothing but who it was made by is not lost either.
    lab.set_tasks(Vec::new());
    assert_eq!(refused(lab.try_run()).1, by(&["d"]));
}

fn import(base: &Snapshot, begin: impl Fn(&Snapshot, RunId) -> deltic::driver::Result<Import>, text: &str) -> bool {
    let import = begin(base, RunId(900 + base.version().0)).unwrap();
    let layer = LayerId::new("first").unwrap();
    import.put(&layer, &Name::generic("x").unwrap(), &Payload::from(text)).unwrap();
    import.commit(Timestamp(0), "").unwrap().version.is_some()
}

#[test]
fn an_import_over_a_product_is_refused_and_can_take_it_over() {
    let mut lab = lab();
    let (base, run) = (lab.output(), RunId(800));
    assert_eq!(refused(Import::begin(&base, run)), ("memory:out".to_owned(), by(&["a", "b"]), "an import"));
    assert!(import(&base, Import::taking_over, "imported"));
    let now = lab.output();
    assert_eq!(now.record().owner, Some(Owner::Imports));
    assert_eq!((now.record().tasks.len(), now.record().state.len()), (0, 0));
    assert_eq!(lab.text("second", "x").as_deref(), Some("text"), "what was not imported stays");
    assert!(import(&now, Import::begin, "again"), "imports go on");

    let refusal = "catalog memory:out is written by imports, and a run of other tasks would replace what is there";
    assert_eq!(lab.try_run().unwrap_err().to_string(), refusal);
    assert_eq!(lab.text("first", "x").as_deref(), Some("again"));
    lab.take_over(true);
    lab.run();
    assert_eq!(lab.text("first", "x").as_deref(), Some("text"));
    lab.assert_equals_scratch();
}
