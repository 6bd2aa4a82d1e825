//! Tasks that do not read each other's output run at the same time, with no effect on the output.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use deltic::driver::Mode;
use deltic::prelude::*;
use deltic_testkit::{Edit, Lab, RandomHistory};
use expect_test::expect;

use crate::patterns::{Gathers, Groups, Pairs, Shape};

/// Where compilers wait for each other.
#[derive(Clone, Default)]
struct Meeting(Arc<(Mutex<u32>, Condvar)>);

impl Meeting {
    /// Arrives, and waits for the others; returns whether they arrived.
    fn arrive(&self, wanted: u32, patience: Duration) -> bool {
        let (arrived, changed) = &*self.0;
        let mut arrived = arrived.lock().unwrap();
        *arrived += 1;
        changed.notify_all();
        let (arrived, _) = changed.wait_timeout_while(arrived, patience, |arrived| *arrived < wanted).unwrap();
        *arrived >= wanted
    }
}

/// Does something for each input of a layer.
struct Does {
    from: &'static str,
    to: &'static str,
    what: Box<dyn Fn() -> Result<String> + Send + Sync>,
}

impl HasLayers for Does {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers([self.from]).output_layers([Layer::generic(self.to)?]))
    }
}

impl DirectCompiler for Does {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add(self.to, &key.name);
    }

    fn compile(&self, _: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some((self.what)()?.into()))
    }
}

fn does(from: &'static str, to: &'static str, what: impl Fn() -> Result<String> + Send + Sync + 'static) -> Task {
    Task::new(to, Direct(Does { from, to, what: Box::new(what) })).unwrap().version("1")
}

fn met(threads: usize, patience: Duration) -> Vec<Option<String>> {
    let meeting = Meeting::default();
    let meets = |to| {
        let meeting = meeting.clone();
        does("in/a", to, move || Ok(meeting.arrive(2, patience).to_string()))
    };
    let mut lab = Lab::new(vec![meets("x"), meets("y")]);
    lab.threads(threads);
    lab.put("in/a", "0", "0");
    let reports: Vec<String> = lab.run().report.tasks.iter().map(|task| task.task.to_string()).collect();
    assert_eq!(reports, ["x", "y"]);
    ["x", "y"].map(|layer| lab.text(layer, "0")).to_vec()
}

#[test]
fn independent_tasks_meet_unless_there_is_one_thread() {
    assert_eq!(met(2, Duration::from_secs(60)), [Some("true".to_owned()), Some("true".to_owned())]);
    // The first waits in vain.
    assert_eq!(met(1, Duration::from_millis(50)), [Some("false".to_owned()), Some("true".to_owned())]);
}

/// Whichever fails first by the clock: failures come in the order of the tasks. The first of them here depends on a task
/// that does not fail, and is begun only after another one has failed.
#[test]
fn failures_come_in_the_order_of_tasks() {
    for threads in [1, 2, 8] {
        let failed = Meeting::default();
        let waits = failed.clone();
        let tasks = vec![
            does("in/a", "first", move || {
                if threads > 1 {
                    waits.arrive(2, Duration::from_secs(60));
                }
                Ok(String::new())
            }),
            does("first", "second", || bail!("this one")),
            does("in/a", "third", move || {
                failed.arrive(1, Duration::ZERO);
                bail!("and this one")
            }),
            does("in/a", "fourth", || bail!("and that one")),
        ];
        let mut lab = Lab::new(tasks);
        lab.threads(threads);
        lab.put("in/a", "0", "0");
        expect![[r#"
            3 failures
              second: back-end of second/0: this one
              third: back-end of third/0: and this one
              fourth: back-end of fourth/0: and that one"#]]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
        assert_eq!(lab.output().version().0, 0);
    }
}

/// What is made again and comes out the same is no change for those who read it.
#[test]
fn a_task_is_skipped_when_what_it_reads_came_out_the_same() {
    let mut lab =
        Lab::new(vec![does("in/a", "x", || Ok("same".to_owned())), does("x", "y", || Ok("never again".to_owned()))]);
    lab.threads(4);
    lab.put("in/a", "0", "0");
    lab.run();
    lab.put("in/a", "0", "1");
    let run = lab.run();
    assert_eq!(run.report.tasks.iter().map(|task| task.counts.compiled).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(run.report.tasks[1].mode, Mode::Skipped);
    lab.assert_equals_scratch();
}

/// A wide graph of tasks of all patterns.
fn wide(seed: u64) -> Vec<Task> {
    let shape = |salt: u64, inputs: &[&'static str], references: &[&'static str], output| Shape {
        salt: seed ^ salt,
        inputs: inputs.to_vec(),
        references: references.to_vec(),
        output,
    };
    let tasks = [
        Task::new("late", DirectMany(Gathers(shape(1, &["x", "y"], &["z"], "v")))),
        Task::new("x", MapGroup(Groups(shape(2, &["in/a"], &["in/b"], "x")))),
        Task::new("y", Direct(Pairs(shape(3, &["in/b"], &["in/a"], "y")))),
        Task::new("z", MapGroup(Groups(shape(4, &["in/a", "in/b"], &["y"], "z")))),
        Task::new("w", Direct(Pairs(shape(5, &["in/b"], &[], "w")))),
        Task::new("u", MapGroup(Groups(shape(6, &["w", "x"], &["in/a"], "u")))),
    ];
    tasks.into_iter().map(|task| task.unwrap().version("1")).collect()
}

#[test]
fn nothing_depends_on_how_many_run_at_once() {
    for seed in 0..6 {
        let layers = ["in/a", "in/b"].map(|layer| (layer.to_owned(), RandomHistory::generic_names(4)));
        let history = RandomHistory { layers: layers.to_vec(), steps: 6, contents: 4 }.make(seed);
        let mut labs: Vec<Lab> = [1, 2, 8].map(|_| Lab::new(wide(seed))).into();
        for step in history {
            let mut runs = Vec::new();
            for (lab, threads) in labs.iter_mut().zip([1, 2, 8]) {
                lab.threads(threads);
                for Edit { layer, name, payload } in &step {
                    match payload {
                        Some(payload) => lab.put(layer, name, payload.clone()),
                        None => lab.delete(layer, name),
                    }
                }
                let run = lab.run();
                let tasks = run.report.tasks.iter().map(|task| (task.task.clone(), task.mode.clone(), task.counts));
                runs.push((run.log(), tasks.collect::<Vec<_>>(), lab.output().record().statistics.clone()));
            }
            assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {runs:#?}");
            labs[0].assert_equals(&labs[1]);
            labs[0].assert_equals(&labs[2]);
        }
        labs[2].assert_equals_scratch();
    }
}
