//! The plan, whose nodes are data sets: it holds their ids, their users, and the layers to publish.
//!
//! Nothing is decided while sets are made. [`DataPlan::finish`] goes backwards from the published layers and makes the flow of each
//! set. A stage ends where a set is kept in a private layer or published.
//!
//! Invariant: a set's structural id depends on its operator and the layers that it comes from, not on the steps in between. So when a
//! step is added or removed, the other stages keep their ids, and with them their state.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use deltic_core::{Hasher, LayerId, LayerRef, TaskId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::dataset::stages::Builder;
use crate::dataset::{Data, DataKey, DataSet, Stages};
use crate::error::Result;
use crate::io::partition::Partition;
use crate::tasks::recordable::recordable;
use crate::tasks::setup::Setup;

/// A plan for a chain of tasks, described as data sets that derive from one another.
///
/// A handle: clones are the same plan. [`DataPlan::finish`] reports all mistakes together, such as an illegal layer name.
#[derive(Clone)]
pub struct DataPlan {
    pub(super) state: Rc<RefCell<State>>,
}

/// A layer to publish. `end` ends its stage when the plan is finished.
struct Goal {
    layer: LayerId,
    of: Vec<Rc<Info>>,
    end: End,
}

type End = Box<dyn FnOnce(&mut Builder) -> Result<()>>;

/// A plan from which no tasks can be made.
#[derive(Debug, thiserror::Error)]
#[error("plan `{id}`: {message}")]
pub struct BadPlan {
    /// The id as it was given.
    pub id: String,
    /// What is wrong: all mistakes.
    pub message: String,
}

/// The error of a set because of a mistake that the plan has recorded already.
#[derive(Debug, thiserror::Error)]
#[error("a mistake in the plan")]
pub(super) struct Reported;

pub(super) struct State {
    pub(super) id: String,
    /// Its earlier ids, newest first.
    pub(super) earlier: Vec<String>,
    pub(super) version: Option<String>,
    pub(super) configuration: Option<Value>,
    pub(super) memo: Option<u32>,
    pub(super) nodes: Vec<Rc<Info>>,
    goals: Vec<Goal>,
    problems: Vec<String>,
}

/// What the plan knows about a set.
#[derive(Debug)]
pub(super) struct Info {
    pub(super) kind: String,
    /// The layers that it ultimately comes from.
    pub(super) roots: BTreeSet<String>,
    /// For operators that can give a stage its name: the operator and a digest of the roots.
    pub(super) structural: Option<String>,
    pub(super) explicit: RefCell<Option<String>>,
    /// Its earlier ids, newest first.
    pub(super) earlier: RefCell<Vec<String>>,
    pub(super) version: RefCell<Option<String>>,
    pub(super) users: Cell<usize>,
}

impl Info {
    /// Its present and earlier ids, each once.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.explicit.borrow().iter().chain(&*self.earlier.borrow()).cloned().collect()
    }

    /// The mistake where it has an earlier id and no stage has its name.
    fn unused_earlier_id(&self, builder: &Builder) -> Option<String> {
        let earlier = self.earlier.borrow().iter().find(|id| !builder.keeps(id))?.clone();
        let shown = self.show();
        Some(format!(
            "{shown} was previously `{earlier}`, but no stage has its name: call `previously` on the set that is kept in a \
             private layer, or remove the call"
        ))
    }

    /// The set, for a message.
    pub(super) fn show(&self) -> String {
        let roots: Vec<&str> = self.roots.iter().map(String::as_str).collect();
        let what = format!("{} of {}", self.kind, roots.join(", "));
        self.explicit.borrow().as_ref().map_or_else(|| what.clone(), |id| format!("`{id}` ({what})"))
    }
}

impl DataPlan {
    /// An empty plan. The ids of its tasks begin with `id` and a dot.
    pub fn new(id: &str) -> DataPlan {
        let state = State {
            id: id.to_owned(),
            earlier: Vec::new(),
            version: None,
            configuration: None,
            memo: None,
            nodes: Vec::new(),
            goals: Vec::new(),
            problems: Vec::new(),
        };
        DataPlan { state: Rc::new(RefCell::new(state)) }
    }

