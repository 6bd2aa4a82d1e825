//! Batches on threads: several at once, results in order, in bounded memory.
//!
//! A single batch runs on the calling thread, and the thread pool is started with the second one, so a small run starts no
//! threads. How much a batch emits is known only when it has run: a batch that has emitted enough is ended, and the rest of
//! it becomes batches right behind it.
//!
//! Results are taken in order, so finished ones wait for a slow batch before them, and take memory. The more they take, the
//! fewer batches are started: at first no more than threads, and in the end only the one whose turn it is, which is always
//! started, or nothing would ever be taken.
//!
//! After an error no batch behind it is cut or started. Batches before it still run, because they may fail too, and the
//! first error in order is the one that is reported, whatever the timing. Then all that runs is given up. One exception: a
//! store that fails does so for all batches that use it later, so timing decides which of them reports it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::engine::Kernel;
use crate::{Error, Result};

/// The result of a batch.
pub(crate) struct Done<B, R> {
    pub(crate) result: R,
    /// The bytes that the result takes while it waits.
    pub(crate) weight: u64,
    /// The rest of the batch that did not run, as batches, in order.
    pub(crate) rest: Vec<B>,
}

/// Runs batches within these limits.
pub(crate) struct Workers<'a> {
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) pool: Box<dyn Fn() -> Result<&'a rayon::ThreadPool> + 'a>,
    pub(crate) threads: usize,
    /// Whether to cut batches early, because cutting one begins to read for it.
    pub(crate) reads_ahead: bool,
    /// The most batches that are cut and whose results are not taken.
    pub(crate) batches: usize,
    /// The most bytes of such batches, as far as they are known before they run.
    pub(crate) coming_bytes: u64,
    /// The most bytes of results that wait for their turn.
    pub(crate) done_bytes: u64,
}

/// A batch at its place in the order.
struct Slot<B, R> {
    number: u64,
    bytes: u64,
    state: State<B, R>,
}

enum State<B, R> {
    Ready(B),
    Running,
    Done(Result<R>, u64),
}

