//! Who may write to a catalog: the output of others is not replaced, except on request.

use deltic::core::{LayerId, Name, RunId, TaskId, Timestamp};
use deltic::driver::{Error, ErrorKind, Import, LayerEdit, Mode, Orphan, edit_layers};
use deltic::prelude::*;
use deltic::store::{Owner, Snapshot};
use deltic_testkit::Lab;

/// Copies texts into a layer.
struct Copies {
    to: &'static str,
    content_type: &'static str,
}

impl HasLayers for Copies {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .output_layers([Layer::generic(self.to)?.with_content_type(self.content_type)]))
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
    copies_as(id, to, "")
}

fn copies_as(id: &str, to: &'static str, content_type: &'static str) -> Task {
    Task::new(id, Direct(Copies { to, content_type })).unwrap().version("1")
}

fn edit(base: &Snapshot, edit: LayerEdit) -> deltic::driver::Result<Option<Snapshot>> {
    edit_layers(base, &[edit], RunId(700 + base.version().0), Timestamp(0), "")
}

fn by(ids: &[&str]) -> Owner {
    Owner::tasks(ids.iter().map(|id| TaskId::new(id).unwrap()))
}

/// Who refuses to write, in the place of whom.
fn refused<T>(result: deltic::driver::Result<T>) -> (String, Owner, &'static str) {
    match result.map(|_| ()).map_err(Error::into_kind) {
        Err(ErrorKind::Owned { url, owner, by }) => (url, owner, by),
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
        Some("the output belongs to tasks `a`, `b`: a run of these tasks fails without `--take-over`")
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
    // A version in which only the owner is new is not lost either.
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
    assert_eq!(now.record().dependencies, [], "from now on nothing of it is made from the inputs of those tasks");
    assert!(import(&now, Import::begin, "again"), "imports go on");

    let refusal = "catalog memory:out belongs to imports, and a run of other tasks would replace its content";
    assert_eq!(lab.try_run().unwrap_err().to_string(), refusal);
    assert_eq!(lab.text("first", "x").as_deref(), Some("again"));
    lab.take_over(true);
    lab.run();
    assert_eq!(lab.text("first", "x").as_deref(), Some("text"));
    lab.assert_equals_scratch();
}

/// A content type is text of any kind: it may look like the end of a layer in a list of them.
#[test]
fn a_layer_that_a_task_writes_is_not_dropped_whatever_is_in_it() {
    for content_type in ["", "text/plain", "text/csv; charset=utf-8, header=present", "a), b=generic (c"] {
        let mut lab = Lab::new(vec![copies_as("a", "first", content_type), copies("b", "second")]);
        lab.put("in/texts", "x", "text");
        lab.run();
        for layer in ["first", "second"] {
            let dropped = edit(&lab.output(), LayerEdit::Drop(LayerId::new(layer).unwrap()));
            let refused = dropped.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                refused.contains(&format!("writes layer `{layer}`, and a run would make it again")),
                "{content_type}: {refused}"
            );
        }
        // One that no task writes any more can go.
        lab.set_tasks(vec![copies("b", "second")]);
        lab.run();
        let before = lab.output();
        let made = edit(&before, LayerEdit::Drop(LayerId::new("first").unwrap())).unwrap().unwrap();
        assert_eq!(made.state_digest(), before.state_digest(), "what tasks remember is none of it");
    }
}

/// A task never goes on from a layer that is not there, whoever has taken it away.
#[test]
fn a_task_whose_layer_is_not_there_makes_all_of_it() {
    let mut lab = lab();
    let base = lab.output();
    // As a program of another kind might.
    let draft = deltic::store::Draft::begin(&base, RunId(650), Default::default());
    let state = base.state_tables().map(|table| (table.to_owned(), draft.adopt(&base.state_table(table).unwrap())));
    let second = LayerId::new("second").unwrap();
    let next = deltic::store::NextVersion {
        layers: vec![(base.layer_settings(&second).unwrap().clone(), draft.adopt(&base.tree(&second).unwrap()))],
        state: state.collect(),
        dependencies: base.record().dependencies.clone(),
        tasks: base.record().tasks.clone(),
        ..Default::default()
    };
    assert!(matches!(draft.commit(next).unwrap(), deltic::store::Committed::New(_)));
    lab.forget_caches();
    let full = Mode::Full { reason: "layer `first` no longer exists".to_owned() };
    let plan = lab.plan().unwrap();
    assert_eq!(plan.tasks.iter().map(|task| &task.mode).collect::<Vec<_>>(), [&full, &Mode::Skipped]);
    let report = lab.run().report;
    assert_eq!(report.tasks.iter().map(|task| &task.mode).collect::<Vec<_>>(), [&full, &Mode::Skipped]);
    assert_eq!(lab.text("first", "x").as_deref(), Some("text"));
    lab.assert_equals_scratch();
}

#[test]
fn a_change_of_scheme_leaves_the_content_type() {
    let mut lab = Lab::new(vec![copies_as("a", "first", "text/plain")]);
    lab.put("in/texts", "x", "text");
    lab.run();
    assert!(import(&lab.output(), Import::taking_over, "imported"));
    let change = |layer: Layer| edit(&lab.output(), LayerEdit::Change(layer)).unwrap();
    assert!(change(Layer::generic("first").unwrap()).is_none(), "nothing is another");
    let made = change(Layer::generic("first").unwrap().with_content_type("text/html")).unwrap();
    assert_eq!(made.layer_settings(&LayerId::new("first").unwrap()).unwrap().content_type, "text/html");
}