    /// States the version of the code of all closures, as [`Task::version`](crate::Task::version) does.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> DataPlan {
        self.state.borrow_mut().version = Some(version.into());
        self
    }

    /// States an earlier id of the plan, so that its tasks keep their state, as [`Task::previously`](crate::Task::previously) does:
    /// `DataPlan::new("footways").previously("pedestrian")`. State several earlier ids newest first. The names of private layers begin
    /// with the oldest id, so leave these calls in the code for good: without them everything is compiled again, once.
    #[must_use]
    pub fn previously(self, id: &str) -> DataPlan {
        match TaskId::new(id) {
            Ok(_) => self.state.borrow_mut().earlier.push(id.to_owned()),
            Err(error) => self.problem(format!("its earlier id: {error}")),
        }
        self
    }

    /// An empty plan and its configuration, read from the section `[compiler.<id>]` as [`Setup::config`] does. All of it
    /// is part of the fingerprint of every task.
    pub fn with_config<T: Serialize + DeserializeOwned>(setup: &mut Setup, id: &str) -> Result<(DataPlan, T)> {
        let config: T = setup.config(id)?;
        Ok((DataPlan::new(id).configured(&config), config))
    }

    /// Memoizes the values that inputs send in shuffles by content, as [`Task::memo`](crate::Task::memo) does: steps before a shuffle
    /// need not run again for unchanged inputs.
    #[must_use]
    pub fn memo(self, limit: u32) -> DataPlan {
        self.state.borrow_mut().memo = Some(limit);
        self
    }

    /// States the configuration that the closures were made with. All of it is part of the fingerprint of every task. A value that
    /// [`recordable`] refuses is a mistake that [`DataPlan::finish`] reports.
    #[must_use]
    pub fn configured(self, configuration: &impl Serialize) -> DataPlan {
        match recordable(configuration) {
            Ok(value) => self.state.borrow_mut().configuration = Some(value),
            Err(error) => self.problem(format!("its configuration: {error}")),
        }
        self
    }

    /// The partitions of a layer: `catalog/layer` for an input catalog, `layer` for what another task writes.
    pub fn layer<K: DataKey>(&self, layer: &str) -> DataSet<K, Partition> {
        match LayerRef::parse(layer) {
            Ok(layer) => DataSet::of_layer(self, &layer),
            Err(error) => {
                self.problem(format!("layer `{layer}`: {error}"));
                DataSet::of_no_layer(self, layer)
            }
        }
    }

    /// The partitions of several layers, each under its layer and name.
    pub fn layers<'a>(&self, layers: impl IntoIterator<Item = &'a str>) -> DataSet<deltic_core::Key, Partition> {
        let (mut all, mut is_empty) = (BTreeSet::new(), true);
        for layer in layers {
            is_empty = false;
            match LayerRef::parse(layer) {
                Ok(layer) if !all.contains(&layer) => drop(all.insert(layer)),
                Ok(layer) => self.problem(format!("layer `{layer}` is listed twice in one set")),
                Err(error) => self.problem(format!("layer `{layer}`: {error}")),
            }
        }
        if is_empty {
            self.problem("a set of several layers lists none".to_owned());
        }
        DataSet::of_layers(self, &all)
    }

    /// Makes the tasks.
    ///
    /// Errors: a [`BadPlan`] with all mistakes. These are the mistakes recorded while sets were made; a set that nothing uses; two sets
    /// with one id, present or earlier; a layer that is published twice; an id that is too long for a task. Only where there is none
    /// of these: an earlier id of a set whose name no stage has.
    pub fn finish(&self) -> Result<Stages> {
        let (id, mut problems, goals, mut builder) = {
            let mut state = self.state.borrow_mut();
            state.find_problems();
            let (problems, goals) = (std::mem::take(&mut state.problems), std::mem::take(&mut state.goals));
            let builder = Builder::new(&state, goals.iter().map(|goal| goal.layer.clone()).collect());
            (state.id.clone(), problems, goals, builder)
        };
        let mut ended = BTreeSet::new();
        for goal in goals {
            // A second one is reported already.
            if !ended.insert(goal.layer) {
                continue;
            }
            if let Err(error) = (goal.end)(&mut builder)
                && !error.is::<Reported>()
            {
                // Two layers that derive from one set report the same mistake.
                let problem = format!("{error:#}");
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        // Which sets are kept is known only after all stages are made.
        if problems.is_empty() {
            problems = self.state.borrow().nodes.iter().filter_map(|node| node.unused_earlier_id(&builder)).collect();
        }
        if problems.is_empty() {
            Ok(builder.finish())
        } else {
            Err(BadPlan { id, message: problems.join("; ") }.into())
        }
    }

    /// Makes the tasks and registers them.
    pub fn register(&self, setup: &mut Setup) -> Result<()> {
        self.finish()?.into_tasks().into_iter().try_for_each(|task| setup.add(task))
    }

    pub(super) fn problem(&self, problem: String) {
        self.state.borrow_mut().problems.push(problem);
    }

    /// Records a mistake if a set belongs to another plan.
    pub(super) fn expect_own<K: DataKey, V: Data>(&self, set: &DataSet<K, V>) {
        if !Rc::ptr_eq(&self.state, &set.plan.state) {
            let (shown, of) = (set.info().show(), set.plan.state.borrow().id.clone());
            self.problem(format!("{shown} belongs to another plan, `{of}`, and can not be used in this one"));
        }
    }

    /// Ends a stage in a layer that is made of some sets.
    pub(super) fn add_goal(
        &self,
        layer: LayerId,
        of: impl Into<Vec<Rc<Info>>>,
        end: impl FnOnce(&mut Builder) -> Result<()> + 'static,
    ) {
        self.state.borrow_mut().goals.push(Goal { layer, of: of.into(), end: Box::new(end) });
    }

    /// Adds a node. `is_core`: it can give a stage its name.
    pub(super) fn add_node(&self, kind: String, is_core: bool, roots: BTreeSet<String>) -> Rc<Info> {
        let mut state = self.state.borrow_mut();
        let structural = is_core.then(|| {
            let mut hasher = Hasher::new("deltic data set 1");
            for root in &roots {
                hasher.text(root);
            }
            format!("{kind}-{}", &hasher.finish().short()[..8])
        });
        let info = Info {
            kind,
            roots,
            structural,
            explicit: RefCell::default(),
            earlier: RefCell::default(),
            version: RefCell::default(),
            users: Cell::new(0),
        };
        let info = Rc::new(info);
        state.nodes.push(Rc::clone(&info));
        info
    }
}

impl State {
    fn find_problems(&mut self) {
        let mut ids: BTreeMap<String, Vec<&Info>> = BTreeMap::new();
        for node in &self.nodes {
            if node.users.get() == 0 {
                self.problems.push(format!("nothing uses {}: publish it or remove it", node.show()));
            }
            for id in node.names() {
                ids.entry(id).or_default().push(node);
            }
        }
        for (id, nodes) in ids.iter().filter(|(_, nodes)| nodes.len() > 1) {
            let message = format!("two data sets have, or had, the id `{id}`: {}", all_shown(nodes));
            self.problems.push(message);
        }
        let mut layers: BTreeMap<&LayerId, Vec<&Info>> = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for goal in &self.goals {
            let of = goal.of.iter().map(Rc::as_ref);
            match layers.get_mut(&goal.layer) {
                None => drop(layers.insert(&goal.layer, of.collect())),
                Some(all) => {
                    all.extend(of);
                    twice.insert(&goal.layer);
                }
            }
        }
        for (layer, nodes) in layers.iter().filter(|(layer, _)| twice.contains(*layer)) {
            self.problems.push(format!("layer `{layer}` is published twice: {}", all_shown(nodes)));
        }
        if self.goals.is_empty() {
            self.problems.push("it publishes nothing".to_owned());
        }
    }
}

fn all_shown(nodes: &[&Info]) -> String {
    nodes.iter().map(|node| node.show()).collect::<Vec<_>>().join(" and ")
}

impl std::fmt::Debug for DataPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("DataPlan").field("id", &state.id).field("sets", &state.nodes.len()).finish_non_exhaustive()
    }
}
