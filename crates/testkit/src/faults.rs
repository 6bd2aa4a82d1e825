//! A store that has mishaps at chosen operations: one of them, all from one on, or some at random by a seed; and that
//! stalls at one, until the test lets it go on.
//!
//! Operations are counted in the order in which they are asked, so a test can count those of a clean run and then go
//! through all of them; a run on one thread asks in the same order each time. What random mishaps befall an operation
//! depends on the seed and on its number alone. When a test fails, the last plan and what it did are printed: the seed,
//! or the operation, to try again with.
//!
//! ```
//! use deltic_store::Stores;
//! use deltic_testkit::{Faults, Lab};
//! # use deltic_compiler::prelude::*;
//! # struct Copy;
//! # impl HasLayers for Copy {
//! #     fn layers(&self) -> Result<Layers> {
//! #         Ok(Layers::new().input_layers(["notes/text"]).output_layers([Layer::generic("copy")?]))
//! #     }
//! # }
//! # impl DirectCompiler for Copy {
//! #     fn map_key(&self, key: &Key, out: &mut Outputs) { out.add("copy", &key.name); }
//! #     fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
//! #         Ok(Some(inputs[0].payload.clone()))
//! #     }
//! # }
//! # fn main() -> Result<()> {
//! # let tasks = vec![Task::new("copy", Direct(Copy))?.version("1")];
//! let faults = Faults::new();
//! let mut lab = Lab::on(Stores::new().with_wrapper(faults.wrapper()), tasks);
//! lab.run();
//! lab.put("notes/text", "a", "hello");
//! lab.commit_inputs();
//!
//! faults.random(17, 5);
//! while lab.try_run().is_err() {}
//! assert!(!faults.calm().mishaps.is_empty());
//!
//! lab.forget_caches();
//! lab.assert_equals_scratch();
//! # Ok(())
//! # }
//! ```

mod store;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use deltic_store::testing::Operation;
use futures::channel::oneshot;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::random::Random;
use store::UnreliableStore;

/// What can happen to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It fails, and nothing has happened.
    Refused,
    /// It takes effect and fails all the same. A listing ends in an error after its first object.
    AnswerLost,
    /// It takes effect twice, and the second answer is heard: a creation finds that the object is there, a removal that
    /// it is gone. Reads pass.
    Twice,
    /// A read answers with half of the bytes. Other operations pass.
    Short,
}

impl Mishap {
    /// All of them.
    pub const ALL: [Mishap; 4] = [Mishap::Refused, Mishap::AnswerLost, Mishap::Twice, Mishap::Short];

    /// Whether it makes a difference to an operation of this kind.
    pub fn befalls(self, operation: Operation) -> bool {
        match self {
            Mishap::Refused | Mishap::AnswerLost => true,
            Mishap::Twice => matches!(operation, Operation::Put | Operation::Create | Operation::Delete),
            Mishap::Short => operation == Operation::Get,
        }
    }
}

/// Which operations have mishaps; they are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Plan {
    #[default]
    Calm,
    Once(u64, Mishap),
    From(u64, Mishap),
    Random {
        seed: u64,
        one_in: u64,
    },
}

impl Plan {
    fn mishap(self, number: u64, operation: Operation) -> Option<Mishap> {
        let mishap = match self {
            Plan::Once(chosen, mishap) if number == chosen => Some(mishap),
            Plan::From(chosen, mishap) if number == chosen => Some(mishap),
            Plan::From(chosen, _) if number > chosen => Some(Mishap::Refused),
            Plan::Random { seed, one_in } => {
                let mut random = Random::new(seed.rotate_left(32) ^ number);
                (random.below(one_in.max(1)) == 0).then(|| *random.pick(&Mishap::ALL))
            }
            _ => None,
        };
        mishap.filter(|mishap| mishap.befalls(operation))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plan::Calm => write!(f, "no mishaps"),
            Plan::Once(number, mishap) => write!(f, "operation {number}: {mishap:?}"),
            Plan::From(number, mishap) => write!(f, "operation {number}: {mishap:?}, and all later ones: Refused"),
            Plan::Random { seed, one_in } => write!(f, "random mishaps: seed {seed}, one in {one_in}"),
        }
    }
}

/// What was asked under a plan, and what went wrong.
#[derive(Debug, Clone, Default)]
pub struct Happened {
    /// The operations, in the order in which they were asked.
    pub operations: Vec<Operation>,
    /// What went wrong: the operation's number, what it was, the object and the mishap, as text.
    pub mishaps: Vec<String>,
}

#[derive(Debug, Default)]
struct Log {
    plan: Plan,
    happened: Happened,
    stall: Option<Stall>,
    /// The last plan that was no calm one, and what it did: printed when the test fails.
    last: Option<(Plan, Vec<String>)>,
}

