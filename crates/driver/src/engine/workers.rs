//! Batches on threads: several at once, results in order, in bounded memory.
//!
//! A single batch runs on the calling thread, and the thread pool is started when there is a second one, so small runs
//! cost nothing. What a batch will emit shows only when it runs: a batch that has emitted enough is ended, and the rest of
//! it becomes batches of their own, right behind it. While results that wait for their turn are heavy, no more batches are
//! started than there are threads, and at last only the one whose turn it is.
//!
//! After an error nothing new is cut or started behind it. What comes before it still runs, because it may fail too, and
//! the first error in order is the one to report. Then the rest is given up, wherever it is. A failure of a store is that of
//! all batches that ask it later: which of them reports it, and what comes before, is up to timing.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::engine::Kernel;
use crate::{Error, Result};

/// What was made of a batch.
pub(crate) struct Done<B, R> {
    pub(crate) result: R,
    /// Bytes that the result takes until it is taken.
    pub(crate) weight: u64,
    /// What is left of the batch, as batches, in order.
    pub(crate) rest: Vec<B>,
}

/// Runs batches, with these limits.
pub(crate) struct Workers<'a> {
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) pool: Box<dyn Fn() -> Result<&'a rayon::ThreadPool> + 'a>,
    pub(crate) threads: usize,
    /// Whether batches are to be cut early, because cutting one begins to read for it.
    pub(crate) reads_ahead: bool,
    /// Batches that are cut and whose results are not taken.
    pub(crate) batches: usize,
    /// Bytes of such batches, as far as they are known before.
    pub(crate) coming_bytes: u64,
    /// Bytes of results that wait for their turn.
    pub(crate) done_bytes: u64,
}

/// A batch in its place.
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
    /// Applies `work` to batches, several at once, and hands results over in order. Batches come with the bytes that they
    /// take.
    ///
    /// Errors: the first in order, of a batch or of `next`, whichever happened first. What runs then is given up.
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
        // About how heavy results have been lately, once there were any.
        let mut usual: Option<u64> = None;
        (self.pool)()?.in_place_scope(|scope| {
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
                        State::Done(Err(_), _) => break,
                        State::Running | State::Done(..) => continue,
                    }
                    let fits = |usual: u64| held + (running as u64 + 1) * usual <= self.done_bytes;
                    let is_idle = running < self.threads && held < self.done_bytes;
                    if place > 0 && !is_idle && !usual.is_some_and(fits) {
                        break;
                    }
                    let State::Ready(batch) = std::mem::replace(state, State::Running) else { continue };
                    running += 1;
                    let (sender, number) = (sender.clone(), *number);
                    scope.spawn(move |_| {
                        // User code is guarded already; this keeps a mistake of ours from waiting for ever.
                        let done = catch_unwind(AssertUnwindSafe(|| kernel.go_on().and_then(|()| work(batch))));
                        let failed = |_| Err(Error::internal("a worker panicked"));
                        // Nobody listens any more when an earlier batch failed.
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
                let place = slots.iter().position(|slot| slot.number == number).ok_or_else(gone)?;
                slots[place].state = match done {
                    Err(error) => {
                        ended = true;
                        State::Done(Err(error), 0)
                    }
                    Ok(Done { result, weight, rest }) => {
                        held += weight;
                        usual = Some(usual.map_or(weight, |usual| weight.max(usual - usual / 8)));
                        for (after, piece) in rest.into_iter().enumerate() {
                            slots.insert(place + 1 + after, slot(State::Ready(piece), 0));
                        }
                        State::Done(Ok(result), weight)
                    }
                };
            };
            // The scope ends when all that runs has ended.
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
            if self.0.is_asked() { Err(error("given up")) } else { Ok(()) }
        }
        fn give_up(&self) {
            self.0.ask();
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

    /// Waits until something holds, and says whether it did within a minute.
    fn comes(holds: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        while !holds() && start.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        holds()
    }

    /// What `each` makes of batches 0, 1, 2 and so on: what was taken, and how it ended.
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
                    // All threads are at work by then.
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
