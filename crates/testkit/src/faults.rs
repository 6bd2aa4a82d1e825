//! Plans for a store that fails: at one chosen operation, at all from one on, or at random by a seed. It can also stall at one,
//! until the test lets it go on.
//!
//! Operations are counted in the order in which they are asked, so a test can count those of a clean run and then go
//! through all of them; a run on one thread asks in the same order each time. How an operation fails at random depends on
//! the seed and on its number alone. When a test fails, the last plan and what it did are printed: the seed, or the
//! operation, to try again with.
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
//! assert!(!faults.calm().faults.is_empty());
//!
//! lab.forget_caches();
//! lab.assert_equals_scratch();
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use deltic_store::testing::{Decision, Fault, Operation, When, faults};
use futures::FutureExt;
use futures::channel::oneshot;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::random::Random;

/// How operations fail at random.
const AT_RANDOM: [Fault; 4] = [Fault::Before, Fault::After, Fault::Twice, Fault::Short];

/// Which operations fail, and how; they are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Plan {
    #[default]
    Calm,
    Once(u64, Fault),
    From(u64, Fault),
    Random {
        seed: u64,
        one_in: u64,
    },
}

impl Plan {
    /// How an operation fails: as planned, where that makes a difference to it.
    fn fault(self, number: u64, operation: Operation) -> Fault {
        let fault = match self {
            Plan::Once(chosen, fault) | Plan::From(chosen, fault) if number == chosen => fault,
            Plan::From(chosen, _) if number > chosen => Fault::Before,
            Plan::Random { seed, one_in } => {
                let mut random = Random::new(seed.rotate_left(32) ^ number);
                if random.below(one_in.max(1)) == 0 { *random.pick(&AT_RANDOM) } else { Fault::None }
            }
            _ => Fault::None,
        };
        if fault.affects(operation) { fault } else { Fault::None }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plan::Calm => write!(f, "no faults"),
            Plan::Once(number, fault) => write!(f, "operation {number}: {fault:?}"),
            Plan::From(number, fault) => write!(f, "operation {number}: {fault:?}, and all later ones: Before"),
            Plan::Random { seed, one_in } => write!(f, "random faults: seed {seed}, one in {one_in}"),
        }
    }
}

/// What was asked under a plan, and what failed.
#[derive(Debug, Clone, Default)]
pub struct Happened {
    /// The operations, in the order in which they were asked.
    pub operations: Vec<Operation>,
    /// What failed: the operation's number, what it was, the object and the fault, as text.
    pub faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Log {
    plan: Plan,
    happened: Happened,
    stall: Option<Stall>,
    /// The last plan that was no calm one, and what it did: printed when the test fails.
    last: Option<(Plan, Vec<String>)>,
}

/// An operation that is to stall.
#[derive(Debug)]
struct Stall {
    number: u64,
    when: When,
    reached: mpsc::Sender<()>,
    go: oneshot::Receiver<()>,
}

impl Stall {
    async fn wait(self) {
        // Nobody need wait for it, and whoever gave it up lets it go.
        let _ = self.reached.send(());
        let _ = self.go.await;
    }
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

/// Lines of faults that are printed when a test fails.
const PRINTED: usize = 20;

impl Drop for Log {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let now = (self.plan != Plan::Calm).then(|| (self.plan, std::mem::take(&mut self.happened.faults)));
        if let Some((plan, faults)) = now.or_else(|| self.last.take()) {
            let shown = faults.iter().take(PRINTED).map(|line| format!("\n  {line}")).collect::<String>();
            eprintln!("the store's faults: {plan}; {} in all{shown}", faults.len());
        }
    }
}

/// Decides what happens to the operations of the stores that it is put around. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Log>>);

impl Faults {
    /// Begins calm: everything passes.
    pub fn new() -> Faults {
        Faults::default()
    }

    /// A wrapper for [`deltic_store::Stores::with_wrapper`]. All stores that it is put around count together.
    pub fn wrapper(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let plan = self.clone();
        faults(move |operation, object| plan.next(operation, object))
    }

    /// A wrapper that also puts a store in memory into the place of each remote one (`s3://…`), by its URL. Requests are
    /// driven as those of remote stores are, so many are under way at once and their order may differ between runs.
    pub fn wrapper_in_memory(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let (wrapper, stores) = (self.wrapper(), Mutex::new(HashMap::<String, Arc<InMemory>>::new()));
        move |remote| {
            let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
            let inner: Arc<InMemory> = Arc::clone(stores.entry(remote.to_string()).or_default());
            wrapper(inner)
        }
    }

    /// From now on the operation of this number, counted from 0, fails, and no other.
    pub fn once(&self, number: u64, fault: Fault) {
        self.begin(Plan::Once(number, fault));
    }

    /// From now on the operation of this number, counted from 0, fails, and all later ones fail before they take effect: as if
    /// the process had died there.
    pub fn from(&self, number: u64, fault: Fault) {
        self.begin(Plan::From(number, fault));
    }

    /// From now on about one operation in `one_in` fails, in one of the ways of a line: before or after it took effect, done
    /// twice, or cut short.
    pub fn random(&self, seed: u64, one_in: u64) {
        self.begin(Plan::Random { seed, one_in });
    }

    /// Lets everything pass from now on, counts from 0 again, and returns what has happened since the last plan began.
    pub fn calm(&self) -> Happened {
        self.begin(Plan::Calm)
    }

    /// Lets the operation of this number stall, counted as the others are, until what is returned is dropped. Others pass
    /// by it. Replaces what was to stall before. See [`Decision::stall`] for which operations can.
    #[must_use]
    pub fn stall(&self, number: u64, when: When) -> Stalled {
        let ((reaches, reached), (release, go)) = (mpsc::channel(), oneshot::channel());
        self.log().stall = Some(Stall { number, when, reached: reaches, go });
        Stalled { reached, _go: release }
    }

    fn begin(&self, plan: Plan) -> Happened {
        let mut log = self.log();
        let happened = std::mem::take(&mut log.happened);
        if log.plan != Plan::Calm {
            log.last = Some((log.plan, happened.faults.clone()));
        }
        log.plan = plan;
        happened
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation, and decides what happens to it.
    fn next(&self, operation: Operation, object: &str) -> Decision {
        let mut log = self.log();
        let number = log.happened.operations.len() as u64;
        log.happened.operations.push(operation);
        let fault = log.plan.fault(number, operation);
        if fault != Fault::None {
            log.happened.faults.push(format!("{number} {operation:?} {object}: {fault:?}"));
        }
        let stall = log.stall.take_if(|stall| stall.number == number);
        Decision { fault, stall: stall.map(|stall| (stall.when, stall.wait().boxed())) }
    }
}