impl Workers<'_> {
    /// Applies `work` to batches, several at once, and passes results to `take` in order. Batches come with the bytes that
    /// they take.
    ///
    /// Errors: the first in order, of a batch or of `next`, whichever happened first in time. Running batches are given up.
    pub(crate) fn each<B: Send, R: Send>(
        &self,
        mut next: impl FnMut() -> Result<Option<(B, u64)>>,
        work: impl Fn(B) -> Result<Done<B, R>> + Sync,
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        let mut next = || self.kernel.go_on().and_then(|()| next());
        let Some(first) = next()? else { return Ok(()) };
        let is_shared = self.threads > 1 || self.reads_ahead;
        let mut ready = VecDeque::from([first]);
        let second = if is_shared { next().transpose() } else { None };
        if second.is_none() {
            while let Some((batch, _)) = ready.pop_front().map_or_else(&mut next, |batch| Ok(Some(batch)))? {
                let done = work(batch)?;
                take(done.result)?;
                done.rest.into_iter().rev().for_each(|piece| ready.push_front((piece, 0)));
                if is_shared && ready.len() > 1 {
                    break;
                }
            }
            if ready.is_empty() {
                return Ok(());
            }
        }
        self.share(ready.into_iter().map(Ok).chain(second), &mut next, &work, &mut take)
    }

    fn share<B: Send, R: Send>(
        &self,
        mut ready: impl Iterator<Item = Result<(B, u64)>>,
        next: &mut dyn FnMut() -> Result<Option<(B, u64)>>,
        work: &(impl Fn(B) -> Result<Done<B, R>> + Sync),
        take: &mut dyn FnMut(R) -> Result<()>,
    ) -> Result<()> {
        let kernel = self.kernel;
        let (sender, receiver) = mpsc::channel();
        let mut numbers = 0..;
        let mut slot = |state, bytes| Slot { number: numbers.next().unwrap_or(u64::MAX), bytes, state };
        let mut slots: VecDeque<Slot<B, R>> = VecDeque::new();
        let mut next = || ready.next().map_or_else(&mut *next, |batch| batch.map(Some));
        let (mut coming, mut running, mut held, mut ended) = (0, 0, 0, false);
        // The weight to expect of a result: the greatest of late, which decays by an eighth with each smaller one. None
        // before the first result.
        let mut expected: Option<u64> = None;
        (self.pool)()?.in_place_scope(|scope| {
            // In each round: take the results whose turn it is, cut batches, start some, and wait for one to end. Taking first
            // frees memory for what is started, and an error that is taken ends the loop before anything new is cut.
            let mut go = || loop {
                while let Some(Slot { bytes, state: State::Done(result, weight), .. }) =
                    slots.pop_front_if(|slot| matches!(slot.state, State::Done(..)))
                {
                    held -= weight;
                    coming -= bytes;
                    take(result?)?;
                }
                while !ended && slots.len() < self.batches && coming < self.coming_bytes {
                    match next() {
                        Ok(Some((batch, bytes))) => {
                            coming += bytes;
                            slots.push_back(slot(State::Ready(batch), bytes));
                        }
                        Ok(None) => ended = true,
                        Err(error) => {
                            slots.push_back(slot(State::Done(Err(error), 0), 0));
                            ended = true;
                        }
                    }
                }
                for (place, Slot { number, state, .. }) in slots.iter_mut().enumerate() {
                    match state {
                        State::Ready(_) => {}
                        // What is behind an error will not be taken.
                        State::Done(Err(_), _) => break,
                        State::Running | State::Done(..) => continue,
                    }
                    let fits = |weight: u64| held + (running as u64 + 1) * weight <= self.done_bytes;
                    let is_idle = running < self.threads && held < self.done_bytes;
                    // The first one always starts. Before the first result nothing is known of weights, so as many start as there
                    // are threads.
                    if place > 0 && !is_idle && !expected.is_some_and(fits) {
                        break;
                    }
                    let State::Ready(batch) = std::mem::replace(state, State::Running) else { continue };
                    running += 1;
                    let (sender, number) = (sender.clone(), *number);
                    scope.spawn(move |_| {
                        // Panics of user code are caught already. A panic of this crate must not leave the receiver waiting.
                        let done = catch_unwind(AssertUnwindSafe(|| kernel.go_on().and_then(|()| work(batch))));
                        let failed = |_| Err(Error::internal("a worker panicked"));
                        // The receiver is gone if an earlier batch failed.
                        let _ = sender.send((number, done.unwrap_or_else(failed)));
                    });
                }
                match slots.front() {
                    None => return Ok(()),
                    Some(first) if matches!(first.state, State::Done(..)) => continue,
                    Some(_) => {}
                }
                let gone = || Error::internal("the workers are gone");
                let (number, done) = receiver.recv().map_err(|_| gone())?;
                running -= 1;
                // By number: the place of a batch moves when others are taken, or leave a rest.
                let place = slots.iter().position(|slot| slot.number == number).ok_or_else(gone)?;
                slots[place].state = match done {
                    Err(error) => {
                        ended = true;
                        State::Done(Err(error), 0)
                    }
                    Ok(Done { result, weight, rest }) => {
                        held += weight;
                        expected = Some(expected.map_or(weight, |expected| weight.max(expected - expected / 8)));
                        for (after, piece) in rest.into_iter().enumerate() {
                            slots.insert(place + 1 + after, slot(State::Ready(piece), 0));
                        }
                        State::Done(Ok(result), weight)
                    }
                };
            };
            // The scope waits for running batches: they are made to end early.
            go().inspect_err(|_| kernel.give_up())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::engine::{Fetch, Item, MapBatch, Reduced};
    use crate::report::stop::Stop;
    use crate::sort::rows::{Row, RowStream, Rows};

    /// A kernel that can be given up, and nothing else.
    #[derive(Default)]
    struct Signals(Stop);

    impl Kernel for Signals {
        fn is_remote(&self) -> bool {
            false
        }
        fn go_on(&self) -> Result<()> {
            if self.0.is_requested() { Err(error("given up")) } else { Ok(()) }
        }
        fn give_up(&self) {
            self.0.request();
        }
        fn begin_map(&self, _: &[Item]) -> Result<Fetch> {
            Ok(Fetch::default())
        }
        fn map(&self, _: Vec<Item>, _: Fetch) -> Result<MapBatch> {
            Ok(MapBatch::default())
        }
        fn begin_reduce(&self, _: &Rows) -> Result<Fetch> {
            Ok(Fetch::default())
        }
        fn weight(&self, _: Row<'_>) -> u64 {
            0
        }
        fn reduce(&self, _: &mut dyn RowStream, _: Fetch) -> Result<Vec<Reduced>> {
            Ok(Vec::new())
        }
    }

    fn error(message: &str) -> Error {
        Error::internal(message)
    }

    /// Waits at most a minute until a condition holds; returns whether it does.
    fn comes(holds: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        while !holds() && start.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        holds()
    }

    /// Runs `each` on batches 0, 1, 2 and so on: returns what was taken, and how it ended.
    fn each(
        threads: usize,
        next: impl Fn(u64) -> Result<Option<u64>>,
        work: impl Fn(u64, &Signals) -> Result<Vec<u64>> + Sync,
    ) -> (Vec<u64>, String) {
        let kernel = Signals::default();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let workers = Workers {
            kernel: &kernel,
            pool: Box::new(|| Ok(&pool)),
            threads,
            reads_ahead: false,
            batches: 3 * threads,
            coming_bytes: 1000,
            done_bytes: 1000,
        };
        let (mut number, mut taken) = (0, Vec::new());
        let done = workers.each(
            || {
                number += 1;
                Ok(next(number - 1)?.map(|batch| (batch, 1)))
            },
            |batch| Ok(Done { rest: work(batch, &kernel)?, result: batch, weight: 1 }),
            |batch| {
                taken.push(batch);
                Ok(())
            },
        );
        (taken, done.map_or_else(|error| error.to_string(), |()| "done".to_owned()))
    }

    #[test]
    fn results_come_in_order_and_what_is_left_of_a_batch_right_behind_it() {
        for threads in [1, 2, 5] {
            for count in [0, 1, 2, 40] {
                let next = |batch| Ok((batch < count).then_some(batch));
                let work = |batch, _: &Signals| Ok(if batch < 40 { vec![100 + batch, 200 + batch] } else { vec![] });
                let expected: Vec<u64> = (0..count).flat_map(|batch| [batch, 100 + batch, 200 + batch]).collect();
                assert_eq!(
                    each(threads, next, work),
                    (expected, "done".to_owned()),
                    "{threads} threads, {count} batches"
                );
            }
        }
    }

    #[test]
    fn the_first_error_in_order_is_reported_whichever_comes_first() {
        for threads in [1, 2, 5] {
            for failing in 0..8 {
                for (ends, expected) in [(7, failing.min(7)), (0, 0), (1, failing.min(1))] {
                    // The batch fails after others that run beside it, and after the next one could not be cut.
                    let next =
                        |batch: u64| if batch == ends { Err(error(&batch.to_string())) } else { Ok(Some(batch)) };
                    let work = |batch: u64, _: &Signals| {
                        for _ in 0..if batch == failing { 1000 } else { 0 } {
                            std::thread::yield_now();
                        }
                        if batch >= failing { Err(error(&batch.to_string())) } else { Ok(Vec::new()) }
                    };
                    let (taken, ended) = each(threads, next, work);
                    assert_eq!(taken, (0..expected).collect::<Vec<_>>(), "{threads} threads");
                    assert!(ended.contains(&expected.to_string()), "{threads} threads, {failing}, {ends}: {ended}");
                }
            }
        }
    }

    #[test]
    fn after_an_error_what_runs_is_given_up_and_nothing_new_begins() {
        for threads in [2, 5] {
            let next = |batch| Ok((batch < 1000).then_some(batch));
            let (to_the_end, begun) = (Mutex::new(0), Mutex::new(0));
            let work = |batch: u64, kernel: &Signals| {
                *begun.lock().unwrap() += 1;
                if batch == 0 {
                    // Until all threads work.
                    assert!(comes(|| *begun.lock().unwrap() == threads));
                    return Err(error("the first failed"));
                }
                // As the calls of user code in a long batch, each of which asks before.
                if comes(|| kernel.go_on().is_err()) {
                    return Err(error("given up"));
                }
                *to_the_end.lock().unwrap() += 1;
                Ok(Vec::new())
            };
            let (taken, ended) = each(threads, next, work);
            assert!(taken.is_empty() && ended.contains("the first failed"), "{ended}");
            assert_eq!(*to_the_end.lock().unwrap(), 0);
            assert!(*begun.lock().unwrap() <= 3 * threads, "{} batches began", begun.lock().unwrap());
        }
    }
}