/// When an operation stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before anything has happened.
    BeforeEffect,
    /// When it has taken effect, and the answer is on its way.
    AfterEffect,
}

/// An operation that is to stall.
#[derive(Debug)]
struct Stall {
    number: u64,
    when: When,
    reached: mpsc::Sender<()>,
    go: oneshot::Receiver<()>,
}

/// An operation that stalls until this is dropped.
#[derive(Debug)]
pub struct Stalled {
    reached: mpsc::Receiver<()>,
    _go: oneshot::Sender<()>,
}

impl Stalled {
    /// Waits until the operation has been asked and stalls; `false` when it never will be.
    pub fn reached(&self) -> bool {
        self.reached.recv().is_ok()
    }
}

/// Lines of mishaps that are printed when a test fails.
const PRINTED: usize = 20;

impl Drop for Log {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let now = (self.plan != Plan::Calm).then(|| (self.plan, std::mem::take(&mut self.happened.mishaps)));
        if let Some((plan, mishaps)) = now.or_else(|| self.last.take()) {
            let shown = mishaps.iter().take(PRINTED).map(|line| format!("\n  {line}")).collect::<String>();
            eprintln!("the store's mishaps: {plan}; {} in all{shown}", mishaps.len());
        }
    }
}

/// Decides what happens to the operations of the stores that it is put around. Cheap to clone; clones are the same.
///
/// Parts of multi-part uploads pass untouched: only their beginning is an operation.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Log>>);

impl Faults {
    /// Begins calm: everything passes.
    pub fn new() -> Faults {
        Faults::default()
    }

    /// A wrapper for [`deltic_store::Stores::with_wrapper`]. All stores that it is put around count together.
    pub fn wrapper(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let faults = self.clone();
        move |inner| Arc::new(UnreliableStore { inner, faults: faults.clone() })
    }

    /// A wrapper that also puts a store in memory into the place of each remote one (`s3://…`), by its URL. Requests are
    /// driven as those of remote stores are, so many are under way at once and their order may differ between runs.
    pub fn wrapper_in_memory(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let (faults, stores) = (self.clone(), Mutex::new(HashMap::<String, Arc<InMemory>>::new()));
        move |remote| {
            let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
            let inner: Arc<InMemory> = Arc::clone(stores.entry(remote.to_string()).or_default());
            Arc::new(UnreliableStore { inner, faults: faults.clone() })
        }
    }

    /// From now on the operation of this number, counted from 0, has a mishap, and no other.
    pub fn once(&self, number: u64, mishap: Mishap) {
        self.begin(Plan::Once(number, mishap));
    }

    /// From now on the operation of this number, counted from 0, has a mishap, and all later ones are refused: as if the
    /// process had died there.
    pub fn from(&self, number: u64, mishap: Mishap) {
        self.begin(Plan::From(number, mishap));
    }

    /// From now on about one operation in so many has a mishap.
    pub fn random(&self, seed: u64, one_in: u64) {
        self.begin(Plan::Random { seed, one_in });
    }

    /// Lets everything pass from now on, counts from 0 again, and says what has happened since the last plan began.
    pub fn calm(&self) -> Happened {
        self.begin(Plan::Calm)
    }

    /// Lets the operation of this number stall, counted as the others are, until what is returned is dropped. Others pass
    /// by it. Replaces what was to stall before. Listings and reads stall before their answer, which is all there is to
    /// them; copies and the beginnings of multi-part uploads do not stall.
    #[must_use]
    pub fn stall(&self, number: u64, when: When) -> Stalled {
        let ((said, reached), (release, go)) = (mpsc::channel(), oneshot::channel());
        self.log().stall = Some(Stall { number, when, reached: said, go });
        Stalled { reached, _go: release }
    }

    /// Stalls, if the operation is to.
    async fn wait(&self, number: u64, when: When) {
        let stall = self.log().stall.take_if(|stall| stall.number == number && stall.when == when);
        if let Some(stall) = stall {
            // Nobody need wait for it, and whoever gave it up lets it go.
            let _ = stall.reached.send(());
            let _ = stall.go.await;
        }
    }

    fn begin(&self, plan: Plan) -> Happened {
        let mut log = self.log();
        let happened = std::mem::take(&mut log.happened);
        if log.plan != Plan::Calm {
            log.last = Some((log.plan, happened.mishaps.clone()));
        }
        log.plan = plan;
        happened
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operation's number, and what befalls it.
    fn next(&self, operation: Operation, object: &Path) -> (u64, Option<Mishap>) {
        let mut log = self.log();
        let number = log.happened.operations.len() as u64;
        log.happened.operations.push(operation);
        let mishap = log.plan.mishap(number, operation);
        if let Some(mishap) = mishap {
            log.happened.mishaps.push(format!("{number} {operation:?} {object}: {mishap:?}"));
        }
        (number, mishap)
    }
}
