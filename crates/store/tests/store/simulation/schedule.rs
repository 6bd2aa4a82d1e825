//! A store in memory whose users take turns, one request at a time, in an order that a seed decides.
//!
//! Each actor is a thread, and all but one of the threads stand still: an actor runs from a request up to its next one,
//! then the scheduler says who goes on. So the code under test is the real one, blocking calls and all, and a seed always
//! gives the same history. An actor may be left standing for long, may die before or after the effect of a request, and
//! may not hear of the success of one.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use deltic_store::testing::Operation;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Numbers that a seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// How the request that an actor waits to make goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waits,
    Goes,
    /// It takes effect and fails.
    Unheard,
    /// It fails and nothing happens.
    Fails,
    DiesBefore,
    DiesAfter,
}

#[derive(Debug)]
struct Actor {
    turn: Turn,
    /// What it waits to do; none while it runs.
    asks: Option<Operation>,
    done: bool,
    /// Stands still until this step.
    until: u64,
    /// Told when it has the turn.
    woken: Arc<Condvar>,
}

/// The turns that are taken. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    actors: Mutex<Vec<Actor>>,
    /// Told when an actor stands still.
    moved: Condvar,
}

thread_local! {
    static SELF: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What an actor that dies unwinds with.
struct Dead;

impl Turns {
    /// Starts an actor: `life` is called again and again with its number, anew after each death.
    pub(crate) fn spawn<'a>(&self, scope: &'a std::thread::Scope<'a, '_>, mut life: impl FnMut() + Send + 'a) {
        let mut actors = self.0.actors.lock().unwrap();
        let number = actors.len();
        actors.push(Actor { turn: Turn::Waits, asks: None, done: false, until: 0, woken: Arc::default() });
        drop(actors);
        let turns = self.clone();
        scope.spawn(move || {
            SELF.set(Some(number));
            loop {
                let died = catch_unwind(AssertUnwindSafe(|| {
                    turns.ask(Operation::Other);
                    life();
                }));
                match died {
                    Err(cause) if cause.is::<Dead>() => {}
                    Err(cause) => {
                        turns.0.actors.lock().unwrap()[number].done = true;
                        turns.0.moved.notify_all();
                        resume_unwind(cause)
                    }
                    Ok(()) => {}
                }
                if turns.0.actors.lock().unwrap()[number].done {
                    return;
                }
            }
        });
    }

    /// Waits for a turn; says how the request goes. Whoever is no actor has no turns to wait for.
    fn ask(&self, operation: Operation) -> Turn {
        let Some(number) = SELF.get() else { return Turn::Goes };
        let mut actors = self.0.actors.lock().unwrap();
        actors[number].asks = Some(operation);
        self.0.moved.notify_one();
        let woken = Arc::clone(&actors[number].woken);
        while actors[number].turn == Turn::Waits && !actors[number].done {
            actors = woken.wait(actors).unwrap();
        }
        actors[number].asks = None;
        let ended = actors[number].done;
        let turn = std::mem::replace(&mut actors[number].turn, Turn::Waits);
        drop(actors);
        if ended || turn == Turn::DiesBefore {
            resume_unwind(Box::new(Dead));
        }
        turn
    }

    /// Lets one actor go on up to its next request.
    pub(crate) fn step(&self, now: u64, random: &mut Random) {
        let mut actors = self.0.actors.lock().unwrap();
        // All stand still before anything is drawn, so that what is drawn is a function of the seed.
        while actors.iter().any(|actor| actor.asks.is_none() && !actor.done) {
            actors = self.0.moved.wait(actors).unwrap();
        }
        let awake: Vec<usize> = (0..actors.len()).filter(|n| actors[*n].until <= now && !actors[*n].done).collect();
        let Some(chosen) = awake.get(random.below(awake.len() as u64) as usize).copied() else {
            actors.iter_mut().for_each(|actor| actor.until = now);
            return;
        };
        let actor = &mut actors[chosen];
        if random.once_in(60) {
            let most = if random.once_in(4) { 400 } else { 60 };
            actor.until = now + random.below(most);
        }
        let create = actor.asks == Some(Operation::Create);
        actor.turn = match random.below(1000) {
            0..4 => Turn::DiesBefore,
            4..8 => Turn::DiesAfter,
            8..80 if create => Turn::Unheard,
            80..82 if create => Turn::Fails,
            _ => Turn::Goes,
        };
        actor.asks = None;
        actor.woken.notify_one();
        while actors[chosen].asks.is_none() && !actors[chosen].done {
            actors = self.0.moved.wait(actors).unwrap();
        }
    }

    /// Lets all actors end where they are.
    pub(crate) fn end(&self) {
        for actor in &mut *self.0.actors.lock().unwrap() {
            actor.done = true;
            actor.woken.notify_one();
        }
    }

    async fn during<T>(&self, operation: Operation, work: impl Future<Output = Result<T>>) -> Result<T> {
        let failed = || object_store::Error::Generic { store: "Turns", source: "made to fail".into() };
        let turn = self.ask(operation);
        if turn == Turn::Fails {
            return Err(failed());
        }
        let done = work.await;
        match turn {
            Turn::DiesAfter => resume_unwind(Box::new(Dead)),
            Turn::Unheard => Err(failed()),
            _ => done,
        }
    }
}

/// A store whose users take turns.
#[derive(Debug)]
pub(crate) struct TurnStore {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) turns: Turns,
}

impl fmt::Display for TurnStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnStore({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for TurnStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let operation = if options.mode == PutMode::Create { Operation::Create } else { Operation::Put };
        self.turns.during(operation, self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(object_store::Error::NotImplemented { operation: "put_multipart".into(), implementer: "TurnStore".into() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.turns.during(Operation::Get, self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.turns.during(Operation::Get, self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, turns) = (Arc::clone(&self.inner), self.turns.clone());
        Box::pin(locations.and_then(move |location| {
            let (inner, turns) = (Arc::clone(&inner), turns.clone());
            async move {
                turns.during(Operation::Delete, inner.delete(&location)).await?;
                Ok(location)
            }
        }))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.turns.ask(Operation::List);
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.turns.ask(Operation::List);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.turns.during(Operation::List, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.turns.during(Operation::Other, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.turns.during(Operation::Other, self.inner.rename_opts(from, to, options)).await
    }
}
